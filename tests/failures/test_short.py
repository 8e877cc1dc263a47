"""A handful of the schedules that ``python -m tests.failures`` plays by the hundred."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.brokers.apache import ApacheKafka
from tests.failures.plan import Plan, draw
from tests.failures.scene import play

SEEDS = (83, 28, 1525)
SECONDS = (8, 11)
THREE_BROKERS_SEED, THREE_BROKERS_SECONDS = 87, (6, 8)


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[ApacheKafka]:
    """A broker that may be killed."""
    with ApacheKafka() as broker:
        yield broker


def test_these_seeds_inject_what_the_page_of_guarantees_names_them_for() -> None:
    """`docs/guarantees.md`: rows whose proof is a schedule of faults."""
    injected = {strike.fault for seed in SEEDS for strike in draw(seed, *SECONDS).strikes}
    assert injected >= {
        "kill",
        "freeze",
        "join",
        "data spoiled",
        "store lost",
        "broker killed",
        "dead letters lost",
        "crowd",
        "clock stepped",
        "results unreachable",
        "dead letters refused",
        "registry down",
        "transaction open",
    }
    three = draw(THREE_BROKERS_SEED, *THREE_BROKERS_SECONDS, brokers=3)
    assert {strike.fault for strike in three.strikes} >= {"controller killed", "all brokers killed"}


@pytest.mark.kafka
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_nobody_innocent_called_whatever_is_injected(
    own_kafka: ApacheKafka, tmp_path: Path, seed: int
) -> None:
    """Promises 1 to 4 under faults that overlap at random: kill -9, zombies, spoiled stores, a lost broker."""
    assert_holds(draw(seed, *SECONDS), own_kafka, tmp_path)


@pytest.mark.kafka
@pytest.mark.timeout(300)
def test_nothing_is_lost_when_brokers_fail_one_by_one_and_all_together(tmp_path: Path) -> None:
    """Promise 1, through broker loss: three of them, replication 3, two in sync; the controller, and all at once."""
    with ApacheKafka(3) as three:
        assert_holds(draw(THREE_BROKERS_SEED, *THREE_BROKERS_SECONDS, brokers=3), three, tmp_path)


def assert_holds(plan: Plan, kafka: ApacheKafka, folder: Path) -> None:
    """Play it; nothing is wrong in the end, and there was something to do."""
    print(plan)
    for name in ("keys", "town"):
        (folder / name).mkdir()
    verdict = play(plan, kafka, folder / "keys", folder / "town", f"short-{plan.brokers}-{plan.seed}")
    assert not verdict.breaches, "\n".join(verdict.breaches)
    assert verdict.calls > 30
