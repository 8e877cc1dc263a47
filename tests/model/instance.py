"""One process of Unpush over the log in memory. Real: wire, intake, shard, desk, settling, ledger, calls, outbox.

Played: the readers (what is read when, live and from the past), ``Arrivals`` (shards come and go), ``Hearing`` (when
the loop hears of what was stored), the producer and the gateway. Everything is in the test's hand. Promised: what is
played does the steps of the real one in their order. Not promised: its waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, Protocol, cast

from confluent_kafka import KafkaError, Message, Producer

from stream.model import Fenced, RevokeResult, Topic
from stream.pushkit.reply import Reply
from stream.service.calls import Calls
from stream.service.desk import Desk
from stream.service.intake import Intake, ToLoop
from stream.service.letterbox import LetterBox
from stream.service.outbox import Outbox, Written
from stream.service.settling import Settling
from stream.service.sorting import Sorter
from stream.service.ways import Ways
from stream.settings import default_settings
from stream.state.shard import EVERYTHING, Shard
from stream.state.store import Store
from stream.work.apps import App
from stream.work.packing import Parcel
from tests.model.log import PARTITION_OF, PARTITIONS, Log, TurnedLoop
from tests.model.memory import MemoryStore
from tests.service.small_world import MINUTE_MS, NAMES, NOT_FOUND_AFTER_S, RETENTION_MS

SETTINGS: Final = replace(
    default_settings().push_kit, max_in_flight=3, give_up_after_s=60 * MINUTE_MS / 1000, retry_longest_s=10.0
)


@dataclass(slots=True)
class Here:
    """A shard as this process holds it."""

    shard: Shard
    at: dict[Topic, int]
    """Where the live readers stand."""
    recall_due: bool = True
    heard: set[int] = field(default_factory=set)
    """Offsets of the violation events that the loop has heard of."""


class Flight(NamedTuple):
    """A call in flight."""

    parcel: Parcel
    here: Here
    answer: asyncio.Future[Reply]


class Sent(NamedTuple):
    """A result in the producer's hands."""

    result: RevokeResult
    value: bytes
    delivered: Callable[[KafkaError | None, Message], None]


class Watcher(Protocol):
    """Looks on, and objects."""

    def called(self, instance: Instance, here: Here, parcel: Parcel) -> None:
        """A call leaves."""

    def written(self, instance: Instance, result: RevokeResult) -> None:
        """A result is given to the producer."""

    def settled(self, instance: Instance, written: Written) -> None:
        """A result's places count as settled."""


class Instance:
    """See the module's words."""

    def __init__(self, log: Log, loop: TurnedLoop, store: MemoryStore, watcher: Watcher) -> None:
        self.log, self.loop, self.store, self.watcher = log, loop, store, watcher
        self.here: dict[int, Here] = {}
        self._gone: dict[int, Here] = {}
        self.told: deque[Callable[[], None]] = deque()
        self.flights: list[Flight] = []
        self.produced: deque[Sent] = deque()
        self._acknowledged: list[tuple[Sent, KafkaError | None, Message]] = []
        store.written = self._stored
        self._tasks: list[asyncio.Task[None]] = []
        loop.run_until_complete(self._wire())

    async def _wire(self) -> None:
        log, wire = self.log, self.log.wire
        self.outbox = Outbox(
            cast(Producer, self),
            "results",
            wire,
            False,
            lambda written: self._settled(written),
            lambda _: [],
            lambda written: self.settling.as_known_now(written),
        )
        self.calls = Calls(
            SETTINGS,
            self,
            log.clock,
            end=lambda parcel, ending: self.settling.end(parcel, ending),
            replaced=lambda parcel, pieces: self.desk.replaced(parcel, pieces),
            wanted=lambda parcel: self.desk.wants(parcel),
            keyless=lambda _: None,
            shares={},
        )
        self.desk = self._new_desk()
        self.settling = Settling(
            self.desk,
            self.outbox,
            cast(LetterBox, None),
            log.clock,
            "sends",
            _no_letters,
            lambda: None,
            self._behind,
            dry=False,
        )
        self.intake = Intake(
            {},
            wire,
            NAMES,
            PARTITIONS,
            ToLoop(self._tell_events, self._tell_sends, _no_letters),
            dry=False,
            since_ms=None,
            max_bad_share=0.5,
            by_time=True,
            now_ms=log.clock.now_ms,
            sampled=lambda records, digests: None,
        )
        work = [self.outbox.run(), *(self.calls.work() for _ in range(SETTINGS.max_in_flight))]
        self._tasks = [self.loop.create_task(each) for each in work]

    def _new_desk(self) -> Desk:
        calls = self.calls
        ways = Ways(
            call=calls.call,
            end=lambda parcel, ending: self.settling.end(parcel, ending),
            say=lambda *what: self.settling.say(*what),
            take_back=calls.pending.take_back,
            lift=calls.lift,
            ready=calls.ready,
            waiting=calls.pending.lanes.depth_of,
            has_room=calls.has_room,
        )
        sorter = Sorter(self.log.wire, calls.largest_call, calls.has_room, _no_letters)
        return Desk(self.log.wire, sorter, ways, NOT_FOUND_AFTER_S, RETENTION_MS)

    def end(self) -> None:
        """The process is gone."""
        for task in self._tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))

    # --- shards come and go, as ``Arrivals`` has it

    def arrive(self, number: int) -> None:
        """The shard is ours."""
        assert number not in self.here
        ends = {topic: self.log.end(topic, number) for topic in Topic}
        shard = Shard(number, cast(Store, self.store), RETENTION_MS // 12)
        shard.live_start, shard.floor = ends, dict.fromkeys(Topic, 0)
        now_ms = float(self.log.clock.ms)
        shard.read_back_ms = dict.fromkeys((Topic.VIOLATIONS, Topic.RESULTS), now_ms)
        self.here[number] = Here(shard, dict(ends))
        self.intake.shards[number] = shard
        self.told.append(lambda: self.desk.shard_came(shard))
        for topic in Topic:
            self._further(number, topic)

    def recall(self, number: int) -> None:
        """Condemn again what the store knows."""
        here = self.here[number]
        if not here.recall_due:
            return
        here.recall_due, shard = False, here.shard
        found = [(self.intake.severity_of(e.value), e.timestamp_ms, e.digest) for e in shard.stored.all_events()]
        shard.condemned.update(digest for _, _, digest in found)
        self.told.append(lambda: self.desk.remembered(number, found))
        shard.recalled = True

    def begin_to_leave(self, number: int) -> None:
        """Start nothing new for the shard."""
        self.here[number].shard.leaving = True
        self.calls.pending.take_back(self._of(number))

    def fence(self, number: int, late: Iterable[Topic]) -> None:
        """The shard is ours no more; some readers are late: they hold it still."""
        here = self._gone[number] = self.here.pop(number)
        here.shard.fence()
        for topic in sorted(late):
            try:
                self._read(here, topic, here.at[topic], self.log.end(topic, number))
            except Fenced:
                continue
        self.intake.shards.pop(number)
        self.told.append(lambda: self._forget(number))

    def _forget(self, number: int) -> None:
        self.desk.shard_went(number)
        self.calls.forsake(self._of(number))

    @staticmethod
    def _of(number: int) -> Callable[[Parcel], bool]:
        return lambda parcel: parcel.owner is not None and parcel.owner.shard == number

    # --- reading

    def read(self, number: int, topic: Topic, most: int) -> None:
        """Read live a little further."""
        here, log_end = self.here[number], self.log.end(topic, number)
        start, end = here.at[topic], min(here.at[topic] + most, log_end)
        self._read(here, topic, start, end)
        here.at[topic] = end
        if topic is Topic.SENDS and end == log_end:
            shard, now_s = here.shard, self.log.clock.monotonic_s()
            self.told.append(lambda: setattr(shard, "read_to_end_s", max(shard.read_to_end_s, now_s)))

    def read_past(self, number: int, topic: Topic, newness: int, most: int) -> None:
        """Read some records of a gap; 0 is the newest. Whoever takes them in must not depend on the order."""
        here = self.here[number]
        if gaps := self._gaps(here, topic):
            start, end = gaps[-1 - min(newness, len(gaps) - 1)]
            self._read(here, topic, max(start, end - most), end)
            self._further(number, topic)

    def _gaps(self, here: Here, topic: Topic) -> list[tuple[int, int]]:
        return [(start, end) for start, end in here.shard.ranges(topic).gaps(0, here.shard.live_start[topic])]

    def _further(self, number: int, topic: Topic) -> None:
        shard, gaps = self.here[number].shard, self._gaps(self.here[number], topic)
        back_ms = EVERYTHING
        if gaps:
            newest = gaps[-1][1]
            if newest >= shard.live_start[topic]:
                return
            back_ms = float(self.log.topics[topic, number][newest].timestamp_ms)
        self.told.append(lambda: self._is_further(shard, topic, back_ms))

    def _is_further(self, shard: Shard, topic: Topic, back_ms: float) -> None:
        shard.read_back_ms[topic] = back_ms
        if topic is not Topic.SENDS:
            self.desk.past_read(shard.number)

    def _read(self, here: Here, topic: Topic, start: int, end: int) -> None:
        if start < end:
            number = here.shard.number
            messages = [self.log.message(topic, number, offset) for offset in range(start, end)]
            self.intake.take(topic, number, messages, start, end)

    def unread(self, number: int) -> bool:
        """Whether anything of a shard is still to be read or recalled."""
        here = self.here[number]
        behind = any(here.at[topic] < self.log.end(topic, number) for topic in Topic)
        return here.recall_due or behind or any(self.unread_past(number, topic) for topic in Topic)

    def unread_past(self, number: int, topic: Topic) -> bool:
        """Whether there is a gap behind the live reader."""
        return bool(self._gaps(self.here[number], topic))

    def _behind(self) -> bool:
        return any(here.at[Topic.SENDS] < self.log.end(Topic.SENDS, number) for number, here in self.here.items())

    # --- what the loop hears, as ``Hearing`` has it

    def _tell_events(self, number: int, came: list[Any]) -> None:
        here = self._last(number)
        self.told.append(lambda: self._hear_events(here, came))

    def _hear_events(self, here: Here, came: list[Any]) -> None:
        here.heard |= {event.offset for _, event, _ in came}
        self.desk.events_came(here.shard.number, came, self.log.clock.monotonic_s())

    def _last(self, number: int) -> Here:
        """The shard as it is held, or was held last: the loop hears a moment later that it has gone."""
        return self.here.get(number) or self._gone[number]

    def _tell_sends(self, number: int, came: list[Any]) -> None:
        self.told.append(lambda: self.desk.sends_came(number, came, self.log.clock.monotonic_s()))

    def hear(self, most: int) -> None:
        """Let the loop hear of what the threads have told it."""
        for _ in range(min(most, len(self.told))):
            self.told.popleft()()

    def plan(self, most: int) -> bool:
        """Let the desk plan; whether it did anything."""
        did = False
        for _ in range(most):
            did |= self.desk.planning.step(self.log.clock.monotonic_s())
        return did

    def chores(self) -> None:
        """What is done now and then."""
        now_ms = self.log.clock.now_ms()
        self.calls.give_up(now_ms)
        self.desk.expire(now_ms)
        self.desk.missing(self.log.clock.monotonic_s(), self._can_tell)
        self.desk.planning.unpark()

    @staticmethod
    def _can_tell(shard: Shard, arrived_s: float) -> bool:
        return shard.read_back_ms.get(Topic.SENDS) == EVERYTHING and shard.read_to_end_s >= arrived_s

    # --- the gateway

    async def revoke(self, app: App, parcel: Parcel, body: bytes | memoryview) -> Reply:
        assert parcel.owner is not None
        here = self._last(parcel.owner.shard)
        self.watcher.called(self, here, parcel)
        flight = Flight(parcel, here, self.loop.create_future())
        self.flights.append(flight)
        return await flight.answer

    def answer(self, at: int, reply: Callable[[Parcel], Reply]) -> None:
        """What Push Kit says to a call in flight."""
        flight = self.flights.pop(at % len(self.flights))
        flight.answer.set_result(reply(flight.parcel))

    # --- the producer

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, *, on_delivery: Any, headers: Any) -> None:
        result = self.log.wire.result(value)
        assert partition in self.here, "a result of a shard that has left"
        self.watcher.written(self, result)
        self.produced.append(Sent(result, value, on_delivery))

    def poll(self, wait_s: float) -> None:
        acknowledged, self._acknowledged = self._acknowledged, []
        for sent, error, message in acknowledged:
            sent.delivered(error, message)

    def deliver(self, error: KafkaError | None = None) -> RevokeResult:
        """Kafka takes the oldest result, or refuses it; the producer is told when it polls."""
        sent = self.produced.popleft()
        self._acknowledged.append((sent, error, Message() if error else self.log.take(sent.value)))
        return sent.result

    # --- looked at

    def _settled(self, written: Written) -> None:
        self.watcher.settled(self, written)
        self.settling.settled(written)

    def _stored(self, number: int) -> None:
        assert number in self.here, "a fenced shard was written"

    def check(self) -> None:
        """Raises what has ended a task of the loop."""
        for task in self._tasks:
            if task.done():
                task.result()

    def has_counted(self, message: str) -> bool:
        """Whether the desk has counted all sends of a message that it knows of."""
        it = self.desk.docket.get(PARTITION_OF[message], message)
        return it is not None and it.counted and not it.missed

    @property
    def at_rest(self) -> bool:
        """Whether nothing goes on by itself but what waits for its time."""
        open_ = self.told, self.flights, self.produced, self._acknowledged
        return not (any(open_) or self.desk.planning.plans.any or any(map(self.unread, self.here)))


def _no_letters(*_: Any) -> None:
    raise AssertionError("every record can be read")
