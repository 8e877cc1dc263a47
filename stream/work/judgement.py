"""What the events of one message add up to: its violations, each with its standing. Pure.

Order among events of a violation is their offset, never the order of reading. So whoever hears of an event that stands
before one that is known judges all anew; what stands behind them is added, and a repeat needs neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from stream.model import Severity, Status, ViolationEvent

Trace = tuple[tuple[str, bytes], ...]

CLOCKS_DIFFER_MS: Final = 5 * 60_000
"""More than those of two brokers, or of a broker and a detector, should."""


class Event(NamedTuple):
    """A ViolationDetected record as it stands in its topic. ``trace``: its W3C trace headers."""

    offset: int
    timestamp_ms: int
    event: ViolationEvent
    trace: Trace = ()


def approved_at(approvals: tuple[int, ...], time_ms: int) -> bool:
    """Whether a person's approval stood at that time."""
    return sum(each <= time_ms for each in approvals) % 2 == 1


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
    approvals: tuple[int, ...] = ()
    """Record times of the events that approved it and of those that ended that, in turn."""

    @property
    def stands(self) -> bool:
        """Whether its places are to be revoked."""
        return self.status is not Status.WITHDRAWN

    @property
    def tries_ms(self) -> int:
        """What was given up before this is tried again: before the last event that asked for it, or well before its
        first one, as of events that have left retention."""
        return max(self.again_ms, self.first_timestamp_ms - CLOCKS_DIFFER_MS)

    @property
    def latest_ms(self) -> int:
        """When it was asked for last: a violation is as old as that."""
        return max(self.first_timestamp_ms, self.again_ms)

    @property
    def since_ms(self) -> int:
        """The earlier of its record's time and its detection: results older than that cannot speak of it."""
        return min(self.first_timestamp_ms, self.detected_at_ms)


class Judgement(NamedTuple):
    """What the known events of one message add up to."""

    violations: Mapping[str, Violation]
    """By violationId, in the order of their first offsets."""
    latest_ms: Mapping[str, int]
    """Of each, the latest detectedAt of its events."""
    top: int
    """The highest offset among the events; repeats may stand above it."""
    not_before_ms: int | None = None
    """A WITHDRAWN or APPROVED detected earlier begins no violation; it may still change one that is there. None: any
    may. (No such CONFIRMED comes here, but for one from before the setting: what is under way goes on.)"""

    def after(self, events: Iterable[Event]) -> Judgement | None:
        """With these events too. None: it takes all of them to tell, since one stands before an event that is known."""
        new = sorted((event for event in events if not self._repeats(event)), key=lambda each: each.offset)
        if not new:
            return self
        return self._with(new) if new[0].offset > self.top else None

    def _repeats(self, event: Event) -> bool:
        """Whether it is the violation's first event, or a repeat of it: whatever else is read still, from before or
        behind, it changes nothing."""
        known = self.violations.get(event.event.violation_id)
        return (
            known is not None
            and event.event.status is Status.CONFIRMED
            and event.offset >= known.first_offset
            and event.event.detected_at_ms <= known.detected_at_ms
        )

    def _with(self, events: list[Event]) -> Judgement:
        violations, latest_ms = dict(self.violations), dict(self.latest_ms)
        for event in events:
            name, detected_ms = event.event.violation_id, event.event.detected_at_ms
            before = violations.get(name)
            if before is None and not begins(event.event, self.not_before_ms):
                continue
            violations[name] = _first(event) if before is None else _next(before, event, latest_ms[name])
            latest_ms[name] = max(latest_ms.get(name, detected_ms), detected_ms)
        return self._replace(violations=violations, latest_ms=latest_ms, top=events[-1].offset)


NOTHING: Final = Judgement({}, {}, -1)


def begins(event: ViolationEvent, not_before_ms: int | None) -> bool:
    """Whether an event can be its violation's first: a person's word on what was ignored cannot."""
    return event.status is Status.CONFIRMED or _in_time(event, not_before_ms)


def is_heeded(event: ViolationEvent, not_before_ms: int | None) -> bool:
    """Whether an event is taken in at all. One that withdraws or approves is though it was detected too early to begin
    a violation: it may carry the time of an event that was ignored."""
    return event.status is not Status.CONFIRMED or _in_time(event, not_before_ms)


def _in_time(event: ViolationEvent, not_before_ms: int | None) -> bool:
    return not_before_ms is None or event.detected_at_ms >= not_before_ms


def needless(event: Event, kept: Iterable[Event]) -> bool:
    """Whether an event changes nothing beside those that are kept, whatever else is read before or after: a CONFIRMED
    behind an event of its violation that was detected no earlier never counts, nor does it keep another from
    counting."""
    return event.event.status is Status.CONFIRMED and any(
        each.event.violation_id == event.event.violation_id
        and each.event.message_id == event.event.message_id
        and each.offset < event.offset
        and each.event.detected_at_ms >= event.event.detected_at_ms
        for each in kept
    )


def judgement_of(events: Iterable[Event], not_before_ms: int | None = None) -> Judgement:
    """All that is known of one message; its events in any order. ``not_before_ms``: as of ``Judgement``."""
    nothing = NOTHING._replace(not_before_ms=not_before_ms)
    return nothing.after(events) or nothing


def judge(events: Iterable[Event], not_before_ms: int | None = None) -> Mapping[str, Violation]:
    """The violations of one message by violationId, in the order of their first offsets."""
    return judgement_of(events, not_before_ms).violations


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
        approvals=(event.timestamp_ms,) if said.status is Status.APPROVED else (),
    )


def _next(before: Violation, event: Event, latest_ms: int) -> Violation:
    """A later event: it changes the status only, and a CONFIRMED only where it is newer than all before it (else it
    is a repeat)."""
    status = event.event.status
    if status is Status.WITHDRAWN:
        if before.status is status:
            return before
        ended = (event.timestamp_ms,) if before.status is Status.APPROVED else ()
        approvals = (*before.approvals, *ended)
        return before._replace(status=status, withdrawals=(*before.withdrawals, event.offset), approvals=approvals)
    if status is Status.CONFIRMED and event.event.detected_at_ms <= latest_ms:
        return before
    if status is Status.CONFIRMED and before.status is Status.APPROVED:
        status = Status.APPROVED  # only a withdrawal undoes an approval
    began = (event.timestamp_ms,) if status is Status.APPROVED is not before.status else ()
    return before._replace(status=status, again_ms=event.timestamp_ms, approvals=(*before.approvals, *began))
