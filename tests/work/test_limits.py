"""Devices per second: never exceeded in any window, and no call waits for nothing."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.work.limits import DEPTH_S, DeviceBucket


class Left(NamedTuple):
    """A call that left."""

    at_s: float
    devices: int


pauses = st.one_of(st.just(0.0), st.floats(0, 0.3), st.floats(0, 30))
steps = st.lists(st.tuples(pauses, st.integers(1, 1_000)), max_size=60)
rates = st.sampled_from([0.5, 3.0, 100.0, 5_000.0])


def drive(rate: float, todo: list[tuple[float, int]], changes: dict[int, float]) -> tuple[list[Left], list[Left]]:
    """Calls as eager as the bucket lets them be; the calls, and the rates with their times."""
    now_s, bucket = 100.0, DeviceBucket(rate, 100.0)
    left, rates_at = list[Left](), [Left(0.0, int(rate * 1_000))]
    for turn, (pause_s, devices) in enumerate(todo):
        now_s += pause_s
        if turn in changes:
            bucket.set_rate(changes[turn], now_s)
            rates_at.append(Left(now_s, int(changes[turn] * 1_000)))
        now_s += bucket.wait_s(now_s)
        while (more_s := bucket.wait_s(now_s)) > 0:
            now_s += max(more_s, 1e-9)
        bucket.take(devices, now_s)
        left.append(Left(now_s, devices))
    return left, rates_at


def allowed(start_s: float, end_s: float, rates_at: list[Left]) -> float:
    """What the rates let through in a window, the depth not counted."""
    total = 0.0
    for i, (since_s, rate) in enumerate(rates_at):
        until_s = rates_at[i + 1].at_s if i + 1 < len(rates_at) else end_s
        total += max(0.0, min(end_s, until_s) - max(start_s, since_s)) * rate / 1_000
    return total


def check(left: list[Left], rates_at: list[Left]) -> None:
    most = max((each.devices for each in rates_at), default=0) / 1_000
    for i, first in enumerate(left):
        devices = 0
        for last in left[i:]:
            devices += last.devices
            window = allowed(first.at_s, last.at_s, rates_at) + most * DEPTH_S
            assert devices <= window + max(each.devices for each in left) + 1e-3


@given(rates, steps)
def test_no_window_sees_more_than_its_share_and_one_call(rate: float, todo: list[tuple[float, int]]) -> None:
    """In any window of t seconds at most rate × (t + 0.025) devices plus one call leave, of one that has the whole."""
    check(*drive(rate, todo, {}))


@given(rates, steps, st.dictionaries(st.integers(0, 60), rates, max_size=6))
def test_nor_when_the_share_changes(rate: float, todo: list[tuple[float, int]], changes: dict[int, float]) -> None:
    """What was saved up at the old rate is lost, a debt is kept."""
    check(*drive(rate, todo, changes))


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
