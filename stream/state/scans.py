"""What is stored of one shard beside its sends, read back: events, marks, and what results have said.

Promised: what was written before is found, of all buckets that are in use. Not promised: order, but where it is named;
nor anything of a bucket that leaves meanwhile. For the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from stream.state import keys
from stream.state.records import Admitted, unpack_admitted, unpack_event, unpack_mark
from stream.state.store import Store
from stream.work.cover import Mark
from stream.work.judgement import Trace


class StoredEvent(NamedTuple):
    """A violation event as the store gives it back."""

    digest: bytes
    offset: int
    timestamp_ms: int
    trace: Trace
    value: bytes


class Scans:
    """See the module's words."""

    def __init__(self, number: int, store: Store, bucket_ms: int, buckets: Callable[[], Sequence[int]]) -> None:
        """``buckets``: those in use now."""
        self._number, self._store = number, store
        self._bucket_ms, self._buckets = bucket_ms, buckets

    def marks(self, digest: bytes, first_offset: int, last_offset: int) -> dict[int, list[Mark]]:
        """The marks on a message's sends between two offsets, both included, by send offset."""
        found: dict[int, list[Mark]] = {}
        for prefix in self._prefixes(b"M", digest):
            for key, value in self._store.scan_from(prefix, keys.mark(prefix, first_offset, 0, 0)):
                mark = unpack_mark(key, value)
                if mark.send_offset > last_offset:
                    break
                found.setdefault(mark.send_offset, []).append(mark)
        return found

    def events(self, digest: bytes) -> Iterator[StoredEvent]:
        """The stored violation events of a message (and of any other with the same digest)."""
        for key, value in self._store.scan(self._prefixes(b"E", digest)):
            yield StoredEvent(digest, *keys.stamp_of(key), *unpack_event(value))

    def events_beside(self, digest: bytes, timestamp_ms: int) -> Iterator[StoredEvent]:
        """Those in the time bucket of a record of that time, and so those that leave with it."""
        for key, value in self._store.scan(
            [keys.head(b"E", self._number, keys.bucket(timestamp_ms, self._bucket_ms)) + digest]
        ):
            yield StoredEvent(digest, *keys.stamp_of(key), *unpack_event(value))

    def all_events(self) -> Iterator[StoredEvent]:
        """Every stored violation event of the shard."""
        for key, value in self._store.scan_kind(b"E", self._number):
            yield StoredEvent(key[7:15], *keys.stamp_of(key), *unpack_event(value))

    def said(self, digest: bytes, result_id: str) -> bool:
        """Whether the result with this id, one without places, has been delivered, or is never to be."""
        return any(self.words(digest, result_id))

    def words(self, digest: bytes, result_id: str) -> Iterator[bytes]:
        """What stands in the store under such an id: how it ended, or why it is never to be said."""
        name = result_id.encode()
        found = (self._store.get(prefix + name) for prefix in self._prefixes(b"D", digest))
        return (word for word in found if word is not None)

    def admitted_since(self, since_ms: int) -> Iterator[tuple[int, Admitted]]:
        """What results since then say was called, with their times (ms)."""
        for bucket in [each for each in self._buckets() if (each + 1) * self._bucket_ms > since_ms]:
            start = keys.timed(keys.head(b"A", self._number, bucket), since_ms, 0)
            for key, value in self._store.scan_between(start, keys.head(b"A", self._number, bucket + 1)):
                yield keys.time_of(key), unpack_admitted(value)

    def rejects(self, digest: bytes, result_offset: int) -> bytes | None:
        """The rejected tokens of a result, as stored."""
        for prefix in self._prefixes(b"J", digest):
            if (value := self._store.get(keys.numbered(prefix, result_offset))) is not None:
                return value
        return None

    def _prefixes(self, kind: bytes, digest: bytes) -> list[bytes]:
        return [keys.head(kind, self._number, bucket) + digest for bucket in self._buckets()]
