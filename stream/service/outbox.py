"""Results and dead letters on their way to Kafka, and what happens when they have arrived.

Promised: nothing counts as settled before its result is delivered (``acks=all``, idempotent) and its marks are
written; what cannot be delivered now is tried again for as long as it takes; a result of a shard that has left leaves
no trace. One place polls the producer: the event loop's task ``run``. Not promised: order among results of different
violations.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.model import Fenced, RegistryDown, RevokeResult, StoreStalled, Topic, UnpushError
from stream.service.ledger import entries
from stream.state.keys import Stamp
from stream.state.shard import Shard
from stream.state.store import Put
from stream.wire.wire import Wire
from stream.work.packing import Parcel

POLL_S: Final = 0.002
AGAIN_S: Final = 1.0
_MOCK_TIME_MS: Final = 1234

log = structlog.get_logger(__name__)


class Written(NamedTuple):
    """A result that is to be delivered for a shard; ``parcel`` None: it covers no places."""

    shard: Shard
    result: RevokeResult
    parcel: Parcel | None
    trace: tuple[tuple[str, bytes], ...]


class Letter(NamedTuple):
    """A bad record as it goes to the dead-letter topic."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class Outbox:
    """See the module's words."""

    def __init__(
        self,
        producer: Producer,
        topic: str,
        dead_letters: str,
        wire: Wire,
        dry: bool,
        settled: Callable[[Written], None],
    ) -> None:
        """Made inside the running loop. ``topic`` takes results, ``dead_letters`` bad records."""
        self._producer = producer
        self._topic = topic
        self._dead_letters = dead_letters
        self._loop = asyncio.get_running_loop()
        self._letters = 0
        self._wire = wire
        self._dry = dry
        self._settled = settled
        self._outstanding = 0
        self._delivered: list[tuple[Written, Stamp]] = []
        self._again: deque[Written] = deque()
        self._wake = asyncio.Event()
        self.refused = 0
        """Deliveries that failed so far; each is tried again."""

    @property
    def size(self) -> int:
        """Results that are not yet delivered and marked."""
        return self._outstanding + len(self._delivered) + len(self._again) + self._letters

    def write(self, written: Written) -> None:
        """Send a result on its way; it comes back through ``settled`` when it is delivered and marked."""
        if not written.shard.owned:
            return
        try:
            value = self._wire.encode_result(written.result)
            self._produce(written, value)
        except (RegistryDown, BufferError) as error:
            log.warning("result_waits", why=str(error))
            self._again.append(written)
        self._wake.set()

    def _produce(self, written: Written, value: bytes) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            self._came_back(written, error, message)

        self._producer.produce(
            self._topic,
            value,
            written.result.message_id.encode(),
            written.shard.number,
            on_delivery=delivered,
            headers=list(written.trace) or None,
        )
        self._outstanding += 1

    def _came_back(self, written: Written, error: KafkaError | None, message: Message) -> None:
        self._outstanding -= 1
        if error is None:
            self._delivered.append((written, _stamp(written, message)))
            return
        self.refused += 1
        log.warning(
            "result_not_delivered", why=error.str(), partition=written.shard.number, result_id=written.result.result_id
        )
        if error.fatal():
            raise UnpushError(f"the producer cannot go on: {error.str()}")
        self._again.append(written)

    def dead_letter(self, letter: Letter, done: Callable[[KafkaError | None], None]) -> None:
        """From any thread: start writing a bad record, whole; ``done`` is called, on the loop, with the error or
        None. Raises nothing."""

        def delivered(error: KafkaError | None, _: Message) -> None:
            self._letters -= 1
            done(error)

        try:
            self._producer.produce(
                self._dead_letters, letter.value, letter.key, headers=[*letter.headers], on_delivery=delivered
            )
        except BufferError:
            done(KafkaError(KafkaError._QUEUE_FULL))
        except KafkaException as error:
            done(error.args[0])
        else:
            self._loop.call_soon_threadsafe(self._letter_left)

    def later(self, call: Callable[[], None]) -> None:
        """Do something again in a while."""
        self._loop.call_later(AGAIN_S, call)

    def _letter_left(self) -> None:
        self._letters += 1
        self._wake.set()

    async def run(self) -> None:
        """Poll for ever; ends by cancellation, or by an UnpushError when the producer is beyond repair."""
        again_s = 0.0
        clock = asyncio.get_running_loop().time
        while True:
            if not self.size:
                self._wake.clear()
                await self._wake.wait()
            await asyncio.sleep(POLL_S)
            self.poll()
            if self._again and clock() >= again_s:
                again_s = clock() + AGAIN_S
                self._retry()

    def poll(self) -> None:
        """Serve deliveries that have come back; write their marks; tell the desk."""
        self._producer.poll(0)
        if self._delivered:
            batch, self._delivered = self._delivered, []
            self._mark(batch)

    def _retry(self) -> None:
        waiting, self._again = self._again, deque()
        for written in waiting:
            self.write(written)

    def _mark(self, batch: list[tuple[Written, Stamp]]) -> None:
        by_shard: dict[Shard, list[tuple[Written, Stamp]]] = {}
        for written, stamp in batch:
            by_shard.setdefault(written.shard, []).append((written, stamp))
        for shard, some in by_shard.items():
            with contextlib.suppress(Fenced):
                self._mark_shard(shard, some)

    def _mark_shard(self, shard: Shard, some: list[tuple[Written, Stamp]]) -> None:
        puts: list[Put] = []
        for written, stamp in some:
            puts += entries(shard, written.result, stamp, self._dry)
        try:
            shard.add(Topic.RESULTS, [(stamp.offset, stamp.offset + 1) for _, stamp in some], puts)
        except StoreStalled:
            self._delivered += some  # the store takes no writes just now; the next poll tries again
            return
        for written, _ in some:
            self._settled(written)

    async def flush(self, deadline_s: float) -> bool:
        """Deliver and mark what is on its way, until the deadline on the loop's clock. True: all is done."""
        clock = asyncio.get_running_loop().time
        self._retry()
        while self.size and clock() < deadline_s:
            self._producer.flush(0.02)
            self.poll()
            await asyncio.sleep(0)
        return not self.size


def _stamp(written: Written, message: Message) -> Stamp:
    """Where and when the broker has put it. librdkafka's mock broker answers 1234 for every record's time
    (rdkafka_mock_handlers.c): its marks would leave retention at once."""
    time_ms = message.timestamp()[1]
    return Stamp(message.offset() or 0, time_ms if time_ms > _MOCK_TIME_MS else written.result.completed_at_ms)
