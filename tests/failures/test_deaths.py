"""Each named point once: the instance dies exactly there, the next one goes on, and everything adds up."""

from __future__ import annotations

import shutil
import signal

from tests.failures.fleet import Seat
from tests.failures.launcher import POINTS
from tests.scenarios.judge import repeated
from tests.scenarios.service import Instance
from tests.scenarios.town import Town

HOUR_MS = 3_600_000
WITHIN_S = 20.0


def dies(town: Town, instance: Instance) -> None:
    """kill -9, by its own hand."""
    town.wait_until(lambda: not instance.running, WITHIN_S, "its death")
    assert instance.process.returncode == -signal.SIGKILL


def test_kill_9_at_every_named_point_loses_nothing_and_covers_nothing_twice(town: Town) -> None:
    """Promise 1: between call and result, result and delivery, delivery and store, store flush and commit; during
    restore and drain."""
    seat = Seat(town, "a", {"kafka": {"group_protocol": "classic"}})
    points = [point for point in POINTS if point != "dropping"]
    sends, violations = town.maker.all_kinds(300)
    town.tell(sends)
    for number, point in enumerate(points):
        if point == "restoring":
            shutil.rmtree(seat.store)
        with seat.doomed(point) as instance:
            if point == "draining":
                instance.wait_until_it_works().signal(signal.SIGTERM)
            town.tell(violations[number :: len(points)])
            dies(town, instance)
    seat.start()
    town.wait_until_settled(WITHIN_S)
    town.judge()
    assert not seat.ended


def test_kill_9_during_a_buckets_drop_leaves_nothing_half_gone(town: Town) -> None:
    """Old sends leave by whole buckets. A clock that is an hour ahead lets all of them leave at once; what comes when
    it is right again is revoked, and nothing of before is called again."""
    seat = Seat(town, "a", {"store": {"retention": "10m"}, "push_kit": {"give_up_after": "10m"}})
    sends, violations = town.maker.all_kinds(100)
    seat.start()
    town.tell(sends, violations)
    town.wait_until_settled(WITHIN_S)
    with seat.doomed("dropping") as instance:
        seat.control.clock_ms = HOUR_MS
        dies(town, instance)
    seat.control.clock_ms = 0
    seat.start()
    town.tell(*town.maker.all_kinds(100))
    town.wait_until_settled(WITHIN_S)
    town.judge()
    assert not repeated(town.push_kit.book())
    assert not seat.ended
