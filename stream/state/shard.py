"""One shard as this process holds it: partition p of three topics, what has been read of each, and the fence.

Promised: data and the ranges that speak of it are one batch; after ``fence()`` nothing is written for the shard any
more, from any thread. Not promised: that another process does not hold it too (the broker decides who owns a
partition; a frozen owner notices late).

Where ranges, marks and the fence meet, this order keeps every pair of send and violation together and every settled
place settled: an event is in the store before its message is *condemned* in memory, and condemned before the stored
sends are scanned; a send is in the store before anybody asks whether its message is condemned. Whichever came second
finds the first. A result is delivered before its marks are written, and its own range is written with them: after a
crash either both are there, or the result is read again from its topic. And since every write looks at the fence
under the same lock that ``fence()`` takes, no thread that was late can touch a shard that has gone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from stream.model import Fenced, Topic
from stream.state import keys
from stream.state.records import unpack_event, unpack_mark
from stream.state.store import Put, Store
from stream.work.cover import Mark
from stream.work.judgement import Trace
from stream.work.ranges import Ranges

EVERYTHING: Final = float("-inf")
_KINDS: Final = (*keys.DATA_KINDS, b"R", b"T")


class StoredSend(NamedTuple):
    """A send as the store gives it back."""

    key: bytes
    offset: int
    timestamp_ms: int
    value: bytes


class StoredEvent(NamedTuple):
    """A violation event as the store gives it back."""

    digest: bytes
    offset: int
    timestamp_ms: int
    trace: Trace
    value: bytes


class Shard:
    """See the module's words. Threads write through ``add``; the event loop scans."""

    def __init__(self, number: int, store: Store, bucket_ms: int) -> None:
        self.number = number
        self.owned = True
        self.leaving = False
        """Set while the shard goes away: nothing new is started."""
        self.batches = 0
        """How many batches of sends were written; a scan begun after batch n sees all up to n."""
        self.condemned: set[bytes] = set()
        """Digests of messages that have a violation; may name too many, never too few."""
        self.read_back_ms: dict[Topic, float] = {}
        """Of each topic all records from this time on have been read; EVERYTHING: all within retention."""
        self.floor: dict[Topic, int] = {}
        self.live_start: dict[Topic, int] = {}
        self.read_to_end_s = 0.0
        """All sends that were there at this moment (monotonic) have been read, as far as anybody asked."""
        self._store = store
        self._bucket_ms = bucket_ms
        self._lock = threading.Lock()
        self._ranges = {topic: self._stored_ranges(topic) for topic in Topic}
        self._buckets = sorted(
            {bucket for kind in keys.DATA_KINDS for bucket in store.buckets(kind, number)}, reverse=True
        )

    def __repr__(self) -> str:
        return f"Shard({self.number})"

    # --- written by threads

    def add(
        self, topic: Topic, spans: Iterable[tuple[int, int]], puts: Iterable[Put] = (), deletes: Iterable[bytes] = ()
    ) -> int:
        """Write data and the ranges of offsets it came from, as one batch; for sends: the batch's number.

        Raises Fenced (nothing was written, leave no trace), StoreStalled (nothing was written, do it again),
        StoreCorrupt.
        """
        with self._lock:
            self._check()
            ranges = Ranges(tuple(self._ranges[topic]))
            for start, end in spans:
                ranges.add(start, end)
            key = keys.of_topic(b"R", self.number, topic)
            self._store.write([*puts, (key, ranges.encode())], deletes)
            self._ranges[topic] = ranges
            if topic is Topic.SENDS:
                self.batches += 1
            return self.batches

    def _check(self) -> None:
        if not self.owned:
            raise Fenced(f"shard {self.number} has left this process")

    def fence(self) -> None:
        """From now on nothing is written for this shard here."""
        with self._lock:
            self.owned = False

    def head(self, kind: bytes, timestamp_ms: int) -> bytes:
        """The first seven bytes of a key for a record of that time; remembers that the bucket is in use."""
        bucket = max(0, timestamp_ms) // self._bucket_ms
        if bucket not in self._buckets:
            self._buckets = sorted({*self._buckets, bucket}, reverse=True)
        return keys.head(kind, self.number, bucket)

    def bucket_span(self, timestamp_ms: int) -> tuple[int, int]:
        """The times, ``start <= t < end``, that share the bucket of this one."""
        start = max(0, timestamp_ms) // self._bucket_ms * self._bucket_ms
        return start, start + self._bucket_ms

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
            self._buckets = []

    def restoring(self, topic: Topic) -> int:
        """How many offsets below the live reader's start are still to be read."""
        if self.read_back_ms.get(topic) == EVERYTHING:
            return 0
        floor = self.floor.get(topic)
        if floor is None:
            return 1  # not known yet, but not nothing
        return self._ranges[topic].unread(floor, self.live_start[topic])

    def read_back_to(self, since_ms: float) -> bool:
        """Whether all violations and results from that time on have been read."""
        back = self.read_back_ms
        return back.get(Topic.VIOLATIONS, 0.0) <= since_ms and back.get(Topic.RESULTS, 0.0) <= since_ms

    def _stored_ranges(self, topic: Topic) -> Ranges:
        stored = self._store.get(keys.of_topic(b"R", self.number, topic))
        return Ranges.decode(stored) if stored else Ranges()

    # --- scans, newest bucket first

    def sends(self, digest: bytes, after: bytes, most: int, most_bytes: int) -> tuple[list[StoredSend], int, bool]:
        """Stored sends of a message, oldest bucket first, behind the key ``after``: some, the batch they are a view
        of, and whether these are the last."""
        with self._lock:  # the view and the number of the last batch in it must be of one moment
            batch, pairs = self.batches, self._store.scan(self._prefixes(b"S", digest, after), after)
        found, size = list[StoredSend](), 0
        for key, value in pairs:
            found.append(StoredSend(key, *keys.stamp_of(key), value))
            size += len(value)
            if len(found) >= most or size >= most_bytes:
                return found, batch, False
        return found, batch, True

    def send(self, digest: bytes, offset: int, timestamp_ms: int) -> bytes | None:
        """One send's record."""
        prefix = self.head(b"S", timestamp_ms) + digest
        return self._store.get(keys.stamped(prefix, offset, timestamp_ms))

    def marks(self, digest: bytes, first_offset: int, last_offset: int) -> dict[int, list[Mark]]:
        """The marks on a message's sends between two offsets, both included, by send offset."""
        found: dict[int, list[Mark]] = {}
        starts = [(prefix, keys.mark(prefix, first_offset, 0, 0)) for prefix in self._prefixes(b"M", digest)]
        for prefix, start in starts:
            for key, value in self._store.scan_from(prefix, start):
                mark = unpack_mark(key, value)
                if mark.send_offset > last_offset:
                    break
                found.setdefault(mark.send_offset, []).append(mark)
        return found

    def events(self, digest: bytes) -> Iterator[StoredEvent]:
        """The stored violation events of a message (and of any other with the same digest)."""
        for key, value in self._store.scan(self._prefixes(b"E", digest)):
            yield StoredEvent(digest, *keys.stamp_of(key), *unpack_event(value))

    def all_events(self) -> Iterator[StoredEvent]:
        """Every stored violation event of the shard."""
        for key, value in self._store.scan_kind(b"E", self.number):
            yield StoredEvent(key[7:15], *keys.stamp_of(key), *unpack_event(value))

    def said(self, digest: bytes, result_id: str) -> bool:
        """Whether the result with this id, one without places, has been delivered."""
        name = result_id.encode()
        return any(self._store.get(prefix + name) is not None for prefix in self._prefixes(b"D", digest))

    def rejects(self, digest: bytes, result_offset: int) -> bytes | None:
        """The rejected tokens of a result, as stored."""
        for prefix in self._prefixes(b"J", digest):
            if (value := self._store.get(keys.numbered(prefix, result_offset))) is not None:
                return value
        return None

    def _prefixes(self, kind: bytes, digest: bytes, after: bytes = b"") -> list[bytes]:
        # Oldest first where a scan is to go on behind a key, so that what comes later lies ahead of it.
        heads = (keys.head(kind, self.number, bucket) + digest for bucket in reversed(self._buckets))
        return [prefix for prefix in heads if prefix >= after[: keys.PREFIX_BYTES]]

    # --- leaving retention

    def expired_buckets(self, before_ms: int) -> list[int]:
        """The buckets all of whose records are older than that."""
        return [bucket for bucket in self._buckets if (bucket + 1) * self._bucket_ms <= before_ms]

    def drop_bucket(self, bucket: int) -> None:
        """Let a bucket go; end what is open in it first."""
        with self._lock:
            self._check()
            self._store.drop_bucket(self.number, bucket)
            self._buckets = [each for each in self._buckets if each != bucket]
