"""What happened in a scenario: what was sent, what was found, what Unpush said of it, and what Push Kit's book holds.

Promised: plain facts with the places and times that Kafka gave them; nothing here judges or does anything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stream.model import Outcome, RevokeResult, Send, Status, ViolationEvent

Name = tuple[str, str]
"""A violation: messageId and violationId."""

Slot = tuple[str, int]
"""What Push Kit knows a message by: clientId and notifyId."""


SLOWLY_MS = 500
"""What is acknowledged later than this had to wait for a broker that had died: nobody could read it before."""


class Sent(NamedTuple):
    """A send as it stands in Kafka. ``acked_ms``: when all replicas in sync had it, 0: at once."""

    send: Send
    partition: int
    offset: int
    timestamp_ms: int
    acked_ms: int = 0

    @property
    def committed_ms(self) -> int:
        """From when on it can be read, unless it stands behind an open transaction."""
        return self.acked_ms if self.acked_ms > self.timestamp_ms + SLOWLY_MS else self.timestamp_ms


class Said(NamedTuple):
    """A violation event as it stands in Kafka."""

    event: ViolationEvent
    partition: int
    offset: int
    timestamp_ms: int

    @property
    def name(self) -> Name:
        return self.event.message_id, self.event.violation_id


class Seen(NamedTuple):
    """A result as it stands in Kafka."""

    result: RevokeResult
    key: bytes | None
    partition: int
    offset: int
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int = 0

    @property
    def name(self) -> Name:
        return self.result.message_id, self.result.violation_id


class Letter(NamedTuple):
    """A dead letter as it stands in Kafka."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Call(NamedTuple):
    """One call that Push Kit received; status 0: cut or left hanging."""

    slot: Slot
    tokens: int
    status: int
    monotonic_ns: int


class Overlap(NamedTuple):
    """A time in which a partition may have had two owners: one had lost it and did not know."""

    partition: int
    from_ms: int
    to_ms: int


@dataclass(slots=True)
class Book:
    """Push Kit's own record: by slot and token how many calls named it, with effect and without."""

    revoked: dict[Slot, dict[str, int]] = field(default_factory=dict)
    refused: dict[Slot, dict[str, int]] = field(default_factory=dict)
    last_ms: dict[Slot, dict[str, int]] = field(default_factory=dict)
    """When the last call came that revoked a token."""
    calls: list[Call] = field(default_factory=list)


@dataclass(slots=True)
class Story:
    """All facts of one scenario. ``bad``: tokens that Push Kit refuses, by app and token, with the reason (None: any).
    ``keyless``: apps that nobody may call. ``overlaps``: when a place may be covered by two owners. ``hidden``: when
    sends were written to a partition behind a transaction that was still open, and could be read only at its end."""

    sends: list[Sent] = field(default_factory=list)
    events: list[Said] = field(default_factory=list)
    results: list[Seen] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    bad: dict[tuple[str, bytes], str | None] = field(default_factory=dict)
    keyless: set[str] = field(default_factory=set)
    overlaps: list[Overlap] = field(default_factory=list)
    hidden: list[Overlap] = field(default_factory=list)

    def readable_ms(self, sent: Sent) -> int:
        """When a send could be read first."""
        return max(
            [
                each.to_ms
                for each in self.hidden
                if each.partition == sent.partition and each.from_ms <= sent.timestamp_ms <= each.to_ms
            ],
            default=sent.committed_ms,
        )

    def sends_of(self) -> Mapping[str, list[Sent]]:
        """Sends by message."""
        found: dict[str, list[Sent]] = defaultdict(list)
        for sent in self.sends:
            found[sent.send.head.message_id].append(sent)
        return found

    def events_of(self) -> Mapping[Name, list[Said]]:
        """Events by violation, in the order of their offsets."""
        found: dict[Name, list[Said]] = defaultdict(list)
        for said in sorted(self.events, key=lambda each: each.offset):
            found[said.name].append(said)
        return found

    def results_of(self) -> Mapping[Name, list[Seen]]:
        """Results by violation, in the order of their offsets; of those with one id the last counts."""
        latest: dict[str, Seen] = {}
        for seen in sorted(self.results, key=lambda each: each.offset):
            latest.pop(seen.result.result_id, None)
            latest[seen.result.result_id] = seen
        found: dict[Name, list[Seen]] = defaultdict(list)
        for seen in latest.values():
            found[seen.name].append(seen)
        return found


@dataclass(slots=True)
class Standing:
    """One violation as its events leave it, by the contract's words: only a CONFIRMED that was detected later than all
    before it counts, and does not undo APPROVED."""

    first: ViolationEvent
    first_timestamp_ms: int
    partition: int
    status: Status
    stood: bool
    """Whether it stood at any time."""
    withdrawals: int

    @property
    def stands(self) -> bool:
        return self.status is not Status.WITHDRAWN


def standing(said: Iterable[Said]) -> Standing:
    """The events of one violation, in the order of their offsets, added up."""
    it: Standing | None = None
    latest_ms = 0
    for each in said:
        status = each.event.status
        if it is None:
            withdrawn = status is Status.WITHDRAWN
            it = Standing(each.event, each.timestamp_ms, each.partition, status, not withdrawn, int(withdrawn))
        elif status is Status.WITHDRAWN:
            it.withdrawals += it.stands
            it.status = status
        elif status is Status.APPROVED or (each.event.detected_at_ms > latest_ms and it.status is Status.WITHDRAWN):
            it.status, it.stood = status, True
        latest_ms = max(latest_ms, each.event.detected_at_ms)
    assert it is not None
    return it


@dataclass(slots=True)
class Progress:
    """How far a scenario has come, counted as results arrive; exactness is the judge's."""

    covered: Counter[Name] = field(default_factory=Counter)
    dry: Counter[Name] = field(default_factory=Counter)
    """What a dry run would have covered."""
    bare: set[tuple[Name, Outcome]] = field(default_factory=set)
    _known: set[str] = field(default_factory=set)

    def note(self, seen: Seen) -> None:
        """One more result."""
        result = seen.result
        if result.result_id in self._known:
            return
        self._known.add(result.result_id)
        if result.outcome is Outcome.DRY_RUN:
            self.dry[seen.name] += sum(part.token_count for part in result.sends)
        elif result.outcome.covers:
            self.covered[seen.name] += sum(part.token_count for part in result.sends)
        else:
            self.bare.add((seen.name, result.outcome))

    def unfinished(self, story: Story) -> list[Name]:
        """Violations whose results do not yet add up to all places of their message."""
        places: Counter[str] = Counter()
        for sent in story.sends:
            places[sent.send.head.message_id] += len(sent.send.tokens)
        return [
            name
            for name, said in story.events_of().items()
            if not self._finished(name, standing(said), places[name[0]], name[0] in places)
        ]

    def _finished(self, name: Name, it: Standing, places: int, sent: bool) -> bool:
        if not it.stands:
            return (name, Outcome.WITHDRAWN) in self.bare
        return self.covered[name] >= places if sent else (name, Outcome.NOT_FOUND) in self.bare
