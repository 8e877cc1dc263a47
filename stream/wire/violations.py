"""ViolationDetected: one event of a violation.

Promised: every event that leaves here is valid as the contract says; an unknown severity reads as MEDIUM, an unknown
status never as CONFIRMED. Errors are those of ``primitives`` and BadRecord.
"""

from __future__ import annotations

from typing import Any, Final

from stream.model import Severity, Status, ViolationEvent
from stream.wire.foreign import resolution
from stream.wire.primitives import long, optional_text, read_long, read_optional_text, read_text, text
from stream.wire.readers import Reader
from stream.wire.schemas import Schema, present
from stream.wire.validity import require_filled, require_time

NAME: Final = "ViolationDetected"

_STATUSES: Final = tuple(Status)
_STATUS_BYTES: Final = {status: long(index) for index, status in enumerate(_STATUSES)}


def read_violation(data: bytes, at: int) -> ViolationEvent:
    """An event of the present schema. Raises ValueError for bytes behind it."""
    violation_id, at = read_text(data, at)
    message_id, at = read_text(data, at)
    severity, at = read_long(data, at)
    status, at = read_long(data, at)
    reason, at = read_text(data, at)
    detector, at = read_optional_text(data, at)
    detected_at_ms, at = read_long(data, at)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes follow the last field")
    if not 0 <= status < len(_STATUSES):
        raise ValueError(f"there is no status with the index {status}")
    event = ViolationEvent(
        violation_id, message_id, Severity(severity), _STATUSES[status], reason, detector, detected_at_ms
    )
    return _valid(event)


def _valid(event: ViolationEvent) -> ViolationEvent:
    require_filled("violationId", event.violation_id)
    require_filled("messageId", event.message_id)
    require_time("detectedAt", event.detected_at_ms)
    return event


def violation_reader(writer: Schema) -> Reader[ViolationEvent]:
    """How to read events of another schema. Raises ValueError for one that must not be read with."""
    other = resolution(writer, present(NAME))
    return lambda data, at: _event_of(other.read_whole(data, at))


def _event_of(fields: dict[str, Any]) -> ViolationEvent:
    event = ViolationEvent(
        fields["violationId"],
        fields["messageId"],
        Severity[fields["severity"]],
        Status[fields["status"]],
        fields["reason"],
        fields["detector"],
        fields["detectedAt"],
    )
    return _valid(event)


def violation_written(event: ViolationEvent) -> bytes:
    """An event as the present schema writes it. Raises ValueError for a time beyond 64 bits."""
    parts = (
        text(event.violation_id),
        text(event.message_id),
        long(event.severity),
        _STATUS_BYTES[event.status],
        text(event.reason),
        optional_text(event.detector),
        long(event.detected_at_ms),
    )
    return b"".join(parts)
