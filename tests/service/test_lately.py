"""The latest results, and how long the latest calls took."""

from __future__ import annotations

import pytest

from stream.model import Outcome, RevokeResult, Severity
from stream.service.lately import RESULTS_KEPT, WAITS_KEPT, Lately
from stream.work.endings import Ending
from tests.work.making import parcel, result


def revoked(at_ms: int, severity: Severity = Severity.HIGH) -> RevokeResult:
    """A result that was accepted then."""
    made = result(parcel([b"t"]), Ending(Outcome.REVOKED, tokens_revoked=1))
    return made._replace(completed_at_ms=at_ms, severity=severity)


def test_the_latest_results_stand_last_and_are_bounded() -> None:
    """What is kept is bounded."""
    lately = Lately()
    for at_ms in range(RESULTS_KEPT + 7):
        lately.settled(revoked(at_ms), None)
    assert [each.completed_at_ms for each, _ in lately.results] == list(range(7, RESULTS_KEPT + 7))


@pytest.mark.parametrize(
    ("took_s", "p50_s", "p99_s"),
    [([0.3], 0.3, 0.3), ([0.4, 0.1], 0.1, 0.4), ([float(n) for n in range(100, 0, -1)], 50.0, 99.0)],
)
def test_a_percentile_is_the_smallest_that_so_many_do_not_exceed(
    took_s: list[float], p50_s: float, p99_s: float
) -> None:
    """The nearest rank: a value that was really seen."""
    lately = Lately()
    for each in took_s:
        lately.settled(revoked(1), each)
    waits = lately.waits(Severity.HIGH)
    assert waits is not None
    assert (waits.calls, waits.p50_s, waits.p99_s) == (len(took_s), p50_s, p99_s)


def test_each_severity_has_its_own_times_of_the_latest_calls_only() -> None:
    """A bad hour is forgotten when as many calls as are kept went well."""
    lately = Lately()
    lately.settled(revoked(1, Severity.LOW), 60.0)
    for at_ms in range(WAITS_KEPT + 1):
        lately.settled(revoked(at_ms), 900.0 if at_ms == 0 else 0.1)
    waits = lately.waits(Severity.HIGH)
    assert waits is not None
    assert (waits.calls, waits.p99_s, waits.last_ms) == (WAITS_KEPT, 0.1, WAITS_KEPT)
    assert lately.waits(Severity.CRITICAL) is None


def test_what_was_not_revoked_has_no_time() -> None:
    """NOT_FOUND is a result too."""
    lately = Lately()
    lately.settled(revoked(1)._replace(outcome=Outcome.NOT_FOUND), None)
    assert lately.waits(Severity.HIGH) is None
    assert len(lately.results) == 1
