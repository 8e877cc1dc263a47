"""Sends as they lie in the store: some neighbours together in one value, a *pack*.

RocksDB's price is by the key, most of it in the background: 64 small sends under one key cost a fifth of 64 keys. A
pack begins with a row for each of its sends (offset, record time in ms, digest of the messageId, and where its record
starts, counted from the start of the batch's first), then come the records as they came. Promised: a send is found by
its bucket and offset; no pack has sends of two *stretches* of 64 offsets, so that RocksDB's filters know which files
may hold it. Not promised: that packs are full: a batch, a stretch and a bucket end one.

A large record lies alone under a kind of key of its own, in a blob file, and begins with a *seal*, which a reader
verifies: RocksDB verifies such values with a CRC32C that takes five times as long as reading them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from struct import Struct
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np
import xxhash

from stream.model import StoreCorrupt
from stream.state import keys
from stream.state.index import numbers
from stream.state.store import BLOB_MIN_BYTES, Put, Store
from stream.wire.looks import Records, records_of

PACK_BYTES: Final = 16_000
"""Reading one send reads its pack. Well below the size from which values lie in blob files."""

_COUNT: Final = Struct(">H")
_ROW: Final = Struct(">QQ8sI")
_ROW_AND_NEXT: Final = Struct(">QQ8sI24xI")
"""A row, and of the one behind it where its record starts: there this one's ends."""
_FIRST: Final = Struct(">Q")
_SEAL_BYTES: Final = 8
_ROWS: Final = np.dtype([("offset", ">u8"), ("time", ">u8"), ("digest", ">u8"), ("start", ">u4")])

AnyBytes = TypeVar("AnyBytes", bytes, memoryview)


class Packed(NamedTuple):
    """One send in a pack."""

    offset: int
    timestamp_ms: int
    digest: bytes
    start: int
    end: int


class Batch(NamedTuple):
    """Sends of one batch: of each its offset, record time and record, and their digests, joined."""

    offsets: Sequence[int]
    times: int | np.ndarray
    """Of each, or one for all."""
    digests: bytes
    records: Records

    def of(self, chosen: Sequence[int]) -> Batch:
        """Some of them."""
        times = self.times if isinstance(self.times, int) else self.times[chosen]
        offsets, records = [self.offsets[i] for i in chosen], records_of([self.records.values[i] for i in chosen])
        return Batch(offsets, times, keys.some_digests(self.digests, chosen), records)


def sends_as_puts(shard: int, buckets: int | Sequence[int], batch: Batch) -> Iterator[Put]:
    """A batch as the store keeps it; ``buckets``: of each send, or one for all."""
    if isinstance(buckets, int):
        yield from packs(shard, buckets, batch)
        return
    for bucket in sorted(set(buckets)):
        yield from packs(shard, bucket, batch.of([i for i, each in enumerate(buckets) if each == bucket]))


def packs(shard: int, bucket: int, batch: Batch) -> Iterator[Put]:
    """A batch of one bucket as the store keeps it."""
    rows, (values, _, ends, joined, _) = _rows(batch), batch.records
    table, small, large = rows.tobytes(), keys.head(b"S", shard, bucket), keys.head(b"L", shard, bucket)
    size = int(ends[-1])
    cuts = _cuts(rows["offset"], size)
    starts = [*rows["start"][cuts[:-1]].tolist(), size]
    for (at, end), (first, last) in zip(pairwise(cuts), pairwise(starts), strict=True):
        records = (memoryview(joined)[first:last],) if joined else values[at:end]
        pieces = [_COUNT.pack(end - at), table[at * _ROW.size : end * _ROW.size], *records]
        # Only what is alone is found by its own offset; several lie under the first's, however large one of them is.
        if end - at > 1 or last - first < BLOB_MIN_BYTES:
            yield keys.name(small, batch.offsets[at]), b"".join(pieces)
        else:
            yield keys.name(large, batch.offsets[at]), b"".join((_seal(pieces), *pieces))


def _seal(pieces: Sequence[bytes | memoryview]) -> bytes:
    seal = xxhash.xxh3_64()
    for piece in pieces:
        seal.update(piece)
    return seal.digest()


def unsealed(value: bytes) -> memoryview:
    """The pack of a large send. Raises StoreCorrupt where it is not what was written."""
    pack = memoryview(value)[_SEAL_BYTES:]
    if xxhash.xxh3_64_digest(pack) != value[:_SEAL_BYTES]:
        raise StoreCorrupt("a stored send is not what was written")
    return pack


class Finder:
    """Finds the records of one bucket by their offsets; best asked for in their order."""

    __slots__ = ("_large", "_pack", "_small", "_store", "_up_to", "large")

    def __init__(self, store: Store, shard: int, bucket: int, *, large: bool) -> None:
        """What is stored later may not be found. ``large``: whether to look first among what lies alone; it says
        afterwards where the last one was."""
        self._small, self._large = keys.head(b"S", shard, bucket), keys.head(b"L", shard, bucket)
        self._store, self.large = store, large
        self._up_to: Callable[[bytes], Put | None] | None = None
        """Made when it is needed: a view costs as much as reading a pack."""
        self._pack: _Pack[bytes] | None = None

    def find(self, offset: int) -> tuple[int, bytes, int] | None:
        """Record time of a send, bytes that end with its record, and where in them it begins; None: it is not there.
        Raises StoreCorrupt."""
        if self._pack is not None and (send := self._pack.find(offset)) is not None:
            return _cut_out(self._pack.value, send)
        if self.large:
            return self._alone(offset) or self._in_pack(offset)
        return self._in_pack(offset) or self._alone(offset)

    def _in_pack(self, offset: int) -> tuple[int, bytes, int] | None:
        """A small send; its pack is at hand from now on."""
        if self._up_to is None:
            self._up_to = self._store.seeker()
        if (pair := self._up_to(keys.name(self._small, offset))) is None:
            return None
        pack = _Pack(pair[1])
        if (send := pack.find(offset)) is None:
            return None
        self._pack, self.large = pack, False
        return _cut_out(pack.value, send)

    def _alone(self, offset: int) -> tuple[int, bytes, int] | None:
        value = self._store.get_sealed(keys.name(self._large, offset))
        if value is None or (send := _Pack(unsealed(value)).find(offset)) is None:
            return None
        self.large = True
        return send.timestamp_ms, value, _SEAL_BYTES + send.start


def _cut_out(pack: bytes, send: Packed) -> tuple[int, bytes, int]:
    return send.timestamp_ms, pack[send.start : send.end], 0


def _rows(batch: Batch) -> np.ndarray:
    sizes, ends = batch.records.sizes, batch.records.ends
    rows = np.empty(len(sizes), dtype=_ROWS)
    rows["offset"] = numbers(batch.offsets)
    rows["time"] = batch.times
    rows["digest"] = np.frombuffer(batch.digests, dtype=">u8")
    rows["start"] = ends - sizes
    return rows


def _cuts(offsets: np.ndarray, size: int) -> list[int]:
    """Where packs begin, and where the last one ends: so many offsets to each, a power of two."""
    fitting = PACK_BYTES * len(offsets) // (size + _ROW.size * len(offsets))
    together = 1 << max(1, min(fitting, keys.STRETCH)).bit_length() - 1
    parts = offsets // together
    return [0, *(np.flatnonzero(parts[1:] != parts[:-1]) + 1).tolist(), len(offsets)]


def unpack(pack: bytes | memoryview) -> Iterator[Packed]:
    """The sends of a pack; ``start`` and ``end`` say where in the pack the record lies."""
    (count,) = _COUNT.unpack_from(pack)
    body = _COUNT.size + count * _ROW.size
    rows = list(_ROW.iter_unpack(pack[_COUNT.size : body]))
    before = rows[0][3] - body
    ends = [start - before for *_, start in rows[1:]] + [len(pack)]
    for (offset, timestamp_ms, digest, start), end in zip(rows, ends, strict=True):
        yield Packed(offset, timestamp_ms, digest, start - before, end)


class _Pack(Generic[AnyBytes]):
    """A pack of which some sends are looked for; its rows ascend by offset."""

    __slots__ = ("_before", "_count", "_first", "value")

    def __init__(self, value: AnyBytes) -> None:
        self.value: AnyBytes = value
        (self._count,) = _COUNT.unpack_from(value)
        self._first, _, _, start = _ROW.unpack_from(value, _COUNT.size)
        self._before = start - _COUNT.size - self._count * _ROW.size

    def find(self, offset: int) -> Packed | None:
        """One send; mostly its place is its distance from the first."""
        place = offset - self._first
        if not 0 <= place < self._count or self._offset(place) != offset:
            place = bisect_left(range(self._count), offset, key=self._offset)
            if place == self._count or self._offset(place) != offset:
                return None
        return self._row(place)

    def _offset(self, place: int) -> int:
        offset: int = _FIRST.unpack_from(self.value, _COUNT.size + place * _ROW.size)[0]
        return offset

    def _row(self, place: int) -> Packed:
        at = _COUNT.size + place * _ROW.size
        if place + 1 < self._count:
            offset, timestamp_ms, digest, start, next_start = _ROW_AND_NEXT.unpack_from(self.value, at)
            return Packed(offset, timestamp_ms, digest, start - self._before, next_start - self._before)
        offset, timestamp_ms, digest, start = _ROW.unpack_from(self.value, at)
        return Packed(offset, timestamp_ms, digest, start - self._before, len(self.value))
