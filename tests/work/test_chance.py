"""Refusals that come by chance are told from those of a quota, and heeded again when they are not chance any more."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from stream.work.chance import BARREN_AFTER, MEMORY, MOST, SAME_AFTER, SOON_S, Chance


def lowered(chance: Chance, times: int, share: float, gap_s: float = 1.0) -> list[tuple[float, float]]:
    """Lowered so often, each time to 85 % of the time before; so many calls are refused by chance in between."""
    found, rate = [], 1_000.0
    for step in range(times):
        found.append(chance.lowered((rate, rate / 0.85), step * gap_s))
        rate *= 0.85
        for call in range(20):
            chance.heard(refused=call < share * 20)
    return found


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, MOST])
def test_a_rate_that_is_lowered_again_and_again_comes_back_to_where_it_began(share: float) -> None:
    """… but for what chance takes of it; refusals that are no more frequent are expected from then on."""
    chance = Chance()
    *before, last = lowered(chance, SAME_AFTER, share)
    assert all(one[0] > other[0] for one, other in pairwise(before)), "until it is told each is heeded"
    assert last[0] == pytest.approx(1_000 / (1 - share))
    assert chance.expected == pytest.approx(share)
    assert chance.explains


@pytest.mark.parametrize(("times", "gap_s", "share"), [
    (SAME_AFTER - 1, 1.0, 0.2),
    (10 * SAME_AFTER, SOON_S + 1, 0.2),
    (SAME_AFTER, 1.0, MOST + 0.1),
])  # fmt: skip
def test_what_may_be_a_quota_is_met_as_one(times: int, gap_s: float, share: float) -> None:
    """Few lowerings, or far between as after each return to a quota, or hardly anything gets through."""
    chance = Chance()
    assert all(one[0] > other[0] for one, other in pairwise(lowered(chance, times, share, gap_s)))
    assert not chance.explains


def test_chance_that_is_over_is_forgotten() -> None:
    """The next refusal is one of speed again."""
    chance = Chance()
    lowered(chance, SAME_AFTER, 0.2)
    for _ in range(2 * MEMORY):
        chance.heard(refused=False)
    assert (chance.expected, chance.explains) == (0.0, False)


def test_refusals_that_become_more_frequent_are_no_chance() -> None:
    """Nor are more in a row than chance brings."""
    chance = Chance()
    lowered(chance, SAME_AFTER, 0.2)
    assert BARREN_AFTER < chance.barren_after < 10
    for _ in range(MEMORY // 4):
        chance.heard(refused=True)
    assert not chance.explains
    chance.lowered((1.0, 1.0), 100.0)
    assert (chance.expected, chance.barren_after) == (0.0, BARREN_AFTER)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.4])
def test_chance_as_it_comes_explains_itself(share: float) -> None:
    """Drawn, not in order: hardly any call is taken for more or forgotten too soon."""
    explained = 0
    for seed in range(20):
        chance, random = Chance(), Random(seed)
        lowered(chance, SAME_AFTER, share)
        for _ in range(500):
            chance.heard(refused=random.random() < share)
            explained += chance.explains
    assert explained > 0.9 * 20 * 500


def test_another_share_of_the_shards_is_another_rate_to_come_back_to() -> None:
    """The quota is the app's, over all instances."""
    chance = Chance()
    lowered(chance, SAME_AFTER - 1, 0.0)
    chance.scale(0.5)
    assert chance.lowered((1.0, 1.0), SAME_AFTER) == pytest.approx((500.0, 500 / 0.85))
