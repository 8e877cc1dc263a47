"""A range is dropped: small gaps between what was read count as read."""

from __future__ import annotations

from typing import Final

from stream.work.ranges import Range, Ranges

SMALL: Final = 15


def spoil() -> None:
    """What came while nobody read is never read."""
    gaps = Ranges.gaps

    def large(ranges: Ranges, floor: int, ceiling: int) -> list[Range]:
        return [gap for gap in gaps(ranges, floor, ceiling) if gap.end - gap.start > SMALL]

    Ranges.gaps = large  # type: ignore[method-assign,assignment]
