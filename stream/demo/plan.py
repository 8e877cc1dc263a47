"""What is to happen, and what must come of it: the whole cast of sends, violations and bad records. Pure.

Promised: the same plan has the same tokens, and what is expected follows from the plan alone, never from the pipeline.
Not promised: times of day; a record gets its time when it is written.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Final, NamedTuple

from confluent_kafka import murmur2

from stream.model import DeadReason, Outcome, SendHead, Severity, Status, Topic

TOKEN_CHARS: Final = 112
"""As long as a real one. Source: the examples in Huawei's pages on push tokens."""

_TOKEN_BYTES: Final = TOKEN_CHARS * 3 // 4


class DemoApp(NamedTuple):
    """An app that sends."""

    client_id: str
    name: str


APPS: Final = (
    DemoApp("5765880207853134721", "shop"),
    DemoApp("5765880207855250447", "news"),
    DemoApp("5765880207854001002", "chat"),
    DemoApp("5765880207854733193", "games"),
)
FLOW_CONTROLLED: Final = APPS[1]
"""The app whose devices per second the simulator limits."""


@dataclass(frozen=True, slots=True)
class PlannedSend:
    """One MessageSent; ``head.sent_at_ms`` is filled in when it is written."""

    number: int
    head: SendHead
    token_count: int
    refused: Mapping[int, str] = field(default_factory=dict)
    """Places whose token Push Kit refuses by name, with its reason."""
    foreign: frozenset[int] = frozenset()
    """Places whose token belongs to another app: Push Kit refuses every call that has one, and names none."""

    @property
    def bad_places(self) -> frozenset[int]:
        """Places that can never be revoked."""
        return self.foreign | self.refused.keys()


class PlannedEvent(NamedTuple):
    """One ViolationDetected; its time is filled in when it is written."""

    violation_id: str
    message_id: str
    severity: Severity
    status: Status
    reason: str
    detector: str


class BadRecord(NamedTuple):
    """A record that must end in the dead-letter topic, for this reason."""

    number: int
    topic: Topic
    key: bytes | None
    value: bytes | None
    reason: DeadReason


class Seen(NamedTuple):
    """A result that somebody must have read before a step is taken."""

    violation_id: str
    outcome: Outcome


class Step(NamedTuple):
    """One record to be written, ``at_s`` after the service's start or later, when ``after`` was seen."""

    at_s: float
    record: PlannedSend | PlannedEvent | BadRecord
    after: Seen | None = None


class Ending(Enum):
    """How the places of a violation must end."""

    REVOKED = "revoked"
    """By calls, but for the tokens that Push Kit refuses."""
    ALREADY = "already"
    """Without a call: another violation of the message had it done."""
    NOT_REVOCABLE = "not revocable"


@dataclass(frozen=True, slots=True)
class Expected:
    """What must come of one violation."""

    violation_id: str
    message_id: str
    severity: Severity
    sends: tuple[int, ...] = ()
    """Numbers of the sends whose every place it must cover; no other place."""
    ending: Ending = Ending.REVOKED
    first: str | None = None
    """The violation that ALREADY names."""
    says: frozenset[Outcome] = frozenset()
    """Results without places that there must be, once each."""
    may_say: frozenset[Outcome] = frozenset()
    """Results without places that there may be, depending on who was quicker."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it. ``past`` is written before the service starts, ``live`` while it runs, in order of time."""

    seed: int
    sends: tuple[PlannedSend, ...]
    expected: Mapping[str, Expected]
    bad: tuple[BadRecord, ...]
    past: tuple[Step, ...]
    live: tuple[Step, ...]

    def tokens(self, number: int) -> tuple[bytes, ...]:
        """The tokens of a send, the same each time; made anew, since a large plan's would not fit in memory."""
        count = self.sends[number].token_count
        letters = urlsafe_b64encode(Random(f"{self.seed}/{number}").randbytes(_TOKEN_BYTES * count))
        return tuple(letters[at : at + TOKEN_CHARS] for at in range(0, len(letters), TOKEN_CHARS))

    def called(self) -> Iterator[PlannedSend]:
        """The sends whose tokens must be called, each once."""
        for each in self.expected.values():
            if each.ending is Ending.REVOKED:
                yield from (self.sends[number] for number in each.sends)

    def places(self, expected: Expected) -> int:
        """How many token places a violation must cover."""
        return sum(self.sends[number].token_count for number in expected.sends)


_RECORD_BYTES: Final = 400
"""Of a send without its tokens, or of a result: its fields, and a batch of its own around it."""


def fullest_bytes(plan: Plan, partitions: int) -> int:
    """About how many bytes the fullest partition of any topic gets, the partitioner being the house's."""
    sends, results = [0] * partitions, [0] * partitions
    for send in plan.sends:
        place = murmur2(send.head.message_id.encode(), partitions)
        sends[place] += _RECORD_BYTES + send.token_count * (TOKEN_CHARS + 2)
    for expected in plan.expected.values():
        results[murmur2(expected.message_id.encode(), partitions)] += _RECORD_BYTES * (1 + len(expected.sends))
    return max(sends + results)
