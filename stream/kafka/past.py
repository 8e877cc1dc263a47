"""The reader of the past: what lies between the start of retention and the live readers' start, newest first.

Of each shard violations and results come first, both at once, then sends; each in chunks, the newest chunk first, a
chunk in order. Chunks begin small, so that the newest sends can be revoked at once, and grow. Promised: every offset
of every gap is handed over, and ``further`` says how far back reading has come. Not promised: order between chunks;
who takes a run must not depend on it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.kafka.reading import (
    WAITS,
    Appetite,
    Place,
    Standing,
    Take,
    fetch,
    inside,
    patiently,
    sort_batch,
    watermarks,
)
from stream.kafka.tail import Pace
from stream.model import Fenced, Topic

FIRST_CHUNK: Final = 2_000
GROWTH: Final = 4
"""Each chunk is so many times the last one: every seek costs what reading ten thousand small records does."""
LARGEST_CHUNK: Final = 200_000
CHUNK_BYTES: Final = 256 << 20
WAIT_S: Final = 0.1

log = structlog.get_logger(__name__)


class RangesRead(Protocol):
    """What is known to have been read of a place (``work.ranges.Ranges``)."""

    def gaps(self, floor: int, ceiling: int) -> list[Any]:
        """Unread ranges, oldest first."""

    @property
    def bottom(self) -> int:
        """Where the oldest range begins."""

    @property
    def top(self) -> int:
        """Where the newest range ends; 0: nothing has been read."""


class Arrived(NamedTuple):
    """A shard whose past is to be read: per topic, the live reader's start; retention begins at ``since_ms``."""

    shard: int
    ceilings: Mapping[Topic, int]
    since_ms: int
    by_time: Mapping[Topic, bool]
    """Whether the topic's timestamps are the broker's, so that time may say where retention begins."""


@dataclass(slots=True)
class _Reading:
    """One place whose gaps are being read."""

    floor: int
    ceiling: int
    size: int = FIRST_CHUNK
    start: int = 0
    at: int = 0
    end: int = 0
    oldest_ms: int | None = None
    bytes: int = 0
    doubted: bool = False
    """Whether a chunk that seemed empty was sought once more."""


class Past:
    """See the module's words. ``add`` and ``remove`` may be called from any thread."""

    def __init__(
        self,
        properties: dict[str, Any],
        names: Mapping[Topic, str],
        take: Take,
        pace: Pace,
        ranges: Callable[[Place], RangesRead | None],
        floor_is: Callable[[Place, int], None],
        further: Callable[[Place, float], None],
        lost: Callable[[Place, int, int], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """``floor_is(place, offset)``: where retention begins; ``further(place, ms)``: all records since then have
        been read, minus infinity: all; the rest as for ``Tail``."""
        self._consumer = Consumer(properties)
        self._names = names
        self._topics = {name: topic for topic, name in names.items()}
        self._take, self._pace, self._ranges = take, pace, ranges
        self._floor_is, self._further, self._lost, self._failed = floor_is, further, lost, failed
        self._appetite = Appetite()
        self._readings: dict[Place, _Reading] = {}
        self._sends_next: dict[int, tuple[int, int]] = {}
        self._standing = Standing(self._consumer, names)
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run, name="past", daemon=True)

    def add(self, arrived: Arrived) -> None:
        """Read the past of a shard."""
        self._orders.put(lambda: self._begin(arrived))

    def remove(self, shards: list[int]) -> None:
        """Read these shards' past no further."""
        self._orders.put(lambda: self._end(shards))

    def stop(self) -> None:
        """End the thread and close the consumer; waits for it."""
        self._stop.set()
        if self.thread.is_alive():
            self.thread.join(10)

    @property
    def waiting(self) -> dict[Place, str]:
        """Partitions that stand still, and why."""
        return dict(self._standing.reasons)

    # --- the thread

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._turn()
        except Exception as error:  # noqa: BLE001  # whatever ends this thread ends the service
            self._failed(error)
        finally:
            self._consumer.close()

    def _turn(self) -> None:
        while not self._orders.empty():
            self._orders.get()()
        self._standing.resume_due()
        if not self._readings:
            self._stop.wait(0.02)
            return
        messages = fetch(self._consumer, self._appetite.most(self._pace.most()), WAIT_S)
        self._appetite.fed(messages)
        began_s = time.monotonic()
        if messages:
            self._hand_over(messages)
            self._pace.rest(time.monotonic() - began_s)

    def _hand_over(self, messages: list[Message]) -> None:
        batch = sort_batch(messages, self._topics)
        chunks = {place: reading.end for place, reading in self._readings.items()}
        for topic, partition, some in batch.runs:
            self._hand_over_run((topic, partition), some)
        for place, end in batch.ends:
            reading = self._readings.get(place)
            # An end that came with the last records of one chunk says nothing of the next.
            if reading is not None and place not in self._standing and chunks.get(place) == reading.end:
                self._read_up_to(place, reading, [], min(end, reading.end))
        for message in batch.errors:
            self._trouble(message)

    def _hand_over_run(self, place: Place, messages: list[Message]) -> None:
        reading = self._readings.get(place)
        if reading is None or place in self._standing:
            return
        first, last = messages[0].offset() or 0, messages[-1].offset() or 0
        if first < reading.at or last >= reading.end:
            messages = [m for m in messages if reading.at <= (m.offset() or 0) < reading.end]
        self._read_up_to(place, reading, messages, min(last + 1, reading.end))

    def _read_up_to(self, place: Place, reading: _Reading, messages: list[Message], end: int) -> None:
        if end <= reading.at or self._doubts(place, reading, messages):
            return
        try:
            self._take(*place, messages, reading.at, end)
        except WAITS as why:
            self._standing.stand(place, reading.at, why)
            return
        except Fenced:
            self._let_go(place)
            return
        self._standing.went_on(place)
        if messages:
            self._note(reading, messages)
        reading.at = end
        if end >= reading.end:
            self._chunk_done(place, reading)

    def _doubts(self, place: Place, reading: _Reading, messages: list[Message]) -> bool:
        """A chunk without any record may be one (transactions leave such gaps), or what we see was fetched before we
        sought: look twice."""
        if messages or reading.at > reading.start or reading.doubted:
            return False
        reading.doubted = True
        self._go_to(place, reading.start)
        return True

    @staticmethod
    def _note(reading: _Reading, messages: list[Message]) -> None:
        if reading.oldest_ms is None:
            reading.oldest_ms = messages[0].timestamp()[1]
        reading.bytes += len(messages) * len(messages[-1])

    def _chunk_done(self, place: Place, reading: _Reading) -> None:
        if reading.oldest_ms is not None:
            self._further(place, reading.oldest_ms)
        records = max(1, reading.end - reading.start)
        fitting = CHUNK_BYTES * records // max(1, reading.bytes)
        reading.size = max(FIRST_CHUNK // 10, min(GROWTH * reading.size, fitting, LARGEST_CHUNK))
        self._next_chunk(place, reading)

    def _next_chunk(self, place: Place, reading: _Reading) -> None:
        ranges = self._ranges(place)
        gaps = ranges.gaps(reading.floor, reading.ceiling) if ranges is not None else []
        if not gaps:
            self._all_read(place)
            return
        start, end = gaps[-1]
        reading.start = reading.at = max(start, end - reading.size)
        reading.end, reading.oldest_ms, reading.bytes, reading.doubted = end, None, 0, False
        self._go_to(place, reading.start)

    def _go_to(self, place: Place, offset: int) -> None:
        at = TopicPartition(self._names[place[0]], place[1], offset)
        if place in self._readings:
            self._consumer.seek(at)
        else:
            self._consumer.incremental_assign([at])

    def _all_read(self, place: Place) -> None:
        self._let_go(place)
        if self._ranges(place) is not None:
            self._further(place, float("-inf"))
        shard = place[1]
        if shard in self._sends_next and not any(
            (topic, shard) in self._readings for topic in (Topic.VIOLATIONS, Topic.RESULTS)
        ):
            floor, ceiling = self._sends_next.pop(shard)
            self._start((Topic.SENDS, shard), floor, ceiling)

    def _let_go(self, place: Place) -> None:
        if self._readings.pop(place, None) is not None:
            self._standing.forget([place])
            self._consumer.incremental_unassign([TopicPartition(self._names[place[0]], place[1])])

    def _begin(self, arrived: Arrived) -> None:
        shard = arrived.shard
        floors = {topic: self._floor((topic, shard), arrived) for topic in Topic}
        for topic, floor in floors.items():
            self._floor_is((topic, shard), floor)
        self._sends_next[shard] = floors[Topic.SENDS], arrived.ceilings[Topic.SENDS]
        for topic in (Topic.VIOLATIONS, Topic.RESULTS):
            self._start((topic, shard), floors[topic], arrived.ceilings[topic])

    def _start(self, place: Place, floor: int, ceiling: int) -> None:
        reading = _Reading(floor, ceiling)
        ranges = self._ranges(place)
        gaps = ranges.gaps(floor, ceiling) if ranges is not None else []
        if not gaps:
            self._all_read(place)
            return
        self._next_chunk(place, reading)
        self._readings[place] = reading

    def _floor(self, place: Place, arrived: Arrived) -> int:
        """Where retention begins: by the broker's time where it keeps the time, else where the log begins."""
        name, partition = self._names[place[0]], place[1]
        low, high = patiently(lambda: watermarks(self._consumer, name, partition), self._stop)
        self._say_lost(place, low)
        if not arrived.by_time.get(place[0]):
            return low
        try:
            [found] = self._consumer.offsets_for_times([TopicPartition(name, partition, arrived.since_ms)], timeout=5.0)
        except KafkaException as error:
            log.info("retention_unknown", topic=name, partition=partition, why=error.args[0].str())
            return low  # then all that there is is read: more than needed, never less
        # -1: no record is so new. That was answered of a partition full of new ones, just after its brokers had come
        # back, and what lies below a floor is never read: believed is only an offset inside the log.
        floor = found.offset if found.error is None and low <= found.offset <= high else low
        return floor if place[0] is Topic.SENDS else max(low, self._missed(place, floor))

    def _missed(self, place: Place, floor: int) -> int:
        """Where that begins which others were told, or said, of what is stored here, while the shard was theirs for
        longer than retention: what they revoked would else end expired."""
        ranges = self._ranges(place)
        gaps = ranges.gaps(ranges.bottom, floor) if ranges is not None and ranges.top else []
        return gaps[0].start if gaps else floor

    def _say_lost(self, place: Place, low: int) -> None:
        """What lay behind that which was read before, and has gone while nobody read."""
        ranges = self._ranges(place)
        if ranges is not None and ranges.top and (gaps := ranges.gaps(ranges.bottom, low)):
            start, end = gaps[-1]
            if end == low:
                self._lost(place, start, low)

    def _end(self, shards: list[int]) -> None:
        for place in [place for place in self._readings if place[1] in shards]:
            self._let_go(place)
        for shard in shards:
            self._sends_next.pop(shard, None)

    def _trouble(self, message: Message) -> None:
        error = message.error()
        assert error is not None
        place = (self._topics.get(message.topic() or "", Topic.SENDS), message.partition() or 0)
        reading = self._readings.get(place)
        if error.code() == KafkaError._AUTO_OFFSET_RESET and reading is not None:
            self._out_of_range(place, reading)
        elif error.fatal():
            raise KafkaException(error)
        else:
            log.warning("reading_trouble", topic=message.topic(), partition=place[1], why=error.str())

    def _out_of_range(self, place: Place, reading: _Reading) -> None:
        """Retention has overtaken us: what lay below the log's start is gone, in older gaps too."""
        low = inside(self._consumer, self._names[place[0]], place[1], reading.at)
        floor = low if low > reading.at else reading.floor
        if (ranges := self._ranges(place)) is not None:
            for start, end in ranges.gaps(reading.floor, floor):
                self._lost(place, start, end)
        self._floor_is(place, floor)
        self._let_go(place)  # and begin anew: the client has given it up, and refuses to seek there
        self._start(place, floor, reading.ceiling)
