"""How far back the past has been read, how fast, and for how long still: for logs, metrics and ``/api/status``.

Promised: looking costs a record nothing. Not promised: a rate before the second look. On the event loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Final, NamedTuple

import structlog

from stream.model import Topic
from stream.service.clock import Clock
from stream.state.shard import EVERYTHING, Shard
from stream.work.progress import Progress

SAY_EVERY_S: Final = 10.0

log = structlog.get_logger(__name__)


class Restore(NamedTuple):
    """Of one topic, over all shards here: offsets of the past still to be read, records a second, seconds left (None:
    not known), and since when (ms) everything has been read of every shard (None: not known, or all)."""

    remaining: int
    records_per_s: float
    left_s: float | None
    read_back_to_ms: int | None


class Restoring:
    """See the module's words."""

    def __init__(self, shards: Mapping[int, Shard], names: Mapping[Topic, str], clock: Clock) -> None:
        self._shards, self._names, self._clock = shards, names, clock
        self._progress = {topic: Progress() for topic in Topic}
        self._said_s: dict[Topic, float] = {}
        self._began_s: dict[Topic, float] = {}

    def _now(self) -> list[Shard]:
        """Those of one moment: they come and go in another thread."""
        return list(self._shards.values())

    def look(self) -> None:
        """See how far it is, and say so now and then."""
        now_s, shards = self._clock.monotonic_s(), self._now()
        for topic, progress in self._progress.items():
            progress.look({shard.number: shard.restoring(topic) for shard in shards}, now_s)
            if progress.remaining:
                self._goes_on(topic, now_s)
            elif topic in self._began_s:
                self._over(topic, now_s)

    def of(self, topic: Topic) -> Restore:
        """How it is now."""
        progress = self._progress[topic]
        remaining = sum(shard.restoring(topic) for shard in self._now())
        left_s = remaining / progress.per_s if progress.per_s else None
        return Restore(remaining, progress.per_s, left_s if remaining else 0.0, self._read_back_to_ms(topic))

    def _read_back_to_ms(self, topic: Topic) -> int | None:
        """The time of the shard that is least far."""
        left = [shard for shard in self._now() if shard.restoring(topic)]
        times = [shard.read_back_ms.get(topic, EVERYTHING) for shard in left]
        return int(max(times)) if times and all(map(isfinite, times)) else None

    def _goes_on(self, topic: Topic, now_s: float) -> None:
        self._said_s.setdefault(topic, self._began_s.setdefault(topic, now_s))
        if now_s < self._said_s[topic] + SAY_EVERY_S:
            return
        self._said_s[topic] = now_s
        seen = self.of(topic)
        log.info(
            "restoring",
            topic=self._names[topic],
            remaining=seen.remaining,
            records_per_s=round(seen.records_per_s),
            left_s=None if seen.left_s is None else round(seen.left_s),
            read_back_to_ms=seen.read_back_to_ms,
        )

    def _over(self, topic: Topic, now_s: float) -> None:
        self._said_s.pop(topic)
        log.info("restored", topic=self._names[topic], took_s=round(now_s - self._began_s.pop(topic), 1))
