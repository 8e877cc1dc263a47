"""The most severe goes first, apps take turns, then age; who may not call holds up nobody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.model import Severity
from stream.work.lanes import Lanes
from stream.work.packing import Parcel
from tests.work.making import parcel, violation

waiting = st.lists(st.tuples(st.sampled_from(Severity), st.sampled_from("abc"), st.integers(0, 5)), max_size=20)


def filled(rows: list[tuple[Severity, str, int]]) -> tuple[Lanes, dict[Parcel, tuple[Severity, str, int]]]:
    lanes, known = Lanes(), {}
    for severity, app, age_ms in rows:
        made = parcel([b"t"], app, finding=violation(time_ms=age_ms))
        lanes.put(made, severity)
        known[made] = (severity, app, age_ms)
    return lanes, known


def everything(lanes: Lanes) -> list[Parcel]:
    found = []
    while (made := lanes.next(lambda app: True)) is not None:
        found.append(made)
    return found


@given(waiting)
def test_all_come_out_once_the_most_severe_first_and_by_age_within_an_app(
    rows: list[tuple[Severity, str, int]],
) -> None:
    """A parcel of higher severity never waits behind a lower one; within an app the oldest finding goes first."""
    lanes, known = filled(rows)
    order = [known[made] for made in everything(lanes)]
    assert sorted(order) == sorted(rows)
    assert [severity for severity, _, _ in order] == sorted((s for s, _, _ in rows), reverse=True)
    for severity in Severity:
        for app in "abc":
            ages = [age for s, a, age in order if (s, a) == (severity, app)]
            assert ages == sorted(ages)
    assert lanes.size == 0


def test_apps_take_turns() -> None:
    """A campaign of one does not delay a single token of another."""
    lanes, known = filled([(Severity.HIGH, "a", 0)] * 5 + [(Severity.HIGH, "b", 9)] * 2)
    assert [known[made][1] for made in everything(lanes)] == ["a", "b", "a", "b", "a", "a", "a"]


@given(waiting, st.sets(st.sampled_from("abc")))
def test_an_app_that_may_not_call_is_passed_over(rows: list[tuple[Severity, str, int]], stopped: set[str]) -> None:
    """An app that may not call now holds up no other, and keeps what is its own."""
    lanes, known = filled(rows)
    came = []
    while (made := lanes.next(lambda app: app not in stopped)) is not None:
        came.append(known[made])
    assert sorted(came) == sorted(row for row in rows if row[1] not in stopped)
    assert sorted(known[made] for made in lanes) == sorted(row for row in rows if row[1] in stopped)
    assert lanes.apps() == {row[1] for row in rows} & stopped


@given(waiting, st.sets(st.integers(0, 5)))
def test_what_is_taken_out_is_gone_and_the_rest_as_before(
    rows: list[tuple[Severity, str, int]], ages: set[int]
) -> None:
    """Take out all that ``chosen`` names."""
    lanes, known = filled(rows)
    removed = lanes.remove(lambda made: known[made][2] in ages)
    assert sorted(known[made] for made in removed) == sorted(row for row in rows if row[2] in ages)
    assert lanes.size == len(rows) - len(removed)
    assert sum(lanes.depth(severity) for severity in Severity) == lanes.size
    left = [known[made] for made in everything(lanes)]
    assert sorted(left) == sorted(row for row in rows if row[2] not in ages)


@given(waiting, st.sampled_from(Severity), st.sets(st.sampled_from("abc")))
def test_ready_counts_this_severity_and_above(
    rows: list[tuple[Severity, str, int]], severity: Severity, stopped: set[str]
) -> None:
    """Those of apps that may not call now not counted."""
    lanes, _ = filled(rows)
    expected = sum(row[0] >= severity and row[1] not in stopped for row in rows)
    assert lanes.ready(severity, lambda app: app not in stopped) == expected
