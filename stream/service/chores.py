"""What is done now and then: say what was not found, give up what waited too long, drop old buckets, checkpoint, ask
the brokers whether the topics are still those of the start and all shards have an owner."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from itertools import takewhile
from typing import Final

import structlog

from stream.model import StartError, StoreCorrupt, StoreStalled, Topic, UnpushError
from stream.service.calls import Calls
from stream.service.clock import Clock
from stream.service.desk import Desk
from stream.service.restoring import Restoring
from stream.state.shard import EVERYTHING, Shard
from stream.state.store import Store
from stream.wire.partitioners import Agreement, disagree

EVERY_S: Final = 0.25
FLUSH_EVERY_S: Final = 15.0
EXPIRE_EVERY_S: Final = 5.0
ASK_EVERY_S: Final = 5.0
"""What is read of a topic made anew in between is read again by the next start; one small question to the brokers."""
DROP_MARGIN_MS: Final = 60_000
"""A bucket stays so much longer than retention: what was open in it has been ended by then."""

log = structlog.get_logger(__name__)


class Chores:
    """See the module's words. On the event loop; what may block goes to a thread."""

    def __init__(
        self,
        desk: Desk,
        calls: Calls,
        store: Store,
        shards: Mapping[int, Shard],
        agreement: Mapping[Topic, Agreement],
        clock: Clock,
        retention_ms: int,
        restoring: Restoring,
        *,
        ending_from_ms: Callable[[Shard], float],
        ask_end: Callable[[tuple[Topic, int]], None],
        ask_brokers: Callable[[], str | None],
        kick: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """``ending_from_ms``: the oldest record time of what has ended and is undelivered. ``ask_brokers``: why
        it cannot go on with what they say, if so; it may block."""
        self.disagreement: str | None = None
        """Why sends and violations do not meet, while their producers use different partitioners."""
        self._desk, self._calls, self._store, self._shards = desk, calls, store, shards
        self._dropping: set[Shard] = set()
        self._agreement, self._clock, self._retention_ms = agreement, clock, retention_ms
        self._restoring, self._ending_from_ms = restoring, ending_from_ms
        self._ask_end, self._kick, self._failed = ask_end, kick, failed
        self._ask_brokers = ask_brokers

    async def run(self) -> None:
        """For ever; ends by cancellation."""
        loop = asyncio.get_running_loop()
        self._expire(loop)  # what has left retention is known before the first shard comes
        flush_s = expire_s = loop.time()
        while True:
            await asyncio.sleep(EVERY_S)
            self._look()
            if loop.time() >= expire_s + EXPIRE_EVERY_S:
                expire_s = loop.time()
                self._expire(loop)
            if loop.time() >= flush_s + FLUSH_EVERY_S:
                flush_s = loop.time()
                await loop.run_in_executor(None, self._flush)

    async def ask_brokers(self) -> None:
        """Whether one can go on with what they say, every few seconds; a thread waits for their answer. For ever; ends
        by cancellation, or when they said why not."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            asked = loop.run_in_executor(None, self._ask_brokers)
            await asyncio.wait([asked])
            if (error := asked.exception()) is not None:  # a fault of ours; not to look any more would be a worse one
                log.error("asking_brokers_failed", exc_info=error)
            elif (why := asked.result()) is not None:
                self._failed(StartError(why))
                return

    def _look(self) -> None:
        self._see_disagreement()
        self._restoring.look()
        self._desk.missing(self._clock.monotonic_s(), self._can_tell)
        self._desk.planning.unpark()
        if self._desk.planning.plans.any:  # unparked just now, or remembered by the store: nobody else would say so
            self._kick()

    def _can_tell(self, shard: Shard, arrived_s: float) -> bool:
        """Whether a message without sends may be called NOT_FOUND: all sends up to its coming have been read, and the
        topics agree on the partitioner."""
        if self.disagreement is not None or shard.read_back_ms.get(Topic.SENDS) != EVERYTHING:
            return False
        if shard.read_to_end_s < arrived_s:
            self._ask_end((Topic.SENDS, shard.number))
            return False
        return True

    def _see_disagreement(self) -> None:
        found = disagree(self._agreement[Topic.SENDS], self._agreement[Topic.VIOLATIONS])
        if found is not None and self.disagreement is None:
            log.error("partitioners_differ", why=found)
        self.disagreement = found

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        now_ms = self._clock.now_ms()
        self._calls.give_up(now_ms)
        self._desk.expire(now_ms)
        for shard in set(self._shards.values()) - self._dropping:  # of one moment: they come and go in another thread
            expired = shard.expired_buckets(now_ms - self._retention_ms - DROP_MARGIN_MS)
            # The oldest first: what is in a later one may speak of what is in an earlier.
            if done := list(takewhile(partial(self._done_with, shard), expired)):
                self._begin_drop(loop, shard, done)

    def _done_with(self, shard: Shard, bucket: int) -> bool:
        """Whether nothing needs a bucket, nor waits for what ended in it to be delivered."""
        return self._desk.done_with(shard.number, bucket) and self._ending_from_ms(shard) >= shard.end_ms(bucket)

    def _begin_drop(self, loop: asyncio.AbstractEventLoop, shard: Shard, buckets: list[int]) -> None:
        self._dropping.add(shard)
        dropped = loop.run_in_executor(None, self._drop, shard, buckets)
        dropped.add_done_callback(lambda _: self._dropping.discard(shard))

    @staticmethod
    def _drop(shard: Shard, buckets: list[int]) -> None:
        with contextlib.suppress(UnpushError):
            for bucket in buckets:
                shard.drop_bucket(bucket)
                log.info("bucket_dropped", partition=shard.number, bucket=bucket)

    def _flush(self) -> None:
        try:
            self._store.flush()
        except StoreStalled as why:
            log.warning("checkpoint_failed", why=str(why))
        except StoreCorrupt as why:
            self._failed(why)
