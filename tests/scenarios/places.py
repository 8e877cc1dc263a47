"""Where the records stand that were written.

A broker that is asked a second time for what it has taken already (its first answer was lost with the connection) may
confirm it without an offset: https://github.com/confluentinc/librdkafka/blob/master/INTRODUCTION.md, "Idempotent
Producer". Those are looked for in the topic once all is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Lock
from typing import NamedTuple

from confluent_kafka import Consumer, Message, TopicPartition

Place = tuple[int, int, int]
"""Partition, offset, the record's time (ms)."""
Note = Callable[[int, int, int], None]
"""Takes a place."""


class _Lost(NamedTuple):
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    note: Note


class Places:
    """Notes each at once or, where nobody said where it stands, when ``find`` has found it. For any thread."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._taken: set[tuple[str, int, int]] = set()
        self._lost: list[_Lost] = []
        self._finding = Lock()

    def arrived(self, message: Message, note: Note) -> None:
        """A record's delivery was confirmed."""
        topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset()
        if offset is None or offset < 0:
            self._lost.append(_Lost(topic, partition, message.key(), message.value(), note))
        else:
            self._taken.add((topic, partition, offset))
            note(partition, offset, message.timestamp()[1])

    def find(self) -> None:
        """Look for those whose place nobody said; each must be there."""
        with self._finding:
            lost, self._lost = self._lost, []
            for topic, partition in sorted({(each.topic, each.partition) for each in lost}):
                self._find_in(topic, partition, [each for each in lost if each[:2] == (topic, partition)])

    def _find_in(self, topic: str, partition: int, lost: list[_Lost]) -> None:
        for key, value, offset, at_ms in self._records(topic, partition):
            same = (each for each in lost if (each.key, each.value) == (key, value))
            if (topic, partition, offset) not in self._taken and (found := next(same, None)) is not None:
                lost.remove(found)
                self._taken.add((topic, partition, offset))
                found.note(partition, offset, at_ms)
        assert not lost, f"{len(lost)} records of {topic}/{partition} were confirmed and are not there: {lost[0].key!r}"

    def _records(self, topic: str, partition: int) -> Iterator[tuple[bytes | None, bytes | None, int, int]]:
        properties = {
            "bootstrap.servers": self._bootstrap_servers,
            "group.id": "places",
            "isolation.level": "read_uncommitted",
            "log_level": 0,
        }
        with closing(Consumer(properties)) as reader:
            place = TopicPartition(topic, partition, 0)
            end = reader.get_watermark_offsets(place, 20)[1]
            reader.assign([place])
            while reader.position([place])[0].offset < end:
                for message in reader.consume(500, 1.0):
                    if message.error() is None:
                        yield message.key(), message.value(), message.offset() or 0, message.timestamp()[1]
