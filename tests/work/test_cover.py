"""Which places are still to be done, given the marks that results left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.model import Outcome
from stream.work.cover import Kind, Mark, Span, covers, kind_of, known_elsewhere, size, still_open, within, without

PLACES = 12
span = st.tuples(st.integers(0, PLACES), st.integers(0, PLACES)).map(lambda pair: (min(pair), max(pair)))
disjoint = st.sets(st.integers(0, PLACES - 1)).map(lambda chosen: [(at, at + 1) for at in sorted(chosen)])
mark = st.builds(
    lambda where, kind, violation, offset, time: Mark(
        5, where[0], where[1] - where[0], kind, violation, offset, time, rejects=False
    ),
    *(span, st.sampled_from(Kind), st.sampled_from("vwx"), st.integers(0, 9), st.integers(0, 9)),
)


def places(spans: list[Span]) -> set[int]:
    return {at for start, end in spans for at in range(start, end)}


@given(disjoint, st.lists(span, max_size=5))
def test_without_and_within_split_a_set_in_two(spans: list[Span], cuts: list[Span]) -> None:
    """The places that lie in none of the cuts, in order; and those that lie in the frame."""
    left = without(spans, cuts)
    assert places(left) == places(spans) - places(cuts)
    assert left == sorted(left)
    assert size(left) == len(places(left))
    for frame in cuts:
        assert places(within(spans, frame)) == places(spans) & places([frame])


@given(st.lists(mark, max_size=6), st.integers(0, 10))
def test_open_is_what_no_mark_of_this_violation_settles(marks: list[Mark], again_ms: int) -> None:
    """A mark of another violation settles nothing for this one; what was given up before ``again_ms`` is open again."""
    settled = [
        each.span
        for each in marks
        if each.violation_id == "v" and (each.kind is not Kind.GIVEN_UP or each.timestamp_ms >= again_ms)
    ]
    assert places(still_open(PLACES, marks, "v", again_ms)) == set(range(PLACES)) - places(settled)
    assert [each.span for each in marks if covers(each, "v", again_ms)] == settled


def test_a_send_without_tokens_has_nothing_open() -> None:
    """None is legal and covers nothing."""
    assert still_open(0, [], "v", 0) == []


@given(disjoint, st.lists(mark, max_size=6))
def test_another_violation_spares_the_call_only_where_it_revoked_or_was_refused(
    spans: list[Span], marks: list[Mark]
) -> None:
    """A place refused for good or revoked under another violation is known; given up or not revocable is not."""
    known, left = known_elsewhere(spans, marks, "v")
    ends = {Kind.REFUSED, Kind.REVOKED}
    elsewhere = [each.span for each in marks if each.violation_id != "v" and each.kind in ends]
    found = [at for piece, _ in known for at in range(*piece)]
    assert sorted(found) == sorted(places(spans) & places(elsewhere))
    assert places(left) == places(spans) - set(found)
    for piece, by in known:
        assert by.violation_id != "v"
        assert places([piece]) <= places([by.span])
        best = max(
            each.kind
            for each in marks
            if each.violation_id != "v" and each.kind in ends and places([each.span]) & places([piece])
        )
        assert by.kind is best


@pytest.mark.parametrize(
    ("outcome", "rejects", "kind"),
    [
        (Outcome.REVOKED, False, Kind.REVOKED),
        (Outcome.PARTIALLY_REVOKED, True, Kind.REVOKED),
        (Outcome.ALREADY_REVOKED, False, Kind.REVOKED),
        (Outcome.NOT_REVOCABLE, False, Kind.NOT_REVOCABLE),
        (Outcome.FAILED, True, Kind.REFUSED),
        (Outcome.FAILED, False, Kind.GIVEN_UP),
    ],
)
def test_an_outcome_says_what_its_places_are(outcome: Outcome, rejects: bool, kind: Kind) -> None:
    """FAILED with a reason for each token is for good; without, it was given up."""
    assert kind_of(outcome, rejects) is kind
    assert outcome.covers


@pytest.mark.parametrize("outcome", [Outcome.NOT_FOUND, Outcome.WITHDRAWN, Outcome.HELD, Outcome.DRY_RUN])
def test_what_ends_without_places_covers_none(outcome: Outcome) -> None:
    """Only REVOKED, PARTIALLY_REVOKED, FAILED, ALREADY_REVOKED and NOT_REVOCABLE cover places."""
    assert not outcome.covers
