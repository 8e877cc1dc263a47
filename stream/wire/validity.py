"""What a value must be like beyond its type. Each raises BadRecord ``invalid`` with a sentence that shows no token."""

from __future__ import annotations

from typing import Final

from stream.model import MAX_NOTIFY_ID, BadRecord, DeadReason
from stream.wire.primitives import INT_MAX

FIRST_MS: Final = -62_135_596_800_000
"""0001-01-01T00:00:00Z: what some platforms write for a time that was never set."""
LAST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999. A present time in microseconds lies beyond it."""


def invalid(sentence: str) -> BadRecord:
    """A record whose bytes are right and whose meaning is not."""
    return BadRecord(DeadReason.INVALID, sentence)


def require_filled(name: str, text: str) -> None:
    """An id must name something."""
    if not text:
        raise invalid(f"{name} is empty")


def require_time(name: str, time_ms: int) -> None:
    """A time must be a date that a calendar knows."""
    if not FIRST_MS <= time_ms <= LAST_MS:
        raise invalid(f"{name} {time_ms} is not a time in milliseconds between the years 1 and 9999")


def require_int(name: str, number: int) -> None:
    """Avro's int has 32 bits, though its encoding holds more."""
    if not -INT_MAX - 1 <= number <= INT_MAX:
        raise invalid(f"{name} {number} is beyond 32 bits")


def notify_id_of(number: int | None) -> int | None:
    """What Push Kit can name, or None: this send cannot be revoked."""
    if number is None:
        return None
    if number < 0:
        require_int("notifyId", number)
        return None
    if number > MAX_NOTIFY_ID:
        raise invalid(f"notifyId {number} is above {MAX_NOTIFY_ID}")
    return number
