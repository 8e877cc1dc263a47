"""Devices per second: never exceeded in any window, and no call waits for nothing."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.work.limits import AHEAD_S, DEPTH_S, DeviceBucket


class Left(NamedTuple):
    """A call that left."""

    at_s: float
    devices: int


pauses = st.one_of(st.just(0.0), st.floats(0, 0.3), st.floats(0, 30))
steps = st.lists(st.tuples(pauses, st.integers(1, 1_000)), max_size=60)
rates = st.sampled_from([0.5, 3.0, 100.0, 5_000.0])


def drive(rate: float, todo: list[tuple[float, int]]) -> list[Left]:
    """Calls as eager as the bucket lets them be."""
    now_s, bucket, left = 100.0, DeviceBucket(rate, 100.0), list[Left]()
    for pause_s, devices in todo:
        now_s += pause_s
        now_s += bucket.wait_s(now_s)
        while (more_s := bucket.wait_s(now_s)) > 0:
            now_s += max(more_s, 1e-9)
        bucket.take(devices, now_s)
        left.append(Left(now_s, devices))
    return left


def check(left: list[Left], rate: float, ahead: float) -> None:
    """No window of the calls has more than the rate allows in it, and so many devices ahead."""
    for first, (start_s, _) in enumerate(left):
        devices = 0
        for at_s, more in left[first:]:
            devices += more
            assert devices <= rate * (at_s - start_s) + ahead + 1e-3


@given(rates, steps)
def test_no_window_sees_more_than_its_share_and_one_call(rate: float, todo: list[tuple[float, int]]) -> None:
    """In any window of t seconds at most rate × (t + 0.025) devices plus one call leave, of one that has the whole."""
    left = drive(rate, todo)
    check(left, rate, rate * DEPTH_S + max((each.devices for each in left), default=0))


def test_a_new_bucket_starts_empty() -> None:
    """Instances that come and go give no gifts: whoever had the share may have called a moment ago."""
    assert DeviceBucket(100, 5.0).wait_s(5.0) == pytest.approx(1.0)
    assert DeviceBucket(1_000, 5.0, share=1 / 3).wait_s(5.0) == pytest.approx(0.363, abs=0.01)


@given(rates, st.integers(1, 1_000))
def test_a_call_waits_no_longer_than_it_must(rate: float, devices: int) -> None:
    """After the debt is paid the next leaves at once: full use of the share."""
    bucket = DeviceBucket(rate, 0.0)
    empty_s = bucket.wait_s(0.0)
    bucket.take(devices, empty_s)
    assert bucket.wait_s(empty_s) == pytest.approx(devices / rate)
    assert bucket.wait_s(empty_s + devices / rate + 1e-6) == 0


def test_a_new_share_begins_with_nothing_saved_up() -> None:
    """What was saved up at the old rate is lost."""
    bucket = DeviceBucket(100, 0.0)
    bucket.set_rate(100, 5.0)
    bucket.take(1, 5.0)
    assert bucket.wait_s(5.0) == pytest.approx(0.01)


def test_no_rate_is_no_limit() -> None:
    """0: no limit of our own."""
    bucket = DeviceBucket(0, 0.0)
    for _ in range(100):
        assert bucket.wait_s(1.0) == 0
        bucket.take(1_000, 1.0)
    bucket.set_rate(10, 1.0)
    assert bucket.wait_s(1.0) == pytest.approx(1.0)
    assert DeviceBucket(0, 0.0).largest_call == 1_000


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    """Only time that passes fills it."""
    bucket = DeviceBucket(10, 0.0)
    bucket.take(10, 5.0)
    owed_s = bucket.wait_s(5.0)
    assert bucket.wait_s(4.0) == owed_s
    assert bucket.wait_s(5.0) == owed_s


def test_no_call_is_larger_than_one_second_of_the_share() -> None:
    """No call is larger than one second of this instance's share (at least one token)."""
    assert [DeviceBucket(rate, 0.0).largest_call for rate in (0.2, 1.9, 250, 5_000)] == [1, 1, 250, 1_000]
    assert [DeviceBucket(rate / 4, 0.0, 0.25).largest_call for rate in (2, 250, 2_000, 100_000)] == [1, 62, 265, 1_000]


def test_a_share_of_nothing_lets_nothing_through() -> None:
    """An instance whose shards have all gone makes no call, limit or not."""
    for rate in (0, 100):
        bucket = DeviceBucket(rate, 0.0)
        bucket.set_rate(0, 1.0, share=0.0)
        assert bucket.wait_s(1_000.0) == inf


def test_a_smaller_share_keeps_its_part_of_a_debt() -> None:
    """Whoever is given the rest begins in debt for it: no app is silent for ten seconds after a rebalance."""
    for rate, after in ((1_000.0, 1 / 12), (100.0, 1 / 12), (5_000.0, 1 / 12), (1_000.0, 0.5)):
        bucket = DeviceBucket(rate, 0.0)
        assert bucket.wait_s(10.0) == 0
        bucket.take(bucket.largest_call, 10.0)
        bucket.set_rate(rate * after, 10.0, after)
        assert bucket.wait_s(10.0) <= 1.0


moves = st.tuples(st.floats(0, 1.5), st.lists(st.integers(0, 11), min_size=2, max_size=4))


@given(rate=st.sampled_from([20.0, 300.0, 1_000.0, 5_000.0]), moved=st.lists(moves, min_size=1, max_size=25))
def test_shares_that_move_give_nobody_more_than_the_whole(rate: float, moved: list[tuple[float, list[int]]]) -> None:
    """Shared over the instances, adjusted at each rebalance, without ever exceeding the whole: calls as large and as
    early as each may make them. A share is given up before another has it."""
    now_s, left = 100.0, list[Left]()
    buckets = [DeviceBucket(rate if number == 0 else 0.0, now_s, float(number == 0)) for number in range(4)]
    for pause_s, owners in moved:
        until_s = now_s + pause_s
        while (next_s := now_s + max(1e-9, min(bucket.wait_s(now_s) for bucket in buckets))) < until_s:
            now_s = next_s
            for bucket in buckets:
                if bucket.wait_s(now_s) == 0:
                    left.append(Left(now_s, bucket.largest_call))
                    bucket.take(bucket.largest_call, now_s)
        now_s = until_s
        shares = [owners.count(number) / len(owners) for number in range(4)]
        for bucket, share in sorted(zip(buckets, shares, strict=True), key=lambda pair: pair[1] - pair[0].share):
            bucket.set_rate(rate * share, now_s, share)
    check(sorted(left), rate, rate * AHEAD_S + min(1_000, rate) + len(buckets))
