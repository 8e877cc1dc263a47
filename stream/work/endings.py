"""How a parcel ends, and the result that says so. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Final, NamedTuple

from stream.model import Outcome, RejectedToken, RevokeResult, SendPart
from stream.work.judgement import Violation
from stream.work.packing import LastReply, Parcel

MAX_TEXT_CHARACTERS: Final = 65_536
"""Of a text in a result that names nothing: a detector's reason of 400 kB would else stand in each of a campaign's
ten thousand results. The violation's own record keeps it whole."""


EXPIRED: Final = "expired"
"""The detail of what left retention before it had ended."""


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


def words(violation: Violation, outcome: Outcome, dry: bool) -> list[str]:
    """What names the results without places that are due: NOT_FOUND once per violation, WITHDRAWN per withdrawal, HELD
    once until a withdrawal."""
    since = f"@{violation.withdrawals[-1]}" if violation.withdrawals else ""
    found = {
        Outcome.WITHDRAWN: [f"{outcome.value}@{offset}" for offset in violation.withdrawals],
        Outcome.HELD: [f"{outcome.value}{since}"],
    }
    return [_word(word, dry) for word in found.get(outcome, [outcome.value])]


def _word(word: str, dry: bool) -> str:
    return f"{word}/dry" if dry else word


def held_ids(violation: Violation, dry: bool) -> list[str]:
    """The ids by which a HELD that still stands is known. Where no withdrawal is known, one of any time does: had one
    been withdrawn since, that would be known as well."""
    own = result_id(violation, (), words(violation, Outcome.HELD, dry)[0])
    return [own] if violation.withdrawals else [own, ever_held_id(violation, dry)]


def ever_held_id(violation: Violation | RevokeResult, dry: bool) -> str:
    """No result's, but what stands for a HELD of any time."""
    return result_id(violation, (), _word("HELD@any", dry))


def not_found_id(violation: Violation | RevokeResult, dry: bool) -> str:
    """The resultId of its NOT_FOUND, whether it was ever said or not."""
    return result_id(violation, (), _word(Outcome.NOT_FOUND.value, dry))


def result_id(violation: Violation | RevokeResult, parts: Sequence[SendPart], word: str) -> str:
    """The same for the same work done again after a crash: 32 hexadecimal digits of violation, places and ``word``.

    ``word`` is empty for work that covers places, whatever its outcome, so that a second try of what was given up
    takes the first one's place, in whatever order its sends were read; it names the kind of a result without places,
    and tells a dry run's from a real one's.
    """
    names = f"{_pair(violation.message_id, violation.violation_id)}\0{word}\0" + ";".join(
        f"{part.partition}/{part.offset}/{part.first_token}+{part.token_count}" for part in sorted(parts)
    )
    return blake2b(names.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _pair(message_id: str, violation_id: str) -> str:
    """Both ids, so that no other two give the same."""
    before = f"{len(message_id)}\0" if "\0" in message_id or "\0" in violation_id else ""
    return f"{before}{message_id}\0{violation_id}"


def result_of(parcel: Parcel, ending: Ending, totals: tuple[int, int], now_ms: int, dry: bool) -> RevokeResult:
    """The result of a parcel that has reached its end. ``totals``: places matched and settled, this one included."""
    violation = parcel.violation
    return RevokeResult(
        result_id(violation, parcel.parts, "dry" if dry else ""),
        violation.violation_id,
        violation.message_id,
        violation.severity,
        _shortened(violation.reason),
        violation.detected_at_ms,
        ending.outcome,
        None if parcel.client_id is None else _shortened(parcel.client_id),
        parcel.notify_id,
        parcel.push_type,
        tuple(parcel.parts),
        len(parcel.tokens) if parcel.attempts else 0,
        ending.tokens_revoked,
        ending.rejected,
        parcel.attempts,
        ending.http_status,
        ending.code,
        None if ending.detail is None else _shortened(ending.detail),
        ending.push_request_id,
        *totals,
        parcel.late,
        parcel.started_at_ms or now_ms,
        now_ms,
    )


def bare_result(
    violation: Violation, outcome: Outcome, word: str, totals: tuple[int, int], now_ms: int, detail: str | None = None
) -> RevokeResult:
    """A result that covers no place: NOT_FOUND, WITHDRAWN, HELD."""
    return RevokeResult(
        result_id=result_id(violation, (), word),
        violation_id=violation.violation_id,
        message_id=violation.message_id,
        severity=violation.severity,
        reason=_shortened(violation.reason),
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


def _shortened(text: str) -> str:
    """The text, or its beginning and how long it was."""
    if len(text) <= MAX_TEXT_CHARACTERS:
        return text
    mark = f"… (cut, {len(text)} characters)"
    return text[: MAX_TEXT_CHARACTERS - len(mark)] + mark


def ending_of(result: RevokeResult) -> Ending:
    """The reverse of ``result_of``: what a result reports beside its parcel."""
    return Ending(
        result.outcome,
        result.tokens_revoked,
        result.rejected_tokens,
        result.http_status,
        result.code,
        result.detail,
        result.push_request_id,
    )


def halves(parcel: Parcel, ending: Ending) -> list[tuple[Parcel, Ending]]:
    """A parcel that has ended as two, each with its own part of the ending; empty for one of a single place.

    For results that are too large: the same parcel is always halved at the same place, so that the results' ids stay
    the same after a crash. A token with places in both halves counts in both.
    """
    if parcel.place_count < 2:
        return []
    middle = parcel.place_count // 2
    return [_slice(parcel, ending, start, end) for start, end in ((0, middle), (middle, parcel.place_count))]


def _slice(parcel: Parcel, ending: Ending, start: int, end: int) -> tuple[Parcel, Ending]:
    places = parcel.places[start:end]
    tokens = list(dict.fromkeys(places))
    parts = _parts_within(parcel.parts, start, end)
    piece = replace(parcel, parts=parts, places=places, tokens=tokens, place_count=end - start)
    if not places:  # made without a call: each token that was refused has a place, in the same order
        return piece, ending._replace(rejected=ending.rejected[start:end])
    known = set(tokens)
    rejected = tuple(each for each in ending.rejected if each.token.encode() in known)
    revoked = len(tokens) - len(rejected) if ending.tokens_revoked else 0
    return piece, ending._replace(
        outcome=_of_piece(ending.outcome, revoked, rejected), tokens_revoked=revoked, rejected=rejected
    )


def _of_piece(outcome: Outcome, revoked: int, rejected: tuple[RejectedToken, ...]) -> Outcome:
    if outcome is not Outcome.PARTIALLY_REVOKED or (revoked and rejected):
        return outcome
    return Outcome.REVOKED if revoked else Outcome.FAILED


def _parts_within(parts: Sequence[SendPart], start: int, end: int) -> list[SendPart]:
    """The parts, or pieces of them, that hold the parcel's places ``start .. end - 1``."""
    found, at = [], 0
    for part in parts:
        lo, hi = max(start, at), min(end, at + part.token_count)
        if lo < hi:
            found.append(part._replace(first_token=part.first_token + lo - at, token_count=hi - lo))
        at += part.token_count
    return found
