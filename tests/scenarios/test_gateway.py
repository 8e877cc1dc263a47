"""Push Kit as it can be: away, slow, broken, choosy, and strict about its rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from stream.model import MAX_TOKEN_BYTES, Outcome, Send, Severity
from stream.pushkit.simulator import (
    AppFaults,
    Body,
    Down,
    End,
    Failure,
    Faults,
    FlowControl,
    Latency,
    PartialStyle,
    Rules,
    Shape,
    make_key_file,
)
from tests.scenarios.conftest import APPS, FULL, MakeTown
from tests.scenarios.judge import calls_and_fewest
from tests.scenarios.making import now_ms
from tests.scenarios.town import Town

AWAY_S = 60 if FULL else 4

OUTAGES = {
    "refuses": Faults(down=Down.REFUSE, down_for_s=AWAY_S),
    "resets": Faults(down=Down.RESET),
    "hangs": Faults(all=AppFaults(failures=(Failure(End.HANG_AFTER),))),
    "breaks": Faults(
        all=AppFaults(
            failures=(
                Failure(End.REPLY, 0.3, status=500, body=Body.HTML),
                Failure(End.REPLY, 0.3, status=502, body=Body.EMPTY),
                Failure(End.CUT_AFTER, 0.5),
                Failure(End.REPLY, status=200, body=Body.GARBAGE),
            )
        )
    ),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("outage", OUTAGES if FULL else ("refuses", "hangs", "breaks"))
def test_a_gateway_that_is_away_loses_nothing(town: Town, outage: str) -> None:
    """Promise 1, through gateway outage: violations, sends and a restart meanwhile; after it all is revoked."""
    sends, violations = town.maker.all_kinds(300)
    third = len(violations) // 3
    instance = town.run(push_kit={"timeout": "1s"}).wait_until_it_works()
    town.tell(sends[::2], violations[:third])
    town.pass_time(0.3)
    town.push_kit.fail(OUTAGES[outage])
    town.tell(town.maker.mixed(sends[1::2], violations[third : 2 * third]))
    town.pass_time(AWAY_S / 2)
    assert instance.stop() == 0
    town.run(push_kit={"timeout": "1s"})
    town.tell(violations[2 * third :])
    town.pass_time(AWAY_S / 2)
    if outage != "refuses":  # that one ends by itself, on a slow machine before we look
        assert town.progress.unfinished(town.story)
        town.push_kit.heal()
    town.wait_until_settled()
    town.judge()


def guilty(town: Town, sends: Iterable[Send]) -> None:
    """Tell sends and then a violation of each of their messages."""
    listed = list(sends)
    town.tell(listed, town.maker.violations(dict.fromkeys(send.head.message_id for send in listed)))


def make_bad(town: Town, sends: Iterable[Send], reason: str, every: int) -> None:
    """Some tokens of each send are refused by name."""
    for send in sends:
        tokens = send.tokens[::every]
        town.push_kit.tell(send.head.client_id, tokens, reason=reason)
        town.story.bad.update({(send.head.client_id, token): None for token in tokens})


@pytest.mark.parametrize("style", PartialStyle)
def test_refused_tokens_are_named_and_harm_no_other(town: Town, style: PartialStyle) -> None:
    """A bad token harms no other, however Push Kit names it; rejectedTokens is exact."""
    sends = [town.maker.send(tokens=number) for number in (1_000, 40, 40, 7, 2, 1, 1)]
    make_bad(town, sends[:4], "illegalToken", 13)
    make_bad(town, sends[5:6], "invalidToken", 1)
    town.push_kit.fail(Faults(rules=Rules(partial=style)))
    town.run().wait_until_it_works()
    guilty(town, sends)
    town.wait_until_settled()
    town.judge()


def test_a_second_violation_takes_over_what_was_refused_without_a_call(town: Town) -> None:
    """A place refused for good under another violation is covered without a call, the reason copied."""
    sends = [town.maker.send(tokens=number) for number in (40, 3, 1)]
    make_bad(town, sends, "illegalToken", 2)
    town.run().wait_until_it_works()
    guilty(town, sends)
    town.wait_until_settled()
    calls = town.push_kit.calls
    town.tell(town.maker.violations(send.head.message_id for send in sends))
    town.wait_until_settled()
    town.judge()
    assert town.push_kit.calls == calls
    reasons = [{bad.reason for bad in seen.result.rejected_tokens} for seen in town.story.results]
    assert {reason for some in reasons for reason in some} == {"illegalToken"}


def test_a_batch_refused_for_foreign_tokens_is_halved_down_to_them(town: Town) -> None:
    """One foreign token must not keep 999 notifications on screens."""
    sends = [town.maker.send(tokens=1_000, app=APPS[0]), town.maker.send(tokens=100, app=APPS[0])]
    foreign = [sends[0].tokens[500], sends[0].tokens[999], sends[1].tokens[0]]
    town.push_kit.tell(APPS[0], foreign, app=APPS[1])
    town.story.bad.update({(APPS[0], token): None for token in foreign})
    town.run().wait_until_it_works()
    guilty(town, sends)
    town.wait_until_settled()
    town.judge()
    assert town.push_kit.calls < 80


def test_tokens_that_no_call_can_carry_are_rejected_without_one(town: Town) -> None:
    """A token above 4,096 bytes is rejected without a call; its neighbours are revoked."""
    longest, longer = b"x" * MAX_TOKEN_BYTES, b"y" * (MAX_TOKEN_BYTES + 1)
    send = town.maker.send(tokens=[b"good", longest, longer, b""], app=APPS[0])
    town.story.bad |= {(APPS[0], longer): "tokenTooLong", (APPS[0], b""): "tokenEmpty"}
    town.run().wait_until_it_works()
    guilty(town, [send])
    town.wait_until_settled()
    town.judge()


def test_long_tokens_make_smaller_calls(town: Town) -> None:
    """A call has at most 512 kB, a result at most 900 kB."""
    longest = [f"{number:04d}".encode().ljust(MAX_TOKEN_BYTES, b"z") for number in range(400)]
    sends = [town.maker.send(tokens=longest, app=APPS[0])]
    town.push_kit.tell(APPS[0], longest[:300], reason="illegalToken")
    town.story.bad.update({(APPS[0], token): "illegalToken" for token in longest[:300]})
    town.run().wait_until_it_works()
    guilty(town, sends)
    town.wait_until_settled()
    town.judge()


def test_flow_control_is_obeyed_in_the_end(town: Town) -> None:
    """503 for too many devices a second: tried again until all is done."""
    town.push_kit.fail(AppFaults(devices_per_s=800, flow_control=FlowControl(retry_after="1")))
    sends = [town.maker.send(tokens=number, app=APPS[0]) for number in (500, 300, *[1] * 500)]
    town.run().wait_until_it_works()
    guilty(town, sends)
    town.wait_until_settled()
    town.judge()


def test_our_own_rate_is_never_exceeded(town: Town) -> None:
    """Devices per second per app: in no second more than 105 % and one call leave, and no call is larger than one
    second's share. As results say when they left: what comes at once of what left apart is the machine's."""
    rate = 300
    own: dict[str, Any] = {f'push_kit.apps."{APPS[0]}"': {"devices_per_second": rate}}
    sends = [town.maker.send(tokens=number, app=APPS[0]) for number in (1_000, 200, *[1] * 300)]
    town.run(**own).wait_until_it_works()
    guilty(town, sends)
    town.wait_until_settled()
    town.judge()
    called = [seen.result for seen in town.story.results if seen.result.attempts]
    left = [(each.started_at_ms, each.tokens_requested) for each in called]
    busiest = max(sum(tokens for at, tokens in left if since <= at < since + 1_000) for since, _ in left)
    assert rate < busiest <= 1.05 * rate + rate
    assert max(call.tokens for call in town.push_kit.book().calls) <= rate


def test_an_app_without_a_key_waits_visibly_and_others_go_on(make_town: MakeTown) -> None:
    """Without a key the app waits, is told of in the log, and its work is done once there is one."""
    town = make_town()
    town.story.keyless = {APPS[2]}
    sends = [town.maker.send(tokens=2, app=app) for app in APPS for _ in range(200)]
    instance = town.run().wait_until_it_works()
    guilty(town, town.maker.random.sample(sends, len(sends)))
    town.wait_until(lambda: len(town.story.results) == 400, what="the others")
    town.pass_time(0.5)
    assert len(town.story.results) == 400
    instance.wait_for("app_waits", client_id=APPS[2])
    assert instance.stop() == 0
    town.story.keyless = set()
    town.run()
    town.wait_until_settled()
    town.judge()


def test_a_critical_violation_passes_a_backlog_within_one_call(town: Town) -> None:
    """It arrives behind a backlog of LOW, every other slot hanging in a call: no call is waited for."""
    low = [town.maker.send(tokens=1, app=APPS[0]) for _ in range(300)]
    urgent = [town.maker.send(tokens=1, app=APPS[0]) for _ in range(10)]
    town.push_kit.fail(AppFaults(latency=Latency(Shape.FIXED, low_ms=400)))
    town.run(push_kit={"max_in_flight": 4}).wait_until_it_works()
    town.tell(low, urgent)
    town.wait_until_stored()
    town.tell([town.maker.violation(send.head.message_id, severity=Severity.LOW) for send in low])
    town.wait_until(lambda: town.push_kit.calls >= 8, what="a backlog under way")
    for send in urgent:
        before = town.push_kit.calls
        town.tell([town.maker.violation(send.head.message_id, severity=Severity.CRITICAL)])
        slot = (send.head.client_id, send.head.notify_id or 0)
        town.wait_until(lambda slot=slot: any(call.slot == slot for call in town.push_kit.book().calls))  # type: ignore[misc]
        order = [call.slot for call in sorted(town.push_kit.book().calls, key=lambda call: call.monotonic_ns)]
        assert order.index(slot) <= before + 6, "three slots may end a call and begin another meanwhile"
    town.push_kit.heal()
    town.wait_until_settled()
    town.judge()


def test_a_key_that_is_replaced_on_the_disk_is_used_without_a_restart(town: Town) -> None:
    """A wrong key pauses its app and no other; the right one, put in its place, is taken up within seconds."""
    file = town.push_kit.key_file(APPS[0])
    right = file.read_bytes()
    make_key_file(file, "another project", "another account")
    sends = [town.maker.send(tokens=2, app=app) for app in APPS[:2] for _ in range(20)]
    instance = town.run().wait_until_it_works()
    guilty(town, sends)
    instance.wait_for("app_paused", client_id=APPS[0])
    town.wait_until(lambda: len(town.story.results) == 20, what="the other app")
    file.write_bytes(right)
    town.wait_until_settled()
    town.judge()


def test_an_app_whose_every_token_is_refused_pauses_and_goes_on_when_mended(town: Town) -> None:
    """200 distinct tokens in a row refused, none accepted: a wrong setting, not bad tokens; the app pauses, visibly."""
    bad = [town.maker.send(tokens=1, app=APPS[0]) for _ in range(400)]
    good = [town.maker.send(tokens=1, app=APPS[1]) for _ in range(50)]
    town.push_kit.fail(Faults(apps={APPS[0]: AppFaults(push_off=True)}))
    instance = town.run().wait_until_it_works()
    guilty(town, bad + good)
    instance.wait_for("app_paused", client_id=APPS[0])
    town.wait_until(lambda: sum(seen.result.client_id == APPS[1] for seen in town.story.results) == 50)
    town.push_kit.heal()
    town.wait_until_settled()
    refused = [seen.result for seen in town.story.results if seen.result.outcome is Outcome.FAILED]
    town.story.bad.update({(APPS[0], token.token.encode()): None for each in refused for token in each.rejected_tokens})
    assert len(refused) < 200
    town.judge()


def test_a_slow_gateway_costs_no_further_calls(town: Town) -> None:
    """Stored sends take the fewest calls however slow the answers are."""
    town.push_kit.fail(AppFaults(latency=Latency(Shape.LOGNORMAL, p50_ms=30, p99_ms=400)))
    sends, violations = town.maker.all_kinds(300)
    town.run()
    town.tell(sends)
    town.wait_until_stored()
    since_ms = now_ms()
    town.tell(violations)
    town.wait_until_settled()
    town.judge()
    calls, fewest = calls_and_fewest(town.story, town.push_kit.book(), since_ms)
    assert calls <= 1.05 * fewest
