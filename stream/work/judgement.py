"""What the events of one message add up to: its violations, each with its standing. Pure.

Order among events of a violation is their offset, never the order of reading; so ``judge`` takes all that are known
and starts anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from stream.model import Severity, Status, ViolationEvent

Trace = tuple[tuple[str, bytes], ...]


class Event(NamedTuple):
    """A ViolationDetected record as it stands in its topic. ``trace``: its W3C trace headers."""

    offset: int
    timestamp_ms: int
    event: ViolationEvent
    trace: Trace = ()


class Violation(NamedTuple):
    """One violation as its events leave it."""

    violation_id: str
    message_id: str
    severity: Severity
    reason: str
    detector: str | None
    detected_at_ms: int
    status: Status
    first_offset: int
    first_timestamp_ms: int
    again_ms: int
    """Record time of the latest event that asks to try again what was given up before it; 0: none."""
    withdrawals: tuple[int, ...]
    """Offsets of the events that withdrew it, each of which is to be reported, also those that a later event undid."""
    trace: Trace

    @property
    def stands(self) -> bool:
        """Whether its places are to be revoked."""
        return self.status is not Status.WITHDRAWN

    @property
    def since_ms(self) -> int:
        """The earlier of its record's time and its detection: results older than that cannot speak of it."""
        return min(self.first_timestamp_ms, self.detected_at_ms)


def judge(events: Iterable[Event]) -> dict[str, Violation]:
    """The violations of one message by violationId, in the order of their first offsets."""
    violations: dict[str, Violation] = {}
    latest_ms: dict[str, int] = {}
    for event in sorted(events, key=lambda each: each.offset):
        name = event.event.violation_id
        before = violations.get(name)
        violations[name] = _first(event) if before is None else _next(before, event, latest_ms[name])
        latest_ms[name] = max(latest_ms.get(name, event.event.detected_at_ms), event.event.detected_at_ms)
    return violations


def _first(event: Event) -> Violation:
    said = event.event
    return Violation(
        violation_id=said.violation_id,
        message_id=said.message_id,
        severity=said.severity,
        reason=said.reason,
        detector=said.detector,
        detected_at_ms=said.detected_at_ms,
        status=said.status,
        first_offset=event.offset,
        first_timestamp_ms=event.timestamp_ms,
        again_ms=0,
        withdrawals=(event.offset,) if said.status is Status.WITHDRAWN else (),
        trace=event.trace,
    )


def _next(before: Violation, event: Event, latest_ms: int) -> Violation:
    """A later event: it changes the status only, and a CONFIRMED only where it is newer than all before it (else it
    is a repeat)."""
    status = event.event.status
    if status is Status.WITHDRAWN:
        if before.status is status:
            return before
        return before._replace(status=status, withdrawals=(*before.withdrawals, event.offset))
    if status is Status.CONFIRMED and event.event.detected_at_ms <= latest_ms:
        return before
    if status is Status.CONFIRMED and before.status is Status.APPROVED:
        status = Status.APPROVED  # only a withdrawal undoes an approval
    return before._replace(status=status, again_ms=event.timestamp_ms)
