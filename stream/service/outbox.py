"""Results on their way to Kafka, and what happens when they have arrived.

Promised: nothing counts as settled before its result is delivered (``acks=all``, idempotent) and its marks are
written; what cannot be delivered now is tried again for as long as it takes; a result of a shard that has left leaves
no trace. What cannot leave yet, as while a registry is away, leaves before later results of its violation, so that the
last of these has the last totals. One place polls the producer: the event loop's task ``run``. Not promised: order
among results of different violations, nor where Kafka refused one. A result that is too large is halved until it fits.
Where not even a single place fits, the topic's bound is wrong for its violation: that is said once, and tried again now
and then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from itertools import accumulate, takewhile
from typing import Final, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.model import Fenced, RegistryDown, RevokeResult, StoreStalled, Topic, UnpushError
from stream.service.ledger import entries
from stream.service.trouble import Trouble
from stream.state.keys import Stamp
from stream.state.shard import Shard
from stream.state.store import Put
from stream.wire.wire import Wire
from stream.work.condemned import Condemned
from stream.work.packing import Parcel

POLL_S: Final = 0.005
"""Half of the time that results wait for each other before they leave."""
MARKED_AT_ONCE: Final = 2_000
"""Parts of sends whose marks are written in one go, or a single result's: the loop does nothing else meanwhile. A
result of a campaign of single tokens has a thousand of them."""
AGAIN_S: Final = 1.0
REFUSED_AGAIN_S: Final = 60.0
"""Whether somebody has raised the topic's bound on sizes meanwhile."""
MAX_RESULT_BYTES: Final = 900_000
"""Key, value and headers (contract, Limits): what a broker takes that was not told otherwise, with a margin."""
_LEAST_ROOM_BYTES: Final = 50_000
"""What a result may have beside ids that are nearly as large as all of it: halving would else repeat them for each
place, though the broker may well take more."""
_MOCK_TIME_MS: Final = 1234

TOO_LARGE: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)
"""What a broker, or librdkafka itself, says of a record or of the batch that it was in."""

log = structlog.get_logger(__name__)


class Written(NamedTuple):
    """A result that is to be delivered for a shard; ``parcel`` None: it covers no places. ``owner``: its message."""

    shard: Shard
    result: RevokeResult
    parcel: Parcel | None
    trace: tuple[tuple[str, bytes], ...]
    owner: Condemned | None = None


class Outbox:
    """See the module's words."""

    def __init__(
        self,
        producer: Producer,
        topic: str,
        wire: Wire,
        dry: bool,
        settled: Callable[[Written], None],
        halves: Callable[[Written], list[Written]],
        as_known_now: Callable[[Written], Written],
    ) -> None:
        """Made inside the running loop. ``topic`` takes results; ``halves`` cuts one in two, or gives nothing where it
        has a single place; ``as_known_now`` says again how much is matched, of one that has waited."""
        self._producer = producer
        self._topic = topic
        self._loop = asyncio.get_running_loop()
        self._wire = wire
        self._dry = dry
        self._settled = settled
        self._halves = halves
        self._as_known_now = as_known_now
        self._outstanding = 0
        self._delivered: list[tuple[Written, Stamp]] = []
        self._again: deque[Written] = deque()
        self._put_off: set[str] = set()
        """The violations of what is to leave again."""
        self._large: deque[Written] = deque()
        self._alone: Written | None = None
        self._too_large: dict[str, Written] = {}
        self._resting: list[Written] = []
        self._wake = asyncio.Event()
        self._trouble = Trouble()
        self.refused = 0
        """Deliveries that failed so far; each is tried again."""

    @property
    def size(self) -> int:
        """Results that are not yet delivered and marked."""
        return self._outstanding + len(self._delivered) + len(self._again) + len(self._large)

    @property
    def too_large(self) -> int:
        """Results that the topic refuses for their size, whatever is cut from them; not in ``size``, since waiting for
        them helps nobody."""
        return sum(written.shard.owned for written in self._too_large.values())

    @property
    def refused_for_good(self) -> set[Parcel]:
        """What these are of."""
        return {written.parcel for written in self._too_large.values() if written.parcel is not None}

    @property
    def stuck(self) -> str | None:
        """Since when, and why, no result can be written; None while some can."""
        return self._trouble.lasting(self._loop.time())

    def write(self, written: Written) -> None:
        """Send a result on its way; it comes back through ``settled`` when it is delivered and marked."""
        if not written.shard.owned:
            self._no_longer_alone(written)
            return
        if written.result.violation_id in self._put_off:
            self._wait(written)
            return
        try:
            value = self._wire.encode_result(written.result)
            if _is_too_large(written, value) and (pieces := self._halves(written)):
                for piece in pieces:
                    self.write(piece)
                return
            self._produce(written, value)
        except (RegistryDown, BufferError) as error:
            log.warning("result_waits", why=str(error))
            self._trouble.met(str(error), self._loop.time())
            self._wait(written)
        self._wake.set()

    def _wait(self, written: Written) -> None:
        self._no_longer_alone(written)
        self._again.append(written)
        self._put_off.add(written.result.violation_id)

    def _produce(self, written: Written, value: bytes) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            self._outstanding -= 1
            self._came_back(written, error, message)

        try:
            self._producer.produce(
                self._topic,
                value,
                written.result.message_id.encode(),
                written.shard.number,
                on_delivery=delivered,
                headers=list(written.trace) or None,
            )
        except KafkaException as error:  # it can be refused before it has left
            self._not_delivered(written, error.args[0])
        else:
            self._outstanding += 1

    def _came_back(self, written: Written, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._not_delivered(written, error)
            return
        self._trouble.over()
        self._delivered.append((written, _stamp(written, message)))
        self._too_large.pop(written.result.result_id, None)
        self._no_longer_alone(written)

    def _not_delivered(self, written: Written, error: KafkaError) -> None:
        self.refused += 1
        name = written.result.result_id
        if name not in self._too_large:
            log.warning("result_not_delivered", why=error.str(), partition=written.shard.number, result_id=name)
        if error.fatal():
            raise UnpushError(f"the producer cannot go on: {error.str()}")
        alone = self._no_longer_alone(written)
        if error.code() not in TOO_LARGE:
            self._trouble.met(error.str(), self._loop.time())
            self._wait(written)
        elif alone:
            self._refused_alone(written)
        else:
            self._large.append(written)  # perhaps only its batch was too large

    def _no_longer_alone(self, written: Written) -> bool:
        """Whether it was on its way alone; the next may leave then."""
        alone = self._alone is written
        if alone:
            self._alone = None
        return alone

    def _refused_alone(self, written: Written) -> None:
        if pieces := self._halves(written):
            self._large.extendleft(reversed(pieces))
            return
        name = written.result.result_id
        if name not in self._too_large:
            log.error(
                "result_too_large",
                topic=self._topic,
                partition=written.shard.number,
                result_id=name,
                uncuttable_bytes=_uncuttable_bytes(written),
                cure="raise the topic's max.message.bytes",
            )
        self._too_large[name] = written
        if not self._resting:
            self._loop.call_later(REFUSED_AGAIN_S, self._try_too_large)
        self._resting.append(written)

    def _try_too_large(self) -> None:
        self._too_large = {name: written for name, written in self._too_large.items() if written.shard.owned}
        self._large.extend(self._resting)
        self._resting = []
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
            self._write_alone()
            if self._again and clock() >= again_s:
                again_s = clock() + AGAIN_S
                self._retry()

    def poll(self) -> None:
        """Serve deliveries that have come back; write their marks; tell the desk."""
        self._producer.poll(0)
        if self._delivered:
            few = _few(self._delivered)
            batch, self._delivered = self._delivered[:few], self._delivered[few:]
            self._mark(batch)

    def _write_alone(self) -> None:
        """One at a time: several small ones in one batch can be too large together."""
        while self._large and self._alone is None:
            written = self._as_known_now(self._large.popleft())
            if written.shard.owned:
                self._alone = written
                self.write(written)

    def _retry(self) -> None:
        waiting, self._again, self._put_off = self._again, deque(), set()
        for written in waiting:
            self.write(self._as_known_now(written))
        if not self.size:  # what could not be written has left with its shard
            self._trouble.over()

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
            self._write_alone()
            await asyncio.sleep(0)
        return not self.size


def _few(delivered: list[tuple[Written, Stamp]]) -> int:
    """How many of the results, one at least, are marked in one go."""
    parts = accumulate(len(written.result.sends) for written, _ in delivered)
    return max(1, sum(1 for _ in takewhile(lambda total: total <= MARKED_AT_ONCE, parts)))


def _uncuttable_bytes(written: Written) -> int:
    """Key, ids and trace headers: what each piece of a result has again."""
    result = written.result
    trace = sum(len(name) + len(value) for name, value in written.trace)
    return 2 * len(result.message_id.encode()) + len(result.violation_id.encode()) + trace


def _is_too_large(written: Written, value: bytes) -> bool:
    if len(value) <= MAX_RESULT_BYTES // 4:  # nearly all: nothing else of a record is larger than its value
        return False
    uncuttable, result = _uncuttable_bytes(written), written.result
    rest = len(value) - len(result.message_id.encode()) - len(result.violation_id.encode())
    return rest > max(MAX_RESULT_BYTES - uncuttable, _LEAST_ROOM_BYTES)


def _stamp(written: Written, message: Message) -> Stamp:
    """Where and when the broker has put it. librdkafka's mock broker answers 1234 for every record's time
    (rdkafka_mock_handlers.c): its marks would leave retention at once."""
    time_ms = message.timestamp()[1]
    return Stamp(message.offset() or 0, time_ms if time_ms > _MOCK_TIME_MS else written.result.completed_at_ms)
