"""What has been read of a topic's partition: a set of half-open ranges of offsets.

Promised: never claims an offset that was not added; touching ranges become one, so the set stays small.
Not promised: that every offset in a range had a record (transaction markers and aborted records leave none).
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

_PAIR: Final = struct.Struct(">QQ")


class Range(NamedTuple):
    """Offsets ``start .. end - 1``."""

    start: int
    end: int


class Ranges:
    """A mutable set of offsets, kept as sorted, disjoint, non-touching ranges."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: tuple[Range, ...] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add(start, end)

    def __iter__(self) -> Iterator[Range]:
        return map(Range, self._starts, self._ends)

    def __len__(self) -> int:
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return "Ranges(" + " ".join(f"{start}..{end}" for start, end in self) + ")"

    def __contains__(self, offset: int) -> bool:
        i = bisect_right(self._starts, offset) - 1
        return i >= 0 and offset < self._ends[i]

    @property
    def top(self) -> int:
        """The end of the newest range; 0 where nothing has been read."""
        return self._ends[-1] if self._ends else 0

    @property
    def bottom(self) -> int:
        """The start of the oldest range; 0 where nothing has been read."""
        return self._starts[0] if self._starts else 0

    def add(self, start: int, end: int) -> None:
        """Note that ``start .. end - 1`` have been read; an empty range changes nothing."""
        if start >= end:
            return
        lo = bisect_left(self._ends, start)
        hi = bisect_right(self._starts, end)
        if lo < hi:
            start, end = min(start, self._starts[lo]), max(end, self._ends[hi - 1])
        self._starts[lo:hi] = [start]
        self._ends[lo:hi] = [end]

    def gaps(self, floor: int, ceiling: int) -> list[Range]:
        """What of ``floor .. ceiling - 1`` has not been read, oldest first."""
        found, at = [], floor
        for start, end in self:
            if end <= at:
                continue
            if start >= ceiling:
                break
            if start > at:
                found.append(Range(at, start))
            at = end
        if at < ceiling:
            found.append(Range(at, ceiling))
        return found

    def unread(self, floor: int, ceiling: int) -> int:
        """How many offsets of ``floor .. ceiling - 1`` have not been read."""
        return sum(gap.end - gap.start for gap in self.gaps(floor, ceiling))

    def covers(self, start: int, end: int) -> bool:
        """Whether all of ``start .. end - 1`` have been read."""
        return not self.gaps(start, end)

    def encode(self) -> bytes:
        """As the store keeps it: pairs of big-endian 64-bit numbers."""
        return b"".join(map(_PAIR.pack, self._starts, self._ends))

    @classmethod
    def decode(cls, value: bytes) -> Ranges:
        """The reverse of ``encode``. Raises ``struct.error`` for anything else."""
        return cls(tuple(Range(*pair) for pair in _PAIR.iter_unpack(value)))
