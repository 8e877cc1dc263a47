"""The learned bound on calls in flight: lowered by what comes to nothing, and by nothing else."""

from __future__ import annotations

from random import Random

import pytest

from stream.work.bound import BACK, HEAVIEST, LEAST, STEP, SURE_AFTER, LearnedBound


def rounds(
    bound: LearnedBound, seconds: float, bears: float, now_s: float, *, share: float = 0.0, seed: int = 1
) -> float:
    """Round trips of a tenth of a second, as many calls as the bound lets be: of those above ``bears`` each fails, and
    of all a ``share``. The time then."""
    random, until_s = Random(seed), now_s + seconds
    while now_s < until_s:
        calls, left_s, now_s = int(bound.calls), now_s, now_s + 0.1
        for number in range(calls):
            if number >= bears or random.random() < share:
                bound.failed(left_s, now_s)
            else:
                bound.answered(left_s, now_s, calls)
    return now_s


def test_single_failures_change_nothing_not_even_a_timeout() -> None:
    """Single failures happen."""
    bound = LearnedBound(64)
    for number in range(5_000):
        assert not bound.answered(number, number + 0.1, 64)
        if number % 500 == 499:
            assert not bound.failed(number - 10.0, number)
    assert bound.calls == 64


@pytest.mark.parametrize("share", [0.01, 0.02, 0.03])
def test_a_few_in_a_hundred_that_always_fail_leave_it_high(share: float) -> None:
    """Nothing that fewer calls would mend."""
    bound = LearnedBound(64)
    rounds(bound, 120.0, 1_000, 0.0, share=share)
    assert bound.calls > 40


@pytest.mark.parametrize("bears", [10, 30, 50])
def test_it_settles_around_what_the_gateway_bears(bears: int) -> None:
    """Overload: what is too much fails, and is not tried again and again."""
    bound = LearnedBound(64)
    now_s, seen = rounds(bound, 20.0, bears, 0.0), []
    for _ in range(400):
        now_s = rounds(bound, 0.1, bears, now_s)
        seen.append(bound.calls)
    assert 0.75 * bears < sum(seen) / len(seen) < 1.15 * bears


def test_it_is_lowered_once_a_round_trip_however_many_fail() -> None:
    """One trouble, however many calls it hits, counts once."""
    bound = LearnedBound(64)
    changed = [bound.failed(0.0, 1.0) for _ in range(60)]
    assert (changed.count(True), bound.calls) == (1, 64 * BACK)


def test_calls_that_time_out_weigh_more_than_those_that_fail_at_once() -> None:
    """They hold their place for as long as many others would have taken."""

    def failures_until_lowered(took_s: float) -> int:
        bound = LearnedBound(64)
        for number in range(100):
            bound.answered(number, number + 0.1, 64)
        return next(n for n in range(1, 100) if bound.failed(200.0, 200.0 + took_s))

    assert (failures_until_lowered(0.1), failures_until_lowered(10.0)) == (7, 2)
    assert HEAVIEST < 100


def test_it_comes_back_in_small_steps_and_when_they_go_well_in_wide_ones() -> None:
    """Unknown ground is entered slowly, a twentieth each second."""
    bound = LearnedBound(64)
    now_s = rounds(bound, 30.0, 10, 0.0)
    rounds(bound, 0.3, 0, now_s)
    low = bound.calls
    now_s = rounds(bound, 4.0, 1_000, now_s + 1.0)
    assert low * STEP**3 < bound.calls <= low * STEP**6
    rounds(bound, SURE_AFTER + 15.0, 1_000, now_s)
    assert bound.calls == 64


def test_what_is_not_used_does_not_grow() -> None:
    """So little was under way that nobody knows how more would fare."""
    bound = LearnedBound(64)
    rounds(bound, 10.0, 10, 0.0)
    low = bound.calls
    for number in range(20, 1_000):
        bound.answered(number, number + 0.1, 1)
    assert bound.calls == low


@pytest.mark.parametrize(("most", "least"), [(640, 80.0), (64, 8.0), (8, float(LEAST)), (4, 4.0), (1, 1.0)])
def test_it_never_falls_below_an_eighth_nor_below_four_nor_what_the_settings_allow(most: int, least: float) -> None:
    """Half for probes, one for CRITICAL, one for anybody."""
    bound = LearnedBound(most)
    rounds(bound, 100.0, 0, 0.0)
    assert bound.calls == least
