"""What waits to be planned, where it is more than an order."""

from __future__ import annotations

from stream.model import Severity
from stream.service.plans import FEW_READY, Plans
from stream.service.ways import Ways
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


def test_a_lane_that_only_counted_gives_a_turn_to_one_that_is_dry_and_to_no_other() -> None:
    """Where the milder one has enough to call, nothing is gained by planning it first."""
    for ready, first in ((FEW_READY - 1, Severity.LOW), (FEW_READY, Severity.CRITICAL)):
        plans, grave, mild = Plans(), Condemned(0, "m", b"digest-m", 0.0), Condemned(0, "n", b"digest-n", 0.0)
        grave.severity = Severity.CRITICAL
        for it in (grave, mild):
            plans.put(it)
        plans.counted(Severity.CRITICAL)
        found = plans.next(_with_so_many_ready(ready))
        assert isinstance(found, Condemned)
        assert found.severity is first


def _with_so_many_ready(ready: int) -> Ways:
    return Ways(
        call=lambda parcel, severity: None,
        end=lambda parcel, ending: None,
        say=lambda it, violation, outcome, detail: None,
        take_back=lambda chosen: [],
        lift=lambda chosen, severity: None,
        ready=lambda severity: ready,
        waiting=lambda app, severity: 0,
        has_room=lambda app, severity: True,
    )
