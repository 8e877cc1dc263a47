"""Ranges of offsets read: they never claim what was not added, and keep what was."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.work.ranges import Range, Ranges

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1])), max_size=20)
frames = st.tuples(st.integers(0, 60), st.integers(0, 60))


def offsets(pairs: Iterable[tuple[int, int]]) -> set[int]:
    return {offset for start, end in pairs for offset in range(start, end)}


def filled(pairs: list[tuple[int, int]]) -> Ranges:
    ranges = Ranges()
    for start, end in pairs:
        ranges.add(start, end)
    return ranges


@given(spans)
def test_what_is_claimed_is_exactly_what_was_added(pairs: list[tuple[int, int]]) -> None:
    """Never claims an offset that was not added."""
    ranges = filled(pairs)
    assert offsets(ranges) == offsets(pairs)
    assert [offset for offset in range(80) if offset in ranges] == sorted(offsets(pairs))


@given(spans)
def test_ranges_stay_sorted_apart_and_few(pairs: list[tuple[int, int]]) -> None:
    """Touching ranges become one, so the set stays small."""
    kept = list(filled(pairs))
    assert all(start < end for start, end in kept)
    assert all(before.end < after.start for before, after in pairwise(kept))


@given(spans, st.randoms())
def test_the_order_of_adding_never_matters(pairs: list[tuple[int, int]], random: object) -> None:
    """Chunks of the past come in any order."""
    mixed = list(pairs)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert filled(mixed) == filled(pairs)


@given(spans, frames)
def test_gaps_are_the_complement(pairs: list[tuple[int, int]], frame: tuple[int, int]) -> None:
    """What of the frame has not been read, oldest first, and nothing else."""
    ranges, (floor, ceiling) = filled(pairs), frame
    gaps = ranges.gaps(floor, ceiling)
    missing = set(range(floor, ceiling)) - offsets(pairs)
    assert offsets(gaps) == missing
    assert gaps == sorted(gaps)
    assert ranges.unread(floor, ceiling) == len(missing)
    assert ranges.covers(floor, ceiling) == (not missing)


@given(spans)
def test_what_is_stored_is_what_comes_back(pairs: list[tuple[int, int]]) -> None:
    """As the store keeps it, and back."""
    ranges = filled(pairs)
    assert Ranges.decode(ranges.encode()) == ranges
    assert ranges.top == max(offsets(pairs), default=-1) + 1
    assert ranges.bottom == min(offsets(pairs), default=0)


def test_half_a_pair_is_refused() -> None:
    """Raises ``struct.error`` for anything else."""
    with pytest.raises(struct.error):
        Ranges.decode(b"\0" * 17)


def test_it_tells_what_it_holds() -> None:
    """For people who debug."""
    assert repr(Ranges((Range(1, 3), Range(5, 6)))) == "Ranges(1..3 5..6)"
