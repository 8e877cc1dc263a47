"""What threads tell the event loop, and what they may ask of the shards. Every method here may be called by any
thread.

What a reader says of how far it has come goes the same way as the records it stored, behind them: only when the desk
has heard of the sends is it true for the desk that they have been read, and of a withdrawal, that nothing speaks
against acting.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from stream.model import Topic
from stream.service.clock import Clock
from stream.service.desk import Desk
from stream.state.shard import Shard
from stream.work.ranges import Ranges

Place = tuple[Topic, int]

log = structlog.get_logger(__name__)


class Hearing:
    """See the module's words. ``shards`` and ``desk`` are the service's; ``kick`` wakes the planner, ``failed`` ends
    the service, both on the loop."""

    def __init__(
        self,
        shards: Mapping[int, Shard],
        desk: Desk,
        names: Mapping[Topic, str],
        clock: Clock,
        kick: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Made inside the running loop."""
        self.gone = dict.fromkeys(Topic, 0)
        """Offsets that retention took before they were read."""
        self._shards, self._desk, self._names, self._clock, self._kick = shards, desk, names, clock, kick
        self._failed = failed
        self._loop = asyncio.get_running_loop()

    def call_soon(self, call: Callable[..., None], *args: Any) -> None:
        """Call on the loop, after all that was told before."""
        with contextlib.suppress(RuntimeError):  # the loop has closed: we are gone
            self._loop.call_soon_threadsafe(call, *args)

    def events(self, number: int, came: list[Any]) -> None:
        """Violation events were stored."""
        self.call_soon(self._told, self._desk.events_came, number, came)

    def sends(self, number: int, came: list[Any]) -> None:
        """Sends were stored whose message is condemned."""
        self.call_soon(self._told, self._desk.sends_came, number, came)

    def _told(self, tell: Callable[[int, list[Any], float], None], number: int, came: list[Any]) -> None:
        try:
            tell(number, came, self._clock.monotonic_s())
        except Exception as error:  # noqa: BLE001  # half of what came would be lost to the desk: end the service, loudly
            self._failed(error)
        self._kick()

    def ranges(self, place: Place) -> Ranges | None:
        """What has been read of a place; None: it is not here."""
        shard = self._shards.get(place[1])
        return shard.ranges(place[0]) if shard is not None else None

    def floor_is(self, place: Place, floor: int) -> None:
        """Retention begins at this offset."""
        if (shard := self._shards.get(place[1])) is not None:
            shard.floor[place[0]] = floor

    def further(self, place: Place, back_ms: float) -> None:
        """All records of the place since that time have been read; minus infinity: all."""
        shard = self._shards.get(place[1])
        if shard is None:
            return
        self.call_soon(self._further, shard, place[0], back_ms)

    def _further(self, shard: Shard, topic: Topic, back_ms: float) -> None:
        shard.read_back_ms[topic] = back_ms
        if topic is not Topic.SENDS:
            self._desk.past_read(shard.number)
            self._kick()

    def at_end(self, place: Place, since_s: float) -> None:
        """All that was there at that moment has been read."""
        if (shard := self._shards.get(place[1])) is not None:
            self.call_soon(self._read_to_end, shard, since_s)

    @staticmethod
    def _read_to_end(shard: Shard, since_s: float) -> None:
        shard.read_to_end_s = max(shard.read_to_end_s, since_s)

    def lost(self, place: Place, start: int, end: int) -> None:
        """Retention took these offsets before they were read."""
        topic, count = self._names[place[0]], end - start
        log.error(
            "records_gone", topic=topic, partition=place[1], first=start, count=count, why="retention removed them"
        )
        self.call_soon(self._lost, place[0], count)

    def _lost(self, topic: Topic, count: int) -> None:
        self.gone[topic] += count
