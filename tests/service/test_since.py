"""``join.since``: what was detected earlier is ignored, and what is said later of a violation that counts is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.model import Outcome, Status, Topic
from tests.service.small_world import START_MS, SmallWorld

EARLY_MS, SINCE_MS = START_MS - 10_000, START_MS - 5_000


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("ignored_first", [True, False])
def test_a_withdrawal_counts_though_it_carries_the_time_of_an_event_that_was_ignored(
    tmp_path: Path, ignored_first: bool, keep: bool
) -> None:
    """A false positive: no call leaves for it, read live, from the store or from the past."""
    world = SmallWorld(tmp_path, since_ms=SINCE_MS)
    if ignored_first:
        world.violate("m", detected_ms=EARLY_MS)
    world.violate("m")
    world.violate("m", status=Status.WITHDRAWN, detected_ms=EARLY_MS)
    world.until_quiet()
    world.restart(keep=keep)
    world.send("m", ["t1", "t2"])
    world.until_quiet()
    assert not world.called
    assert world.outcomes("m") == [Outcome.WITHDRAWN]
    world.close()


def test_work_that_was_open_before_the_setting_goes_on(tmp_path: Path) -> None:
    """Every violation that was taken in ends in results, whatever is set later."""
    world = SmallWorld(tmp_path)
    world.violate("m", detected_ms=EARLY_MS)
    world.until_quiet()
    world.since_ms = SINCE_MS
    world.restart(keep=True)
    world.send("m", ["t1", "t2"])
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.NOT_FOUND, Outcome.REVOKED]
    world.close()


@pytest.mark.parametrize("status", list(Status))
def test_what_was_detected_earlier_is_ignored_whatever_it_says(tmp_path: Path, status: Status) -> None:
    """On an old topic: no call, no result, nothing remembered as open."""
    world = SmallWorld(tmp_path, since_ms=SINCE_MS)
    world.violate("m", status=status, detected_ms=EARLY_MS)
    world.send("m", ["t1", "t2"])
    world.until_quiet()
    world.restart(keep=True)
    world.send("m", ["t3"])
    world.until_quiet()
    assert (world.called, world.outcomes("m"), list(world.desk.docket.open)) == ([], [], [])
    assert bool(list(world.shard.stored.all_events())) == (status is not Status.CONFIRMED)
    assert world.at[Topic.VIOLATIONS] == 1
    world.close()
