"""What was given up is tried again in the parcels that gave it up: the new result takes the place of the old one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.model import Outcome, RevokeResult, Topic
from tests.service.small_world import MINUTE_MS, SmallWorld


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    small = SmallWorld(tmp_path)
    yield small
    small.close()


def latest(world: SmallWorld) -> dict[str, RevokeResult]:
    """As a reader keeps them: of two with one id the later by offset counts."""
    return {result.result_id: result for result in world.results}


def confirmed_again(world: SmallWorld) -> None:
    world.clock.ms += MINUTE_MS
    world.violate("m")
    world.until_quiet()


def some_sends(world: SmallWorld) -> None:
    """More than a call takes, of two apps, with repeats within and between sends."""
    for number in range(4):
        world.send("m", [f"t{number}{letter}" for letter in "abcba"])
        world.send("m", [f"t{number}a", f"x{number}"])
        world.send("m", [f"y{number}"], app="other")


@pytest.mark.parametrize("keep", [None, True, False])
@pytest.mark.parametrize("largest", [1, 3, 1_000])
def test_what_was_given_up_is_tried_again_in_the_same_parcels(
    world: SmallWorld, largest: int, keep: bool | None
) -> None:
    """… late sends, too, which had calls of their own; also after a crash, with and without the store."""
    world.largest = largest
    some_sends(world)
    world.violate("m")
    world.until_quiet("given up")
    world.send("m", ["t0a", "late"])
    world.until_quiet("given up")
    before = latest(world)
    assert {each.outcome for each in before.values()} == {Outcome.FAILED}
    if keep is not None:
        world.restart(keep=keep)
        world.until_quiet()
    confirmed_again(world)
    after = latest(world)
    assert after.keys() == before.keys()
    assert {each.outcome for each in after.values()} == {Outcome.REVOKED}
    assert sum(part.token_count for each in after.values() for part in each.sends) == len(world.places("m"))


def test_what_is_new_beside_it_travels_by_itself(world: SmallWorld) -> None:
    """A send that came while the violation waited for somebody's word has nothing to replace."""
    world.send("m", ["a", "b"])
    world.violate("m")
    world.until_quiet("given up")
    [given_up] = latest(world)
    world.send("m", ["c"])
    world.violate("m")
    world.clock.ms += MINUTE_MS
    world.read(Topic.VIOLATIONS)
    world.until_quiet()
    assert latest(world)[given_up].outcome is Outcome.REVOKED
    assert len(latest(world)) == 2
