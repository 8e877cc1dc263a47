"""Which sends belong to a message: an index that costs a bulk load next to nothing. Writing here, reading in
``shard``.

Sends are stored in the order of their offsets, since RocksDB takes sorted keys five times as fast as scattered ones.
What finds them by message is written apart: the digests of the latest sends are kept in memory (the *tail*), and when
there are enough of them they are written as one *run*: 256 blocks, one for each first byte of a digest, each an array
of digest and offset in the order they were stored. A lookup searches one block of every run in a bucket, and the
tail.

Promised: every send that was stored is found, by the tail or by a run, in the order it was stored. What is in runs is
remembered as ranges of offsets, written with them: after a crash the rest of what is stored goes into the tail again.
Not promised: that only the message's own sends are found; digests may collide, and who reads the record sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from stream.state import keys
from stream.state.store import Put

ENTRY_BYTES: Final = 16
_SMALL_BYTES: Final = 16_384
"""A block up to this size is searched as bytes; beyond it, as when a campaign fills it, as an array."""
_PAIR: Final = np.dtype(">u8")


class Part(NamedTuple):
    """Sends of one bucket that one batch stored: their digests, joined, and their offsets."""

    bucket: int
    digests: bytes
    offsets: Sequence[int]
    span: tuple[int, int]
    """The offsets that count as indexed once this part is in a run."""
    bytes: int
    """Of the records, or of all of the batch's."""


def parts(
    buckets: int | list[int], offsets: Sequence[int], digests: bytes, span: tuple[int, int], size: int
) -> Iterator[Part]:
    """What the index has to know of a batch of sends; ``digests``: of each, joined; ``size``: of all, in bytes."""
    if isinstance(buckets, int):
        yield Part(buckets, digests, offsets, span, size)
        return
    for bucket in sorted(set(buckets)):
        chosen = [i for i, each in enumerate(buckets) if each == bucket]
        # All parts of a batch claim its whole span: they come into the tail together and into one run together.
        yield Part(bucket, keys.some_digests(digests, chosen), [offsets[i] for i in chosen], span, size)


class Tail:
    """The latest sends, not in a run yet. Not safe by itself: the shard's lock guards it."""

    __slots__ = ("_built", "_table", "bytes", "parts", "size")

    def __init__(self) -> None:
        self._keep([])

    def add(self, part: Part) -> None:
        """Keep the sends of one batch."""
        self.parts.append(part)
        self.size += len(part.offsets)
        self.bytes += part.bytes

    def find(self, bucket: int, digest: bytes) -> list[int]:
        """The offsets of a digest, in the order they were stored. The first search after a bulk load pays for its
        sorting in."""
        while self._built < len(self.parts):
            self._sort_in(self.parts[self._built])
            self._built += 1
        return self._table.get((bucket, digest), [])

    def _sort_in(self, part: Part) -> None:
        table, bucket, digests = self._table, part.bucket, part.digests
        for at, offset in enumerate(part.offsets):
            name = (bucket, digests[8 * at : 8 * at + 8])
            if name in table:
                table[name].append(offset)
            else:
                table[name] = [offset]

    def cut(self, parts: int) -> None:
        """Forget the first so many parts: they are in a run now."""
        self._keep(self.parts[parts:])

    def drop(self, bucket: int) -> None:
        """Forget a bucket."""
        self._keep([part for part in self.parts if part.bucket != bucket])

    def _keep(self, parts: list[Part]) -> None:
        self.parts = parts
        self.size = sum(len(part.offsets) for part in parts)
        self.bytes = sum(part.bytes for part in parts)
        self._table: dict[tuple[int, bytes], list[int]] = {}
        self._built = 0


def blocks(shard: int, run: int, parts: Sequence[Part]) -> Iterator[Put]:
    """One run of these parts, as the store keeps it."""
    for bucket in sorted({part.bucket for part in parts}):
        chosen = [part for part in parts if part.bucket == bucket]
        digests = np.frombuffer(b"".join(part.digests for part in chosen), dtype=np.uint8)
        offsets = np.concatenate([numbers(part.offsets) for part in chosen])
        yield from _blocks(shard, bucket, run, digests, offsets)


def _blocks(shard: int, bucket: int, run: int, digests: np.ndarray, offsets: np.ndarray) -> Iterator[Put]:
    first_bytes = np.ascontiguousarray(digests[:: keys.DIGEST_BYTES])
    order = np.argsort(first_bytes, kind="stable")  # of single bytes: a radix sort, a hundredth of a microsecond a send
    pairs = np.empty((len(order), 2), dtype=_PAIR)
    pairs[:, 0], pairs[:, 1] = digests.view(_PAIR)[order], offsets[order]
    bounds = np.searchsorted(first_bytes[order], np.arange(1, 256, dtype=np.uint8))
    for group, block in enumerate(np.split(pairs, bounds)):
        if len(block):
            yield keys.block(shard, bucket, group, run), block.tobytes()


def numbers(offsets: Sequence[int]) -> np.ndarray:
    """Offsets as an array; a range becomes one without a look at each."""
    if isinstance(offsets, range):
        return np.arange(offsets.start, offsets.stop, dtype=np.uint64)
    return np.array(offsets, dtype=np.uint64)


def found_in(block: bytes, digest: bytes, skip: int = 0) -> Sequence[int]:
    """The offsets of a digest in a block, in the order they were stored, the first ``skip`` left out."""
    if len(block) > _SMALL_BYTES:
        pairs = np.frombuffer(block, dtype=_PAIR).reshape(-1, 2)
        found = pairs[pairs[:, 0] == int.from_bytes(digest, "big"), 1]
        return memoryview(found[skip:].astype(np.uint64))  # an array is a buffer
    at, offsets = block.find(digest), []
    while at >= 0:
        if at % ENTRY_BYTES:  # an offset that looks like the digest, or the end of one entry and the begin of the next
            at = block.find(digest, at + 1)
            continue
        offsets.append(int.from_bytes(block[at + 8 : at + ENTRY_BYTES], "big"))
        at = block.find(digest, at + ENTRY_BYTES)
    return offsets[skip:]
