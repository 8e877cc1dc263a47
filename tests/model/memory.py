"""``state.store.Store`` in memory, with a kill -9 that the test aims: of what was not flushed, so many batches stay.

Promised: it answers as the real one does (``test_memory`` holds one against the other). Not promised: stalls and
corruption, nor that anything leaves; ``tests/state`` has those.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping

from stream.state.keys import PREFIX_BYTES, bucket_of, head
from stream.state.store import Put


class MemoryStore:
    """See the module's words."""

    def __init__(self, flushed: Mapping[bytes, bytes] | None = None) -> None:
        self.written: Callable[[int], None] = lambda shard: None
        """Is told for which shard each batch is."""
        self._flushed = dict(flushed or {})
        self._unflushed: list[list[Put]] = []
        self._now = dict(self._flushed)
        self._keys = sorted(self._now)

    # --- what a test does to it

    def flush_some(self, batches: int) -> None:
        """RocksDB flushes by itself when it likes: the oldest so many batches are on the disk then."""
        some, self._unflushed = self._unflushed[:batches], self._unflushed[batches:]
        for batch in some:
            self._flushed.update(batch)

    def after_kill(self) -> MemoryStore:
        """What the next process finds."""
        return MemoryStore(self._flushed)

    # --- what the service does with it

    def write(self, puts: Iterable[Put]) -> None:
        pairs = list(puts)
        for shard in {int.from_bytes(key[1:3], "big") for key, _ in pairs}:
            self.written(shard)
        for key, value in pairs:
            if key not in self._now:
                insort(self._keys, key)
            self._now[key] = value
        self._unflushed.append(pairs)

    def flush(self) -> None:
        self.flush_some(len(self._unflushed))

    def get(self, key: bytes) -> bytes | None:
        return self._now.get(key)

    get_sealed = get

    def scan(self, prefixes: Iterable[bytes]) -> Iterator[Put]:
        return iter([pair for prefix in prefixes for pair in self.scan_from(prefix, prefix)])

    def scan_from(self, prefix: bytes, start: bytes) -> Iterator[Put]:
        return self.scan_between(start, _behind(prefix))

    def scan_kind(self, kind: bytes, shard: int) -> Iterator[Put]:
        start = head(kind, shard, 0)[:3]
        return self.scan_between(start, _behind(start))

    def scan_between(self, start: bytes, end: bytes) -> Iterator[Put]:
        keys = self._keys[bisect_left(self._keys, start) : bisect_left(self._keys, end)]
        return iter([(key, self._now[key]) for key in keys])

    def seeker(self) -> Callable[[bytes], Put | None]:
        keys, values = list(self._keys), dict(self._now)

        def up_to(key: bytes) -> Put | None:
            at = bisect_right(keys, key) - 1
            if at >= 0 and keys[at].startswith(key[:PREFIX_BYTES]):
                return keys[at], values[keys[at]]
            return None

        return up_to

    def buckets(self, kind: bytes, shard: int) -> list[int]:
        return sorted({bucket_of(key) for key, _ in self.scan_kind(kind, shard)})


def _behind(prefix: bytes) -> bytes:
    """The first key behind all that begin so."""
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")
