"""What waits to be planned, where it is more than an order."""

from __future__ import annotations

from stream.model import Severity
from stream.service.plans import Plans
from stream.work.condemned import Condemned


def test_a_message_is_parked_once_however_often_it_is_said() -> None:
    """What waits for an app that stands still takes no more memory with every send of it."""
    plans, it = Plans(), Condemned(0, "m", b"digest-m", 0.0)
    for _ in range(3):
        plans.park("app", it)
    assert plans.parked(lambda each: True) == [it]
    assert plans.parked(lambda each: True) == []


def test_a_parked_message_that_becomes_more_severe_is_planned_in_its_new_lane() -> None:
    """What has no room in one lane may have some in another."""
    plans, it = Plans(), Condemned(0, "m", b"digest-m", 0.0)
    plans.park("app", it)
    it.severity = Severity.CRITICAL
    plans.move(it)
    assert (plans.first(Severity.CRITICAL), plans.first(Severity.LOW)) == (it, None)
    assert plans.parked(lambda each: True) == []


def test_nothing_of_a_shard_that_has_gone_stays_parked() -> None:
    """A shard that comes back has messages of the same names, and they are parked anew."""
    plans, gone, other = Plans(), Condemned(0, "m", b"digest-m", 0.0), Condemned(1, "n", b"digest-n", 0.0)
    for it in (gone, other):
        plans.park("app", it)
    plans.forget(0)
    assert plans.parked(lambda each: True) == [other]
