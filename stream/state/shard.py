"""One shard as this process holds it: partition p of three topics, what has been read of each, and the fence.

Promised: data and the ranges that speak of it are one batch; after ``fence()`` nothing is written for the shard any
more, from any thread. Not promised: that another process does not hold it too (the broker decides who owns a
partition; a frozen owner notices late).

Where ranges, marks and the fence meet, this order keeps every pair of send and violation together and every settled
place settled: an event is in the store before its message is *condemned* in memory, and condemned before the stored
sends are walked; a send is in the store before anybody asks whether its message is condemned. Whichever came second
finds the first. A result is delivered before its marks are written, and its own range is written with them: after a
crash either both are there, or the result is read again from its topic. And since every write looks at the fence
under the same lock that ``fence()`` takes, no thread that was late can touch a shard that has gone.
"""

from __future__ import annotations

import struct
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Final, NamedTuple

from stream.model import Fenced, StoreCorrupt, Topic
from stream.state import keys
from stream.state.dropping import Dropping
from stream.state.index import Part, Tail, blocks, found_in
from stream.state.packs import Finder, unpack, unsealed
from stream.state.scans import Scans
from stream.state.store import Put, Store
from stream.work.condemned import Walk
from stream.work.ranges import Ranges

EVERYTHING: Final = float("-inf")
NOTHING: Final = float("inf")
RUN_SENDS: Final = 65_536
"""So many sends make a run of the index; until then they are found in memory."""
WORTH_PUTTING_OFF: Final = 1_024
"""Fewer sends of a message in a run are quicker looked at than looked for."""
RUN_BYTES: Final = 256 << 20
"""Or such a weight of them: what is in no run is read again, whole, when the process starts."""
_KINDS: Final = (*keys.DATA_KINDS, b"R", b"X", b"T")
_RUN: Final = struct.Struct(">Q")


class StoredSend(NamedTuple):
    """A send as the store gives it back."""

    bucket: int
    offset: int
    timestamp_ms: int
    held: bytes
    """Ends with the record as it came."""
    at: int = 0
    """Where in it the record begins: a large one is not copied to be looked at."""

    @property
    def value(self) -> bytes:
        """The record as it came."""
        return self.held[self.at :]


class Shard:
    """See the module's words. Threads write through ``add``; the event loop walks, and scans what is ``stored``."""

    def __init__(self, number: int, store: Store, bucket_ms: int) -> None:
        self.number = number
        self.owned = True
        self.leaving = False
        """Set while the shard goes away: nothing new is started."""
        self.condemned: set[bytes] = set()
        """Digests of messages that have a violation; may name too many, and never too few once all are ``recalled``."""
        self.perhaps_held = {keys.digest_in(key) for key, _ in store.scan_kind(b"H", number)}
        """Digests of messages of which HELD was said; may name too many."""
        self.keeps_admitted = False
        """Whether what results say of calls is kept by time, for the guard's hour."""
        self.recalled = False
        """Whether everything that was stored before has been condemned again."""
        self.read_back_ms: dict[Topic, float] = {}
        """Of each topic all records from this time on have been read; EVERYTHING: all within retention; NOTHING:
        none for sure."""
        self.floor: dict[Topic, int] = {}
        self.live_start: dict[Topic, int] = {}
        self.read_to_end_s = 0.0
        """All sends that were there at this moment (monotonic) have been read, as far as anybody asked."""
        self.read_past_s = 0.0
        """The same by the end that a broker named at that moment, which lay ahead then: true unless it had just come
        back and knew no better."""
        self._store = store
        self._bucket_ms = bucket_ms
        self._lock = threading.Lock()
        self._ranges = {topic: self._stored_ranges(topic) for topic in Topic}
        self._buckets = sorted({bucket for kind in keys.DATA_KINDS for bucket in store.buckets(kind, number)})
        self._batches, self._indexed = self._stored_index()
        self._with_runs = set(store.buckets(b"I", number))
        """Buckets that have runs of the index; in others no lookup needs to search for any."""
        self.stored = Scans(number, store, bucket_ms, lambda: self._buckets)
        self._dropping: Dropping | None = None
        self._tail = Tail()
        self._large = False
        """Whether the send that was read last lay alone: mostly the next one does too."""
        self._fill_tail()

    def __repr__(self) -> str:
        return f"Shard({self.number})"

    # --- written by threads

    def add(
        self, topic: Topic, spans: Iterable[tuple[int, int]], puts: Iterable[Put] = (), parts: Iterable[Part] = ()
    ) -> int:
        """Write data and the ranges of offsets it came from, as one batch; ``parts`` are its sends, for the index.

        Gives the batch's number. Raises Fenced (nothing was written, leave no trace), StoreStalled (nothing was
        written, do it again), StoreCorrupt.
        """
        with self._writing():
            ranges = Ranges(tuple(self._ranges[topic]))
            for start, end in spans:
                ranges.add(start, end)
            key = keys.of_topic(b"R", self.number, topic)
            if self._dropping is not None and topic is not Topic.SENDS:
                puts = list(puts)
                self._dropping.note(key for key, _ in puts)
            self._store.write(chain(puts, ((key, ranges.encode()),)))
            self._ranges[topic] = ranges
            self._batches += 1
            for part in parts:
                self._tail.add(part)
            return self._batches

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            if not self.owned:
                raise Fenced(f"shard {self.number} has left this process")
            yield

    def fence(self) -> None:
        """From now on nothing is written for this shard here."""
        with self._lock:
            self.owned = False

    def bucket(self, timestamp_ms: int) -> int:
        """The time bucket of a record of that time; remembers that it is in use."""
        bucket = keys.bucket(timestamp_ms, self._bucket_ms)
        if bucket not in self._buckets:
            with self._lock:  # several threads: none may drop what another has just added
                self._buckets = sorted({*self._buckets, bucket})
        return bucket

    def head(self, kind: bytes, timestamp_ms: int) -> bytes:
        """The first seven bytes of a key for a record of that time."""
        return keys.head(kind, self.number, self.bucket(timestamp_ms))

    # --- what has been read

    def ranges(self, topic: Topic) -> Ranges:
        """A copy-on-write view: safe to look at, never to change."""
        return self._ranges[topic]

    def topic_id(self, topic: Topic) -> str | None:
        """The id of the topic that the ranges speak of, as it was stored."""
        stored = self._store.get(keys.of_topic(b"T", self.number, topic))
        return stored.decode() if stored else None

    def set_topic_ids(self, ids: dict[Topic, str]) -> None:
        """Remember the ids of the topics from now on read."""
        self._store.write([(keys.of_topic(b"T", self.number, topic), name.encode()) for topic, name in ids.items()])

    def forget(self) -> None:
        """Drop all that is stored of the shard: a topic was made anew, its offsets mean other records now."""
        with self._lock:
            self._store.drop_shard(self.number, _KINDS)
            self._ranges = {topic: Ranges() for topic in Topic}
            self._indexed = Ranges()
            self._tail = Tail()
            self._with_runs = set()
            self._buckets = []
            self.perhaps_held.clear()

    def restoring(self, topic: Topic) -> int:
        """How many offsets below the live reader's start are still to be read."""
        if self.read_back_ms.get(topic) == EVERYTHING:
            return 0
        floor = self.floor.get(topic)
        if floor is None:
            return 1  # not known yet, but not nothing
        return self._ranges[topic].unread(floor, self.live_start[topic])

    @property
    def past_is_read(self) -> bool:
        """Whether all violations and results within retention have been read."""
        back = self.read_back_ms
        return back.get(Topic.VIOLATIONS) == EVERYTHING == back.get(Topic.RESULTS)

    def read_back_to(self, since_ms: float) -> bool:
        """Whether all violations and results from that time on have been read."""
        back = self.read_back_ms
        return back.get(Topic.VIOLATIONS, 0.0) <= since_ms and back.get(Topic.RESULTS, 0.0) <= since_ms

    def events_read_from(self, offset: int) -> bool:
        """Whether all violation events from that offset on have been read."""
        read = self._ranges[Topic.VIOLATIONS]
        return not read.gaps(offset, read.top)

    def _stored_ranges(self, topic: Topic) -> Ranges:
        stored = self._store.get(keys.of_topic(b"R", self.number, topic))
        return Ranges.decode(stored) if stored else Ranges()

    # --- the index of sends

    def _stored_index(self) -> tuple[int, Ranges]:
        """The number of the next run, and the ranges of offsets that are in runs."""
        stored = self._store.get(keys.of_topic(b"X", self.number, Topic.SENDS))
        if stored is None:
            return 0, Ranges()
        return _RUN.unpack_from(stored)[0] + 1, Ranges.decode(stored[_RUN.size :])

    def _fill_tail(self) -> None:
        """Take what is stored and in no run yet into the tail again: the process ended before it came to that."""
        read = self._ranges[Topic.SENDS]
        for gap in self._indexed.gaps(read.bottom, read.top):
            for bucket in self._buckets:
                self._refill(bucket, *gap)

    def _refill(self, bucket: int, start: int, end: int) -> None:
        found = [
            (send.offset, send.digest, send.end - send.start)
            for pack in self._packs_between(bucket, start, end)
            for send in unpack(pack)
            if start <= send.offset < end
        ]
        if found:
            offsets, digests, sizes = zip(*sorted(found), strict=True)
            self._tail.add(Part(bucket, b"".join(digests), offsets, (start, end), sum(sizes)))

    def _packs_between(self, bucket: int, start: int, end: int) -> Iterator[bytes | memoryview]:
        small, large = (keys.head(kind, self.number, bucket) for kind in (b"S", b"L"))
        first = self._store.seeker()(keys.name(small, start))
        begin = first[0] if first is not None else keys.name(small, start)
        for _, pack in self._store.scan_between(begin, keys.name(small, end)):
            yield pack
        for _, value in self._store.scan_between(keys.name(large, start), keys.name(large, end)):
            yield unsealed(value)

    @property
    def run_is_due(self) -> bool:
        """Whether enough sends wait for a run of the index."""
        return self._tail.size >= RUN_SENDS or self._tail.bytes >= RUN_BYTES

    def write_run(self) -> None:
        """Write the tail as a run of the index. For the threads that add; raises as ``add`` does."""
        with self._lock:
            parts, run = list(self._tail.parts), self._batches
        puts = list(blocks(self.number, run, parts))  # sorted without the lock: the tail still has them
        with self._writing():
            if self._tail.parts[: len(parts)] == parts:  # else another thread was quicker, or a bucket has gone
                self._write_run(run, parts, puts)

    def _write_run(self, run: int, parts: list[Part], puts: list[Put]) -> None:
        indexed = Ranges(tuple(self._indexed))
        for part in parts:
            indexed.add(*part.span)
        key = keys.of_topic(b"X", self.number, Topic.SENDS)
        self._store.write([*puts, (key, _RUN.pack(run) + indexed.encode())])
        self._indexed = indexed
        self._with_runs.update(part.bucket for part in parts)
        self._batches = max(self._batches, run + 1)
        self._tail.cut(len(parts))

    # --- a walk over the stored sends of a message, by the event loop

    def new_walk(self, *, puts_off: bool = False) -> Walk:
        """A walk that begins with the oldest bucket; ``puts_off``: what seems to be settled is for ``walk_back``."""
        return Walk(list(self._buckets), puts_off=puts_off)

    def walk(self, digest: bytes, walk: Walk, most: int, most_bytes: int) -> list[StoredSend]:
        """The next sends of a walk, in the order they were stored; none is left when ``walk.todo`` is empty."""
        found: list[StoredSend] = []
        size = 0
        while walk.todo and len(found) < most and size < most_bytes:
            bucket = walk.todo[0]
            fitting = max(1, (most_bytes - size) // walk.mean_bytes)
            some = self._read(bucket, self._next(digest, walk, min(most - len(found), fitting)))
            if not some and walk.todo[:1] == [bucket]:
                break  # what seems to be settled was left: the loop has other things to do before the next run
            found += some
            size += sum(len(send.held) for send in some)
            walk.mean_bytes = max(64, size // max(1, len(found))) if found else walk.mean_bytes
        return found

    def some_send(self, digest: bytes) -> StoredSend | None:
        """One of a message's sends, of the latest bucket that has any."""
        walks = (self.walk(digest, Walk([bucket]), 1, 1) for bucket in reversed(self._buckets))
        return next((found[0] for found in walks if found), None)

    def _next(self, digest: bytes, walk: Walk, most: int) -> list[int]:
        """Offsets of the message's next sends in the walk's first bucket; finishes the bucket when these are its
        last."""
        if walk.ahead:
            return walk.take(walk.ahead, most)
        bucket, skip = walk.todo[0], walk.skip
        start = keys.block(self.number, bucket, digest[0], walk.run)
        with self._lock:  # runs, tail and the number of the last batch must be of one moment
            runs = self._store.scan_from(start[: keys.PREFIX_BYTES], start) if bucket in self._with_runs else ()
            tail, batch = self._tail.find(bucket, digest), self._batches
            size = len(tail)  # others may add to it
        for key, block in runs:
            run = keys.run_of(key)
            if offsets := found_in(block, digest, skip):
                walk.run, walk.skip = run, skip
                if settled := self._settled(digest, offsets) if walk.puts_off else 0:
                    walk.leave(settled)
                return walk.take(offsets[settled:], most)
            if skip:  # done from the tail, of which this run may hold only the first part
                skip -= len(found_in(block, digest))
            walk.run, walk.skip = run + 1, skip
        walk.skip = skip + most
        if size <= walk.skip:
            walk.finish(batch)
        return tail[skip : min(skip + most, size)]

    def _settled(self, digest: bytes, offsets: Sequence[int]) -> int:
        """How many of the first of a run's sends seem to be settled, by a look at few of them: results cover a
        campaign nearly in its order. Being wrong changes the order only, in which it is gone on with."""
        if len(offsets) < WORTH_PUTTING_OFF or not self._marked(digest, offsets[0]):
            return 0
        if self._marked(digest, offsets[-1]):
            return len(offsets)
        return bisect_left(range(len(offsets)), True, key=lambda place: not self._marked(digest, offsets[place]))

    def _marked(self, digest: bytes, offset: int) -> bool:
        return bool(self.stored.marks(digest, offset, offset))

    def walk_back(self, digest: bytes, walk: Walk, most: int, most_bytes: int) -> list[StoredSend]:
        """The next sends of those that a walk has put off; none is left when ``walk.put_off`` is empty."""
        bucket, run, skip, count = walk.put_off[0]
        if not (offsets := walk.behind):
            block = self._store.get(keys.block(self.number, bucket, digest[0], run))
            offsets = found_in(block, digest, skip)[:count] if block is not None else ()  # else the bucket has gone
        return self._read(bucket, walk.take_back(offsets, min(most, max(1, most_bytes // walk.mean_bytes))))

    def _read(self, bucket: int, offsets: list[int]) -> list[StoredSend]:
        finder, found = Finder(self._store, self.number, bucket, large=self._large), list[StoredSend]()
        for offset in offsets:
            if (send := finder.find(offset)) is not None:
                found.append(StoredSend(bucket, offset, *send))
            else:
                self._require_gone(bucket, offset)
        self._large = finder.large
        return found

    def _require_gone(self, bucket: int, offset: int) -> None:
        """A send that the index names is there as long as its bucket."""
        with self._lock:
            if bucket in self._buckets:
                raise StoreCorrupt(f"the send at offset {offset} of shard {self.number} is not where it was stored")

    # --- leaving retention

    def expired_buckets(self, before_ms: int) -> list[int]:
        """The buckets all of whose records are older than that."""
        return [bucket for bucket in self._buckets if self.end_ms(bucket) <= before_ms]

    def end_ms(self, bucket: int) -> int:
        """Where its time ends."""
        return (bucket + 1) * self._bucket_ms

    def drop_bucket(self, bucket: int) -> None:
        """Let a bucket go; end what is open in it first. One at a time; the lock is held for moments only, however much
        is in it. Raises as ``add`` does."""
        dropping = Dropping(self.number, bucket, self._store, lambda: self._buckets, self._writing)
        with self._writing():
            self._dropping = dropping
        try:
            digests = dropping.keep()
            with self._writing():
                digests |= dropping.keep_rest()
                self._store.drop_bucket(self.number, bucket)
                self._tail.drop(bucket)
                self._with_runs.discard(bucket)
                self._buckets = [each for each in self._buckets if each != bucket]
        finally:
            self._dropping = None
        self._store.compact_bucket(self.number, bucket)
        for digest in digests:
            self._acquit(digest)

    def _acquit(self, digest: bytes) -> None:
        """Forget that a message is condemned, if no event of it is left. Under the lock, so that an event that is
        stored just now is either seen here or condemns its message after this."""
        with self._lock:
            if next(self.stored.events(digest), None) is None:
                self.condemned.discard(digest)
