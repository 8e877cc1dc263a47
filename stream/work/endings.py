"""How a parcel ends, and the result that says so. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from stream.model import Outcome, RejectedToken, RevokeResult, SendPart
from stream.work.judgement import Violation
from stream.work.packing import LastReply, Parcel


class Ending(NamedTuple):
    """What there is to report of a parcel beside itself."""

    outcome: Outcome
    tokens_revoked: int = 0
    rejected: tuple[RejectedToken, ...] = ()
    http_status: int | None = None
    code: str | None = None
    detail: str | None = None
    push_request_id: str | None = None


def unended(parcel: Parcel, detail: str) -> Ending:
    """The ending of a parcel that no call has ended and none will: FAILED, with what its last reply said."""
    last = parcel.last_reply or LastReply("")
    return Ending(
        Outcome.FAILED,
        http_status=last.http_status,
        code=last.code,
        detail=detail,
        push_request_id=last.push_request_id,
    )


def result_id(violation: Violation, parts: Sequence[SendPart], word: str) -> str:
    """The same for the same work done again after a crash: 32 hexadecimal digits of violation, places and ``word``.

    ``word`` is empty for work that covers places, whatever its outcome, so that a second try of what was given up
    takes the first one's place; it names the kind of a result without places, and tells a dry run's from a real
    one's.
    """
    names = f"{violation.message_id}\0{violation.violation_id}\0{word}\0" + ";".join(
        f"{part.partition}/{part.offset}/{part.first_token}+{part.token_count}" for part in parts
    )
    return blake2b(names.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def result_of(parcel: Parcel, ending: Ending, totals: tuple[int, int], now_ms: int, dry: bool) -> RevokeResult:
    """The result of a parcel that has reached its end. ``totals``: places matched and settled, this one included."""
    violation = parcel.violation
    return RevokeResult(
        result_id(violation, parcel.parts, "dry" if dry else ""),
        violation.violation_id,
        violation.message_id,
        violation.severity,
        violation.reason,
        violation.detected_at_ms,
        ending.outcome,
        parcel.client_id,
        parcel.notify_id,
        parcel.push_type,
        tuple(parcel.parts),
        len(parcel.tokens) if parcel.attempts else 0,
        ending.tokens_revoked,
        ending.rejected,
        parcel.attempts,
        ending.http_status,
        ending.code,
        ending.detail,
        ending.push_request_id,
        *totals,
        parcel.late,
        parcel.started_at_ms or now_ms,
        now_ms,
    )


def bare_result(
    violation: Violation, outcome: Outcome, word: str, totals: tuple[int, int], now_ms: int, detail: str | None = None
) -> RevokeResult:
    """A result that covers no place: NOT_FOUND, WITHDRAWN."""
    return RevokeResult(
        result_id=result_id(violation, (), word),
        violation_id=violation.violation_id,
        message_id=violation.message_id,
        severity=violation.severity,
        reason=violation.reason,
        detected_at_ms=violation.detected_at_ms,
        outcome=outcome,
        client_id=None,
        notify_id=None,
        push_type=None,
        sends=(),
        tokens_requested=0,
        tokens_revoked=0,
        rejected_tokens=(),
        attempts=0,
        http_status=None,
        code=None,
        detail=detail,
        push_request_id=None,
        violation_tokens_matched=totals[0],
        violation_tokens_settled=totals[1],
        late=False,
        started_at_ms=now_ms,
        completed_at_ms=now_ms,
    )
