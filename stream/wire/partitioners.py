"""Whether both inputs were partitioned alike, told from the keys that stand in their partitions.

Promised: a disagreement is only said when each topic has shown one partitioner, and they differ; it ends by itself when
the producers are mended. Not promised: anything about a topic with one partition, with less than twenty keys, or
with producers that mix partitioners: nobody can tell those apart from chance.

Sources: Java's default is murmur2, librdkafka's CRC32, Sarama's FNV-1a (the documentation of each).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

import confluent_kafka


class Partitioner(Enum):
    """The partitioners that producers use by default, by librdkafka's name for each."""

    MURMUR2 = "murmur2_random"
    CRC32 = "consistent_random"
    FNV1A = "fnv1a_random"

    @property
    def users(self) -> str:
        """Whose default it is, for people."""
        return _USERS[self]

    def place(self, key: bytes, partitions: int) -> int:
        """The partition that it puts this key into."""
        return _PLACES[self](key, partitions)


_USERS: Final = {
    Partitioner.MURMUR2: "the default of Java clients, murmur2_random in librdkafka",
    Partitioner.CRC32: "the default of librdkafka clients, consistent_random",
    Partitioner.FNV1A: "the default of Sarama, fnv1a_random in librdkafka",
}

_PLACES: Final[dict[Partitioner, Callable[[bytes, int], int]]] = {
    Partitioner.MURMUR2: confluent_kafka.murmur2,
    Partitioner.CRC32: confluent_kafka.consistent,
    Partitioner.FNV1A: confluent_kafka.fnv1a,
}

ENOUGH_KEYS: Final = 20
"""With fewer keys nothing is certain: in two partitions every second key agrees with a wrong partitioner by chance."""

WINDOW_KEYS: Final = 100
"""Different keys remembered, the latest: how fast a mended producer is believed."""

CERTAIN_SHARE: Final = 0.9
"""The share of a window's keys that a partitioner must explain to be the topic's, no other one reaching it."""


def explaining(key: bytes, partition: int, partitions: int) -> frozenset[Partitioner]:
    """Which of the known partitioners put this key into this partition; none: its producer chose by itself."""
    return frozenset(known for known, place in _PLACES.items() if place(key, partitions) == partition)


class Agreement:
    """What one topic's latest keys say about its producers' partitioner."""

    def __init__(self) -> None:
        self._start_anew(partitions=0)

    def _start_anew(self, partitions: int) -> None:
        self._partitions = partitions
        self._window: dict[bytes, frozenset[Partitioner]] = {}
        self._explained = dict.fromkeys(Partitioner, 0)

    def observe(self, key: bytes, partition: int, partitions: int) -> None:
        """One record's key and place. The same key again replaces what it said before; another count starts anew."""
        if partitions != self._partitions:
            self._start_anew(partitions)
        if partitions < 2:
            return
        self._forget(key if key in self._window or len(self._window) < WINDOW_KEYS else next(iter(self._window)))
        self._window[key] = found = explaining(key, partition, partitions)
        self._count(found, 1)

    def _forget(self, key: bytes) -> None:
        self._count(self._window.pop(key, frozenset()), -1)

    def _count(self, found: frozenset[Partitioner], by: int) -> None:
        for known in found:
            self._explained[known] += by

    @property
    def keys(self) -> int:
        """How many different keys the window holds."""
        return len(self._window)

    def explained(self, by: Partitioner) -> int:
        """How many of the window's keys stand where this partitioner puts them."""
        return self._explained[by]

    @property
    def partitioner(self) -> Partitioner | None:
        """The one that explains the topic, or None while that is not certain."""
        if self.keys < ENOUGH_KEYS:
            return None
        certain = [known for known in Partitioner if self._explained[known] >= CERTAIN_SHARE * self.keys]
        return certain[0] if len(certain) == 1 else None


def disagree(sends: Agreement, violations: Agreement) -> str | None:
    """The sentence for people while the producers of the two topics place keys differently, else None."""
    one, other = sends.partitioner, violations.partitioner
    if one is None or other is None or one is other:
        return None
    return (
        "sends and violations are partitioned differently, so most violations cannot meet their sends: "
        f"{_told(sends, one)} of sends, {_told(violations, other)} of violations; "
        "set one partitioner for the producers of both"
    )


def _told(topic: Agreement, by: Partitioner) -> str:
    return f"{by.name} ({by.users}) explains {topic.explained(by)} of the last {topic.keys} keys"
