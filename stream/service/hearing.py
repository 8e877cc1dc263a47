"""What threads tell the event loop, and what they may ask of the shards. Every method here may be called by any
thread.

What a reader says of how far it has come goes the same way as the records it stored, behind them: only when the desk
has heard of the sends is it true for the desk that they have been read, and of a withdrawal, that nothing speaks
against acting. Of findings there may be very many at once: the loop hears of them a few at a time, and does in between
what else it has to; CRITICAL ones and withdrawals it hears of first, however many stand before them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from stream.model import Severity, Status, Topic
from stream.service.clock import Clock
from stream.service.desk import Desk
from stream.state.shard import Shard
from stream.work.judgement import Event
from stream.work.ranges import Ranges

Place = tuple[Topic, int]
Came = list[tuple[bytes, Event, bool]]
"""Digest, event, and whether its message was condemned before."""

EVENTS_AT_ONCE: Final = 64
SLICE_S: Final = 0.002
"""How long the loop listens before it turns to calls and replies again."""

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
        self._urgent: deque[tuple[int, Came]] = deque()
        self._queue: deque[Callable[[], None]] = deque()
        self._overtaken: set[bytes] = set()
        """Digests of messages of which something earlier may stand in the queue than what has been heard of."""
        self._listening = False

    def call_soon(self, call: Callable[..., None], *args: Any) -> None:
        """Call on the loop, after all that was told before."""
        with contextlib.suppress(RuntimeError):  # the loop has closed: we are gone
            self._loop.call_soon_threadsafe(call, *args)

    def events(self, number: int, came: Came) -> None:
        """Violation events were stored."""
        others = [each for each in came if not _urgent(each[1])]
        for at in range(0, len(others), EVENTS_AT_ONCE):
            some = others[at : at + EVENTS_AT_ONCE]
            self._queue.append(lambda some=some: self._hear_of(number, some))  # type: ignore[misc]
        if urgent := [each for each in came if _urgent(each[1])]:
            self._urgent.append((number, urgent))  # behind the others: by then these stand where they are looked for
        self.call_soon(self._listen)

    def sends(self, number: int, came: list[Any]) -> None:
        """Sends were stored whose message is condemned. Not by way of the queue: their batch's number means something
        only as long as their shard is the one that it was."""
        self.call_soon(self._told, self._desk.sends_came, number, came)

    def _behind_events(self, call: Callable[..., None], *args: Any) -> None:
        """Behind the sends that were told before, too: into the queue by way of the loop, which may be hearing just
        now of what stands there."""
        self.call_soon(self._put, lambda: self._or_fail(call, *args))

    def _put(self, call: Callable[[], None]) -> None:
        self._queue.append(call)
        self._listen()

    def _listen(self) -> None:
        """Once, however many ask for it: else the loop would do nothing else until all is heard."""
        if not self._listening:
            self._listening = True
            self._hear()

    def _hear(self) -> None:
        until_s = self._loop.time() + SLICE_S
        while self._urgent or self._queue:
            if self._urgent:
                self._hear_urgently(*self._urgent.popleft())
            else:
                self._queue.popleft()()
            if self._loop.time() > until_s:
                self._loop.call_soon(self._hear)
                return
        self._overtaken.clear()
        self._listening = False

    def _hear_urgently(self, number: int, came: Came) -> None:
        if self._queue:
            self._overtaken.update(digest for digest, _, known in came if known)
        self._told(self._desk.events_came, number, came)

    def _hear_of(self, number: int, came: Came) -> None:
        """Of a message that was overtaken it is not enough to know these: the withdrawal behind them has been heard of,
        and may be forgotten again."""
        if self._overtaken:
            came = [(digest, event, known or digest in self._overtaken) for digest, event, known in came]
        self._told(self._desk.events_came, number, came)

    def _told(self, tell: Callable[[int, list[Any], float], None], number: int, came: list[Any]) -> None:
        self._or_fail(tell, number, came, self._clock.monotonic_s())
        self._kick()

    def _or_fail(self, call: Callable[..., None], *args: Any) -> None:
        try:
            call(*args)
        except Exception as error:  # noqa: BLE001  # half of what came would be lost to the desk: end the service, loudly
            self._failed(error)

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
        self._behind_events(self._further, shard, place[0], back_ms)

    def _further(self, shard: Shard, topic: Topic, back_ms: float) -> None:
        shard.read_back_ms[topic] = back_ms
        if topic is not Topic.SENDS:
            self._desk.past_read(shard.number)
            self._kick()

    def at_end(self, place: Place, since_s: float) -> None:
        """All that was there at that moment has been read."""
        if (shard := self._shards.get(place[1])) is not None:
            self._behind_events(self._read_to_end, shard, since_s)

    def _read_to_end(self, shard: Shard, since_s: float) -> None:
        shard.read_to_end_s = max(shard.read_to_end_s, since_s)
        self._desk.planning.look_again()
        self._kick()

    def passed(self, place: Place, since_s: float) -> None:
        """What a broker said was there at that moment has been read."""
        if (shard := self._shards.get(place[1])) is not None:
            self.call_soon(self._or_fail, self._read_past, shard, since_s)

    def _read_past(self, shard: Shard, since_s: float) -> None:
        shard.read_past_s = max(shard.read_past_s, since_s)
        self._desk.planning.look_again()
        self._kick()

    def lost(self, place: Place, start: int, end: int) -> None:
        """Retention took these offsets before they were read."""
        topic, count = self._names[place[0]], end - start
        log.error(
            "records_gone", topic=topic, partition=place[1], first=start, count=count, why="retention removed them"
        )
        self.call_soon(self._lost, place[0], count)

    def _lost(self, topic: Topic, count: int) -> None:
        self.gone[topic] += count


def _urgent(event: Event) -> bool:
    return event.event.severity is Severity.CRITICAL or event.event.status is Status.WITHDRAWN
