"""Sends as they lie in the store: some neighbours together in one value, a *pack*.

RocksDB's price is by the key, four fifths of it in the background: sixteen small sends under one key cost a third of
sixteen keys. A pack begins with a row for each of its sends (offset, record time in ms, digest of the messageId, end
of its record in what follows), then come the records as they came. Promised: a send is found by its bucket and
offset. Not promised: that packs are full; a batch ends one, a bucket does, and large records lie alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final, NamedTuple

import numpy as np

from stream.state import keys
from stream.state.store import Put

MOST_SENDS: Final = 16
PACK_BYTES: Final = 3_600
"""Below the size from which RocksDB keeps values in files of their own."""

_COUNT: Final = Struct(">H")
_ROW: Final = Struct(">QQ8sI")
_FIRST: Final = Struct(">Q")
_ROWS: Final = np.dtype([("offset", ">u8"), ("time", ">u8"), ("digest", ">u8"), ("end", ">u4")])


class Packed(NamedTuple):
    """One send in a pack."""

    offset: int
    timestamp_ms: int
    digest: bytes
    start: int
    end: int


class Batch(NamedTuple):
    """Sends of one batch: of each its offset, record time, digest and record."""

    offsets: Sequence[int]
    times: int | Sequence[int]
    """Of each, or one for all."""
    digests: Sequence[bytes]
    values: Sequence[bytes]

    def of(self, chosen: Sequence[int]) -> Batch:
        """Some of them."""
        times = self.times if isinstance(self.times, int) else [self.times[i] for i in chosen]
        offsets, digests = [self.offsets[i] for i in chosen], [self.digests[i] for i in chosen]
        return Batch(offsets, times, digests, [self.values[i] for i in chosen])


def sends_as_puts(shard: int, buckets: int | Sequence[int], batch: Batch) -> Iterator[Put]:
    """A batch as the store keeps it; ``buckets``: of each send, or one for all."""
    if isinstance(buckets, int):
        yield from packs(shard, buckets, batch)
        return
    for bucket in sorted(set(buckets)):
        yield from packs(shard, bucket, batch.of([i for i, each in enumerate(buckets) if each == bucket]))


def packs(shard: int, bucket: int, batch: Batch) -> Iterator[Put]:
    """A batch of one bucket as the store keeps it."""
    count = len(batch.offsets)
    sizes = np.fromiter(map(len, batch.values), dtype=np.uint32, count=count)
    together = max(1, min(MOST_SENDS, PACK_BYTES * count // (int(sizes.sum(dtype=np.uint64)) + _ROW.size * count)))
    rows, head = _rows(batch, sizes, together).tobytes(), keys.head(b"S", shard, bucket)
    full, offsets, values = _COUNT.pack(together), batch.offsets, batch.values
    for at in range(0, count, together):
        end = min(at + together, count)
        length = full if end - at == together else _COUNT.pack(end - at)
        pack = b"".join((length, rows[at * _ROW.size : end * _ROW.size], *values[at:end]))
        yield keys.name(head, offsets[at]), pack


def _rows(batch: Batch, sizes: np.ndarray, together: int) -> np.ndarray:
    offsets = batch.offsets
    rows = np.empty(len(offsets), dtype=_ROWS)
    rows["offset"] = np.arange(offsets.start, offsets.stop) if isinstance(offsets, range) else offsets
    rows["time"] = batch.times
    rows["digest"] = np.frombuffer(b"".join(batch.digests), dtype=">u8")
    ends = np.cumsum(sizes, dtype=np.uint64)
    before = np.concatenate(([0], ends[together - 1 : len(ends) - 1 : together])).astype(np.uint64)
    rows["end"] = ends - np.repeat(before, together)[: len(ends)]
    return rows


def unpack(pack: bytes) -> Iterator[Packed]:
    """The sends of a pack; ``start`` and ``end`` say where in the pack the record lies."""
    (count,) = _COUNT.unpack_from(pack)
    body = _COUNT.size + count * _ROW.size
    start = body
    for offset, timestamp_ms, digest, end in _ROW.iter_unpack(pack[_COUNT.size : body]):
        yield Packed(offset, timestamp_ms, digest, start, body + end)
        start = body + end


def find(pack: bytes, offset: int) -> Packed | None:
    """One send of a pack; mostly its place is its distance from the first."""
    (count,) = _COUNT.unpack_from(pack)
    (first,) = _FIRST.unpack_from(pack, _COUNT.size)
    place = offset - first
    if 0 <= place < count and _FIRST.unpack_from(pack, _COUNT.size + place * _ROW.size)[0] == offset:
        return _row(pack, count, place)
    return next((send for send in unpack(pack) if send.offset == offset), None)


def _row(pack: bytes, count: int, place: int) -> Packed:
    body, at = _COUNT.size + count * _ROW.size, _COUNT.size + place * _ROW.size
    offset, timestamp_ms, digest, end = _ROW.unpack_from(pack, at)
    start = _ROW.unpack_from(pack, at - _ROW.size)[3] if place else 0
    return Packed(offset, timestamp_ms, digest, body + start, body + end)
