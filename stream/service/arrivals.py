"""Shards come and go. The group member's thread calls this; it opens shards, sets the readers on them, and lets them
go again.

Promised: a shard is fenced before ``leave`` returns, and what was delivered by then is marked. ``leave`` waits for
calls in flight for a second and a half at most, since the consumer delivers nothing of the shards that stay
meanwhile. Not promised: that every call in flight has ended by then; one that answers later leaves no trace here, and
the next owner makes it again.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import structlog

from stream.kafka.past import Arrived, Past
from stream.kafka.tail import Tail
from stream.model import Topic
from stream.service.calls import Calls
from stream.service.clock import Clock
from stream.service.desk import Desk
from stream.service.intake import Intake
from stream.service.outbox import Outbox
from stream.state.shard import NOTHING, Shard
from stream.state.store import Store

CALLS_WAIT_S: Final = 1.5
RESULTS_WAIT_S: Final = 0.5
OWN_RESULTS_WAIT_S: Final = 2.0

Place = tuple[Topic, int]

log = structlog.get_logger(__name__)


class Topics(NamedTuple):
    """What is known of the topics: how many partitions, who keeps the time, and their ids at this moment."""

    partitions: int
    by_time: Mapping[Topic, bool]
    ids: Callable[[], Mapping[Topic, str]]


class Arrivals:
    """``kafka.membership.Shards``, as the service means it."""

    def __init__(
        self,
        store: Store,
        topics: Topics,
        intake: Intake,
        desk: Desk,
        calls: Calls,
        outbox: Outbox,
        clock: Clock,
        retention_ms: int,
        bucket_ms: int,
    ) -> None:
        """Made inside the running loop; ``tail`` and ``past`` are set before the member starts."""
        self.tail: Tail
        self.past: Past
        self.failed: Callable[[Exception], None]
        self.keeps_admitted = False
        """Whether what results say of calls is kept by time, for the guard's hour."""
        self.came = 0
        """How often shards have come; 0: never yet."""
        self._store, self._topics = store, topics
        self._intake, self._desk, self._calls, self._outbox = intake, desk, calls, outbox
        self._clock = clock
        self._retention_ms, self._bucket_ms = retention_ms, bucket_ms
        self._loop = asyncio.get_running_loop()
        self._lost_some = False

    @property
    def shards(self) -> Mapping[int, Shard]:
        """The shards that are ours now."""
        return self._intake.shards

    # --- coming, in the member's thread

    def returning(self) -> None:
        """After an outage the shards come back to whoever lost them, often before its producer has found the brokers
        again: without the results that still lie there all of its calls would be made once more."""
        until_s = time.monotonic() + OWN_RESULTS_WAIT_S
        while self._lost_some and self._outbox.size and time.monotonic() < until_s:
            time.sleep(0.01)
        self._lost_some = False

    def arrive(self, ends: Mapping[int, Mapping[Topic, int]]) -> None:
        """Open each shard, read it live from its present end, and its past behind that."""
        ids = self._topics.ids()
        opened = [self._open(number, dict(at), ids) for number, at in ends.items()]
        for shard in opened:
            self._intake.shards[shard.number] = shard
            self._loop.call_soon_threadsafe(self._desk.shard_came, shard)
        self.tail.add(
            {(topic, s.number): s.live_start[topic] for s in opened for topic in (Topic.SENDS, Topic.RESULTS)}
        )
        since_ms = self._clock.now_ms() - self._retention_ms
        for shard in opened:
            self.past.add(Arrived(shard.number, shard.live_start, since_ms, self._topics.by_time))
            self._loop.call_soon_threadsafe(self._remember, shard)
        self.came += 1
        self._share()

    def _open(self, number: int, ends: dict[Topic, int], ids: Mapping[Topic, str]) -> Shard:
        shard = Shard(number, self._store, self._bucket_ms)
        if why := self._made_anew(shard, ends, ids):
            log.warning("shard_starts_anew", partition=number, why=why)
            shard.forget()
        shard.set_topic_ids(dict(ids))
        shard.keeps_admitted = self.keeps_admitted
        shard.live_start = ends
        # Not since now: our clock may be behind the broker's, and then what stands there would count as read.
        shard.read_back_ms = dict.fromkeys((Topic.VIOLATIONS, Topic.RESULTS), NOTHING)
        return shard

    @staticmethod
    def _made_anew(shard: Shard, ends: Mapping[Topic, int], ids: Mapping[Topic, str]) -> str | None:
        """Why what is stored speaks of another topic than the present one; None: it does not."""
        for topic, end in ends.items():
            before, now = shard.topic_id(topic), ids.get(topic)
            if before is not None and now is not None and before != now:
                return f"the topic of {topic.name.lower()} was deleted and created again"
            if shard.ranges(topic).top > end:
                return f"the topic of {topic.name.lower()} ends at {end}, but was read up to {shard.ranges(topic).top}"
        return None

    def _remember(self, shard: Shard) -> None:
        self._loop.run_in_executor(None, self._load, shard).add_done_callback(self._loaded)

    def _loaded(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and isinstance(error := done.exception(), Exception):
            self.failed(error)

    def _load(self, shard: Shard) -> None:
        """Condemn again what the store knows, a thousand at a time; the desk looks at each in the background."""
        found: list[tuple[int, int, bytes]] = []
        gravest: dict[bytes, int] = {}
        for event in shard.stored.all_events():
            if not shard.owned:
                return
            severity = self._intake.severity_of(event.value)
            if severity > gravest.get(event.digest, -1):  # a graver finding is in no hurry less for having come later
                gravest[event.digest] = severity
                found.append((severity, event.timestamp_ms, event.digest))
            if len(found) >= 1000:
                self._condemn(shard, found)
                found = []
        self._condemn(shard, found)
        shard.recalled = True

    def _condemn(self, shard: Shard, found: list[tuple[int, int, bytes]]) -> None:
        shard.condemned.update(digest for _, _, digest in found)
        self._loop.call_soon_threadsafe(self._desk.remembered, shard.number, found)

    # --- going, in the member's thread

    def leave(self, shards: list[int]) -> None:
        """Wait a little for calls in flight, mark what is delivered, fence. No checkpoint: a disk may take its time,
        and all that it would spare is reading anew, if a kill -9 follows and the shards come back here."""
        going = [shard for number in shards if (shard := self._intake.shards.get(number)) is not None]
        waiting = asyncio.run_coroutine_threadsafe(self._finish(going), self._loop)
        try:
            waiting.result(CALLS_WAIT_S + RESULTS_WAIT_S + 1.0)
        except concurrent.futures.TimeoutError:
            log.warning("leaving_took_too_long", partitions=shards)
        self._let_go(going)

    def lost(self, shards: list[int]) -> None:
        """Another has these shards already: fence them now."""
        self._lost_some = True
        self._let_go([shard for number in shards if (shard := self._intake.shards.get(number)) is not None])

    def _let_go(self, going: list[Shard]) -> None:
        for shard in going:
            shard.fence()
            self._intake.shards.pop(shard.number, None)
        numbers = [shard.number for shard in going]
        self.tail.remove([(topic, number) for number in numbers for topic in (Topic.SENDS, Topic.RESULTS)])
        self.past.remove(numbers)
        for number in numbers:
            self._loop.call_soon_threadsafe(self._forget, number)
        self._share()

    def _forget(self, number: int) -> None:
        """Though the shard may be back: its coming is heard of after this, and calls of before must not end in it."""
        self._desk.shard_went(number)
        self._calls.forsake(lambda parcel: parcel.owner is not None and parcel.owner.shard == number)

    async def _finish(self, going: list[Shard]) -> None:
        numbers = {shard.number for shard in going}
        for shard in going:
            shard.leaving = True
        self._calls.set_share(self._share_of(len(self._intake.shards) - len(going)))  # before another is given them
        self._calls.pending.take_back(lambda parcel: parcel.owner is not None and parcel.owner.shard in numbers)
        await self._calls.landed(
            lambda parcel: parcel.owner is not None and parcel.owner.shard in numbers, self._loop.time() + CALLS_WAIT_S
        )
        await self._outbox.flush(self._loop.time() + RESULTS_WAIT_S)

    def _share(self) -> None:
        self._loop.call_soon_threadsafe(self._calls.set_share, self._share_of(len(self._intake.shards)))

    def _share_of(self, shards: int) -> float:
        """The part of the limits that comes with so many shards: all parts together are never more than the whole,
        since a shard has left one instance before it comes to another."""
        return shards / max(1, self._topics.partitions)

    # --- offsets for lag tools

    def positions(self) -> Mapping[Place, int]:
        """What is read and stored, such that the lag a tool shows is all that is unread, gaps in the past included."""
        found: dict[Place, int] = {}
        for number, shard in list(self._intake.shards.items()):
            for topic in (Topic.VIOLATIONS, Topic.SENDS):
                top = max(shard.ranges(topic).top, shard.live_start[topic])
                found[topic, number] = max(0, top - (shard.restoring(topic) if topic in shard.floor else 0))
        return found
