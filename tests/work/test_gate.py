"""Which app may call at this moment, and how severe a call must be at least."""

from __future__ import annotations

from random import Random

import pytest

from stream.model import Severity
from stream.work.apps import App
from stream.work.breaker import SUSPECTS_AFTER
from stream.work.gate import Gate

LOW, CRITICAL = Severity.LOW, Severity.CRITICAL


def gate(most: int = 20, milder_share: float = 0.35) -> Gate:
    return Gate(most, 0.0, Random(1), milder_share)


@pytest.mark.parametrize(
    ("most", "milder", "critical", "least"),
    [
        (20, 18, 0, LOW),
        (20, 19, 0, CRITICAL),  # the last slot is kept
        (20, 12, 7, CRITICAL),  # though some CRITICAL are under way
        (20, 6, 13, LOW),  # but not where milder calls have less than is theirs
        (20, 7, 12, CRITICAL),
        (20, 0, 20, None),
        (1, 0, 0, LOW),
        (2, 1, 0, CRITICAL),
    ],
)
def test_the_last_slot_is_kept_for_critical_once_milder_calls_have_their_share(
    most: int, milder: int, critical: int, least: Severity | None
) -> None:
    """A CRITICAL finding waits for no call to come back; and no severity starves another."""
    it, app = gate(most), App("app", 0.0, 0.0, None)
    for number in range(milder + critical):
        it.leaves(app, 1, 0.0, milder=number < milder)
    assert it.least() is least


def test_while_an_outage_is_suspected_an_app_that_is_not_answered_calls_once_at_a_time() -> None:
    """Ten calls that hang and fail together are not followed by six at once; an app that has failed nothing goes on."""
    it, app, other = gate(), App("app", 0.0, 0.0, None), App("other", 0.0, 0.0, None)
    for _ in range(SUSPECTS_AFTER + 2):
        app.breaker.failed(1.0, 11.0, it.patience)
        it.silence.failed(1.0, 11.0)
    assert it.admits(app, 11.0)
    it.leaves(app, 1, 11.0)
    assert not it.admits(app, 12.0)
    assert it.wait_s(app, 12.0) == 0.0, "its call comes back, and whoever hears of it looks again"
    it.leaves(other, 1, 12.0)
    assert it.admits(other, 13.0)
