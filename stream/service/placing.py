"""In which partition the events of a message stand, told from their topic: what is written blindly must stand beside
them, else another shard takes it for a finding of its own.

Promised: the partition of a record of that key among the newest; else the one of the partitioner that those evidently
follow; else, and where they may not be read, the one of the house's; and which it was. Not promised: a record that is
older than those.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from confluent_kafka import Message

from stream.kafka.sampling import newest, read, reader, spans
from stream.model import StartError
from stream.settings import Settings
from stream.wire.partitioners import Agreement, Partitioner

MOST: Final = 100_000
"""Records looked at: a second or two."""
WITHIN_S: Final = 10.0
SILENCE_S: Final = 3.0


class Placed(NamedTuple):
    """A partition, and in words why that one."""

    partition: int
    why: str


class _Seen:
    """What the newest records tell of one key."""

    def __init__(self, key: bytes, partitions: int) -> None:
        self._key, self._partitions = key, partitions
        self._agreement = Agreement()
        self._latest_ms, self._partition = -1, -1

    def take(self, message: Message) -> None:
        """One record."""
        key, partition, at_ms = message.key(), message.partition() or 0, message.timestamp()[1]
        if key is None:
            return
        self._agreement.observe(bytes(key), partition, self._partitions)
        if key == self._key and at_ms >= self._latest_ms:
            self._latest_ms, self._partition = at_ms, partition

    def placed(self, doubt: str) -> Placed:
        """The best that can be told by now; ``doubt``: why it may not be all."""
        if self._partition >= 0:
            return Placed(self._partition, f"where its latest event stands{doubt}")
        if (evident := self._agreement.partitioner) is not None:
            return Placed(evident.place(self._key, self._partitions), f"no event of it seen; by {evident.value}{doubt}")
        house = Partitioner.MURMUR2
        where = house.place(self._key, self._partitions)
        return Placed(where, f"no event of it seen; by {house.value}, the house's rule{doubt}")


def placed(settings: Settings, partitions: int, key: bytes) -> Placed:
    """Where an event of the message with this key belongs. Blocks for some seconds."""
    topic, seen = settings.topics.violation_detected, _Seen(key, partitions)
    try:
        with reader(settings) as consumer:
            wanted = newest(spans(settings, topic, partitions), MOST)
            whole = read(consumer, topic, wanted, time.monotonic() + WITHIN_S, seen.take, SILENCE_S)
    except StartError as error:  # it may be written to, perhaps, and not read
        return seen.placed(f"; the topic could not be read: {error}")
    return seen.placed("" if whole else "; only a part of the topic was read in time")
