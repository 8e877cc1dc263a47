"""What the readers share: a batch from Kafka sorted into runs, and partitions that must wait.

A *run* is what one batch holds of one partition, in order. Readers know nothing of records: they hand each run on and
trust what comes back. ``Waits`` means: not now, keep it. The partition then stands still and is read again from that
run on; all others go on.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Final, NamedTuple, Protocol, TypeVar, cast

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.model import RegistryDown, StartError, StoreStalled, Topic, UnpushError

AGAIN_S: Final = 0.5
"""How long a partition stands still before it is tried again."""
LOOK_EVERY_S: Final = 1.0

_UNKNOWN: Final = (KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC)
TRY_AGAIN_S: Final = (0.1, 0.3, 1.0, 2.0)
BATCH_BYTES: Final = 4 << 20

T = TypeVar("T")

log = structlog.get_logger(__name__)


class DeadLettersDown(UnpushError):
    """The dead-letter topic takes nothing for now: keep the bad record and wait."""


WAITS: Final = (RegistryDown, StoreStalled, DeadLettersDown)

AnyPlace = TypeVar("AnyPlace")

Place = tuple[Topic, int]
"""A topic and a partition of it."""


class Run(NamedTuple):
    """Records of one partition, in order."""

    topic: Topic
    partition: int
    messages: list[Message]


class Take(Protocol):
    """What a reader does with a run: all of it or, by raising one of WAITS, none of it."""

    def __call__(self, topic: Topic, partition: int, messages: list[Message], start: int, end: int) -> None:
        """``start .. end - 1`` are read by this run; offsets without a record were transaction markers or aborted."""


class Batch(NamedTuple):
    """A batch of messages, sorted."""

    runs: list[Run]
    ends: list[tuple[Place, int]]
    """Partitions read up to their present end, and that end."""
    errors: list[Message]


def sort_batch(messages: list[Message], topics: Mapping[str, Topic]) -> Batch:
    """Runs, ends and errors of one batch; nothing is decoded."""
    ends: list[tuple[Place, int]] = []
    errors: list[Message] = []
    if any(map(Message.error, messages)):
        messages, marked = _apart(messages)
        for message in marked:
            if message.error().code() == KafkaError._PARTITION_EOF:  # type: ignore[union-attr]
                ends.append(((topics[message.topic() or ""], message.partition() or 0), message.offset() or 0))
            else:
                errors.append(message)
    return Batch(_runs(messages, topics), ends, errors)


def _apart(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    return [m for m in messages if m.error() is None], [m for m in messages if m.error() is not None]


def _runs(messages: list[Message], topics: Mapping[str, Topic]) -> list[Run]:
    partitions, names = list(map(Message.partition, messages)), list(map(Message.topic, messages))
    if names and names.count(names[0]) == len(names):  # nearly always: numbers alone cost half as much
        topic = topics[names[0] or ""]
        return [Run(topic, partition or 0, some) for partition, some in _grouped(partitions, messages)]
    places = list(zip(names, partitions, strict=True))
    return [Run(topics[name or ""], partition or 0, some) for (name, partition), some in _grouped(places, messages)]


def _grouped(places: list[AnyPlace], messages: list[Message]) -> Iterable[tuple[AnyPlace, list[Message]]]:
    """The messages of each place, in order."""
    if places and places.count(places[0]) == len(places):
        return [(places[0], messages)]
    grouped: dict[AnyPlace, list[Message]] = {}
    at = 0
    for place, group in groupby(places):
        end = at + len(list(group))
        grouped.setdefault(place, []).extend(messages[at:end])
        at = end
    return grouped.items()


class Standing:
    """Partitions that are not read for a while: they stand still until it is worth trying again, or rest."""

    def __init__(self, consumer: Consumer, names: Mapping[Topic, str]) -> None:
        self._consumer = consumer
        self._names = names
        self._until_s: dict[Place, float] = {}
        self._resumed: set[Place] = set()
        self.reasons: dict[Place, str] = {}

    def __contains__(self, place: Place) -> bool:
        return place in self._until_s

    def stand(self, place: Place, offset: int, why: Exception) -> None:
        """Read no more of this partition for now; go on from ``offset`` later."""
        if self.reasons.get(place) != str(why):
            log.warning("reading_waits", topic=self._names[place[0]], partition=place[1], offset=offset, why=str(why))
        self._until_s[place] = time.monotonic() + AGAIN_S
        self.reasons[place] = str(why)
        at = TopicPartition(self._names[place[0]], place[1], offset)
        self._consumer.pause([at])
        self._consumer.seek(at)

    def rest(self, place: Place, wait_s: float) -> None:
        """Read no more of this partition for so long: nothing is in its way, it is only not urgent. Without a seek: the
        client goes on behind the last record that it gave us, and all of those were taken."""
        self._until_s[place] = time.monotonic() + wait_s
        self._consumer.pause([TopicPartition(self._names[place[0]], place[1])])

    def resume_due(self) -> None:
        """Let those go on whose time has come; they are remembered until a run of theirs was taken."""
        if not self._until_s:
            return
        for place, due_s in list(self._until_s.items()):
            if due_s <= time.monotonic():
                del self._until_s[place]
                self._resumed.add(place)
                self._consumer.resume([TopicPartition(self._names[place[0]], place[1])])

    def doubts(self, place: Place, start: int, messages: list[Message]) -> bool:
        """Whether the first run after a stand or a rest begins behind where it should: perhaps fetched before we sought
        back. Seeks (once more); a second time the gap is believed, since transactions leave such gaps too."""
        if place not in self._resumed:
            return False
        self._resumed.discard(place)
        if messages and (messages[0].offset() or 0) == start:
            return False
        self._consumer.seek(TopicPartition(self._names[place[0]], place[1], start))
        return True

    def went_on(self, place: Place) -> None:
        """A run of the partition was taken."""
        if self.reasons and self.reasons.pop(place, None) is not None:
            log.info("reading_goes_on", topic=self._names[place[0]], partition=place[1])

    def forget(self, places: Iterable[Place]) -> None:
        """These partitions are no longer read here; say so before the client lets them go. It remembers over all that
        that one was paused, and would never read it again."""
        for place in places:
            if self._until_s.pop(place, None) is not None:
                self._consumer.resume([TopicPartition(self._names[place[0]], place[1])])
            self._resumed.discard(place)
            self.reasons.pop(place, None)


class Appetite:
    """How many records to ask for next: a batch is bounded by bytes as well, and a send may have 200 of them or a
    million."""

    __slots__ = ("_mean_bytes",)

    def __init__(self) -> None:
        self._mean_bytes = 0.0

    def most(self, wanted: int) -> int:
        """Records in the next batch: ``wanted``, or fewer if the last ones were large."""
        return wanted if self._mean_bytes * wanted <= BATCH_BYTES else max(1, int(BATCH_BYTES / self._mean_bytes))

    def fed(self, messages: list[Message]) -> None:
        """Learn from a batch."""
        if messages:
            self._mean_bytes = max(len(messages[0]), len(messages[-1]), 0.9 * self._mean_bytes)


def fetch(consumer: Consumer, most: int, wait_s: float) -> list[Message]:
    """A batch as soon as there is anything: ``consume(n, t)`` alone would wait the full time for n."""
    first = consumer.consume(1, wait_s)
    return first + consumer.consume(most, 0) if first and most > 1 else first


class Lag:
    """What lies behind the records taken, as the last fetches told; the broker is not asked.

    ``look`` and ``is_none`` belong to the thread that polls: from any other, confluent-kafka 2.16 waits inside
    get_watermark_offsets for that thread's consume, and keeps the GIL while it waits, so neither ever ends. ``unread``
    is for all threads.
    """

    def __init__(self, consumer: Consumer, names: Mapping[Topic, str]) -> None:
        self.unread: Mapping[Place, int] = {}
        self._consumer = consumer
        self._names = names
        self._due_s = 0.0

    def look(self, positions: Mapping[Place, int]) -> None:
        """Once a second: how far the ends are from these positions. Places not fetched yet are left out."""
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + LOOK_EVERY_S
            ends = {place: self._end(place) for place in positions}
            self.unread = {place: max(0, end - positions[place]) for place, end in ends.items() if end is not None}

    def is_none(self, place: Place, position: int) -> bool:
        """Whether nothing lay behind that position when records were fetched last."""
        end = self._end(place)
        return end is not None and position >= end

    def _end(self, place: Place) -> int | None:
        at = TopicPartition(self._names[place[0]], place[1])
        try:
            high = self._consumer.get_watermark_offsets(at, cached=True)[1]
        except KafkaException:
            return None
        return high if high >= 0 else None


def patiently(ask: Callable[[], T], stopped: threading.Event) -> T:
    """What is asked, however long the brokers are away or the store is busy.

    Not promised: an end, where a topic is away for good. Raises what ``ask`` raised once ``stopped`` is set, or where
    the client itself is broken.
    """
    while True:
        try:
            return ask()
        except (KafkaException, StartError, StoreStalled) as error:
            broken = isinstance(error, KafkaException) and error.args[0].fatal()
            if broken or stopped.wait(AGAIN_S):
                raise
            log.warning("brokers_away", why=str(error))


def watermarks(consumer: Consumer, topic: str, partition: int, timeout_s: float = 5.0) -> tuple[int, int]:
    """The log's start and the end that can be read (below an open transaction), tried again while a broker moves.

    Raises KafkaException when the tries are used up.
    """
    for wait_s in TRY_AGAIN_S:
        try:
            return _watermarks(consumer, topic, partition, timeout_s)
        except KafkaException as error:
            if error.args[0].fatal():
                raise
            log.info("offsets_asked_again", topic=topic, partition=partition, why=error.args[0].str())
            if error.args[0].code() in _UNKNOWN:
                _learn_anew(consumer, topic, timeout_s)
        time.sleep(wait_s)
    return _watermarks(consumer, topic, partition, timeout_s)


def _learn_anew(consumer: Consumer, topic: str, timeout_s: float) -> None:
    """What a broker that had just come back said of the topic is remembered for minutes, partitions missing: ask."""
    with contextlib.suppress(KafkaException):
        consumer.list_topics(topic, timeout=timeout_s)


def inside(consumer: Consumer, topic: str, partition: int, at: int) -> int:
    """Where to go on when the client has found its position ``at`` outside the log, and given the partition up:
    behind it, where retention has taken what was to be read next; there, where that was but a doubt of the client's.

    Raises StartError where it lies beyond the end, KafkaException where no broker tells.
    """
    low, high = watermarks(consumer, topic, partition)
    if at > high:
        raise StartError(
            f"offset {at} of {topic}/{partition} is beyond its end: the topic was deleted and created again; start "
            "again, its shards then start anew"
        )
    return max(low, at)


def go_on_inside(consumer: Consumer, topic: str, place: Place, at: int, lost: Callable[[Place, int, int], None]) -> int:
    """Read on from ``inside`` a partition that the client has given up by itself, and say what is lost; gives the
    offset. Raises as ``inside`` does."""
    low = inside(consumer, topic, place[1], at)
    if low > at:
        lost(place, at, low)
    there = TopicPartition(topic, place[1], low)
    consumer.incremental_unassign([there])  # in one that it has given up the client refuses to seek
    consumer.incremental_assign([there])
    return low


def _watermarks(consumer: Consumer, topic: str, partition: int, timeout_s: float) -> tuple[int, int]:
    asked = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout_s)
    found = cast("tuple[int, int] | None", asked)  # the stub forgot what the documentation says of a timeout
    if found is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no offsets of {topic}/{partition} in {timeout_s} s"))
    return found
