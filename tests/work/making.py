"""Violations, marks and parcels for the tests of the pure middle."""

from __future__ import annotations

from stream.model import RevokeResult, SendHead, Severity, Status, ViolationEvent
from stream.work.endings import Ending, result_of
from stream.work.judgement import Event, Violation, judge
from stream.work.packing import CALL, Fate, Packer, Parcel

HEAD = SendHead("m", "app", 7, 0, 1_000, None)


def event(
    offset: int,
    status: Status = Status.CONFIRMED,
    detected_ms: int = 1_000,
    violation: str = "v",
    severity: Severity = Severity.MEDIUM,
    time_ms: int | None = None,
    reason: str = "spam",
) -> Event:
    """An event as it stands at an offset; its record's time is ten times that unless said."""
    said = ViolationEvent(violation, "m", severity, status, reason, None, detected_ms)
    return Event(offset, 10 * offset if time_ms is None else time_ms, said)


def violation(name: str = "v", time_ms: int = 500) -> Violation:
    """A violation that stands."""
    return judge([event(1, violation=name, time_ms=time_ms)])[name]


def parcel(
    tokens: list[bytes], app: str = "app", fate: Fate = CALL, finding: Violation | None = None, offset: int = 0
) -> Parcel:
    """One parcel with these tokens, from one send."""
    packer = Packer()
    head = HEAD._replace(client_id=app)
    packer.put(finding or violation(), fate, head, (0, len(tokens)), (0, offset, 1_000), tokens, 10_000)
    (made,) = packer.flush()
    return made


def result(made: Parcel, ending: Ending) -> RevokeResult:
    """The result of a parcel, with totals that do not matter."""
    return result_of(made, ending, (1, 1), 2_000, False)
