"""Records come in: what each reader thread does with a run before the event loop hears of it.

Promised: a run is stored whole with its range, or not at all; a bad record is in the dead-letter topic before its
range counts as read; an event's message is condemned after the event is stored, and a send is asked about after it is
stored. Runs in the readers' threads; nothing here waits for the event loop but a dead letter's delivery, for a moment.
"""

from __future__ import annotations

import contextlib
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Final, NamedTuple, cast

import numpy as np
import structlog
from confluent_kafka import KafkaError, Message

from stream.kafka.headers import Headers, headers_of
from stream.model import BadRecord, Fenced, Position, Severity, StoreStalled, Topic, UnpushError, ViolationEvent
from stream.service.ledger import entries
from stream.service.letterbox import Letter
from stream.service.letters import Letters, told
from stream.service.ways import ArrivedSend
from stream.state import keys
from stream.state.index import parts
from stream.state.packs import Batch, sends_as_puts
from stream.state.records import pack_event
from stream.state.shard import Shard, StoredSend
from stream.state.store import Put
from stream.wire.dead_letters import BadShare, headers
from stream.wire.looks import Records, records_of
from stream.wire.partitioners import ENOUGH_KEYS, WINDOW_KEYS, Agreement
from stream.wire.wire import Wire
from stream.work.judgement import Event, Trace, is_heeded, needless

BESIDE: Final = 16
"""So many stored events are looked at for what an event repeats."""
MAX_TRACE_BYTES: Final = 8_192
"""Longer trace headers, one or all together, are none: W3C asks for 512 characters to be kept."""
HEADS_READ: Final = 100
"""In runs of so many sends, as they come while reading keeps up, all that precedes the tokens is read of each at once.
Of a backlog it is read when a violation needs it, as the tokens are."""
STALL_WAIT_S: Final = 0.005
STALL_TRIES: Final = 400
SENDS_A_SEARCH: Final = 32
"""Looking at the times of so many sends costs what one search does."""
_TRACED: Final = frozenset({"traceparent", "tracestate"})

log = structlog.get_logger(__name__)


class ToLoop(NamedTuple):
    """What the event loop is told, by calls that any thread may make."""

    events: Callable[[int, list[tuple[bytes, Event, bool]]], None]
    sends: Callable[[int, list[ArrivedSend]], None]
    letter: Callable[[Letter, Callable[[KafkaError | None], None]], None]


class Intake:
    """See the module's words. One for all readers; ``take`` is what they call."""

    def __init__(
        self,
        shards: dict[int, Shard],
        wire: Wire,
        names: dict[Topic, str],
        partitions: int,
        to_loop: ToLoop,
        *,
        dry: bool,
        since_ms: int | None,
        max_bad_share: float,
        by_time: bool,
        now_ms: Callable[[], int],
        sampled: Callable[[Records, Sequence[bytes]], None],
    ) -> None:
        """``by_time``: the sends' record times are the broker's. ``sampled``: is shown each run of sends, perhaps more
        than once, and the digests of their messageIds."""
        self.shards = shards
        self.agreement = {Topic.SENDS: Agreement(), Topic.VIOLATIONS: Agreement()}
        self.stored = dict.fromkeys(Topic, 0)
        """Records taken in so far."""
        self.dead: dict[tuple[str, str], int] = {}
        """Dead letters so far, by topic's name and reason."""
        self._wire = wire
        self._names = names
        self._partitions = partitions
        self._observing = threading.Lock()
        self._to_loop = to_loop
        self._sampled = sampled
        self._letters = Letters(to_loop.letter, shards)
        self._dry = dry
        self._since_ms = since_ms
        self._by_time = by_time
        self._started_ms = now_ms()
        self._shares = {topic: BadShare(max_bad_share) for topic in Topic}
        self._take = {Topic.SENDS: self._sends, Topic.VIOLATIONS: self._violations, Topic.RESULTS: self._results}

    def take(self, topic: Topic, partition: int, messages: list[Message], start: int, end: int) -> None:
        """Take a run in. Raises one of ``WAITS`` (nothing was taken), Fenced, StoreCorrupt, or UnpushError for too
        many bad records."""
        shard = self.shards.get(partition)
        if shard is None:
            raise Fenced(f"shard {partition} is not here")
        if messages:
            self._take[topic](shard, messages, start, end)
            self.stored[topic] += len(messages)
            if self._letters.any:
                self._letters.taken(self._names[topic], partition, start, end)
        else:
            shard.add(topic, [(start, end)])

    @staticmethod
    def _patiently(write: Callable[[], int]) -> int:
        """Write, and where the store is only busy wait a little: reading anew would cost more. Raises as the shard
        does."""
        for _ in range(STALL_TRIES):
            try:
                return write()
            except StoreStalled:
                time.sleep(STALL_WAIT_S)
        return write()

    # --- sends

    def _sends(self, shard: Shard, messages: list[Message], start: int, end: int) -> None:
        names, values = list(map(Message.key, messages)), list(map(Message.value, messages))
        records = self._wire.plain_sends(names, values) if len(messages) > HEADS_READ else None
        if records is None:
            messages = self._checked(Topic.SENDS, messages, lambda m: self._wire.check_send(m.key(), m.value()))
            names, values = list(map(Message.key, messages)), list(map(Message.value, messages))
            records = records_of(cast("list[bytes]", values))
        elif messages[0].timestamp()[1] >= self._started_ms:
            self._shares[Topic.SENDS].good(len(messages))
        if not messages:
            shard.add(Topic.SENDS, [(start, end)])
            return
        self._observe(Topic.SENDS, shard, cast("list[bytes]", names))
        digests = list(map(keys.digest_of, cast("list[bytes]", names)))
        self._sampled(records, digests)  # now, while the processor has them at hand
        batch = Batch(_offsets(messages), _times(messages, self._by_time), b"".join(digests), records)
        self._store_sends(shard, digests, batch, (start, end))

    def _observe(self, topic: Topic, shard: Shard, names: list[bytes]) -> None:
        """Some keys of a run until the window is full, then one of each run: enough to see a change, and no more."""
        agreement = self.agreement[topic]
        step = max(1, len(names) // ENOUGH_KEYS) if agreement.keys < WINDOW_KEYS else len(names)
        with self._observing:  # of each topic there are two readers
            for name in names[::step]:
                agreement.observe(name, shard.number, self._partitions)

    def _store_sends(self, shard: Shard, digests: list[bytes], batch: Batch, span: tuple[int, int]) -> None:
        buckets = _buckets(shard, batch.times)
        some = list(parts(buckets, batch.offsets, batch.digests, span, int(batch.records.ends[-1])))

        def write() -> int:  # each pack is copied into RocksDB's batch while the processor still has it at hand
            return shard.add(Topic.SENDS, [span], sends_as_puts(shard.number, buckets, batch), some)

        number = self._patiently(write)
        if not shard.condemned.isdisjoint(digests):
            self._to_loop.sends(shard.number, list(_condemned(shard, digests, batch, number)))
        if shard.run_is_due:
            with contextlib.suppress(StoreStalled):  # the sends are stored; the next batch tries again
                shard.write_run()

    # --- violations

    def _violations(self, shard: Shard, messages: list[Message], start: int, end: int) -> None:
        read: list[tuple[Message, ViolationEvent]] = []

        def check(message: Message) -> None:
            read.append((message, self._wire.violation(message.key(), message.value())))

        self._checked(Topic.VIOLATIONS, messages, check)
        events = [(message, self._event(message, said)) for message, said in read if is_heeded(said, self._since_ms)]
        self._store_events(shard, events, (start, end))

    @staticmethod
    def _event(message: Message, said: ViolationEvent) -> Event:
        return Event(message.offset() or 0, message.timestamp()[1], said, _trace(headers_of(message)))

    def _store_events(self, shard: Shard, events: list[tuple[Message, Event]], span: tuple[int, int]) -> None:
        puts: list[Put] = []
        digests: list[bytes] = []
        kept: list[tuple[Message, Event]] = []
        beside: dict[bytes, list[Event]] = {}
        for message, event in events:
            digest = keys.digest_of(event.event.message_id.encode())
            prefix = shard.head(b"E", event.timestamp_ms) + digest
            if prefix not in beside:
                beside[prefix] = self._beside(shard, digest, event.timestamp_ms)
            if needless(event, beside[prefix]):
                continue
            beside[prefix].append(event)
            kept.append((message, event))
            key = keys.stamped(prefix, event.offset, event.timestamp_ms)
            puts.append((key, pack_event(event.trace, message.value() or b"")))
            digests.append(digest)
        shard.add(Topic.VIOLATIONS, [span], puts)
        came = []
        # What the loop sees when it hears of them may be later: by then the past, with results of theirs, may be read.
        perhaps_known = not (shard.recalled and shard.past_is_read)
        for digest, (_, event) in zip(digests, kept, strict=True):
            came.append((digest, event, perhaps_known or digest in shard.condemned))
            shard.condemned.add(digest)
        if came:
            self._observe(Topic.VIOLATIONS, shard, [message.key() or b"" for message, _ in kept])
            self._to_loop.events(shard.number, came)

    def _beside(self, shard: Shard, digest: bytes, timestamp_ms: int) -> list[Event]:
        """Stored events that leave with one of that time, the first few of them: what repeats one of these need not be
        kept, so that a detector may repeat itself for ever."""
        if digest not in shard.condemned and shard.recalled:
            return []
        found = []
        for stored in islice(shard.stored.events_beside(digest, timestamp_ms), BESIDE):
            with contextlib.suppress(UnpushError):
                said = self._wire.stored_violation(stored.value)
                found.append(Event(stored.offset, stored.timestamp_ms, said, stored.trace))
        return found

    def severity_of(self, value: bytes) -> int:
        """The severity of a stored event; MEDIUM while the registry that is needed to read it does not answer."""
        try:
            return int(self._wire.stored_violation(value).severity)
        except UnpushError:
            return int(Severity.MEDIUM)

    # --- results

    def _results(self, shard: Shard, messages: list[Message], start: int, end: int) -> None:
        known = shard.ranges(Topic.RESULTS)
        puts: list[Put] = []
        for message in messages:
            offset = message.offset() or 0
            if offset not in known:  # else it is one of our own deliveries, marked already
                puts += self._entries(shard, message, offset)
        shard.add(Topic.RESULTS, [(start, end)], puts)

    def _entries(self, shard: Shard, message: Message, offset: int) -> list[Put]:
        try:
            result = self._wire.result(message.value() or b"")
        except BadRecord as error:  # not ours, or garbage: nobody waits for it, and it marks nothing
            log.warning("result_unreadable", partition=shard.number, offset=offset, why=str(error))
            return []
        return entries(shard, result, keys.Stamp(offset, message.timestamp()[1]), self._dry)

    # --- bad records

    def _checked(self, topic: Topic, messages: list[Message], check: Callable[[Message], None]) -> list[Message]:
        """The good ones; the bad ones are dead letters, delivered, when this returns."""
        good, bad = [], []
        for message in messages:
            try:
                check(message)
                good.append(message)
            except BadRecord as error:
                bad.append((message, error))
        letters = {self._position(topic, message): (message, error) for message, error in bad}
        if not (bad and self._letters.knows_all(letters)):
            self._count(topic, messages, good)
        if bad:
            self._bury(letters)
        return good

    def _count(self, topic: Topic, messages: list[Message], good: list[Message]) -> None:
        """The bound on bad records; of the past only what is newer than our start counts."""
        share = self._shares[topic]
        if messages[0].timestamp()[1] < self._started_ms:
            return
        share.good(len(good))
        share.bad(len(messages) - len(good))
        if share.too_many:
            raise UnpushError(
                f"too many bad records in {self._names[topic]}: {share}; that is a bad deployment, not bad records"
            )

    def _bury(self, bad: dict[Position, tuple[Message, BadRecord]]) -> None:
        letters = {
            at: Letter(message.key(), message.value(), headers(headers_of(message), error, at))
            for at, (message, error) in bad.items()
        }
        for at in self._letters.bury(letters):
            self._say(at, bad[at][1])

    def _position(self, topic: Topic, message: Message) -> Position:
        return Position(self._names[topic], message.partition() or 0, message.offset() or 0, message.timestamp()[1])

    def _say(self, at: Position, error: BadRecord) -> None:
        self.dead[at.topic, error.reason.value] = self.dead.get((at.topic, error.reason.value), 0) + 1
        told(at, error)


def _condemned(shard: Shard, digests: list[bytes], batch: Batch, number: int) -> Iterator[ArrivedSend]:
    """The sends of a batch whose messages have a violation; ``number``: the batch's in the store."""
    times = [batch.times] * len(digests) if isinstance(batch.times, int) else batch.times.tolist()
    for digest, offset, time_ms, value in zip(digests, batch.offsets, times, batch.records.values, strict=True):
        if digest in shard.condemned:
            yield ArrivedSend(digest, number, StoredSend(shard.bucket(time_ms), offset, time_ms, value))


def _offsets(messages: list[Message]) -> Sequence[int]:
    """The offsets of a run; where none is missing a range, which costs nothing."""
    first, last = messages[0].offset() or 0, messages[-1].offset() or 0
    if last - first == len(messages) - 1:
        return range(first, last + 1)
    return cast("list[int]", list(map(Message.offset, messages)))


def _times(messages: list[Message], by_time: bool) -> int | np.ndarray:
    """The record times (ms) of a run, or the one of all; ``by_time``: the broker gave them, so that they never fall."""
    first, last = _time(messages[0]), _time(messages[-1])
    if by_time and first == last:
        return max(0, first)
    if by_time and 0 < last - first < len(messages) // SENDS_A_SEARCH:
        return _searched(messages, first, last)
    each = map(itemgetter(1), map(Message.timestamp, messages))
    return np.maximum(np.fromiter(each, np.int64, len(messages)), 0)


def _searched(messages: list[Message], first: int, last: int) -> np.ndarray:
    """Where times never fall and many records share one: the few places where they rise are searched for. Between two
    of the same time none is looked at: a broker's clock set back for a moment stands still here."""
    times = np.full(len(messages), first, np.int64)
    at, now = 0, first
    while now < last:
        at = bisect_right(messages, now, at, key=_time)
        now = _time(messages[at])
        times[at:] = now
    return times


def _time(message: Message) -> int:
    return message.timestamp()[1]


def _buckets(shard: Shard, times: int | np.ndarray) -> int | list[int]:
    """The bucket of each send, or the one of all."""
    if isinstance(times, int):
        return shard.bucket(times)
    first, last = shard.bucket(int(times.min())), shard.bucket(int(times.max()))
    return first if first == last else list(map(shard.bucket, times.tolist()))


def _trace(own: Headers | None) -> Trace:
    if not own:
        return ()
    kept = tuple((n, value) for n, value in own if n in _TRACED and value is not None and len(value) <= MAX_TRACE_BYTES)
    return kept if sum(len(value) for _, value in kept) <= MAX_TRACE_BYTES else ()
