"""What a faultless pipeline and a truthful gateway would leave behind, so that tests can spoil one thing at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from stream.demo.cast import OWN_HEADERS
from stream.demo.judge import Book, DeadLetter, Evidence, Slot
from stream.demo.plan import BadRecord, Ending, Expected, Plan, PlannedSend
from stream.model import BadRecord as Refusal
from stream.model import Outcome, Position, RejectedToken, RevokeResult, SendPart, Topic
from stream.wire.dead_letters import headers

PARTITION = 3
_NAMES = {Topic.SENDS: "push.message-sent", Topic.VIOLATIONS: "push.violation-detected"}


def evidence(plan: Plan) -> Evidence:
    """Every send at the offset of its number; one result for its good places, one for each bad one."""
    return Evidence(
        sends={(PARTITION, send.number): send.number for send in plan.sends},
        bad={(_NAMES[bad.topic], PARTITION, bad.number): bad.number for bad in plan.bad},
        own_headers=OWN_HEADERS,
        results=[result for expected in plan.expected.values() for result in _results(plan, expected)],
        letters=[letter(bad) for bad in plan.bad],
        book=_book(plan),
    )


def letter(bad: BadRecord) -> DeadLetter:
    """The dead letter of a bad record."""
    place = Position(_NAMES[bad.topic], PARTITION, bad.number, 0)
    return DeadLetter(bad.key, bad.value, tuple(headers(OWN_HEADERS, Refusal(bad.reason, "why"), place)))


def _results(plan: Plan, expected: Expected) -> Iterator[RevokeResult]:
    numbers, settled = count(), 0
    for outcome in expected.says:
        yield result(expected, f"{expected.violation_id}/{next(numbers)}", outcome)
    for send in (plan.sends[number] for number in expected.sends):
        for first, places in _runs(send):
            bad = first in send.bad_places
            outcome = _outcome(expected.ending, bad)
            part = SendPart(PARTITION, send.number, first, places)
            rejected = (RejectedToken(plan.tokens(send.number)[first].decode(), "why"),) if bad else ()
            called = 0 if bad or expected.ending is not Ending.REVOKED else places
            detail = expected.first if outcome is Outcome.ALREADY_REVOKED else None
            name = f"{expected.violation_id}/{next(numbers)}"
            settled += places
            covering = result(expected, name, outcome, (part,), called, rejected, detail)
            yield covering._replace(violation_tokens_settled=settled)


def _runs(send: PlannedSend) -> Iterator[tuple[int, int]]:
    """First place and length: good ones together, each bad one alone."""
    at = 0
    for bad in sorted(send.bad_places):
        if bad > at:
            yield at, bad - at
        yield bad, 1
        at = bad + 1
    if at < send.token_count:
        yield at, send.token_count - at


def _outcome(ending: Ending, bad: bool) -> Outcome:
    if ending is Ending.NOT_REVOCABLE:
        return Outcome.NOT_REVOCABLE
    good = Outcome.REVOKED if ending is Ending.REVOKED else Outcome.ALREADY_REVOKED
    return Outcome.FAILED if bad else good


def result(
    expected: Expected,
    result_id: str,
    outcome: Outcome,
    sends: tuple[SendPart, ...] = (),
    revoked: int = 0,
    rejected: tuple[RejectedToken, ...] = (),
    detail: str | None = None,
) -> RevokeResult:
    """A result of this violation; what no test looks at is made up."""
    return RevokeResult(
        result_id=result_id,
        violation_id=expected.violation_id,
        message_id=expected.message_id,
        severity=expected.severity,
        reason="spam",
        detected_at_ms=0,
        outcome=outcome,
        client_id="app" if sends else None,
        notify_id=1,
        push_type=0,
        sends=sends,
        tokens_requested=revoked + len(rejected),
        tokens_revoked=revoked,
        rejected_tokens=rejected,
        attempts=1,
        http_status=200,
        code=None,
        detail=detail,
        push_request_id=None,
        violation_tokens_matched=0,
        violation_tokens_settled=0,
        late=False,
        started_at_ms=0,
        completed_at_ms=0,
    )


def _book(plan: Plan) -> Book:
    revoked: dict[Slot, dict[str, int]] = {}
    refused: dict[Slot, dict[str, int]] = {}
    for send in plan.called():
        slot = (send.head.client_id, send.head.notify_id or 0)
        for place, token in enumerate(plan.tokens(send.number)):
            book = refused if place in send.bad_places else revoked
            book.setdefault(slot, {})[token.decode()] = 1
    return Book(revoked, refused)
