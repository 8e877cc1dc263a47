"""Pauses and refusals: what speaks of an app stops that app and no more, what speaks of tokens stops nobody, and what
has passed holds nothing up."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from stream.model import Outcome, Severity
from stream.pushkit.reply import Reply, Verdict, sort_reply
from stream.work.crowd import Crowd
from stream.work.lanes import Lanes
from stream.work.packing import CALL, Packer, Parcel
from tests.service.test_calls import BUSY, REVOKED, SETTINGS, Office, TurnedClock, by_token, clock, close, office, some
from tests.work.making import HEAD, parcel, violation

__all__ = ["clock", "office"]

REFUSED = "80300007"


def stale(each: Parcel) -> Reply:
    """Every token is refused by name."""
    return Reply(Verdict.REJECTED, 200, REFUSED, rejected=tuple((at, "stale") for at in range(len(each.tokens))))


def of_app(reason: str, each: Parcel) -> Reply:
    """Every token is listed for a reason that speaks of the app."""
    listed = {"failure": len(each.tokens), "illegalTokens": {reason: [token.decode() for token in each.tokens]}}
    body = orjson.dumps({"code": REFUSED, "msg": orjson.dumps(listed).decode(), "requestId": "r"})
    return sort_reply(200, body, None, None, each.tokens, 0.0)


def made(push_type: int, notify_id: int, offset: int) -> Parcel:
    """A parcel of its own slot, of the same two tokens."""
    packer, head = Packer(), HEAD._replace(push_type=push_type, notify_id=notify_id)
    packer.put(violation(), CALL, head, (0, 2), (0, offset, 1_000), [b"token-a", b"token-b"])
    [only] = packer.flush()
    return only


@pytest.mark.parametrize("severity", [Severity.HIGH, Severity.LOW])
async def test_a_call_of_stale_tokens_stops_its_app_for_a_moment_only(office: Office, severity: Severity) -> None:
    """A bad token harms no other: the next probe is of another message, whatever its lane, and ends the pause."""
    office.calls.pending.lanes = Lanes({Severity.HIGH: 0.2, Severity.MEDIUM: 0.1, Severity.LOW: 0.05})
    office.answer = lambda each: stale(each) if each.tokens[0].startswith(b"stale") else REVOKED
    office.put(some(*(f"stale-{number}" for number in range(1_000))), severity=Severity.CRITICAL)
    await office.turn(1.0)
    assert office.calls.stopped_apps()
    office.put(*(some(f"good-{number}") for number in range(50)), severity=severity)
    await office.turn(9.0, 0.5)
    assert len(office.ended) == 51, "and once others are accepted it is the tokens that are bad"


async def test_what_lacks_a_right_of_its_push_type_holds_up_none_of_the_others(office: Office) -> None:
    """The app pauses, visibly, and its next probe is another's; nothing is lost."""
    office.answer = lambda each: of_app("noPushTypeRight", each) if each.push_type == 2 else REVOKED
    office.put(made(2, 7, 0))
    await office.turn()
    assert office.calls.stopped_apps()
    office.put(*(some(f"n-{number}", time_ms=500 + number) for number in range(50)))
    await office.turn(60.0, 0.5)
    assert office.outcomes == [Outcome.REVOKED] * 50


async def test_what_may_pass_by_itself_and_does_not_pauses_its_app_and_says_nothing_of_the_gateway(
    clock: TurnedClock,
) -> None:
    """appinfoError: RETRY, then PAUSE; and neither is mistaken for a gateway that fails."""
    made_up = Office(clock, replace(SETTINGS, max_in_flight=64))
    made_up.answer = lambda each: of_app("appinfoError", each)
    made_up.put(*(some(f"n-{number}", app="new") for number in range(200)))
    await made_up.turn(120.0, 0.25)
    assert made_up.calls.gate.bound.calls == 64
    assert made_up.calls.gate.silence.since_s is None
    assert "appinfoError" in made_up.calls.stopped_apps()["new"]
    assert not made_up.ended, "nothing is lost"
    made_up.answer = lambda each: REVOKED
    await made_up.turn(120.0, 0.25)
    assert len(made_up.ended) == 200
    await close(made_up)


async def test_a_refusal_of_tokens_ends_a_pause_for_the_jwt(office: Office) -> None:
    """What was mended is mended, though the first that are asked about are bad."""
    office.answer = lambda each: Reply(Verdict.RENEW, 401, "80200001", "project mismatch")
    office.put(*(some(f"dead-{number}", time_ms=number) for number in range(20)))
    office.put(some("good", time_ms=100))
    await office.turn(300.0, 0.25)
    assert office.calls.stopped_apps()
    office.answer = lambda each: stale(each) if each.tokens[0].startswith(b"dead") else REVOKED
    await office.turn(61.0, 0.25)
    assert len(office.ended) == 21


async def test_a_pause_is_as_long_as_the_gateway_asks(office: Office) -> None:
    """``Retry-After`` obeyed: also where the app pauses."""
    office.answer = lambda each: Reply(Verdict.PAUSE, 404, detail="no such service", retry_after_s=1_800.0)
    office.put(some("a"), some("b"))
    await office.turn(1_700.0, 1.0)
    before = len(office.left)
    assert before <= 2
    await office.turn(300.0, 1.0)
    assert len(office.left) > before


@pytest.mark.parametrize(("first", "status", "code"), [((2, 7), 400, "80100003"), ((0, 7), 403, None)])
async def test_a_call_that_is_refused_for_our_fault_condemns_none_of_its_tokens(
    office: Office, first: tuple[int, int], status: int, code: str | None
) -> None:
    """A push type, a notifyId or a proxy in the way: the same tokens are called for the other sends."""

    def answer(each: Parcel) -> Reply:
        if (each.push_type, each.notify_id) != first:
            return REVOKED
        body = b"<html>blocked</html>" if code is None else orjson.dumps({"code": code, "msg": "Illegal payload"})
        return sort_reply(status, body, None, None, each.tokens, 0.0)

    office.answer = answer
    office.put(made(*first, 0))
    await office.turn()
    office.put(made(0, 8, 1))
    await office.turn()
    assert office.outcomes == [Outcome.FAILED, Outcome.REVOKED]


async def test_what_is_lifted_while_it_waits_for_a_retry_waits_no_longer(office: Office) -> None:
    """A CRITICAL finding on what was LOW lifts it from a backoff of up to a minute too."""
    office.answer = by_token("a", BUSY)
    office.put(lifted := some("a"), severity=Severity.LOW)
    number = 0
    while lifted.attempts < 9:
        office.put(some(f"x-{number}"), severity=Severity.LOW)
        number += 1
        await office.turn(1.0, 0.25)
    office.answer = lambda each: REVOKED
    office.calls.lift(lambda each: each is lifted, Severity.CRITICAL)
    await office.turn()
    assert lifted in [each for each, _ in office.ended]


async def test_a_moment_of_flow_control_cuts_the_call_that_leaves_and_none_of_those_behind_it(office: Office) -> None:
    """A campaign's calls are as few after it as before."""
    finding = violation(time_ms=500)
    tokens = [[b"%03d-%04d" % (number, place) for place in range(1_000)] for number in range(50)]
    office.put(*(parcel(each, "app", finding=finding, offset=at) for at, each in enumerate(tokens)))
    app = office.calls.app("app")
    app.learned.devices_per_s = 400.0
    app.adjust(office.clock.s)
    await office.turn()
    app.learned.devices_per_s = 0.0
    app.adjust(office.clock.s)
    await office.turn(5.0)
    assert len(office.left) == 51
    assert sum(len(each.tokens) for _, each in office.left) == 50_000


async def test_one_token_of_which_push_kit_speaks_as_of_its_app_stops_nobody(office: Office) -> None:
    """A bad token harms no other: where others are accepted meanwhile it is not the app, whatever is said."""

    def answer(each: Parcel) -> Reply:
        if b"odd" not in each.tokens:
            return REVOKED
        if len(each.tokens) == 1:
            return of_app("appinfoError", each)
        listed = {"success": len(each.tokens) - 1, "failure": 1, "illegalTokens": {"appinfoError": ["odd"]}}
        body = orjson.dumps({"code": "80100000", "msg": orjson.dumps(listed).decode()})
        return sort_reply(200, body, None, None, each.tokens, 0.0)

    office.answer = answer
    office.put(some("odd", *(f"t{number}" for number in range(999))))
    await office.turn(30.0, 0.25)
    for number in range(5):
        office.put(some(f"new{number}", time_ms=600 + number))
        ended = len(office.ended)
        await office.turn(1.0, 0.25)
        assert len(office.ended) > ended
        await office.turn(100.0, 0.5)


async def test_in_an_outage_of_very_many_apps_one_that_waits_for_its_own_limit_alone_is_planned_on(
    office: Office,
) -> None:
    """Memory is bounded where apps stand still, and not at the cost of one that only keeps its rate."""
    office.calls.pending.crowd = Crowd(1_000, 64_000, 256_000, 2_000)
    for app in ("still", "well"):
        office.calls.app(app)
        office.put(*(some(*(f"{app}{at}-{number}" for number in range(1_000)), app=app) for at in range(2)))
    office.calls.app("still").pause("no right", office.clock.s)
    office.calls.app("well").bucket.set_rate(1_000.0, office.clock.s)
    assert not office.calls.has_room("still", Severity.MEDIUM)
    assert office.calls.has_room("well", Severity.MEDIUM)
