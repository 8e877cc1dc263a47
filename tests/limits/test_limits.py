"""The laws at work: the real ``Calls`` against an imitation of Push Kit, minutes of virtual time in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from stream.model import Severity
from stream.pushkit.reply import Verdict
from tests.limits import stories
from tests.limits.imitation import Seen
from tests.limits.stories import APP, OTHER, QUOTA


def most_in_a_second(calls: Sequence[Seen]) -> int:
    """Of any second."""
    most = first = 0
    for place, call in enumerate(calls):
        while calls[first].at_s <= call.at_s - 1.0:
            first += 1
        most = max(most, place - first + 1)
    return most


def refused(calls: Iterable[Seen]) -> float:
    """The share that met flow control."""
    verdicts = [call.verdict for call in calls]
    return verdicts.count(Verdict.FLOW_CONTROL) / len(verdicts)


def test_a_quota_that_steps_is_found_again_each_time() -> None:
    """With quota q and no limit of our own: at least 85 % of q after 30 s, under 2 % of calls refused once settled."""
    run = stories.quota_steps()
    for since_s, until_s, quota in ((30, 60, QUOTA), (90, 120, QUOTA / 2), (200, 240, 2 * QUOTA)):
        assert run.devices_per_s(since_s, until_s) >= 0.85 * quota
        assert refused(run.calls(since_s, until_s)) < 0.02
    assert run.instances[0].calls.gate.bound.calls == 64, "flow control is not an overload"


@pytest.mark.parametrize("begins_s", [0, 10])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.2, 0.35])
def test_refusals_that_come_whatever_the_rate_do_not_bring_it_to_nothing(share: float, begins_s: int) -> None:
    """An overload of all of Push Kit is answered with 503 too: what gets through is used, and soon all of the quota
    after it."""
    run = stories.chance(share, begins_s=begins_s)
    assert run.devices_per_s(20, 100) >= 0.4 * QUOTA
    assert run.devices_per_s(120, 130) >= 0.5 * QUOTA


@pytest.mark.parametrize("share", [0.1, 0.2, 0.3])
def test_chance_among_many_small_calls_is_no_reason_to_wait(share: float) -> None:
    """Refusals that follow each other by chance among sixty calls under way are not taken for nothing getting
    through."""
    run = stories.chance(share, tokens=5, latency_ms=200.0)
    before = run.devices_per_s(5, 10)
    assert run.devices_per_s(20, 100) >= 0.9 * (1 - share) * before


def test_four_instances_find_one_quota_together_and_each_its_part() -> None:
    """Limits are kept over all running instances together, learned ones too."""
    run = stories.four_instances()
    assert run.devices_per_s(30, 90) >= 0.85 * QUOTA
    assert refused(run.calls(30, 90)) < 0.02
    early, late = ([each.samples[at].rates[APP] for each in run.instances] for at in (100, -1))
    assert max(late) / min(late) < 2.5 < max(early) / min(early), "who came first gives way to the others"


def test_each_app_has_a_rate_of_its_own_however_noisy_the_answers() -> None:
    """What is learned of one app says nothing of another; slow answers are not refusals."""
    run = stories.two_apps()
    for app, quota in ((APP, QUOTA), (OTHER, QUOTA / 8)):
        assert run.devices_per_s(30, 90, app) >= 0.85 * quota
        assert refused(run.calls(30, 90, app)) < 0.02
    assert run.instances[0].calls.gate.bound.calls == 64


def test_answers_that_take_long_change_nothing() -> None:
    """Waiting is not mistaken for slowness, nor slowness for trouble."""
    run = stories.noise()
    calls = run.instances[0].calls
    assert {sample.bound for sample in run.instances[0].samples} == {64.0}
    assert calls.app(APP).learned.devices_per_s == 0.0


def test_an_overload_lowers_the_calls_in_flight_and_no_rate() -> None:
    """Timeouts lower the calls in flight for the gateway; and it comes back when it is over."""
    run = stories.overload()
    bounds = [sample.bound for sample in run.instances[0].samples if 30 < sample.at_s < 60]
    assert 20 < sum(bounds) / len(bounds) < 36
    assert run.share_of(Verdict.RETRY, 30, 60) < 0.08
    assert run.instances[0].samples[-1].bound == 64
    assert run.instances[0].calls.app(APP).learned.devices_per_s == 0.0


@pytest.mark.parametrize("apps", [1, 10])
def test_an_outage_is_asked_about_and_not_made_worse(apps: int) -> None:
    """60 s outage, 10,000 calls due: from the third second on at most 2 calls/s per app and 10/s in all."""
    run = stories.outage(apps)
    during = run.calls(4, 61)
    assert most_in_a_second(during) <= 10
    for app in {call.app for call in during}:
        assert most_in_a_second([call for call in during if call.app == app]) <= 2
    assert len(during) >= 10
    assert len(run.calls(1, 4)) < 64 + 16 * apps + 30


@pytest.mark.parametrize("apps", [1, 10])
def test_calls_that_time_out_all_at_once_are_not_followed_by_as_many(apps: int) -> None:
    """The same bounds where the gateway takes calls and never answers: what is under way is waited for."""
    run = stories.outage(apps, hangs=True)
    during = run.calls(3, 61)
    assert most_in_a_second(during) <= 10
    assert {most_in_a_second(run.calls(3, 61, app)) for app in {call.app for call in during}} <= {1, 2}
    assert len(during) >= 5
    assert len(run.instances[0].ended) == 10_000 + 20 * apps


def test_few_calls_that_time_out_all_at_once_are_tried_again_one_by_one() -> None:
    """Too few to open the app's breaker, and enough to suspect an outage."""
    run = stories.outage(1, calls=10, hangs=True)
    assert most_in_a_second(run.calls(3, 61)) <= 2
    assert len(run.instances[0].ended) == 10 + 20


def test_after_an_outage_the_most_severe_go_first_and_soon_all_go_again_in_steps() -> None:
    """A probe that succeeds opens the way again, in steps; the most severe go first."""
    run = stories.outage(10)
    accepted = [call for call in run.calls(61) if call.verdict is Verdict.REVOKED]
    assert accepted[0].at_s < 63
    assert len([call for call in accepted if call.at_s < accepted[0].at_s + 0.05]) <= 12
    critical = [place for place, call in enumerate(accepted) if call.severity is Severity.CRITICAL]
    low = [place for place, call in enumerate(accepted) if call.severity is Severity.LOW]
    assert len(critical) == 1_000
    assert critical[899] < 1_500
    assert sum(place < critical[-100] for place in low) < 0.2 * len(accepted[: critical[-100]])
    assert len(run.calls(accepted[0].at_s + 2, accepted[0].at_s + 3)) > 500
    assert len(run.instances[0].ended) == 10_200


def test_many_critical_leave_each_lane_its_share_of_the_calls() -> None:
    """No severity starves another: also where every slot is taken and the last is kept for CRITICAL."""
    calls = stories.many_critical().calls(5, 20)
    low = sum(call.severity is Severity.LOW for call in calls)
    assert {call.severity for call in calls} == {Severity.CRITICAL, Severity.LOW}
    assert 0.04 < low / len(calls) < 0.08


def test_critical_of_one_app_leaves_its_own_milder_lanes_their_share() -> None:
    """Nor does it starve those of its own app, whose calls in flight are bounded as any app's."""
    calls = stories.many_critical_of_one_app().calls(5, 9)
    seen = {each: sum(call.severity is each for call in calls) / len(calls) for each in Severity}
    assert seen[Severity.LOW] > 0.04
    assert seen[Severity.MEDIUM] > 0.08
    assert seen[Severity.HIGH] > 0.16


def test_one_app_that_is_down_takes_nothing_from_another() -> None:
    """One app's breaker does not touch another."""
    run = stories.one_app_down()
    assert most_in_a_second(run.calls(3, 20, APP)) <= 2
    assert len(run.calls(8, 18, OTHER)) > 0.9 * 10 * 48 / 0.2, "three quarters of 64: all that one app may have"
    assert len(run.calls(30, 35, APP)) > 0.3 * len(run.calls(30, 35)), "it is back, with its turn"
    back = [call for call in run.calls(20, 26, APP) if call.verdict is Verdict.REVOKED]
    assert len([call for call in back if call.at_s < back[0].at_s + 0.3]) <= 3, "in steps"


def test_in_a_brownout_retries_are_a_share_of_the_calls_and_all_is_done_after_it() -> None:
    """Retries at most a set share of calls during an outage."""
    run = stories.brownout()
    during = run.calls(5, 30)
    assert 0.05 < sum(call.retry for call in during) / len(during) < 0.25
    assert len(run.instances[0].ended) == 3_000
