"""Faults on demand, push-kit.md section 9, points 10 and 12: switched at run time, whole, and back."""

from __future__ import annotations

import asyncio
import json
import time
from random import Random
from statistics import quantiles
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.pushkit.simulator import (
    AppFaults,
    Body,
    Down,
    End,
    Failure,
    Faults,
    FaultsError,
    FlowControl,
    Latency,
    Message,
    Rules,
    Shape,
    Simulator,
    faults_json,
)
from stream.pushkit.simulator.chance import latency_s
from stream.pushkit.simulator.rates import Peak, Rates
from tests.simulator.calling import Caller

S = 1_000_000_000


def failing(**failure: Any) -> Faults:
    """A state in which every call fails like this."""
    return Faults(all=AppFaults(failures=(Failure(**failure),)))


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("body", list(Body))
async def test_a_failure_has_its_status_and_body_and_no_effect(
    sim: Simulator, caller: Caller, status: int, body: Body
) -> None:
    """12: 500/502/503, HTML body, empty body, garbage."""
    await sim.set_faults(failing(status=status, body=body))
    answer = await caller.revoke()
    assert answer.status == status
    assert {
        Body.JSON: b'"msg"' in answer.body and b'"code"' not in answer.body,
        Body.HTML: answer.body.startswith(b"<html>"),
        Body.EMPTY: answer.body == b"",
        Body.GARBAGE: b"\xff" in answer.body,
    }[body]
    assert not list(sim.book.revoked.slots())


@pytest.mark.parametrize(
    ("status", "code"), [(500, "81000001"), (500, "80000001"), (401, "80200005"), (200, "80300032")]
)
async def test_a_failure_can_carry_a_code_and_retry_after(
    sim: Simulator, caller: Caller, status: int, code: str
) -> None:
    """12: 81000001, 80000001, JWT faults with 401, business errors inside HTTP 200."""
    await sim.set_faults(failing(status=status, code=code, retry_after="3"))
    answer = await caller.revoke()
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (status, code, "3")


async def test_only_the_next_calls_fail(sim: Simulator, caller: Caller) -> None:
    """12: on demand, for the next N calls; the state shows how many are left."""
    await sim.set_faults(failing(status=502, calls=2))
    assert [(await caller.revoke()).status for _ in range(2)] == [502, 502]
    assert sim.faults.all.failures[0].calls == 0
    assert (await caller.revoke()).status == 200


async def test_a_share_of_calls_fails_and_the_seed_repeats_it(sim: Simulator, caller: Caller) -> None:
    """12: an error rate; chance is seeded."""
    await sim.set_faults(failing(status=502, rate=0.3))
    statuses = [(await caller.revoke()).status for _ in range(200)]
    random = Random(1)
    assert statuses == [502 if random.random() < 0.3 else 200 for _ in range(200)]


async def test_an_apps_own_faults_are_its_own(sim: Simulator, caller: Caller) -> None:
    """12: per app or all."""
    await sim.set_faults(Faults(apps={"app2": AppFaults(failures=(Failure(status=502, calls=1),))}))
    assert (await caller.revoke()).status == 200
    assert (await caller.revoke(client_id="app2")).status == 502
    assert (await caller.revoke(client_id="app2")).status == 200


@pytest.mark.parametrize(("end", "revoked"), [(End.CUT_BEFORE, False), (End.CUT_AFTER, True)])
async def test_a_connection_is_cut_before_or_after_the_effect(
    sim: Simulator, caller: Caller, end: End, revoked: bool
) -> None:
    """12: cut connection before and after the effect; the book says which."""
    await sim.set_faults(failing(end=end, calls=1))
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.revoke(7, ("a",))
    assert bool(sim.book.revoked.tokens("app1", 7)) is revoked
    assert sim.book.counts("app1").codes == {"cut": 1}
    assert (await caller.revoke()).status == 200


@pytest.mark.parametrize(("end", "revoked"), [(End.HANG_BEFORE, False), (End.HANG_AFTER, True)])
async def test_a_call_hangs_without_an_answer(sim: Simulator, caller: Caller, end: End, revoked: bool) -> None:
    """12: slow answer, without end."""
    await sim.set_faults(failing(end=end))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(caller.revoke(7, ("a",)), 0.1)
    assert bool(sim.book.revoked.tokens("app1", 7)) is revoked


async def test_an_answer_takes_its_latency_but_the_effect_does_not(sim: Simulator, caller: Caller) -> None:
    """12: slow answer."""
    await sim.set_faults(Faults(all=AppFaults(latency=Latency(Shape.FIXED, low_ms=400))))
    started = time.monotonic()
    call = asyncio.create_task(caller.revoke(7, ("a",)))
    for _ in range(200):  # until the answer comes, however busy the machine is
        await asyncio.sleep(0.01)
        if call.done() or sim.book.revoked.tokens("app1", 7):
            break
    assert sim.book.revoked.tokens("app1", 7)
    assert not call.done()
    assert (await call).status == 200
    assert time.monotonic() - started >= 0.4


def test_latencies_follow_their_distribution() -> None:
    """12: fixed, uniform, lognormal by p50 and p99."""
    random = Random(1)
    assert latency_s(Latency(Shape.FIXED, low_ms=20), random) == 0.02
    uniform = [latency_s(Latency(Shape.UNIFORM, low_ms=10, high_ms=50), random) for _ in range(1_000)]
    assert 0.01 <= min(uniform) < 0.012 < 0.048 < max(uniform) <= 0.05
    cut = quantiles([latency_s(Latency(Shape.LOGNORMAL, p50_ms=20, p99_ms=200), random) for _ in range(20_000)], n=100)
    assert cut[49] == pytest.approx(0.02, rel=0.1)
    assert cut[98] == pytest.approx(0.2, rel=0.2)


async def test_a_closed_listener_refuses_and_comes_back_on_the_same_port(sim: Simulator, caller: Caller) -> None:
    """12: down, connections refused."""
    url = sim.url
    await caller.revoke()
    await sim.set_faults(Faults(down=Down.REFUSE))
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.revoke()
    with pytest.raises(aiohttp.ClientConnectorError):
        await caller.revoke()
    await sim.set_faults(Faults())
    assert (await caller.revoke()).status == 200
    assert sim.url == url


async def test_a_reset_server_still_takes_control(sim: Simulator, caller: Caller) -> None:
    """12: down, accepted and reset; ``/_sim`` goes on and brings it back."""
    await caller.control("PUT", "faults", {"down": "reset"})
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.revoke()
    assert await caller.control("GET", "counts") == {}
    await caller.control("PUT", "faults", {})
    assert (await caller.revoke()).status == 200


async def test_being_down_can_end_by_itself(sim: Simulator, caller: Caller) -> None:
    """12: over HTTP a closed port can only be opened by time."""
    shown = await caller.control("PUT", "faults", {"down": "refuse", "downForS": 0.2})
    assert shown["down"] == "refuse"
    await asyncio.sleep(0.05)
    with pytest.raises(aiohttp.ClientConnectorError):
        await caller.revoke()
    await asyncio.sleep(0.3)
    assert (await caller.revoke()).status == 200
    assert sim.faults == Faults()


async def test_too_many_devices_per_second_are_503(sim: Simulator, caller: Caller) -> None:
    """10: a bucket per app in devices; refused calls revoke nothing; by default no body and no Retry-After."""
    await sim.set_faults(Faults(all=AppFaults(devices_per_s=10)))
    assert (await caller.revoke(7, range_of(8))).status == 200
    answer = await caller.revoke(8, range_of(8))
    assert (answer.status, answer.body) == (503, b"")
    assert "Retry-After" not in answer.headers
    assert not sim.book.revoked.tokens("app1", 8)
    assert (await caller.revoke(7, range_of(8), client_id="app2")).status == 200


async def test_the_system_as_a_whole_has_a_limit(sim: Simulator, caller: Caller) -> None:
    """10: a second, system-wide bucket; with JSON body and Retry-After where so set."""
    flow = FlowControl(Body.JSON, "2")
    await sim.set_faults(Faults(all=AppFaults(flow_control=flow), system_devices_per_s=10))
    assert (await caller.revoke(7, range_of(8))).status == 200
    answer = await caller.revoke(7, range_of(8), client_id="app2")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert set(answer.json) == {"msg", "requestId"}


async def test_sends_draw_on_the_rate_only_where_so_set(sim: Simulator, caller: Caller) -> None:
    """10: sends and revokes together or apart."""
    await sim.set_faults(Faults(all=AppFaults(devices_per_s=10)))
    sim.register(Message("app1", 7, "m", range_of(10)))
    assert (await caller.revoke(7, range_of(10))).status == 200
    await sim.set_faults(Faults(all=AppFaults(devices_per_s=11), rules=Rules(sends_draw_on_rate=True)))
    sim.register(Message("app1", 7, "m", range_of(10)))
    assert (await caller.revoke(7, range_of(10))).status == 503


@given(st.lists(st.tuples(st.integers(0, 2 * S), st.integers(1, 15)), max_size=60))
def test_a_bucket_never_lets_more_pass_than_its_depth_and_rate(calls: list[tuple[int, int]]) -> None:
    """10: in any window of time T: at most depth + rate × T devices."""
    rates, faults, now_ns, passed = Rates(), Faults(all=AppFaults(devices_per_s=10, burst_devices=20)), 0, []
    for wait_ns, devices in calls:
        now_ns += wait_ns
        if rates.admit(faults, "app", devices, now_ns):
            passed.append((now_ns, devices))
    for index, (start_ns, _) in enumerate(passed):
        total = 0
        for at_ns, devices in passed[index:]:
            total += devices
            assert total <= 20 + 10 * (at_ns - start_ns) / S + 1e-6


def test_a_bucket_fills_again_at_its_rate() -> None:
    """10: after a second, a second's worth."""
    rates, faults = Rates(), Faults(all=AppFaults(devices_per_s=10))
    assert rates.admit(faults, "app", 10, 0)
    assert not rates.admit(faults, "app", 6, S // 2)
    assert rates.admit(faults, "app", 5, S // 2)
    assert rates.admit(faults, "app", 10, 2 * S)


def test_the_peak_is_that_of_a_sliding_second() -> None:
    """13: devices per second (peak)."""
    peak = Peak()
    for at_ns, devices in [(0, 5), (S - 1, 4), (S, 3), (3 * S, 6)]:
        peak.add(devices, at_ns)
    assert peak.highest == 9


async def test_the_state_is_shown_and_replaced_whole(sim: Simulator, caller: Caller) -> None:
    """12: at run time over HTTP, the whole state; what is left out has its default."""
    state = {"all": {"devicesPerS": 5, "failures": [{"status": 502, "calls": 3}]}, "rules": {"off": ["size"]}}
    shown = await caller.control("PUT", "faults", state)
    assert shown == await caller.control("GET", "faults")
    assert sim.faults.all == AppFaults(devices_per_s=5.0, failures=(Failure(status=502, calls=3),))
    await caller.control("PUT", "faults", {})
    assert sim.faults == Faults()


@pytest.mark.parametrize(
    ("state", "named"),
    [
        ([], "faults must be an object"),
        ({"nope": 1}, "nope"),
        ({"all": {"tokenLimit": "x"}}, "tokenLimit"),
        ({"all": {"tokenLimit": 0}}, "token_limit"),
        ({"all": {"failures": [{"rate": 2}]}}, "rate"),
        ({"all": {"failures": [{"end": "x"}]}}, "cutBefore"),
        ({"all": {"failures": [{"retryAfter": "1\r\nX: y"}]}}, "retryAfter"),
        ({"rules": {"off": ["x"]}}, "tokenApps"),
        ({"rules": {"missingFieldCode": "1"}}, "missingFieldCode"),
        ({"rules": {"answers": {"80300017": {"status": 200}}}}, "rules.answers.80300017 lacks code"),
        ({"rules": {"answers": {"80300017": {}}}}, "rules.answers.80300017 lacks status and code"),
        ({"all": {"latency": {"shape": "lognormal"}}}, "p50Ms"),
        ({"all": {"latency": {"shape": "fixed", "lowMs": 3_600_001}}}, "3600000"),
    ],
)
def test_an_impossible_state_is_refused_by_name(state: Any, named: str) -> None:
    """One sentence that names the key and what would be right."""
    with pytest.raises(FaultsError, match=named):
        faults_json.from_json(Faults, state)


async def test_a_refused_state_changes_nothing(sim: Simulator, caller: Caller) -> None:
    """400 with a sentence; closing the own port for ever is refused too."""
    wrong: list[Any] = [{"nope": 1}, {"down": "refuse"}, {"rules": {"answers": {"80300017": {}}}}]
    for state in wrong:
        async with caller.session.put(f"{sim.url}/_sim/faults", json=state) as response:
            assert response.status == 400
            assert (await response.json())["error"]
    assert sim.faults == Faults()


def test_a_state_survives_json() -> None:
    """``from_json(to_json(x)) == x``."""
    faults = Faults(
        all=AppFaults(failures=(Failure(End.CUT_AFTER, 0.5, 3),), latency=Latency(Shape.UNIFORM, 1, 2)),
        apps={"a": AppFaults(penalty=True)},
        rules=Rules(off=frozenset({"size", "json"}), clock_skew_s=2.0),
        down=Down.RESET,
    )
    assert faults_json.from_json(Faults, json.loads(json.dumps(faults_json.to_json(faults)))) == faults


def range_of(count: int) -> list[str]:
    """So many tokens."""
    return [f"t{number}" for number in range(count)]
