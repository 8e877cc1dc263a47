"""An app's learned rate: each branch of the law, and that nothing else moves it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from stream.work.rate import BACK, LEAST_PER_S, LEVEL_S, SIZES, STEP, STEP_S, LearnedRate


def learned(quota: float = 1_000.0, now_s: float = 100.0) -> LearnedRate:
    """One that was refused while it was in use: its ceiling is known."""
    rate = LearnedRate(now_s - 20)
    rate.devices_per_s = 1.2 * quota
    for step in range(200):
        rate._accepted.add(int(quota / 20), now_s - 10 + step / 20)
        rate._asked.add(int(quota / 20), now_s - 10 + step / 20)
    assert rate.refused(100, now_s, now_s)
    return rate


def test_nothing_is_learned_until_something_is_refused() -> None:
    """No limit of our own, only what is learned."""
    rate = LearnedRate(0.0)
    assert not any(rate.accepted(1_000, second, second + 0.1) for second in range(100))
    assert (rate.devices_per_s, rate.largest_call) == (0.0, 1_000)


def test_the_first_refusal_takes_what_got_through_in_the_last_second_for_the_quota() -> None:
    """… and a little less, since some of it had been saved up."""
    rate = LearnedRate(0.0)
    for _ in range(10):
        rate.accepted(1_000, 1.0, 1.1)
    assert rate.refused(1_000, 1.0, 1.1)
    assert rate.devices_per_s == pytest.approx(BACK * 10_000)


def test_it_is_lowered_once_a_round_trip_however_many_are_refused() -> None:
    """A call that left before the last lowering says nothing of the present rate."""
    rate = learned()
    before = rate.devices_per_s
    assert not any(rate.refused(100, 99.9, 100.1) for _ in range(50))
    assert rate.devices_per_s == before
    assert rate.refused(100, 100.0, 100.1)


def test_a_refusal_counts_although_the_rate_was_raised_since_its_call_left() -> None:
    """What was too much before a rise is too much after it; a long round trip must not hide it."""
    rate = learned()
    assert rate.accepted(100, 101.0, 102.0)
    assert rate.refused(100, 101.5, 102.5)


def test_it_is_raised_once_a_round_trip() -> None:
    """An accepted call that left before the last change is no proof that the present rate gets through."""
    rate = learned()
    assert rate.accepted(100, 104.0, 105.0)
    assert not rate.accepted(100, 104.9, 105.1)
    assert rate.accepted(100, 105.0, 106.0)


def test_growth_is_level_at_what_was_too_much_and_steep_before_and_behind_it() -> None:
    """… in parts of it, so that small apps and large ones take as long."""
    shapes = []
    for quota in (100.0, 100_000.0):
        rate = learned(quota)
        grown = [rate.devices_per_s / rate.ceiling]
        for second in range(1, int(3 * LEVEL_S)):
            rate.accepted(1, 99.5 + second, 100.0 + second)
            grown.append(rate.devices_per_s / rate.ceiling)
        shapes.append(grown)
        assert grown == sorted(grown)
        assert grown[0] == pytest.approx(BACK)
        assert grown[int(LEVEL_S)] == pytest.approx(1.0)
        assert grown[int(LEVEL_S) + 5] - grown[int(LEVEL_S)] < 0.01
        assert grown[-1] > 1.9
    assert shapes[0] == pytest.approx(shapes[1], rel=1e-3)


def test_a_rate_grown_far_beyond_what_was_once_too_much_is_forgotten() -> None:
    """It holds nothing back that is known."""
    rate = learned()
    for second in range(1, 200):
        rate.accepted(1, 99.5 + second, 100.0 + second)
    assert (rate.devices_per_s, rate.ceiling) == (0.0, 0.0)


def test_a_rate_that_was_not_used_is_lowered_little_and_its_ceiling_stays() -> None:
    """Others took the quota; it was not us who went too fast."""
    rate = learned(10_000.0)
    before, ceiling = rate.devices_per_s, rate.ceiling
    rate.accepted(1, 120.0, 130.0)
    grown = rate.devices_per_s
    assert rate.refused(1, 130.0, 130.1)
    assert rate.devices_per_s == pytest.approx(BACK * grown)
    assert rate.ceiling == ceiling
    assert rate.devices_per_s > before / 2


def test_where_nothing_gets_through_the_rate_halves_and_the_ceiling_stays_for_the_way_back() -> None:
    """Speed is not what is wrong; the caller waits as well."""
    rate = learned()
    ceiling, rates, now_s = rate.ceiling, [rate.devices_per_s], 100.0
    while rate.devices_per_s > LEAST_PER_S:
        now_s += 0.1
        assert rate.refused(10, now_s - 0.05, now_s)
        rates.append(rate.devices_per_s)
    assert rate.barren_beyond
    assert rates[-2] / rates[-3] == pytest.approx(0.5)
    assert rate.ceiling == ceiling
    steps = 0
    while rate.devices_per_s < BACK * ceiling:
        now_s += STEP_S + 0.01
        assert rate.accepted(1, now_s - 0.05, now_s)
        steps += 1
    assert rate.devices_per_s == pytest.approx(BACK * ceiling), "by steps up to there, and slowly from there on"
    assert STEP ** (steps - 1) < BACK * ceiling / LEAST_PER_S


def test_three_refusals_in_a_row_are_waited_for_and_no_fewer() -> None:
    """One that was accepted in between begins the count anew."""
    rate = learned()
    found = []
    for step in range(1, 4):
        rate.refused(10, 100 + step, 100 + step)
        found.append(rate.barren_beyond)
    assert found == [None, 0, 1], "the first one is what was learned by"
    rate.accepted(10, 104, 104)
    rate.refused(10, 105, 105)
    assert rate.barren_beyond is None


def test_calls_of_a_slow_app_are_cut_by_halves() -> None:
    """What was packed for one size is cut in two, not into one and a bit."""
    rate = LearnedRate(0.0)
    sizes = []
    for rate.devices_per_s in (1e6, 8_000.0, 7_999.0, 1_000.0, 100.0, 10.0):
        sizes.append(rate.largest_call)
    assert sizes == [1_000, 1_000, 500, 125, 7, 1]
    assert all(larger // smaller in (2, 3) for larger, smaller in pairwise(SIZES))


def test_another_share_of_the_shards_takes_its_part_of_what_was_learned() -> None:
    """The quota is the app's, over all instances."""
    rate = learned()
    before = rate.devices_per_s
    rate.move_to(0.25)
    assert rate.devices_per_s == before / 4
    rate.move_to(0.5)
    assert rate.devices_per_s == before / 2


def test_what_was_learned_is_known_to_whoever_loses_all_shards_and_gets_some_back() -> None:
    """A rebalance that takes all and gives all back must not have the quota found out anew."""
    rate = learned()
    before = rate.devices_per_s, rate.ceiling
    rate.move_to(0.0)
    rate.move_to(0.5)
    assert (rate.devices_per_s, rate.ceiling) == (before[0] / 2, before[1] / 2)


def test_who_had_no_shards_yet_has_learned_nothing_of_a_share() -> None:
    """What is learned in the share that comes first is of that."""
    rate = LearnedRate(0.0, share=0.0)
    rate.move_to(0.5)
    assert rate.refused(100, 1.0, 1.1)
    before = rate.devices_per_s
    rate.move_to(1.0)
    assert rate.devices_per_s == 2 * before
