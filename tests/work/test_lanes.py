"""The most severe goes first, apps take turns, then age; who may not call holds up nobody."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stream.model import Severity
from stream.work.lanes import Lanes
from stream.work.packing import Parcel
from tests.work.making import parcel, violation

waiting = st.lists(st.tuples(st.sampled_from(Severity), st.sampled_from("abc"), st.integers(0, 5)), max_size=20)


def filled(rows: list[tuple[Severity, str, int]]) -> tuple[Lanes, dict[Parcel, tuple[Severity, str, int]]]:
    lanes, known = Lanes({}), {}
    for severity, app, age_ms in rows:
        made = parcel([b"t"], app, finding=violation(time_ms=age_ms))
        lanes.put(made, severity)
        known[made] = (severity, app, age_ms)
    return lanes, known


SHARES = {Severity.HIGH: 0.2, Severity.MEDIUM: 0.1, Severity.LOW: 0.05}


def served(lanes: Lanes, calls: int, stopped: str = "") -> list[Severity]:
    """The lanes of so many calls, each followed by another parcel of the same lane: none runs dry."""
    came = []
    for _ in range(calls):
        made = lanes.next(lambda app: app not in stopped)
        assert made is not None
        severity = Severity(made.violation.first_timestamp_ms)
        came.append(severity)
        lanes.put(made, severity)
    return came


def backlog(*severities: Severity, app: str = "a") -> Lanes:
    lanes = Lanes(SHARES)
    for severity in severities:
        lanes.put(parcel([b"t"], app, finding=violation(time_ms=int(severity))), severity)
    return lanes


@given(st.sets(st.sampled_from(Severity), min_size=1), st.integers(1, 300))
def test_each_lane_gets_its_share_and_the_most_severe_the_rest(waits: set[Severity], calls: int) -> None:
    """Reserved shares: at least its own while it has something, but for a call or two; all others to the most
    severe."""
    came = served(backlog(*waits), calls)
    for severity in waits:
        assert came.count(severity) >= int(calls * SHARES.get(severity, 0.0)) - 2
    rest = calls * (1 - sum(SHARES.get(severity, 0.0) for severity in waits - {max(waits)}))
    assert came.count(max(waits)) >= rest - 2


def test_in_no_stretch_of_calls_does_a_lane_wait_longer_than_its_share_says() -> None:
    """Shares are kept all the time, not only in the long run."""
    came = served(backlog(*Severity), 2_000)
    for severity, share in SHARES.items():
        turns = [at for at, each in enumerate(came) if each is severity]
        assert max(b - a for a, b in pairwise(turns)) <= 1 / share + 3


def test_a_lane_that_was_idle_saves_nothing_up() -> None:
    """Work-conserving: what a lane did not need was for the others, and is not claimed back."""
    lanes = backlog(Severity.CRITICAL)
    served(lanes, 500)
    lanes.put(parcel([b"t"], "a", finding=violation(time_ms=int(Severity.LOW))), Severity.LOW)
    assert served(lanes, 15) == [Severity.CRITICAL] * 15


def test_a_share_that_cannot_be_used_is_for_the_others_and_catches_up_on_two_calls() -> None:
    """A lane whose app may not call holds up nobody."""
    lanes = backlog(Severity.CRITICAL)
    lanes.put(parcel([b"t"], "slow", finding=violation(time_ms=int(Severity.HIGH))), Severity.HIGH)
    assert served(lanes, 100, stopped="slow") == [Severity.CRITICAL] * 100
    assert served(lanes, 8).count(Severity.HIGH) <= 4


def test_only_what_is_severe_enough_is_taken_where_that_is_asked() -> None:
    """A slot is kept for CRITICAL."""
    assert backlog(Severity.HIGH, Severity.LOW).next(lambda app: True, Severity.CRITICAL) is None
    assert backlog(*Severity).next(lambda app: True, Severity.CRITICAL) is not None


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
def test_ready_counts_this_severity(
    rows: list[tuple[Severity, str, int]], severity: Severity, stopped: set[str]
) -> None:
    """Those of apps that may not call now not counted."""
    lanes, _ = filled(rows)
    expected = sum(row[0] is severity and row[1] not in stopped for row in rows)
    assert lanes.ready(severity, lambda app: app not in stopped) == expected


def test_what_a_paused_app_has_tried_waits_for_nobody_but_the_rest_of_its_own() -> None:
    """No app starves another: that others are always busy must not keep the only probe of a paused one."""
    lanes = Lanes({})
    tried = parcel([b"x"], "paused", finding=violation(time_ms=1))
    lanes.put(tried, Severity.CRITICAL, last=True)
    for _ in range(3):
        lanes.put(parcel([b"y"], "busy", finding=violation(time_ms=2)), Severity.CRITICAL)
    served = [lanes.next(lambda app: True, paused=lambda app: app == "paused") for _ in range(2)]
    assert tried in served
    fresh = parcel([b"z"], "paused", finding=violation(time_ms=3))
    lanes.put(tried, Severity.CRITICAL, last=True)
    lanes.put(fresh, Severity.LOW)
    order = [lanes.next(lambda app: app == "paused", paused=lambda app: app == "paused") for _ in range(2)]
    assert order == [fresh, tried], "another may end the pause"
