"""Plans: drawn from seeds, the same each time, and within the table's bounds."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path
from random import Random

import pytest

from tests.failures.faults import Strike, Target, spoiled
from tests.failures.plan import Plan, draw
from tests.failures.table import FAULTS

PLANS = [draw(seed, 10, 30) for seed in range(1, 301)]


def test_a_seed_gives_the_same_plan_again() -> None:
    """A schedule of faults is printed and can be replayed from its seed."""
    assert [draw(seed, 10, 30) for seed in range(1, 301)] == PLANS
    assert len(set(PLANS)) == 300


@pytest.mark.parametrize("brokers", [1, 3])
def test_three_hundred_seeds_inject_every_fault_often(brokers: int) -> None:
    plans = [draw(seed, 10, 30, brokers) for seed in range(1, 301)]
    struck = Counter(strike.fault for plan in plans for strike in plan.strikes)
    assert struck.keys() == {name for name, fault in FAULTS.items() if fault.fits(brokers, "confluent")}
    assert min(struck.values()) > 20


def test_three_hundred_seeds_have_every_protocol_and_wire_format() -> None:
    assert {plan.wire for plan in PLANS} == {"single-object", "confluent"}
    assert not [each for plan in PLANS for each in plan.strikes if not FAULTS[each.fault].fits(1, plan.wire)]
    assert {plan.protocol for plan in PLANS} == {"classic", "consumer"}
    assert {len(plan.seats) for plan in PLANS} == {1, 2, 3}


def test_a_target_suffers_one_fault_at_a_time_and_different_ones_suffer_at_once() -> None:
    pairs = [pair for plan in PLANS for pair in combinations(plan.strikes, 2)]
    meeting = [(one, other) for one, other in pairs if one.at_s <= other.end_s and other.at_s <= one.end_s]
    assert len(meeting) > 300
    assert not [pair for pair in meeting if pair[0].target == pair[1].target]


def test_every_strike_lies_in_its_schedule_and_lasts_as_the_table_says() -> None:
    for plan in PLANS:
        for strike in plan.strikes:
            fault = FAULTS[strike.fault]
            assert 0 <= strike.at_s <= plan.for_s
            assert fault.least_s <= strike.for_s <= fault.most_s
            assert (fault.target is Target.SEAT) == (strike.target in plan.seats)


def test_a_plan_says_all_that_it_will_do() -> None:
    """Each schedule is printed before it runs."""
    strike = Strike("kill", "a", 1.5, 2.0, 3)
    said = str(Plan(7, 12.0, "classic", ("a",), 360, (strike,)))
    assert said.splitlines() == [
        "seed 7: 12.0 s, 360 messages, instances a, group protocol classic, timeout 1 s, single-object, brokers 1",
        "    1.5 s  kill (a), 2.0 s",
    ]


def test_a_spoiled_file_is_shorter_or_differs_in_one_bit(tmp_path: Path) -> None:
    file, whole = tmp_path / "000009.sst", bytes(range(256))
    said: set[bool] = set()
    for seed in range(20):
        file.write_bytes(whole)
        words = spoiled(file, Random(seed))
        left = file.read_bytes()
        flipped = sum((one ^ other).bit_count() for one, other in zip(left, whole, strict=False))
        assert (len(left), flipped) == (256, 1) if "flipped" in words else (len(left) < 256 and flipped == 0)
        said.add("flipped" in words)
    assert said == {True, False}
