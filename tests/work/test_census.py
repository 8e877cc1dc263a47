"""How the violations in memory stand, counted."""

from __future__ import annotations

from collections import Counter

from stream.model import Severity, Status
from stream.work.census import Census
from stream.work.condemned import Condemned
from stream.work.judgement import Event, Violation, judgement_of
from tests.work.making import event


def condemned(*events: Event) -> Condemned:
    """A message with these events."""
    it = Condemned(0, "m", b"digest", 0.0)
    it.judged(judgement_of(events))
    return it


def named(it: Condemned, violation: Violation) -> str:
    """The state that a violation's id begins with."""
    return violation.violation_id.split("-")[0]


def test_every_violation_is_counted_by_its_severity_and_state() -> None:
    """One message may have several, and of several severities."""
    census = Census()
    census.add(condemned(event(1, violation="active-1"), event(2, violation="held-1", severity=Severity.LOW)), named)
    census.add(condemned(event(3, violation="active-2"), event(4, violation="settled-1")), named)
    assert census.counts[Severity.MEDIUM] == Counter(active=2, settled=1)
    assert census.counts[Severity.LOW] == Counter(held=1)
    assert census.counts[Severity.CRITICAL] == Counter()


def test_the_oldest_is_the_one_asked_for_first_of_those_that_are_open() -> None:
    """What is held waits for a person, what is settled for nobody; who asks anew begins to wait anew."""
    census = Census()
    census.add(condemned(event(1, violation="held-1"), event(2, violation="settled-1")), named)
    census.add(condemned(event(3, violation="active-3"), event(9, violation="active-3", detected_ms=2_000)), named)
    census.add(condemned(event(7, violation="waiting-7")), named)
    census.add(condemned(event(8, violation="active-8")), named)
    assert census.oldest[Severity.MEDIUM].violation_id == "waiting-7"
    assert Severity.LOW not in census.oldest


def test_a_withdrawn_one_is_not_open() -> None:
    """The state decides, whatever it is called for."""
    census = Census()
    census.add(condemned(event(1, Status.WITHDRAWN, violation="withdrawn-1")), named)
    assert census.oldest == {}
