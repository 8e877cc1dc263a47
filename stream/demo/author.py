"""The author: from a seed and two numbers to a plan. Pure.

Promised: the same seed and numbers give the same plan; every kind of scene is in it, at any size that is accepted.
Not promised: that a broker can keep it; ``plan.fullest_bytes`` says how much it must.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Final, NamedTuple, TypeAlias

from stream.demo.plan import (
    APPS,
    DemoApp,
    Ending,
    Expected,
    Plan,
    PlannedEvent,
    PlannedSend,
    Seen,
    Step,
)
from stream.demo.spoiled import spoiled
from stream.model import MAX_CALL_TOKENS, Outcome, SendHead, SettingsError, Severity, Status

MIN_SENDS: Final = 60
MAX_SENDS: Final = 200_000
"""All is in memory: the plan alone with a kB a send, and a send has 80 devices on average."""
MIN_VIOLATIONS: Final = 20

_REASONS: Final = ("fraud", "gambling", "counterfeit", "hate", "adult", "spam")
_DETECTORS: Final = ("text-model-v4", "image-model-v2", "link-scanner", "user-reports")
_SEVERITIES: Final = (Severity.LOW,) * 3 + (Severity.MEDIUM,) * 4 + (Severity.HIGH,) * 2 + (Severity.CRITICAL,)
_REFUSALS: Final = ("illegalToken", "expiredToken", "uninstalledApp")
_FIRST_NOTIFY_ID: Final = 1_000
_PAST: Final = -1.0

Scene: TypeAlias = "Callable[[_Author], None]"


def write(seed: int, sends: int, violations: int, span_s: float) -> Plan:
    """The plan of a story that is ``span_s`` long. Raises SettingsError for numbers that make none."""
    if violations < MIN_VIOLATIONS:
        raise SettingsError(f"--violations {violations}: it takes at least {MIN_VIOLATIONS} to show each kind once")
    if sends < max(MIN_SENDS, 2 * violations):
        least = max(MIN_SENDS, 2 * violations)
        raise SettingsError(f"--sends {sends}: {violations} violations need at least {least} sends, some innocent")
    if sends > MAX_SENDS:
        raise SettingsError(f"--sends {sends}: at most {MAX_SENDS:,}, since the whole story is kept in memory")
    author = _Author(seed, span_s)
    parts = _parts(sends, violations, Random(f"{seed}/parts"))
    author.campaigns(parts.campaigns, parts.guilty_campaigns)
    author.crowd(parts.crowd)
    for scene, times in parts.scenes:
        for _ in range(times):
            scene(author)
    author.bystanders(sends - len(author.sends))
    return author.plan()


class _Parts(NamedTuple):
    """How many of each."""

    campaigns: list[int]
    """Batches of each."""
    guilty_campaigns: int
    crowd: int
    """Single-token sends of one message."""
    scenes: tuple[tuple[Scene, int], ...]
    """What happens, and how often."""


def _parts(sends: int, violations: int, random: Random) -> _Parts:
    campaigns = _campaigns(max(8, sends // 12), random)
    guilty = max(2, min(len(campaigns) // 2, violations // 12))
    scenes: dict[Scene, int] = {
        _Author.unknown: max(1, violations // 25),
        _Author.withdrawn_in_time: max(1, violations // 50),
        _Author.withdrawn_before_its_send: max(1, violations // 100),
        _Author.found_twice: max(1, violations // 20),
        _Author.not_revocable: max(2, violations // 30),
        _Author.found_before_sent: max(1, violations // 7),
        _Author.sent_after_not_found: max(1, violations // 100),
        _Author.backlog: max(1, violations // 10),
    }
    taken = guilty + 2 + sum(scenes.values()) + scenes[_Author.found_twice]  # 2: the crowd, and a campaign found twice
    return _Parts(campaigns, guilty, max(10, sends // 20), (*scenes.items(), (_Author.single, violations - taken)))


def _campaigns(batches: int, random: Random) -> list[int]:
    """At least three campaigns of two batches or more."""
    sizes: list[int] = []
    while batches > 0:
        sizes.append(min(batches, random.randint(2, 10) if len(sizes) > 2 else 2))
        batches -= sizes[-1]
    return sizes


class _Author:
    """Writes scene after scene; each method is one kind of thing that happens."""

    def __init__(self, seed: int, span_s: float) -> None:
        self.sends: list[PlannedSend] = []
        self._seed, self._span_s = seed, span_s
        self._random = Random(f"{seed}/story")
        self._steps: list[Step] = []
        self._expected: dict[str, Expected] = {}
        self._messages = 0

    def plan(self) -> Plan:
        """What was written, in order of time."""
        bad = spoiled()
        steps = self._steps + [Step(self._random.uniform(0, 0.8 * self._span_s), each) for each in bad]
        past = [step for step in steps if step.at_s == _PAST]
        live = sorted((step for step in steps if step.at_s != _PAST), key=lambda step: step.at_s)
        return Plan(self._seed, tuple(self.sends), self._expected, bad, tuple(past), tuple(live))

    # --- scenes

    def campaigns(self, sizes: Iterable[int], guilty: int) -> None:
        """Campaigns in batches of a thousand; a finding strikes some of them before their last batch is out."""
        for number, batches in enumerate(sizes):
            head = self._head("campaign", APPS[number % len(APPS)])
            found_s = self._when(0.5)
            sent = [self._batch(head, found_s, number, batch, batches) for batch in range(batches)]
            if number < guilty:
                first = self._find(head.message_id, found_s, sent)
                if number == 0:
                    self._find_again(first, found_s + 0.2, sent)

    def _batch(self, head: SendHead, found_s: float, number: int, batch: int, batches: int) -> int:
        """Campaigns 0 and 1 have tokens that Push Kit refuses, each in its own way."""
        last = batch == batches - 1
        count = self._random.randint(300, MAX_CALL_TOKENS) if last else MAX_CALL_TOKENS
        refused = self._refused(count) if number == 0 and batch == 0 else {}
        foreign = frozenset({self._random.randrange(count)}) if number == 1 and batch == 0 else frozenset[int]()
        at_s = found_s + 0.1 * (batch + 1 - 0.7 * batches)
        return self._send(head, max(0.0, at_s) if number % 2 or last else _PAST, count, refused, foreign)

    def _refused(self, count: int) -> dict[int, str]:
        return {place: self._random.choice(_REFUSALS) for place in self._random.sample(range(count), 7)}

    def crowd(self, devices: int) -> None:
        """One message that went out device by device, under one notifyId: a call takes a thousand of them."""
        head = self._head("invitation", APPS[0])
        sent = [self._send(head, _PAST) for _ in range(devices)]
        self._find(head.message_id, self._when(0.5), sent)

    def single(self) -> None:
        """A message to one device, found after it was sent."""
        head, found_s = self._head("message"), self._when(0.85)
        sent = self._send(head, max(0.0, found_s - self._soon()) if self._random.random() < 0.5 else _PAST)
        self._find(head.message_id, found_s, [sent])

    def backlog(self) -> None:
        """Sent and found while the service was away."""
        head = self._head("message")
        self._find(head.message_id, _PAST, [self._send(head, _PAST)])

    def found_before_sent(self) -> None:
        """The detector was quicker than the send's record."""
        head, found_s = self._head("message"), self._when(0.8)
        sent = self._send(head, found_s + self._soon())
        self._find(head.message_id, found_s, [sent], may_say={Outcome.NOT_FOUND})

    def sent_after_not_found(self) -> None:
        """Nobody had heard of it, and it was said so; then it was sent after all."""
        head, found_s = self._head("message"), self._when(0.2)
        violation = self._find(head.message_id, found_s, [len(self.sends)], says={Outcome.NOT_FOUND})
        self._send(head, found_s, after=Seen(violation.violation_id, Outcome.NOT_FOUND))

    def unknown(self) -> None:
        """A finding about a message that nobody sent."""
        self._find(self._head("unknown").message_id, self._when(0.5), [], says={Outcome.NOT_FOUND})

    def withdrawn_in_time(self) -> None:
        """Sent, found and withdrawn while the service was away: not one call."""
        head = self._head("message")
        self._send(head, _PAST)
        self._withdraw(self._find(head.message_id, _PAST, [], says={Outcome.WITHDRAWN}), _PAST)

    def withdrawn_before_its_send(self) -> None:
        """Found, withdrawn, and only then sent: not one call."""
        head, found_s = self._head("message"), self._when(0.5)
        violation = self._find(head.message_id, found_s, [], {Outcome.WITHDRAWN}, {Outcome.NOT_FOUND})
        self._withdraw(violation, found_s + 0.2)
        self._send(head, found_s, after=Seen(violation.violation_id, Outcome.WITHDRAWN))

    def found_twice(self) -> None:
        """Two detectors find the same message: one call."""
        head, found_s = self._head("message"), self._when(0.8)
        sent = [self._send(head, _PAST)]
        self._find_again(self._find(head.message_id, found_s, sent), found_s + self._soon(), sent)

    def not_revocable(self) -> None:
        """Sent without a notifyId, or as a push type that the API cannot revoke: no call."""
        head = self._head("message")
        odd = len(self.sends) % 2
        head = head._replace(push_type=6) if odd else head._replace(notify_id=None)
        self._find(head.message_id, self._when(0.8), [self._send(head, _PAST)], ending=Ending.NOT_REVOCABLE)

    def bystanders(self, count: int) -> None:
        """Messages that nobody finds anything in."""
        for _ in range(count):
            at_s = self._when(1.0) if self._random.random() < 0.5 else _PAST
            self._send(self._head("message"), at_s, self._random.choice((1, 1, 1, 2, 3)))

    # --- what scenes are made of

    def _head(self, kind: str, app: DemoApp | None = None) -> SendHead:
        self._messages += 1
        number = self._messages
        app = app or self._random.choice(APPS)
        return SendHead(f"{kind}-{number:06d}", app.client_id, _FIRST_NOTIFY_ID + number, 0, 0, None)

    def _when(self, latest: float) -> float:
        return self._random.uniform(0.02, latest) * self._span_s

    def _soon(self) -> float:
        return self._random.uniform(0.02, min(1.0, 0.1 * self._span_s))

    def _send(
        self,
        head: SendHead,
        at_s: float,
        count: int = 1,
        refused: dict[int, str] | None = None,
        foreign: frozenset[int] = frozenset(),
        after: Seen | None = None,
    ) -> int:
        number = len(self.sends)
        head = head._replace(request_id=f"{self._random.getrandbits(64):016x}")
        self.sends.append(PlannedSend(number, head, count, refused or {}, foreign))
        self._steps.append(Step(at_s, self.sends[number], after))
        return number

    def _find(
        self,
        message_id: str,
        at_s: float,
        sends: Iterable[int],
        says: Iterable[Outcome] = (),
        may_say: Iterable[Outcome] = (),
        ending: Ending = Ending.REVOKED,
        first: str | None = None,
    ) -> PlannedEvent:
        name = f"v-{len(self._expected) + 1:06d}"
        choice = self._random.choice
        event = PlannedEvent(
            name, message_id, choice(_SEVERITIES), Status.CONFIRMED, choice(_REASONS), choice(_DETECTORS)
        )
        self._expected[name] = Expected(
            name, message_id, event.severity, tuple(sends), ending, first, frozenset(says), frozenset(may_say)
        )
        self._steps.append(Step(at_s, event))
        return event

    def _find_again(self, first: PlannedEvent, at_s: float, sends: list[int]) -> None:
        self._find(first.message_id, at_s, sends, ending=Ending.ALREADY, first=first.violation_id)

    def _withdraw(self, event: PlannedEvent, at_s: float) -> None:
        self._steps.append(Step(at_s, event._replace(status=Status.WITHDRAWN)))
