"""One shard without Kafka and without Push Kit: three topics as lists, the real rooms between them.

Real: wire, intake, store, shard, desk, sorter, settling, ledger. Played by the test: what is read when (live and from
the past), when the event loop hears of it, what the gateway says to a parcel, when a result is delivered, and the end
of the process. Everything is in the test's hand, so that any order can be tried.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

from confluent_kafka import Message

from stream.model import (
    Outcome,
    RejectedToken,
    RevokeResult,
    Send,
    SendHead,
    Severity,
    Status,
    Topic,
    ViolationEvent,
)
from stream.service.clock import Clock
from stream.service.desk import Desk
from stream.service.guarding import Guarding
from stream.service.hours import Drawn, drawn_since
from stream.service.intake import Intake, ToLoop
from stream.service.ledger import entries
from stream.service.letterbox import Letter, LetterBox
from stream.service.outbox import Outbox, Written
from stream.service.sampling import Sampling
from stream.service.settling import Settling
from stream.service.sorting import Sorter
from stream.service.ways import Ways
from stream.state.keys import Stamp, digest_of
from stream.state.shard import EVERYTHING, Shard
from stream.state.store import Store
from stream.wire.wire import Wire
from stream.work.endings import Ending
from stream.work.guard import Guard, Limits
from stream.work.packing import Parcel
from stream.work.reuse import Found, shared_slots

MINUTE_MS = 60_000
START_MS = 1_764_000_000_000
RETENTION_MS = 72 * 60 * MINUTE_MS
NAMES = {Topic.SENDS: "sends", Topic.VIOLATIONS: "violations", Topic.RESULTS: "results"}
NOT_FOUND_AFTER_S = 60.0


class Record(NamedTuple):
    """A record as it stands in its topic; ``said`` is what it says."""

    timestamp_ms: int
    key: bytes
    value: bytes
    said: Any


class TurnedClock(Clock):
    """A clock that only the test turns."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return (self.ms - START_MS) / 1000


class Waiting(NamedTuple):
    """A parcel that waits for its call."""

    parcel: Parcel
    severity: Severity


class Mailbox:
    """Stands for outbox and letterbox: keeps what was written until the test delivers it."""

    refused_for_good = frozenset[Parcel]()

    def __init__(self) -> None:
        self.written: deque[Written] = deque()
        self.letters: list[Letter] = []

    def write(self, written: Written) -> None:
        if written.shard.owned:
            self.written.append(written)

    def send(self, letter: Letter, done: Callable[[Any], None]) -> None:
        self.letters.append(letter)
        done(None)

    def later(self, wait_s: float, call: Callable[[], None]) -> None:
        raise AssertionError("the mailbox refuses nothing")


class SmallWorld:
    """See the module's words."""

    def __init__(
        self,
        folder: Path,
        *,
        dry: bool = False,
        limits: Limits | None = None,
        held_if_shared: frozenset[str] = frozenset(),
        since_ms: int | None = None,
    ) -> None:
        """``limits``: of the guard; None: it is off. ``held_if_shared``: apps held once they share notifyIds.
        ``since_ms``: as ``join.since``."""
        self.topics: dict[Topic, list[Record]] = {topic: [] for topic in Topic}
        self.clock = TurnedClock()
        self.wire = Wire()
        self.called: list[Parcel] = []
        """Every call that was made, also those whose answer was lost."""
        self.crowd: set[str] = set()
        self.largest = 1_000
        self.limits, self.held_if_shared = limits or Limits(), held_if_shared
        self.shared: dict[str, tuple[Found, int]] = {}
        """What stands in the store's folder of apps that share notifyIds."""
        self.since_ms = since_ms
        self._folder, self._dry = folder, dry
        self._stores = 0
        self._open_store()
        self._begin()

    # --- the process

    def _open_store(self) -> None:
        self.store = Store(self._folder / f"store-{self._stores}")

    def _begin(self) -> None:
        self.shard = Shard(0, self.store, RETENTION_MS // 12)
        self.loop: deque[Callable[[], None]] = deque()
        self.waiting: list[Waiting] = []
        self.in_flight: list[Waiting] = []
        self.mailbox = Mailbox()
        self.desk = self._new_desk()
        self.settling = Settling(
            self.desk,
            cast(Outbox, self.mailbox),
            cast(LetterBox, self.mailbox),
            self.clock,
            "sends",
            lambda positions, told: told({at: [("own", b"header")] for at in positions}),
            lambda: None,
            lambda: False,
            dry=self._dry,
        )
        self.intake = self._new_intake()
        self.intake.shards[0] = self.shard
        self.shard.keeps_admitted = self.limits.per_hour > 0
        self.at = {topic: len(records) for topic, records in self.topics.items()}
        self.shard.live_start = dict(self.at)
        self.shard.floor = dict.fromkeys(Topic, 0)
        self.shard.read_back_ms = dict.fromkeys((Topic.VIOLATIONS, Topic.RESULTS), float(self.clock.ms))
        self.desk.shard_came(self.shard)
        self.recall_due = True

    def _new_desk(self) -> Desk:
        ways = Ways(
            call=lambda parcel, severity: self.waiting.append(Waiting(parcel, severity)),
            end=lambda parcel, ending: self.settling.end(parcel, ending),
            say=lambda *what: self.settling.say(*what),
            take_back=self._take_back,
            lift=self._lift,
            ready=lambda severity: sum(each.severity is severity for each in self.waiting),
            waiting=lambda app, severity: sum(
                each.severity is severity and each.parcel.client_id == app for each in self.waiting
            ),
            has_room=lambda app, severity: app not in self.crowd,
        )
        sorter = Sorter(self.wire, lambda app: self.largest, ways.has_room, lambda *bad: self.settling.late.found(*bad))
        guarding = self._new_guarding()
        return Desk(self.wire, sorter, ways, NOT_FOUND_AFTER_S, RETENTION_MS, guarding, self.since_ms)

    def _new_guarding(self) -> Guarding:
        def hours(shard: Shard, since_ms: int, told: Callable[[list[Drawn] | None], None]) -> None:
            told(drawn_since(self.wire, shard, since_ms, self.since_ms))

        reasons = (
            [shared_slots(self.held_if_shared, lambda app: self.sampling.shared(app))] if self.held_if_shared else []
        )
        return Guarding(Guard(self.limits, reasons), self.clock, hours, self._ask_end, dry=self._dry)

    def _ask_end(self, place: tuple[Topic, int]) -> None:
        """What the tail answers, a moment later, when it stands at the end."""
        now_s = self.clock.monotonic_s()

        def answer() -> None:
            if self.at[Topic.SENDS] == len(self.topics[Topic.SENDS]):
                self.shard.read_to_end_s = max(self.shard.read_to_end_s, now_s)
                self.desk.planning.look_again()

        self.loop.append(answer)

    def _new_intake(self) -> Intake:
        def soon(call: Callable[..., None]) -> Callable[..., None]:
            return lambda number, came: self.loop.append(lambda: call(number, came, self.clock.monotonic_s()))

        self.sampling = Sampling(self.wire, RETENTION_MS, self.clock.now_ms, self.shared, self.shared.update)
        to_loop = ToLoop(soon(self.desk.events_came), soon(self.desk.sends_came), self.mailbox.send)
        return Intake(
            {},
            self.wire,
            NAMES,
            1,
            to_loop,
            dry=self._dry,
            since_ms=self.since_ms,
            max_bad_share=0.5,
            by_time=True,
            now_ms=self.clock.now_ms,
            sampled=self.sampling.look,
        )

    def restart(self, *, keep: bool) -> None:
        """The process ends with calls in flight and results not delivered; ``keep``: its store is still there."""
        if keep:
            self.store.flush()
        else:
            self.shared.clear()
        self.store.close()
        self._stores += not keep
        self._open_store()
        self._begin()

    def recall(self) -> None:
        """What ``Arrivals`` does in the background: condemn again what the store knows."""
        self.recall_due = False
        found = [
            (self.intake.severity_of(event.value), event.timestamp_ms, event.digest)
            for event in self.shard.stored.all_events()
        ]
        self.shard.condemned.update(digest for _, _, digest in found)
        self.shard.recalled = True
        self.loop.append(lambda: self.desk.remembered(0, found))

    def close(self) -> None:
        self.store.close()

    # --- producers

    def send(
        self, message: str, tokens: list[str], app: str = "app", notify_id: int | None = 7, push_type: int = 0
    ) -> int:
        """Write a send; its offset."""
        head = SendHead(message, app, notify_id, push_type, self.clock.ms, None)
        send = Send(head, tuple(token.encode() for token in tokens))
        return self._append(Topic.SENDS, message, self.wire.encode_send(send), send)

    def violate(
        self,
        message: str,
        violation: str = "v1",
        status: Status = Status.CONFIRMED,
        severity: Severity = Severity.MEDIUM,
        detected_ms: int | None = None,
    ) -> int:
        """Write an event of a violation; its offset."""
        at_ms = self.clock.ms if detected_ms is None else detected_ms
        event = ViolationEvent(violation, message, severity, status, "spam", None, at_ms)
        return self._append(Topic.VIOLATIONS, message, self.wire.encode_violation(event), event)

    def _append(self, topic: Topic, message: str, value: bytes, said: Any) -> int:
        self.clock.ms += 1
        self.topics[topic].append(Record(self.clock.ms, message.encode(), value, said))
        return len(self.topics[topic]) - 1

    # --- reading

    def read(self, topic: Topic) -> None:
        """Read live to the end."""
        start, self.at[topic] = self.at[topic], len(self.topics[topic])
        self._take(topic, start, self.at[topic])

    def read_past(self, topic: Topic, most: int) -> None:
        """Read the newest gap's newest chunk."""
        gaps = self.shard.ranges(topic).gaps(0, self.shard.live_start[topic])
        if gaps:
            start = max(gaps[-1].start, gaps[-1].end - most)
            self._take(topic, start, gaps[-1].end)
        left = self.shard.ranges(topic).gaps(0, self.shard.live_start[topic])
        back_ms = (
            self.topics[topic][left[-1].end].timestamp_ms if left and left[-1].end < len(self.topics[topic]) else None
        )
        if not left:
            self._further(topic, EVERYTHING)
        elif back_ms is not None:
            self._further(topic, back_ms)

    def _further(self, topic: Topic, back_ms: float) -> None:
        self.loop.append(lambda: self.shard.read_back_ms.__setitem__(topic, back_ms))
        if topic is not Topic.SENDS:
            self.loop.append(lambda: self.desk.past_read(0))

    def _take(self, topic: Topic, start: int, end: int) -> None:
        if start < end:
            self.intake.take(topic, 0, [self._message(topic, offset) for offset in range(start, end)], start, end)

    def _message(self, topic: Topic, offset: int) -> Message:
        record = self.topics[topic][offset]
        name, time = NAMES[topic], (2, record.timestamp_ms)
        return Message(topic=name, partition=0, offset=offset, key=record.key, value=record.value, timestamp=time)

    # --- the event loop, the gateway, the broker's acknowledgements

    def tell(self, most: int | None = None) -> None:
        """Let the loop hear of what the threads have put before it."""
        for _ in range(len(self.loop) if most is None else min(most, len(self.loop))):
            self.loop.popleft()()

    def step(self) -> bool:
        """Let the desk plan."""
        return self.desk.planning.step(self.clock.monotonic_s())

    def call(self) -> Waiting:
        """Let the most severe call leave."""
        chosen = max(self.waiting, key=lambda each: each.severity)
        self.waiting.remove(chosen)
        chosen.parcel.attempts += 1
        self.in_flight.append(chosen)
        self.called.append(chosen.parcel)
        return chosen

    def answer(self, chosen: Waiting, how: str) -> None:
        """What the gateway says to a call in flight, and what ``Replies`` makes of it."""
        self.in_flight.remove(chosen)
        parcel = chosen.parcel
        tokens = [token.decode() for token in parcel.tokens]
        if how == "partial" and len(tokens) > 1:
            first = (RejectedToken(tokens[0], "noRight"),)
            self.settling.end(parcel, Ending(Outcome.PARTIALLY_REVOKED, len(tokens) - 1, first, 200))
        elif how == "refused":
            bad = tuple(RejectedToken(token, "noRight") for token in tokens)
            self.settling.end(parcel, Ending(Outcome.FAILED, 0, bad, 200))
        elif how == "given up":
            self.settling.end(parcel, Ending(Outcome.FAILED, detail="given up: HTTP 500"))
        else:
            self.settling.end(parcel, Ending(Outcome.REVOKED, len(tokens), (), 200))

    def _take_back(self, chosen: Callable[[Parcel], bool]) -> list[Parcel]:
        taken = [each for each in self.waiting if chosen(each.parcel)]
        self.waiting = [each for each in self.waiting if each not in taken]
        return [each.parcel for each in taken]

    def _lift(self, chosen: Callable[[Parcel], bool], severity: Severity) -> None:
        self.waiting = [Waiting(p, severity if chosen(p) else own) for p, own in self.waiting]

    def deliver(self) -> None:
        """Kafka takes the oldest result; only ``mark`` tells us."""
        written = self.mailbox.written[0]
        result = written.result
        self._append(Topic.RESULTS, result.message_id, self.wire.encode_result(result), result)

    def mark(self) -> None:
        """The delivery comes back: marks are written, the desk hears."""
        written = self.mailbox.written.popleft()
        offset = max(i for i, each in enumerate(self.topics[Topic.RESULTS]) if each.said is written.result)
        stamp = Stamp(offset, self.topics[Topic.RESULTS][offset].timestamp_ms)
        puts = entries(written.shard, written.result, stamp, self._dry)
        written.shard.add(Topic.RESULTS, [(offset, offset + 1)], puts)
        self.settling.settled(written)

    def settle_one(self) -> None:
        """Deliver and mark the oldest result."""
        self.deliver()
        self.mark()

    # --- to the end

    def until_quiet(self, how: str = "revoked") -> None:
        """Read everything, answer everything, deliver everything, wait long enough for NOT_FOUND."""
        if self.recall_due:
            self.recall()
        for topic in Topic:
            self.read(topic)
            while self.shard.read_back_ms.get(topic) != EVERYTHING:
                self.read_past(topic, 1_000)
                self.tell()
        self.tell()
        for _ in range(10_000):
            if not self.move(how):
                break
        else:
            raise AssertionError("never quiet")
        self.clock.ms += 2 * int(NOT_FOUND_AFTER_S * 1000)
        self.desk.missing(self.clock.monotonic_s(), lambda shard, arrived_s: True)
        while self.mailbox.written:
            self.settle_one()
        self.read(Topic.RESULTS)

    def move(self, how: str) -> bool:
        """One thing that can go on by itself."""
        self.desk.planning.unpark()
        if self.loop:
            self.tell()
        elif self.desk.planning.plans.any and self.step():
            pass
        elif self.in_flight:
            self.answer(self.in_flight[0], how)
        elif self.waiting:
            self.answer(self.call(), how)
        elif self.mailbox.written:
            self.settle_one()
        else:
            return False
        return True

    # --- what is asked at the end

    @property
    def results(self) -> list[RevokeResult]:
        """All results that Kafka has, in order."""
        return [record.said for record in self.topics[Topic.RESULTS]]

    def outcomes(self, message: str, violation: str = "v1") -> list[Outcome]:
        """How a violation ended, result by result."""
        return [r.outcome for r in self.results if (r.message_id, r.violation_id) == (message, violation)]

    def covered(self, message: str, violation: str) -> Counter[tuple[int, int]]:
        """How often each place (offset of its send, position) is covered."""
        return Counter(
            (part.offset, part.first_token + at)
            for result in self.results
            if (result.message_id, result.violation_id) == (message, violation) and result.outcome.covers
            for part in result.sends
            for at in range(part.token_count)
        )

    def places(self, message: str) -> set[tuple[int, int]]:
        """All places of all sends of a message."""
        return {
            (offset, at)
            for offset, record in enumerate(self.topics[Topic.SENDS])
            if record.said.head.message_id == message
            for at in range(len(record.said.tokens))
        }

    def called_tokens(self, message: str, violation: str | None = None) -> list[bytes]:
        """Tokens that left for Push Kit, call by call."""
        chosen = [
            parcel
            for parcel in self.called
            if parcel.violation.message_id == message and violation in (None, parcel.violation.violation_id)
        ]
        return [token for parcel in chosen for token in parcel.tokens]


def condemned(world: SmallWorld, message: str) -> bool:
    """Whether the shard knows the message to be condemned."""
    return digest_of(message.encode()) in world.shard.condemned
