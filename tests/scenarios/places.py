"""Where the records stand that were written.

A broker that is asked a second time for what it has taken already (its first answer was lost with the connection) may
confirm it without an offset, and where all brokers were killed at once it may take it twice, idempotent producer or
not: https://github.com/confluentinc/librdkafka/blob/master/INTRODUCTION.md, "Idempotent Producer". What stands in the
topic is what counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

SETTLED_WITHIN_S: Final = 60.0
"""Just after a start brokers cannot tell where a partition ends."""

Note = Callable[[int, int, int], None]
"""Takes a place: partition, offset, the record's time (ms)."""


class Places:
    """See the module's words."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._taken: set[tuple[str, int, int]] = set()
        self._placeless_ms: dict[tuple[str, bytes], int] = {}
        self.unknown = False
        """Whether some record's place nobody said: it is among the ``others``."""

    def arrived(self, message: Message, note: Note) -> None:
        """A record's delivery was confirmed; its place is noted if it was said."""
        partition, offset = message.partition() or 0, message.offset()
        if offset is None or offset < 0:
            self.unknown = True
            self._placeless_ms[message.topic() or "", message.value() or b""] = time.time_ns() // 1_000_000
        else:
            self._taken.add((message.topic() or "", partition, offset))
            note(partition, offset, message.timestamp()[1])

    def confirmed_ms(self, message: Message) -> int:
        """When the delivery of one of the ``others`` was confirmed without a place; 0: it never was."""
        return self._placeless_ms.get((message.topic() or "", message.value() or b""), 0)

    def others(self, topic: str, partitions: int) -> Iterator[Message]:
        """The records of a topic that stand where none was noted, but for aborted ones; they are noted by that."""
        for partition in range(partitions):
            for message in self._committed(topic, partition):
                place = topic, partition, message.offset() or 0
                if place not in self._taken:
                    self._taken.add(place)
                    yield message

    def _committed(self, topic: str, partition: int) -> Iterator[Message]:
        properties = {"bootstrap.servers": self._bootstrap_servers, "group.id": "places", "log_level": 0}
        with closing(Consumer(properties)) as reader:
            place = TopicPartition(topic, partition, 0)
            end = _end_of(reader, place)
            reader.assign([place])
            while reader.position([place])[0].offset < end:
                yield from (message for message in reader.consume(500, 1.0) if message.error() is None)


def _end_of(reader: Consumer, place: TopicPartition) -> int:
    until_s = time.monotonic() + SETTLED_WITHIN_S
    while True:
        try:
            return reader.get_watermark_offsets(place, 20)[1]
        except KafkaException:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.2)
