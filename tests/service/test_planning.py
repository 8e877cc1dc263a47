"""Steps of planning: how many messages are asked whose they are, beside an app that fills the lanes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stream.service.clock import Clock
from stream.service.pace import FULL, SMALL, GivingWay, Load
from stream.service.plans import PARCELS_READY
from tests.service.small_world import SmallWorld


def full(folder: Path) -> SmallWorld:
    """A world whose lanes are full, and twenty messages that nobody knows the app of."""
    world = SmallWorld(folder)
    world.until_quiet()
    ways = world.desk.planning._ways
    world.desk.planning._ways = ways._replace(
        ready=lambda severity: PARCELS_READY, waiting=lambda app, severity: PARCELS_READY if app == "app" else 0
    )
    for number in range(20):
        world.send(f"m-{number}", ["a"])
        world.violate(f"m-{number}")
    return world


def hear(world: SmallWorld) -> None:
    for topic in world.topics:
        world.read(topic)
    world.tell()


@pytest.mark.parametrize(("busy", "met"), [(False, 8), (True, 2)])
def test_a_loop_without_time_to_spare_asks_fewer_messages_whose_they_are(tmp_path: Path, busy: bool, met: int) -> None:
    """With the lanes full it costs calls; where the gateway is what all wait for it costs nothing."""
    world = full(tmp_path)
    world.desk.planning.is_busy = lambda: busy
    hear(world)
    for so_far in (1, 2):
        assert world.step()
        assert world.desk.planning.plans.strangers == 20 - so_far * met
        assert not world.step(), "not twice within ten milliseconds"
        world.clock.ms += 20
    world.close()


def test_a_message_of_another_app_is_planned_though_an_app_with_many_fills_the_lanes(tmp_path: Path) -> None:
    """Promise 5: it is the newest, so it is asked first, and has room."""
    world = full(tmp_path)
    world.send("another's", ["b"], app="another")
    world.violate("another's")
    hear(world)
    while world.step():
        world.clock.ms += 20
    assert [each.parcel.client_id for each in world.waiting] == ["another"]
    world.close()


class Turned(Clock):
    """Both of its hands are the test's."""

    now_s = worked = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def worked_s(self) -> float:
        return self.worked


def test_a_thread_is_busy_that_worked_for_more_than_half_of_the_time() -> None:
    """Since it was asked last."""
    clock = Turned()
    load = Load(clock)
    for passed_s, worked_s, heavy in ((1.0, 0.6, True), (1.0, 0.4, False), (0.01, 0.009, True), (60.0, 1.0, False)):
        clock.now_s, clock.worked = clock.now_s + passed_s, clock.worked + worked_s
        assert load.is_heavy() is heavy


def test_bulk_reading_takes_small_batches_while_something_is_urgent() -> None:
    """And rests between them."""
    calls = [True]
    pace = GivingWay(lambda: bool(calls))
    begun_s = time.monotonic()
    pace.rest(0.02)
    assert (pace.most(), time.monotonic() - begun_s >= 0.02) == (SMALL, True)
    calls.clear()
    assert pace.most() == FULL


def test_the_clock_tells_what_this_thread_has_worked() -> None:
    """Not the time that has passed."""
    clock = Clock()
    begun_s = clock.worked_s()
    time.sleep(0.2)
    slept_s = clock.worked_s() - begun_s
    sum(range(1_000_000))
    assert 0 <= slept_s < 0.1
    assert clock.worked_s() > begun_s + slept_s
