"""A handful of the schedules that ``python -m tests.failures`` plays by the hundred."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.brokers.apache import ApacheKafka
from tests.failures.plan import draw
from tests.failures.scene import play

SEEDS = (115, 334, 82)
SECONDS = (6, 9)


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
    }


@pytest.mark.kafka
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_nobody_innocent_called_whatever_is_injected(
    own_kafka: ApacheKafka, tmp_path: Path, seed: int
) -> None:
    """Promises 1 to 4 under faults that overlap at random: kill -9, zombies, spoiled stores, a lost broker."""
    plan = draw(seed, *SECONDS)
    print(plan)
    keys, folder = tmp_path / "keys", tmp_path / "town"
    keys.mkdir()
    folder.mkdir()
    verdict = play(plan, own_kafka, keys, folder, f"short-{seed}")
    assert not verdict.breaches, "\n".join(verdict.breaches)
    assert verdict.calls > 30
