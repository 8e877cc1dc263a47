"""Dead letters go back where they came from.

Promised: what stood in the dead-letter topic when it began is looked at once; each original topic, partition and offset
is sent once, into its own partition, with its key, its bytes and its own headers; of violations each partition's events
go in the order that they had. Not promised: that nothing is sent twice over two runs: a record sent back twice does no
harm, see docs/commands.md.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.kafka import properties, sampling
from stream.kafka.cluster import SILENT
from stream.kafka.headers import headers_of
from stream.model import BadRecord, RegistryDown, StartError
from stream.settings import Settings, TopicSettings
from stream.wire.dead_letters import Headers, Origin, origin, without_ours
from stream.wire.wire import Wire

SILENCE_S: Final = 30.0
DELIVERED_WITHIN_S: Final = 30.0
_SLICE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters; empty or None: all. Times are the original record's (ms), ``until_ms`` is behind the last."""

    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, found: Origin, timestamp_ms: int) -> bool:
        """``timestamp_ms`` counts where the original's is not known."""
        at_ms = timestamp_ms if found.timestamp_ms is None else found.timestamp_ms
        return (
            (not self.reasons or found.reason in self.reasons)
            and (not self.topics or found.topic in self.topics)
            and (self.since_ms is None or at_ms >= self.since_ms)
            and (self.until_ms is None or at_ms < self.until_ms)
        )


class Returned(NamedTuple):
    """A record as it is to be sent."""

    origin: Origin
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


@dataclass(slots=True)
class Tally:
    """What became of every dead letter that was looked at."""

    read: int = 0
    chosen: Counter[tuple[str, str]] = field(default_factory=Counter)
    """To be sent, by topic and reason."""
    sent: int = 0
    """Of these, taken by Kafka."""
    repeats: int = 0
    """Of a position that was sent already."""
    left_out: int = 0
    foreign: int = 0
    elsewhere: Counter[str] = field(default_factory=Counter)
    """From topics that these settings do not name."""
    gone: int = 0
    """From partitions that are there no more."""
    bad_still: Counter[str] = field(default_factory=Counter)
    """Of the chosen, by the reason for which they would come back."""
    unknown: int = 0
    """Of the chosen, those of which only the registry, which does not answer, could tell that."""


class Sorter:
    """Which dead letters are sent back, each once. Does nothing to Kafka."""

    def __init__(self, topics: TopicSettings, partitions: Mapping[str, int], choice: Choice, wire: Wire) -> None:
        """``partitions`` by topic, as they are now."""
        self.tally = Tally()
        self._partitions = {name: partitions[name] for name in (topics.message_sent, topics.violation_detected)}
        self._sends = topics.message_sent
        self._choice, self._wire = choice, wire
        self._taken: set[tuple[str, int, int]] = set()

    def take(self, key: bytes | None, value: bytes | None, headers: Headers, timestamp_ms: int) -> Returned | None:
        """The record to send back; None: not this one, and the tally says why."""
        self.tally.read += 1
        found = origin(headers)
        if found is None:
            self.tally.foreign += 1
        elif found.topic not in self._partitions:
            self.tally.elsewhere[found.topic] += 1
        elif not self._choice.takes(found, timestamp_ms):
            self.tally.left_out += 1
        elif found.partition >= self._partitions[found.topic]:
            self.tally.gone += 1
        elif found[1:4] in self._taken:
            self.tally.repeats += 1
        else:
            return self._chosen(Returned(found, key, value, without_ours(headers)))
        return None

    def _chosen(self, record: Returned) -> Returned:
        self._taken.add(record.origin[1:4])
        self.tally.chosen[record.origin.topic, record.origin.reason] += 1
        try:
            self._read(record)
        except BadRecord as error:
            self.tally.bad_still[error.reason.value] += 1
        except RegistryDown:
            self.tally.unknown += 1
        return record

    def _read(self, record: Returned) -> None:
        if record.origin.topic == self._sends:
            self._wire.check_send(record.key, record.value)
            self._wire.send(record.value or b"")
        else:
            self._wire.violation(record.key, record.value)


class Sender:
    """Writes records where they came from, so many a second at most; ``rate`` None: as fast as Kafka takes them."""

    def __init__(
        self, settings: Settings, rate: float | None, tally: Tally, look: Callable[[], object] = lambda: None
    ) -> None:
        """``look()`` is called between two records, and while Kafka is to take some; what it raises ends that."""
        given = settings.kafka.properties
        patience = {} if {"message.timeout.ms", "delivery.timeout.ms"} & given.keys() else _PATIENCE
        self._producer = Producer(properties.producer(settings) | patience | {"logger": SILENT})
        self._rate, self._tally, self._look = rate, tally, look
        self._due_s = time.monotonic()
        self._failed: KafkaError | None = None

    def send(self, record: Returned) -> None:
        """Hand one over. Raises StartError once Kafka has refused one."""
        self._look()
        self._wait()
        while True:
            try:
                self._producer.produce(
                    record.origin.topic,
                    record.value,
                    record.key,
                    record.origin.partition,
                    headers=[*record.headers],
                    on_delivery=self._delivered,
                )
                break
            except BufferError:
                self._producer.poll(_SLICE_S)
                self._look()
            except KafkaException as error:  # larger than message.max.bytes, or its topic is gone by now
                raise StartError(_stopped(self._tally, error.args[0].str())) from None
        self._producer.poll(0)
        self._refuse()

    def _wait(self) -> None:
        if self._rate is None:
            return
        while (rest_s := self._due_s - time.monotonic()) > 0:
            self._producer.poll(min(rest_s, _SLICE_S))
            self._look()
        # Time in which nothing was there to send is not made up for: violations come all at once, when all is read.
        self._due_s = max(self._due_s, time.monotonic() - _SLICE_S) + 1 / self._rate

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self._tally.sent += 1
        else:
            self._failed = self._failed or error

    def flush(self, within_s: float = DELIVERED_WITHIN_S) -> None:
        """Wait until all are taken. Raises StartError where they are not."""
        until_s = time.monotonic() + within_s
        while len(self._producer) and time.monotonic() < until_s:
            self._producer.flush(_SLICE_S)
            self._look()
        self._refuse()
        if len(self._producer):
            raise StartError(_stopped(self._tally, "Kafka does not answer"))

    def _refuse(self) -> None:
        if self._failed is not None:
            raise StartError(_stopped(self._tally, self._failed.str()))


_PATIENCE: Final = {"message.timeout.ms": round(1_000 * DELIVERED_WITHIN_S)}


def _stopped(tally: Tally, why: str) -> str:
    return f"{tally.sent} records were sent back, then no more: {why}; run it again: what is sent twice does no harm"


def replay(
    settings: Settings, spans: sampling.Spans, sorter: Sorter, sender: Sender | None, seen: Callable[[], object]
) -> None:
    """Look at these dead letters and send what is chosen; ``sender`` None: nothing is sent. ``seen`` hears of each
    dead letter. Raises StartError."""
    held: list[Returned] = []

    def take(message: Message) -> None:
        record = sorter.take(message.key(), message.value(), headers_of(message) or [], message.timestamp()[1])
        if record is not None and sender is not None:
            if record.origin.topic == settings.topics.violation_detected:
                held.append(record)  # the later by offset counts: they go in their order
            else:
                sender.send(record)
        seen()

    with sampling.reader(settings) as consumer:
        whole = sampling.read(consumer, settings.topics.dead_letter, spans, math.inf, take, SILENCE_S)
    if not whole:
        raise StartError(_stopped(sorter.tally, f"{settings.topics.dead_letter} gave nothing for {SILENCE_S:.0f} s"))
    if sender is not None:
        for record in sorted(held, key=lambda each: each.origin[2:4]):
            sender.send(record)
        sender.flush()
