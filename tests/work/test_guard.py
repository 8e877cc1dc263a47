"""The guard by itself: what is admitted, what is held, in any order and at any time."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.model import Status
from stream.work.guard import HOUR_S, Guard, Hold, Hour, Limits, Request
from stream.work.holding import Holding
from stream.work.judgement import Violation, judge
from tests.work.making import event

LIMIT = 100
APPS = ("a", "b")

steps = st.lists(
    st.tuples(
        st.floats(0.0, 2_000.0),
        st.integers(0, 3),
        st.dictionaries(st.sampled_from(APPS), st.integers(0, 130), max_size=2),
    ),
    max_size=60,
)


@given(steps)
def test_never_more_than_the_limit_is_admitted_in_any_60_minutes(
    steps: list[tuple[float, int, dict[str, int]]],
) -> None:
    """The hour is a sliding 60 minutes per app, whatever shard asks."""
    guard, admitted = Guard(Limits(per_hour=LIMIT)), list[tuple[float, str, int]]()
    for now_s, (_, shard, more) in zip(accumulate(wait_s for wait_s, _, _ in steps), steps, strict=True):
        if guard.admit(shard, Request(more), now_s) is None:
            admitted += [(now_s, app, places) for app, places in more.items()]
    for began_s, app, _ in admitted:
        within = [n for at_s, each, n in admitted if each == app and began_s <= at_s < began_s + HOUR_S]
        assert sum(within) <= LIMIT


@given(steps)
def test_what_is_asked_for_is_admitted_whole_or_not_at_all(steps: list[tuple[float, int, dict[str, int]]]) -> None:
    """Held, whole: a request that fits one app and not the other draws on neither."""
    guard, now_s = Guard(Limits(per_hour=LIMIT)), 0.0
    for wait_s, shard, more in steps:
        now_s += wait_s
        before = Counter({app: guard.hour.drawn(app, now_s) for app in APPS})
        held = guard.admit(shard, Request(more), now_s) is not None
        after = Counter({app: guard.hour.drawn(app, now_s) for app in APPS})
        assert after == before + (Counter() if held else Counter(more))


@given(st.permutations([("a", 10, 0.0), ("a", 20, 5.0), ("b", 30, 5.0), ("a", 40, 100.0), ("b", 1, 900.0)]))
def test_an_hour_is_rebuilt_whatever_the_order_of_its_results(found: list[tuple[str, int, float]]) -> None:
    """Rebuilt from the results of its shards: none counts shorter for being read late."""
    guard = Guard(Limits(per_hour=LIMIT))
    for app, places, at_s in found:
        guard.hour.draw(0, app, places, at_s)
    assert (guard.hour.drawn("a", 1_000.0), guard.hour.drawn("b", 1_000.0)) == (70, 31)
    assert guard.hour.drawn("a", 100.0 + HOUR_S) >= 40
    assert guard.hour.drawn("b", 902.0 + HOUR_S) == 0


def test_the_hour_has_room_again_when_it_is_over() -> None:
    """Sliding: what was admitted 60 minutes ago counts no more."""
    guard = Guard(Limits(per_hour=LIMIT))
    assert guard.admit(0, Request({"a": 60}), 10.0) is None
    assert guard.admit(0, Request({"a": 60}), HOUR_S + 9.0) == Hold("guard.max_devices_per_hour", 120, LIMIT, "a")
    assert guard.admit(0, Request({"b": 60}), HOUR_S + 9.0) is None
    assert guard.admit(0, Request({"a": 60}), HOUR_S + 12.0) is None


def test_the_hour_is_never_a_moment_short() -> None:
    """What was admitted within a second counts until all of that second is 60 minutes old."""
    guard = Guard(Limits(per_hour=LIMIT))
    guard.admit(0, Request({"a": LIMIT}), 0.75)
    assert guard.admit(0, Request({"a": 1}), HOUR_S + 0.5) is not None


def test_what_is_given_back_is_taken_from_its_own_moment_only() -> None:
    """Never more than was admitted then, and nothing of what was admitted at another time or for another."""
    hour = Hour()
    hour.draw(0, "a", 5, 10.0)
    hour.draw(0, "a", 3, 20.0)
    hour.draw(1, "a", 1, 10.0)
    for shard, app, at_s in ((0, "a", 15.0), (2, "a", 10.0), (0, "b", 10.0)):
        hour.give_back(shard, app, 4, at_s)
    assert hour.drawn("a", 30.0) == 9
    hour.give_back(0, "a", 7, 10.0)
    assert hour.drawn("a", 30.0) == 4
    assert hour.drawn("a", 10.0 + HOUR_S + 5) == 3


def test_an_hour_leaves_with_its_shard() -> None:
    """Per app and instance: the next owner has it."""
    guard = Guard(Limits(per_hour=LIMIT))
    guard.admit(3, Request({"a": 100}), 0.0)
    assert guard.admit(4, Request({"a": 1}), 1.0) is not None
    guard.hour.forget(3)
    assert guard.admit(4, Request({"a": 100}), 2.0) is None


@given(st.integers(0, 150), st.dictionaries(st.sampled_from(APPS), st.integers(0, 150), max_size=2))
def test_a_violation_is_held_exactly_when_all_it_comes_to_is_above_its_limit(spent: int, more: dict[str, int]) -> None:
    """Of all apps together, with what it has called before; what needs no call is never held."""
    why = Guard(Limits(per_violation=LIMIT)).admit(0, Request(more, spent), 0.0)
    wanted = sum(more.values())
    assert (why is not None) == (wanted > 0 and spent + wanted > LIMIT)


def test_a_guard_without_limits_admits_everything() -> None:
    """0: off."""
    guard = Guard(Limits())
    assert not guard.on
    assert guard.admit(0, Request({"a": 10**9}, 10**9), 0.0) is None


def test_there_may_be_other_reasons_to_hold() -> None:
    """They are asked like the limits, and draw nothing where they hold."""
    shared = Hold("push_kit.apps.a.hold_shared_notify_ids", 5, 0, "a")
    guard = Guard(Limits(per_hour=LIMIT), [lambda request, now_s: shared if "a" in request.more else None])
    assert guard.admit(0, Request({"a": 5}), 0.0) == shared
    assert guard.admit(0, Request({"b": 5}), 0.0) is None
    assert guard.hour.drawn("a", 0.0) == 0
    assert guard.on


# --- one message's violations


def found(*events: tuple[int, Status] | tuple[int, Status, int]) -> Violation:
    """A violation with these events: offset, status, detectedAt."""
    return judge([event(each[0], each[1], each[2] if len(each) > 2 else 1_000) for each in events])["v"]


CONFIRMED, APPROVED, WITHDRAWN = Status.CONFIRMED, Status.APPROVED, Status.WITHDRAWN


def test_what_is_held_acts_again_when_it_is_approved_and_is_asked_about_anew_after_a_withdrawal() -> None:
    """HELD stands until APPROVED or WITHDRAWN."""
    holding, first = Holding(strict=True), found((1, CONFIRMED))
    holding.hold(first, Hold("x", 2, 1))
    holding.judged([first])
    assert not holding.acts(first)
    assert not holding.undecided([first])
    approved = found((1, CONFIRMED), (2, APPROVED))
    holding.judged([approved])
    assert holding.acts(approved)
    again = found((1, CONFIRMED), (2, WITHDRAWN), (3, CONFIRMED, 9_999))
    holding.hold(first, None)
    holding.judged([again])
    assert holding.undecided([again]) == [again]


def test_a_repeated_finding_does_not_lift_the_hold() -> None:
    """… and nothing else does: not a CONFIRMED that counts."""
    holding, first = Holding(strict=True), found((1, CONFIRMED))
    holding.hold(first, None)
    again = found((1, CONFIRMED), (2, CONFIRMED, 9_999))
    assert again.again_ms
    holding.judged([again])
    assert not holding.acts(again)
    assert not holding.undecided([again])


def test_places_beyond_what_was_admitted_are_asked_for_once() -> None:
    """Sends that come later draw on what is left first, then ask for the rest."""
    holding, it = Holding(strict=True), found((1, CONFIRMED))
    holding.admit(it, Request({"a": 10}, spent=5), 0.0)
    assert holding.draw(it, "a", 8) is None
    assert holding.draw(it, "a", 6) == Request({"a": 4}, 15)
    holding.more(it, Request({"a": 4}, 15))
    assert holding.draw(it, "a", 1) == Request({"a": 1}, 19)
    assert holding.draw(it, "b", 3) == Request({"b": 3}, 19)


@pytest.mark.parametrize("whole", [True, False])
def test_only_what_a_whole_pass_has_counted_is_decided(whole: bool) -> None:
    """A violation starts only when its stored sends are counted and no earlier send is unread."""
    holding, it, later = Holding(strict=True), found((1, CONFIRMED)), found((1, CONFIRMED))._replace(violation_id="w")
    holding.begin_pass([it])
    holding.whole = whole
    assert holding.counted([it, later]) == ([it] if whole else [])


def test_where_the_guard_is_off_only_what_was_held_before_is() -> None:
    """A limit that is taken away releases nobody."""
    holding, it, other = Holding(strict=False), found((1, CONFIRMED)), found((1, CONFIRMED))._replace(violation_id="w")
    holding.hold(it, None)
    assert (holding.acts(it), holding.acts(other)) == (False, True)
    assert not holding.undecided([it, other])
