"""Calls: what each verdict obliges us to do, and the bounds that hold whatever the gateway says. The clock is the
test's: asyncio's timers go by it too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from stream.model import MAX_TOKEN_BYTES, Outcome, RejectedToken, Severity
from stream.pushkit.reply import Reply, Verdict
from stream.service.calls import Calls
from stream.service.clock import Clock
from stream.settings.sections import AppSettings, PushKitSettings
from stream.work.apps import App
from stream.work.breaker import PROBE_LONGEST_S, State
from stream.work.endings import Ending
from stream.work.limits import DEPTH_S
from stream.work.packing import Parcel
from stream.work.pending import CROWDED
from tests.work.making import parcel, violation

SETTINGS = PushKitSettings(
    url="http://127.0.0.1",
    timeout_s=10.0,
    max_in_flight=4,
    give_up_after_s=3_600.0,
    retry_first_s=0.5,
    retry_longest_s=60.0,
    retry_share=0.2,
    paused=False,
    key_file=None,
    apps={},
)
REVOKED = Reply(Verdict.REVOKED, 200, "80000000", None, "request-1")
BUSY = Reply(Verdict.RETRY, 500, "81000001", "busy")
Answer = Callable[[Parcel], Reply]


class TurnedClock(Clock):
    """Only the test turns it."""

    def __init__(self) -> None:
        self.s = 1_000.0

    def now_ms(self) -> int:
        return int(self.s * 1_000)

    def monotonic_s(self) -> float:
        return self.s


class Office:
    """Calls with a gateway that says what the test wants, at once or when the test lets it."""

    def __init__(self, clock: TurnedClock, settings: PushKitSettings = SETTINGS, *, dry: bool = False) -> None:
        self.clock = clock
        self.left: list[tuple[float, Parcel]] = []
        self.ended: list[tuple[Parcel, Ending]] = []
        self.answer: Answer = lambda parcel: REVOKED
        self.unwanted: set[Parcel] = set()
        self.flying = self.most_flying = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.keyless: dict[str, str] = {}
        self.calls = Calls(
            settings,
            None if dry else self,
            clock,
            end=lambda parcel, ending: self.ended.append((parcel, ending)),
            replaced=lambda parcel, pieces: None,
            wanted=lambda parcel: parcel not in self.unwanted,
            keyless=self.keyless.get,
            shares={},
        )
        self.workers = [asyncio.create_task(self.calls.work()) for _ in range(settings.max_in_flight)]

    async def revoke(self, app: App, parcel: Parcel, body: bytes | memoryview) -> Reply:
        assert len(body) <= 512_000
        self.left.append((self.clock.s, parcel))
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        await self.may_answer.wait()
        self.flying -= 1
        return self.answer(parcel)

    def put(self, *parcels: Parcel, severity: Severity = Severity.MEDIUM) -> None:
        for each in parcels:
            self.calls.call(each, severity)

    async def turn(self, seconds: float = 0.0, step_s: float = 0.05) -> None:
        """Let time pass, in steps, and everything happen that is due."""
        until_s = self.clock.s + seconds
        while True:
            for _ in range(60):
                await asyncio.sleep(0)
            if self.clock.s >= until_s:
                return
            self.clock.s = min(until_s, self.clock.s + step_s)

    @property
    def outcomes(self) -> list[Outcome]:
        return [ending.outcome for _, ending in self.ended]

    @property
    def called(self) -> list[list[bytes]]:
        return [list(each.tokens) for _, each in self.left]


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> TurnedClock:
    """The loop's timers follow it."""
    turned = TurnedClock()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", turned.monotonic_s)
    return turned


@pytest.fixture
async def office(clock: TurnedClock) -> AsyncIterator[Office]:
    """Four workers, of which one app may have all that are not kept for CRITICAL; no limits."""
    made = Office(clock, replace(SETTINGS, max_in_flight_per_app=3))
    yield made
    await close(made)


async def close(office: Office) -> None:
    for worker in office.workers:
        worker.cancel()
    await asyncio.gather(*office.workers, return_exceptions=True)


def some(*tokens: str, app: str = "app", time_ms: int = 500) -> Parcel:
    return parcel([token.encode() for token in tokens], app, finding=violation(time_ms=time_ms))


def by_token(bad: str, verdict: Reply) -> Answer:
    """Refuses every call that holds the bad token."""
    return lambda each: verdict if bad.encode() in each.tokens else REVOKED


async def test_revoked_settles_all_tokens(office: Office) -> None:
    """REVOKED: all tokens were accepted."""
    office.put(made := some("a", "b"))
    await office.turn()
    assert office.ended == [(made, Ending(Outcome.REVOKED, 2, (), 200, "80000000", None, "request-1"))]
    assert made.attempts == 1


async def test_partial_settles_with_the_rejected_by_name(office: Office) -> None:
    """PARTIAL: the named were refused for good and all others accepted."""
    office.answer = lambda each: Reply(Verdict.PARTIAL, 200, rejected=((1, "noRight"),))
    office.put(some("a", "b", "c"))
    await office.turn()
    _, ending = office.ended[0]
    assert (ending.outcome, ending.tokens_revoked) == (Outcome.PARTIALLY_REVOKED, 2)
    assert ending.rejected == (RejectedToken("b", "noRight"),)


@pytest.mark.parametrize("verdict", [Verdict.REJECTED, Verdict.FAILED])
async def test_refused_for_good_ends_failed_with_reasons_and_without_another_call(
    office: Office, verdict: Verdict
) -> None:
    """REJECTED and FAILED: settle them, nothing was revoked."""
    office.answer = lambda each: Reply(verdict, 400, "80300007", rejected=((0, "no"), (1, "no")))
    office.put(some("a", "b"))
    await office.turn(600, 5.0)
    _, ending = office.ended[0]
    assert (ending.outcome, ending.tokens_revoked, len(ending.rejected)) == (Outcome.FAILED, 0, 2)
    assert len(office.left) == 1


async def test_one_bad_token_among_a_thousand_is_found_by_halving(office: Office) -> None:
    """SPLIT: one foreign token must not keep 999 notifications on screens."""
    alone = Reply(Verdict.REJECTED, 400, "80300028", rejected=((0, "80300028"),))
    split = Reply(Verdict.SPLIT, 400, "80300028")
    office.answer = lambda each: REVOKED if b"t-613" not in each.tokens else alone if len(each.tokens) == 1 else split
    office.put(some(*(f"t-{i}" for i in range(1_000))))
    await office.turn()
    revoked = sum(ending.tokens_revoked for _, ending in office.ended)
    failed = [each.tokens for each, ending in office.ended if ending.outcome is Outcome.FAILED]
    assert (revoked, failed) == (999, [[b"t-613"]])
    assert len(office.left) <= 2 * 10 + 1


async def test_smaller_cuts_and_remembers_for_the_app(office: Office) -> None:
    """SMALLER: ``token_limit`` is the largest call from now on."""
    office.answer = lambda each: REVOKED if len(each.tokens) <= 2 else Reply(Verdict.SMALLER, 400, token_limit=2)
    office.put(some("a", "b", "c", "d", "e"))
    await office.turn()
    office.put(some("f", "g", "h"), some("i", app="other"))
    await office.turn()
    assert sorted(map(len, office.called)) == [1, 1, 1, 2, 2, 2, 5]
    assert office.calls.largest_call("app") == 2
    assert office.calls.largest_call("other") == 1_000


async def test_what_is_learned_cuts_no_more_than_is_called_now(office: Office) -> None:
    """Few calls: a moment of flow control does not leave a campaign in shreds."""
    app, tokens = office.calls.app("app"), [f"t-{i}" for i in range(1_000)]
    app.learned.devices_per_s = 40.0
    app.adjust(office.clock.s)
    assert office.calls.largest_call("app") == 1_000
    office.put(some(*tokens))
    await office.turn(0.5)
    small = len(office.left)
    assert 1 < small < 10
    app.learned.devices_per_s = 0.0
    app.adjust(office.clock.s)
    await office.turn(1.0)
    assert len(office.left) <= small + 3
    assert sorted(token.decode() for called in office.called for token in called) == sorted(tokens)


async def test_retry_comes_back_alone_by_its_due_time_and_blocks_nobody(office: Office) -> None:
    """RETRY: only the last is retried, alone, by due time, blocking nobody."""
    office.answer = by_token("a", BUSY)
    office.put(some("a"), some("b"), some("c"))
    await office.turn()
    assert office.outcomes == [Outcome.REVOKED] * 2
    await office.turn(0.5)
    office.answer = lambda each: REVOKED
    await office.turn(120.0)
    assert office.outcomes == [Outcome.REVOKED] * 3
    assert office.ended[-1][0].attempts == len([1 for _, each in office.left if each.tokens == [b"a"]]) >= 2


async def test_waits_between_retries_grow_and_stay_bounded(office: Office) -> None:
    """Backoff with full jitter; and when all of an app's calls fail, no longer than probes are apart."""
    office.answer = lambda each: BUSY
    office.put(some("a"))
    await office.turn(60.0)
    waits = [after[0] - before[0] for before, after in pairwise(office.left)]
    for attempt, wait_s in enumerate(waits, 1):
        assert 0.05 <= wait_s <= min(60.0, 0.5 * 2 ** (attempt - 1)) + 0.11
    assert len(waits) > 5
    assert max(waits) > 1.0
    assert office.calls.app("app").breaker.state is State.OPEN
    assert max(waits[4:]) <= 2 * PROBE_LONGEST_S
    assert office.ended == []


async def test_the_oldest_call_counts_until_it_has_ended_and_from_when_it_could_be_made(office: Office) -> None:
    """In a lane, in flight or waiting for a retry; a late send does not make it as old as its violation."""
    office.answer = by_token("slow", BUSY)
    office.put(some("slow", time_ms=900_000))
    office.put(some("quick", time_ms=800_000), severity=Severity.LOW)
    late = some("late", time_ms=1)
    late.newest_ms = 950_000
    office.put(late)
    assert office.calls.pending.oldest_ms() == {Severity.MEDIUM: 900_000, Severity.LOW: 800_000}
    await office.turn()
    assert office.calls.pending.oldest_ms() == {Severity.MEDIUM: 900_000}


async def test_answers_are_counted_by_app_and_meaning(office: Office) -> None:
    """Calls by outcome and app: each that came back, also what is tried again."""
    office.answer = by_token("slow", BUSY)
    office.put(some("slow"), some("quick"), some("quick", app="other"))
    await office.turn()
    assert office.calls.learning.answers == {
        ("app", Verdict.RETRY): 1,
        ("app", Verdict.REVOKED): 1,
        ("other", Verdict.REVOKED): 1,
    }


async def test_retry_after_is_obeyed(office: Office) -> None:
    """Not before ``retry_after_s``."""
    office.answer = lambda each: BUSY._replace(retry_after_s=30.0) if each.attempts == 1 else REVOKED
    office.put(some("a"))
    await office.turn(29.9)
    assert len(office.left) == 1
    await office.turn(1.3)
    assert office.outcomes == [Outcome.REVOKED]


async def test_retry_after_is_obeyed_also_when_a_graver_finding_lifts_it(office: Office) -> None:
    """A more severe violation changes the lane, not the gateway's wish."""
    office.answer = lambda each: BUSY._replace(retry_after_s=30.0) if each.attempts == 1 else REVOKED
    office.put(made := some("a"), severity=Severity.LOW)
    await office.turn(1.0)
    office.calls.lift(lambda each: each is made, Severity.CRITICAL)
    await office.turn(28.0)
    assert len(office.left) == 1
    await office.turn(3.0)
    assert office.outcomes == [Outcome.REVOKED]


async def test_flow_control_slows_its_app_and_no_other(office: Office) -> None:
    """FLOW_CONTROL: call again later, and send this app's calls more slowly."""
    flow = Reply(Verdict.FLOW_CONTROL, 503, retry_after_s=5.0)
    office.answer = by_token("a", flow)
    office.put(some("a"))
    await office.turn()
    office.answer = lambda each: REVOKED
    office.put(some("b"), some("c", app="other"))
    await office.turn(4.9)
    assert office.called == [[b"a"], [b"c"]]
    await office.turn(2.0)
    assert sorted(office.called[2:]) == [[b"a"], [b"b"]]


@pytest.mark.parametrize("verdict", [Verdict.PAUSE, Verdict.RENEW])
async def test_a_pause_loses_nothing_probes_slowly_and_goes_on_when_it_is_mended(
    office: Office, verdict: Verdict
) -> None:
    """Authentication trouble pauses the app, not the service, and loses nothing."""
    office.answer = lambda each: Reply(verdict, 401, "80200003", "bad token") if each.client_id == "app" else REVOKED
    office.put(*(some(name) for name in "abcdef"), some("z", app="other"))
    await office.turn()
    in_flight_then = len(office.left) - 1
    assert in_flight_then <= SETTINGS.max_in_flight
    assert office.outcomes == [Outcome.REVOKED]
    assert "80200003" in office.calls.stopped_apps()["app"]
    await office.turn(60.0)
    assert len(office.left) - 1 - in_flight_then <= 5, "probes at 2, 6, 14 and 30 seconds"
    office.answer = lambda each: REVOKED
    await office.turn(60.0)
    assert office.outcomes == [Outcome.REVOKED] * 7
    assert office.calls.stopped_apps() == {}


async def test_a_slot_is_kept_for_what_is_most_severe(office: Office) -> None:
    """A CRITICAL violation that arrives behind a backlog is called at once, though no call has come back."""
    office.may_answer.clear()
    office.put(*(some(f"low-{n}") for n in range(3 * SETTINGS.max_in_flight)), severity=Severity.LOW)
    await office.turn()
    assert office.flying == SETTINGS.max_in_flight - 1
    office.put(some("high"), severity=Severity.HIGH)
    await office.turn()
    assert office.flying == SETTINGS.max_in_flight - 1
    office.put(some("critical"), some("another"), severity=Severity.CRITICAL)
    await office.turn()
    assert office.called[-1] == [b"critical"]
    assert office.flying == SETTINGS.max_in_flight
    office.may_answer.set()
    await office.turn()
    assert office.called[SETTINGS.max_in_flight : SETTINGS.max_in_flight + 2] == [[b"another"], [b"high"]]
    assert len(office.ended) == 3 * SETTINGS.max_in_flight + 3


async def test_a_paused_app_with_a_new_key_is_probed_at_once(office: Office) -> None:
    """Key file changed on disk is taken up without restart: nothing waits for the next slow probe."""
    office.answer = lambda each: Reply(Verdict.PAUSE, 401, "80200003", "bad token")
    office.put(some("a"))
    await office.turn(100.0)
    office.answer = lambda each: REVOKED
    office.calls.mended(lambda app: app == "other")
    await office.turn(1.0)
    assert office.ended == []
    office.calls.mended(lambda app: app == "app")
    await office.turn()
    assert office.outcomes == [Outcome.REVOKED]


@pytest.mark.parametrize(
    ("skew_s", "said"),
    [(None, None), (59.0, None), (7_200.0, "clock is 7200 s behind the gateway's"), (-90.0, "90 s ahead of")],
)
async def test_a_wrong_clock_is_recognised_where_the_jwt_is_refused(
    office: Office, skew_s: float | None, said: str | None
) -> None:
    """Wrong clock is recognised (the reply's ``Date`` header) and said."""
    office.answer = lambda each: Reply(Verdict.RENEW, 401, "80200005", "expired", date_skew_s=skew_s)
    office.put(some("a"))
    await office.turn()
    why = office.calls.stopped_apps()["app"]
    assert why.startswith("80200005: expired")
    assert said in why if said else "clock" not in why


async def test_two_hundred_refused_in_a_row_pause_the_app_instead_of_settling(office: Office) -> None:
    """That is a wrong setting, not bad tokens."""
    office.answer = lambda each: Reply(Verdict.REJECTED, 400, "x", rejected=tuple((i, "no") for i in range(90)))
    office.put(*(some(*(f"{n}-{i}" for i in range(90))) for n in range(4)))
    await office.turn()
    assert len(office.ended) == 2
    assert "app" in office.calls.stopped_apps()


async def test_a_poisoned_parcel_does_not_keep_the_others_from_being_probed(office: Office) -> None:
    """A bad token harms no other, also where one message has two hundred of them."""
    bad = Reply(Verdict.REJECTED, 400, "80300007", rejected=tuple((i, "no") for i in range(200)))
    office.answer = lambda each: bad if len(each.tokens) == 200 else REVOKED
    office.put(poisoned := some(*(f"bad-{i}" for i in range(200)), time_ms=1))
    await office.turn()
    office.put(some("good", time_ms=2))
    await office.turn(60.0)
    assert sorted(office.outcomes, key=str) == [Outcome.FAILED, Outcome.REVOKED]
    assert poisoned.attempts >= 2


async def test_a_campaign_of_bad_tokens_does_not_keep_the_others_from_being_probed(office: Office) -> None:
    """… nor where a campaign has thousands of them, all older than the good one."""
    bad = Reply(Verdict.REJECTED, 400, "80300007", rejected=tuple((i, "no") for i in range(200)))
    office.answer = lambda each: bad if len(each.tokens) == 200 else REVOKED
    office.put(*(some(*(f"{n}-{i}" for i in range(200)), time_ms=n) for n in range(12)))
    await office.turn()
    office.put(some("good", time_ms=100))
    await office.turn(3_000.0, 0.5)
    assert Outcome.REVOKED in office.outcomes


async def test_never_more_in_flight_than_the_bound(office: Office) -> None:
    """Limits are kept: calls in flight."""
    office.may_answer.clear()
    office.put(*(some(f"t-{i}") for i in range(50)), severity=Severity.CRITICAL)
    await office.turn()
    assert office.flying == office.most_flying == SETTINGS.max_in_flight
    office.may_answer.set()
    await office.turn()
    assert office.outcomes == [Outcome.REVOKED] * 50
    assert office.most_flying == SETTINGS.max_in_flight


async def test_the_most_severe_leaves_first(office: Office) -> None:
    """The most severe goes first."""
    office.may_answer.clear()
    office.put(*(some(f"first-{i}") for i in range(3)))
    await office.turn()
    for severity in (Severity.LOW, Severity.CRITICAL, Severity.MEDIUM, Severity.HIGH):
        office.put(some(severity.name), severity=severity)
    office.may_answer.set()
    await office.turn()
    assert office.called[3:] == [[b"CRITICAL"], [b"HIGH"], [b"MEDIUM"], [b"LOW"]]


async def test_devices_per_second_are_kept_in_every_window(clock: TurnedClock) -> None:
    """Limits are kept: devices per second per app; no call is larger than one second of the share."""
    office = Office(clock, replace(SETTINGS, apps={"app": AppSettings(None, 100, False)}))
    office.put(*(some(*(f"{n}-{i}" for i in range(40))) for n in range(20)), some(*(f"x-{i}" for i in range(250))))
    await office.turn(8.0, 0.01)
    office.calls.set_share(0.5)
    await office.turn(20.0, 0.01)
    await close(office)
    assert sum(len(each.tokens) for _, each in office.left) == 20 * 40 + 250
    assert max(len(each.tokens) for _, each in office.left) <= 100
    for i, (start_s, _) in enumerate(office.left):
        devices = 0
        for at_s, each in office.left[i:]:
            devices += len(each.tokens)
            assert devices <= 100 * (at_s - start_s + DEPTH_S) + 100


async def test_an_app_whose_calls_hang_leaves_room_for_the_others(clock: TurnedClock) -> None:
    """No severity and no app starves another: not even where every call of the more severe takes all its time."""
    office = Office(clock, replace(SETTINGS, max_in_flight=8))

    async def revoke(app: App, parcel: Parcel, body: bytes | memoryview) -> Reply:
        if app.client_id == "hanging":
            await asyncio.sleep(3)
            return Reply(Verdict.RETRY, detail="timeout")
        return REVOKED

    office.revoke = revoke  # type: ignore[method-assign]
    office.put(*(some(f"h{n}", app="hanging") for n in range(300)), severity=Severity.CRITICAL)
    await office.turn(7.0)
    office.put(*(some(f"g{n}", app="good") for n in range(50)), severity=Severity.LOW)
    await office.turn(0.1)
    assert [each.client_id for each, _ in office.ended] == ["good"] * 50
    await office.turn(3.0)
    assert sum(each.client_id == "hanging" for each in office.calls.in_flight) <= 1
    await close(office)


async def test_an_app_whose_answers_are_slow_leaves_room_also_where_few_calls_may_be_in_flight(
    clock: TurnedClock,
) -> None:
    """Its part is one of what may be in flight now, not of what the settings would allow."""
    office = Office(clock, replace(SETTINGS, max_in_flight=64))
    office.calls.gate.bound.calls = 8.0

    async def revoke(app: App, parcel: Parcel, body: bytes | memoryview) -> Reply:
        await asyncio.sleep(10 if app.client_id == "slow" else 0)
        return REVOKED

    office.revoke = revoke  # type: ignore[method-assign]
    office.put(*(some(f"s{n}", app="slow") for n in range(100)), severity=Severity.HIGH)
    await office.turn(1.0)
    assert len(office.calls.in_flight) == 6
    office.put(*(some(f"g{n}", app="good") for n in range(20)), severity=Severity.LOW)
    await office.turn(0.1)
    assert [each.client_id for each, _ in office.ended] == ["good"] * 20
    await close(office)


async def test_however_many_apps_hang_half_of_all_calls_in_flight_are_for_the_others(clock: TurnedClock) -> None:
    """No app starves another: one call for each that fails, half of what the gateway bears for all of them."""
    office = Office(clock, replace(SETTINGS, max_in_flight=8))
    office.answer = lambda each: Reply(Verdict.RETRY, detail="timeout")
    for app in "abcdefgh":
        office.put(*(some(f"{app}{n}", app=app) for n in range(100)), severity=Severity.CRITICAL)
    await office.turn(30.0)
    office.may_answer.clear()
    await office.turn(60.0)
    assert office.flying == 2
    office.put(some("x", app="good"), severity=Severity.LOW)
    await office.turn(0.2)
    assert office.left[-1][1].client_id == "good"
    await close(office)


async def test_an_app_that_may_not_call_is_planned_no_further_than_its_weight(clock: TurnedClock) -> None:
    """What is planned is held in memory; an app that calls is planned as far as the lanes have room."""
    limits = {"slow": AppSettings(None, 1_000, False), "quick": AppSettings(None, 0, False)}
    office = Office(clock, replace(SETTINGS, apps=limits, max_in_flight=32))
    office.may_answer.clear()
    for app in limits:
        office.put(*(some(*(f"{app}-{n}-{i}" for i in range(1_000)), app=app) for n in range(70)))
    await office.turn()
    assert (office.calls.has_room("slow", Severity.MEDIUM), office.calls.has_room("quick", Severity.MEDIUM)) == (
        False,
        True,
    )
    office.calls.pending.take_back(lambda each: each.client_id == "slow")
    await office.turn()
    assert office.calls.has_room("slow", Severity.MEDIUM)
    await close(office)


async def test_each_retry_leaves_when_it_is_due_whatever_else_is_under_way(
    clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retries by due time, blocking nobody: nor does the first that is due hold up the second."""
    office = Office(clock)
    office.answer = lambda each: BUSY
    waits = iter([1.0, 2.0])
    monkeypatch.setattr(office.calls._replies, "_backoff_s", lambda parcel, app, reply: next(waits))
    office.put(some("a"), some("b"))
    await office.turn(0.1)
    office.may_answer.clear()
    await office.turn(3.0)
    assert [round(at_s - office.left[0][0], 1) for at_s, _ in office.left[2:]] == [1.0, 2.0]
    await close(office)


async def test_an_app_that_comes_back_has_all_calls_in_flight_again_in_steps(clock: TurnedClock) -> None:
    """One probe at a time while nothing is answered; one answer opens the way, each further one makes it wider."""
    office = Office(clock, replace(SETTINGS, max_in_flight=8))
    office.answer = lambda each: Reply(Verdict.RETRY, detail="timeout")
    office.put(*(some(f"t{n}") for n in range(100)))
    await office.turn(5.0)
    office.answer = lambda each: REVOKED
    office.may_answer.clear()
    await office.turn(100.0, 1.0)
    assert office.flying == 1
    office.may_answer.set()
    await office.turn(5.0)
    assert office.outcomes == [Outcome.REVOKED] * 100
    flying = []
    for wave in range(12):
        office.may_answer.clear()
        office.put(*(some(f"{wave}-{n}") for n in range(8)))
        await office.turn(1.1)
        flying.append(office.flying)
        office.may_answer.set()
        await office.turn()
    assert flying[0] <= 4
    assert flying[-1] == 6  # three quarters of all
    assert flying == sorted(flying)
    await close(office)


async def test_what_waits_for_its_own_app_keeps_nobody_from_being_planned(clock: TurnedClock) -> None:
    """No app starves another: planning stops when enough is ready, and what may not leave is not ready."""
    office = Office(clock, replace(SETTINGS, apps={"slow": AppSettings(None, 1, False)}))
    office.put(*(some(f"s{n}", app="slow") for n in range(300)))
    await office.turn()
    assert office.calls.ready(Severity.LOW) == 0
    await close(office)


async def test_a_parcel_withdrawn_in_flight_is_not_called_again(office: Office) -> None:
    """WITHDRAWN: what has not been done yet is stopped, retries and halves too."""
    for reply in (BUSY, Reply(Verdict.SPLIT, 400), Reply(Verdict.PAUSE, 403), Reply(Verdict.FLOW_CONTROL, 503)):
        office.may_answer.clear()
        office.answer = lambda each, reply=reply: reply  # type: ignore[misc]
        made = some("a", "b", app=reply.verdict.value)
        office.put(made)
        await office.turn()
        office.unwanted.add(made)
        before = len(office.left)
        office.may_answer.set()
        await office.turn(300.0, 5.0)
        assert len(office.left) == before
    assert office.calls.pending.waiting == 0
    assert office.ended == []


async def test_what_has_waited_too_long_is_given_up_after_one_attempt(office: Office) -> None:
    """Then FAILED, with what the last reply said; counted from the later record's timestamp, after one attempt."""
    office.answer = lambda each: BUSY._replace(push_request_id="r1", calls=2)
    office.put(tried := some("a"))
    await office.turn()
    office.may_answer.clear()
    office.put(*(some(f"flying-{i}") for i in range(4)), never_tried := some("z"))
    await office.turn(0.0)
    limit_ms = tried.newest_ms + 3_600_000
    office.calls.give_up(limit_ms - 1)
    assert office.ended == []
    office.calls.give_up(limit_ms)
    assert [(each, ending.outcome, ending.detail) for each, ending in office.ended] == [
        (tried, Outcome.FAILED, "given up: busy")
    ]
    assert (tried.attempts, never_tried.attempts) == (2, 0)
    ending = office.ended[0][1]
    assert (ending.http_status, ending.code, ending.push_request_id) == (BUSY.http_status, "81000001", "r1")
    assert ending.rejected == ()


async def test_a_stopped_app_is_given_up_without_an_attempt_but_not_one_paused_by_the_settings(
    clock: TurnedClock,
) -> None:
    """… unless the app is paused; ``paused``: no calls, nothing given up; an app without a key waits, then gives up."""
    office = Office(clock, replace(SETTINGS, apps={"resting": AppSettings(None, 0, True)}))
    office.keyless["keyless"] = "no key_file"
    office.put(some("a", app="resting"), some("b", app="keyless"))
    await office.turn(10.0)
    office.calls.give_up(10**12)
    assert office.left == []
    assert [(each.client_id, ending.detail) for each, ending in office.ended] == [("keyless", "given up: no key_file")]
    await close(office)


async def test_a_dry_run_calls_nobody_and_says_what_it_would(clock: TurnedClock) -> None:
    """``--dry-run``: everything but the calls."""
    office = Office(clock, dry=True)
    office.put(some("a", "b"), some("c"))
    await office.turn()
    office.calls.give_up(10**12)
    assert (office.left, office.outcomes) == ([], [Outcome.DRY_RUN] * 2)
    assert [each.attempts for each, _ in office.ended] == [0, 0]
    await close(office)


async def test_no_call_leaves_after_stopping_and_those_in_flight_end(office: Office) -> None:
    """SIGTERM: the process stops taking work and drains."""
    office.may_answer.clear()
    office.put(*(some(f"t-{i}") for i in range(9)))
    await office.turn()
    office.calls.stop_starting()
    office.may_answer.set()
    await office.turn(10.0)
    assert len(office.left) == len(office.ended) == 3


async def test_a_call_of_a_shard_that_has_gone_leaves_no_trace(office: Office) -> None:
    """A call that answers later leaves no trace here."""
    office.may_answer.clear()
    office.put(some("a"), some("b"))
    await office.turn()
    office.calls.forsake(lambda each: each.tokens == [b"a"])
    office.may_answer.set()
    await office.turn()
    assert [each.tokens for each, _ in office.ended] == [[b"b"]]


async def test_tokens_full_of_what_json_escapes_are_cut_to_512_kb(office: Office) -> None:
    """A call has at most 512 kB, whatever its tokens are made of."""
    filling = "\x01" * (MAX_TOKEN_BYTES - 8)
    office.put(some(*(f"{i:04}{filling}" for i in range(110))))
    await office.turn()
    assert sum(ending.tokens_revoked for _, ending in office.ended) == 110
    assert len(office.left) > 1


async def test_an_app_with_enough_under_way_is_crowded_until_half_of_it_has_ended(office: Office) -> None:
    """A stopped app's messages wait unplanned, others go on."""
    office.may_answer.clear()
    office.put(*(some(f"t-{i}") for i in range(CROWDED * SETTINGS.max_in_flight)))
    assert not office.calls.has_room("app", Severity.MEDIUM)
    assert office.calls.has_room("other", Severity.MEDIUM)
    assert office.calls.has_room("app", Severity.CRITICAL), "a backlog of one lane takes no room from another"
    office.calls.lift(lambda each: True, Severity.HIGH)
    assert (office.calls.has_room("app", Severity.MEDIUM), office.calls.has_room("app", Severity.HIGH)) == (True, False)
    office.may_answer.set()
    await office.turn()


async def test_however_slow_one_app_answers_a_quarter_of_all_calls_in_flight_is_for_the_others(
    clock: TurnedClock,
) -> None:
    """Calls in flight are bounded for the process and per app; but what is CRITICAL goes also where its app has all
    that it may."""
    office = Office(clock, replace(SETTINGS, max_in_flight=8))
    office.may_answer.clear()
    office.put(*(some(f"s{n}", app="slow") for n in range(100)), severity=Severity.HIGH)
    await office.turn()
    assert office.flying == 6
    office.put(some("g", app="good"), severity=Severity.LOW)
    await office.turn()
    assert [each.client_id for _, each in office.left] == ["slow"] * 6 + ["good"]
    office.put(some("s", app="slow"), severity=Severity.CRITICAL)
    await office.turn()
    assert list(office.left[-1][1].tokens) == [b"s"]
    office.may_answer.set()
    await office.turn(1.0)
    assert len(office.ended) == 102
    await close(office)


@pytest.mark.parametrize(
    ("answered_after_s", "asked", "other", "at_most"),
    [(0.1, 0, False, 7), (0.1, 0, True, 6), (0.1, 2, False, 2), (2.0, 0, False, 6)],
    ids=["alone", "beside-another", "set", "slow"],
)
async def test_an_app_that_nobody_is_beside_may_have_all_calls_while_they_come_back_soon(
    clock: TurnedClock, answered_after_s: float, asked: int, other: bool, at_most: int
) -> None:
    """All but the slot that is kept for CRITICAL. Who comes later waits for the next answer; where that may take long,
    or where others have been met, or the settings say otherwise, room is kept for them."""
    office = Office(clock, replace(SETTINGS, max_in_flight=8, max_in_flight_per_app=asked))
    if other:
        office.put(some("o", app="other"))
        await office.turn()
    office.may_answer.clear()
    office.put(some("t", app="big"))
    await office.turn(answered_after_s)
    office.may_answer.set()
    await office.turn()
    office.may_answer.clear()
    office.put(*(some(f"t{n}", app="big") for n in range(100)), severity=Severity.HIGH)
    await office.turn()
    assert office.flying == at_most
    office.may_answer.set()
    await office.turn(1.0)
    assert len(office.ended) == 101 + other
    await close(office)


async def test_what_one_app_may_have_in_flight_is_a_setting(clock: TurnedClock) -> None:
    """``max_in_flight_per_app``."""
    office = Office(clock, replace(SETTINGS, max_in_flight=8, max_in_flight_per_app=2))
    office.may_answer.clear()
    for app in "abc":
        office.put(*(some(f"{app}{n}", app=app) for n in range(10)))
    await office.turn()
    assert sorted(each.client_id or "" for _, each in office.left) == sorted("aabbcc")
    await close(office)


@pytest.mark.parametrize("by_name", [True, False])
async def test_a_token_known_to_be_bad_is_not_asked_for_again_in_its_violation(office: Office, by_name: bool) -> None:
    """One message in many sends to the same people: found bad once, refused everywhere, and no further batch halved."""
    alone = Reply(Verdict.REJECTED, 400, "80300028", rejected=((0, "80300028"),))

    def answer(each: Parcel) -> Reply:
        if b"t-13" not in each.tokens:
            return REVOKED
        if by_name:
            return Reply(Verdict.PARTIAL, 200, "80100000", rejected=((list(each.tokens).index(b"t-13"), "noRight"),))
        return alone if len(each.tokens) == 1 else Reply(Verdict.SPLIT, 400, "80300028")

    office.answer = answer
    office.put(some(*(f"t-{i}" for i in range(64))))
    await office.turn()
    asked = len(office.left)
    assert asked == (1 if by_name else 13)
    office.put(*(some(*(f"t-{i}" for i in range(n, 64))) for n in range(10)), some("t-13"))
    await office.turn()
    assert [len(each.tokens) for _, each in office.left[asked:]] == [63 - n for n in range(10)]
    assert not any(b"t-13" in each.tokens for _, each in office.left[asked:])
    reasons = {bad for _, ending in office.ended for bad in ending.rejected}
    assert reasons == {RejectedToken("t-13", "noRight" if by_name else "80300028")}
    assert sum(len(ending.rejected) for _, ending in office.ended) == 12
    assert office.calls.pending.waiting == 0


async def test_what_is_already_planned_is_not_asked_for_either(office: Office) -> None:
    """Parcels that waited while the token was found bad; a violation withdrawn meanwhile gets no result for it."""
    office.answer = lambda each: Reply(Verdict.PARTIAL, 200, "80100000", rejected=((0, "noRight"),))
    office.calls._settings = replace(SETTINGS, max_in_flight=1)
    late, unwanted = some("bad", "b"), some("bad", "c")
    office.unwanted.add(unwanted)
    office.put(some("bad", "a"))
    await office.turn()
    office.answer = lambda each: REVOKED
    office.put(late, unwanted)
    await office.turn()
    assert office.called == [[b"bad", b"a"], [b"b"]]
    assert office.outcomes == [Outcome.PARTIALLY_REVOKED, Outcome.FAILED, Outcome.REVOKED]
    assert office.calls.pending.waiting == 0


# --- what is still on screens


async def test_what_waits_is_counted_in_devices_and_in_how_long_each_has_waited_by_now(
    office: Office, clock: TurnedClock
) -> None:
    """From the later of both records' times; what ends, is cut, lifted, taken back or tried again stays right."""
    exposure, none = office.calls.pending.exposure, dict.fromkeys(Severity, 0)
    office.may_answer.clear()
    office.put(some("a", "b", time_ms=990_000), some("c", time_ms=995_000))  # it is 1,000 s past
    office.put(some("d", "e", "f", "g", time_ms=999_000), severity=Severity.LOW)
    await office.turn()
    assert exposure.devices == none | {Severity.MEDIUM: 3, Severity.LOW: 4}
    assert exposure.device_s(clock.now_ms()) == none | {Severity.MEDIUM: 25.0, Severity.LOW: 4.0}
    office.calls.lift(lambda each: b"c" in each.tokens, Severity.CRITICAL)
    office.answer = lambda each: Reply(Verdict.SPLIT, 400) if len(each.tokens) == 4 else BUSY
    office.may_answer.set()
    await office.turn()
    assert exposure.devices == none | {Severity.MEDIUM: 2, Severity.CRITICAL: 1, Severity.LOW: 4}
    assert exposure.device_s(clock.now_ms() + 1_000)[Severity.CRITICAL] == 6.0
    office.calls.pending.take_back(lambda each: b"a" in each.tokens)
    office.answer = lambda each: REVOKED
    await office.turn(600, 5.0)
    assert (exposure.devices, exposure.device_s(clock.now_ms())) == (none, none)


async def test_what_is_tried_again_for_a_new_word_has_waited_since_then(office: Office, clock: TurnedClock) -> None:
    """As the time to revoke has it; and a clock that is ahead of ours takes nothing away."""
    office.may_answer.clear()
    again = violation(time_ms=500)._replace(again_ms=998_000)
    office.put(parcel([b"a"], finding=again))
    assert office.calls.pending.exposure.device_s(clock.now_ms())[Severity.MEDIUM] == 2.0
    assert office.calls.pending.exposure.device_s(1)[Severity.MEDIUM] == 0
