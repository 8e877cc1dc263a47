"""The join, case by case: each line of the contract that a reader of results would hold us to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from stream.model import Outcome, RegistryDown, Severity, Status, Topic, ViolationEvent
from stream.service import passes, planning, plans
from stream.service.intake import BESIDE, HEADS_READ
from stream.state import shard as shard_room
from stream.state.shard import Shard
from stream.work.condemned import Condemned, Walk
from tests.service.small_world import MINUTE_MS, RETENTION_MS, SmallWorld, condemned

TWO = ["token-a", "token-b"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    """A shard that has read its empty past."""
    small = SmallWorld(tmp_path)
    small.recall()
    for topic in Topic:
        small.read_past(topic, 1)
    small.tell()
    yield small
    small.close()


def test_each_lane_is_planned_for_however_long_the_more_severe_one_is(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reserved shares: a lane has something ready to be called, and no more than that of it is held in memory."""
    monkeypatch.setattr(plans, "FEW_READY", 2)
    monkeypatch.setattr(plans, "PARCELS_READY", 5)
    for severity in Severity:
        for n in range(20):
            world.send(f"{severity.name}-{n}", ["a"])
            world.violate(f"{severity.name}-{n}", severity=severity)
    world.read(Topic.SENDS)
    world.read(Topic.VIOLATIONS)
    world.tell()
    planned = []
    while world.desk.planning.step(world.clock.monotonic_s()):
        planned.append(Counter(each.severity for each in world.waiting))
    assert planned[-1] == dict.fromkeys(Severity, 5)
    first = next(seen for seen in planned if seen[Severity.CRITICAL] > 2)
    assert all(first[severity] == 2 for severity in Severity if severity is not Severity.CRITICAL)


def test_a_send_before_its_violation_is_revoked(world: SmallWorld) -> None:
    """A violation finds the sends already stored."""
    world.send("m", TWO)
    world.read(Topic.SENDS)
    world.violate("m")
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.REVOKED]
    assert set(world.covered("m", "v1")) == world.places("m")


def test_a_violation_before_its_send_waits_for_it(world: SmallWorld) -> None:
    """Each send read later asks whether its message is already condemned; NOT_FOUND does not end that."""
    world.violate("m")
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.NOT_FOUND]
    world.send("m", TWO)
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.NOT_FOUND, Outcome.REVOKED]
    assert world.results[-1].late


def test_a_send_that_is_stored_while_the_message_is_planned_is_called_once(world: SmallWorld) -> None:
    """Condemn, then walk; store, then ask: then neither order can lose a pair, and none doubles it."""
    world.send("m", TWO)
    world.violate("m")
    world.read(Topic.VIOLATIONS)
    world.read(Topic.SENDS)
    world.step()
    world.until_quiet()
    assert world.covered("m", "v1") == dict.fromkeys(world.places("m"), 1)


def test_a_late_send_of_a_settled_message_is_revoked_and_counted(world: SmallWorld) -> None:
    """A message's sends are revoked whenever they come; totals go on from where they were."""
    world.send("m", TWO)
    world.violate("m")
    world.until_quiet()
    world.send("m", ["token-c"])
    world.until_quiet()
    assert world.covered("m", "v1") == dict.fromkeys(world.places("m"), 1)
    totals = [(r.violation_tokens_matched, r.violation_tokens_settled) for r in world.results]
    assert totals == [(2, 2), (3, 3)]


def test_a_send_that_the_pass_has_seen_is_not_counted_again(world: SmallWorld) -> None:
    """Told to the desk only after the pass over the store has met it: one place, not two."""
    world.violate("m")
    world.read(Topic.VIOLATIONS)
    world.send("m", TWO)
    world.read(Topic.SENDS)
    world.tell(1)
    assert world.step()
    world.tell()
    world.until_quiet()
    assert [(r.violation_tokens_matched, r.violation_tokens_settled) for r in world.results] == [(2, 2)]


def test_an_innocent_message_is_never_called(world: SmallWorld) -> None:
    """No token leaves for Push Kit that a confirmed violation does not cover."""
    world.send("innocent", TWO)
    world.violate("m", status=Status.CONFIRMED)
    world.send("m", ["token-c"])
    world.until_quiet()
    assert world.called_tokens("innocent") == []
    assert not condemned(world, "innocent")


def test_the_second_violation_gets_already_revoked_with_the_first_in_detail(world: SmallWorld) -> None:
    """ALREADY_REVOKED names the other violation in ``detail``; no call is made."""
    world.send("m", TWO)
    world.violate("m", "v1")
    world.violate("m", "v2")
    world.until_quiet()
    assert world.outcomes("m", "v2") == [Outcome.ALREADY_REVOKED]
    assert world.results[-1].detail == "v1"
    assert world.results[-1].attempts == world.results[-1].tokens_requested == 0
    assert len(world.called) == 1


def test_what_was_refused_for_good_is_not_called_for_another_violation(world: SmallWorld) -> None:
    """A place refused for good under another violation is covered without a call, the reason copied."""
    world.send("m", TWO)
    world.violate("m", "v1")
    world.until_quiet("partial")
    world.violate("m", "v2")
    world.until_quiet()
    assert len(world.called) == 1
    assert sorted(world.outcomes("m", "v2"), key=str) == [Outcome.ALREADY_REVOKED, Outcome.FAILED]
    failed = next(r for r in world.results if r.violation_id == "v2" and r.outcome is Outcome.FAILED)
    assert [tuple(each) for each in failed.rejected_tokens] == [("token-a", "noRight")]


def test_what_was_given_up_is_called_again_for_another_violation(world: SmallWorld) -> None:
    """One that was only given up is called again for a new violation."""
    world.send("m", TWO)
    world.violate("m", "v1")
    world.until_quiet("given up")
    world.violate("m", "v2")
    world.until_quiet()
    assert world.outcomes("m", "v2") == [Outcome.REVOKED]


@pytest.mark.parametrize("status", [Status.CONFIRMED, Status.APPROVED])
def test_what_was_given_up_is_called_again_for_a_counting_event(world: SmallWorld, status: Status) -> None:
    """… a counting CONFIRMED or an APPROVED."""
    world.send("m", TWO)
    world.violate("m")
    world.until_quiet("given up")
    world.clock.ms += MINUTE_MS
    world.violate("m", status=status)
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.FAILED, Outcome.REVOKED]


def test_a_repeat_of_a_violation_changes_nothing(world: SmallWorld) -> None:
    """A CONFIRMED that is not later detected than all before it is a repeat."""
    world.send("m", TWO)
    first_ms = world.clock.ms
    world.violate("m", detected_ms=first_ms)
    world.until_quiet("given up")
    world.violate("m", detected_ms=first_ms)
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.FAILED]


@pytest.mark.parametrize("later_ms", [0, 1_000])
def test_a_detector_may_repeat_itself_for_ever(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch, later_ms: int
) -> None:
    """A detector's repeat is ordinary: a few events are read for it, however many there are, and no send is walked."""
    world.send("m", TWO)
    detected_ms = world.clock.ms
    world.violate("m", detected_ms=detected_ms)
    world.until_quiet()
    read = _counted(monkeypatch, world)
    for at in range(100):
        for _ in range(3):
            world.violate("m", detected_ms=detected_ms + at * later_ms)
        world.read(Topic.VIOLATIONS)
        world.until_quiet()
    assert read["events"] <= 100 * BESIDE, "only what stands beside it, to see whether it need be kept"
    assert read["walks"] == (99 if later_ms else 0), "each newer finding asks once for what was given up"
    assert world.outcomes("m") == [Outcome.REVOKED]


def test_repeats_do_not_fill_the_store(world: SmallWorld) -> None:
    """A repeat is kept only where nothing that it repeats stands in its time bucket; it keeps the others here."""
    detected_ms = world.clock.ms
    for _ in range(60):
        for _ in range(5):
            world.violate("m", detected_ms=detected_ms)
        world.read(Topic.VIOLATIONS)
        world.clock.ms += RETENTION_MS // 60
    times = [event.timestamp_ms for event in world.shard.stored.all_events()]
    buckets = [world.shard.bucket(time_ms) for time_ms in times]
    assert len(buckets) == len(set(buckets)) <= 13
    assert len(times) >= 12


def test_repeats_from_the_past_are_judged_by_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """... also where the past is read backwards: each batch costs one look at the events at most."""
    world = SmallWorld(tmp_path)
    world.send("m", TWO)
    detected_ms = world.clock.ms
    for _ in range(200):
        world.violate("m", detected_ms=detected_ms)
    world.violate("m", status=Status.WITHDRAWN)
    for _ in range(200):
        world.violate("m", detected_ms=detected_ms)
    world.restart(keep=False)
    world.recall()
    read = _counted(monkeypatch, world)
    for _ in range(5):
        world.read_past(Topic.VIOLATIONS, 100)
        world.tell()
    world.until_quiet()
    assert read["events"] <= 5 * 401, "five batches"
    assert world.outcomes("m") == [Outcome.WITHDRAWN]
    assert world.called == []
    world.close()


def _counted(monkeypatch: pytest.MonkeyPatch, world: SmallWorld) -> Counter[str]:
    """Counts from now on how many stored events are read, and how many walks over sends are begun."""
    counts: Counter[str] = Counter()
    decode, begin = world.wire.stored_violation, Condemned.begin_pass

    def counting_decode(value: bytes) -> ViolationEvent:
        counts["events"] += 1
        return decode(value)

    def counting_begin(it: Condemned, walk: Walk) -> None:
        counts["walks"] += 1
        begin(it, walk)

    monkeypatch.setattr(world.wire, "stored_violation", counting_decode)
    monkeypatch.setattr(Condemned, "begin_pass", counting_begin)
    return counts


def test_a_send_of_a_withdrawn_message_leaves_nothing_open(world: SmallWorld) -> None:
    """Sends that come while a violation is withdrawn need no result, and no work."""
    world.violate("m", status=Status.WITHDRAWN)
    world.until_quiet()
    world.send("m", TWO)
    world.until_quiet()
    assert not world.desk.docket.open
    assert world.outcomes("m") == [Outcome.WITHDRAWN]


def test_a_call_that_outlasts_a_withdrawal_does_not_say_complete_without_what_came_meanwhile(world: SmallWorld) -> None:
    """Equal totals mean complete as known now: a send that came while the violation was withdrawn is known."""
    world.send("m", TWO)
    world.violate("m")
    _hears(world)
    world.step()
    world.call()
    world.violate("m", status=Status.WITHDRAWN)
    _hears(world)
    world.send("m", ["token-c"])
    world.clock.ms += MINUTE_MS
    world.violate("m")
    _hears(world)
    world.until_quiet()
    totals = [(r.violation_tokens_matched, r.violation_tokens_settled) for r in world.results if r.outcome.covers]
    assert totals == [(3, 2), (3, 3)]


def test_a_message_that_was_withdrawn_before_it_was_planned_leaves_nothing_open(world: SmallWorld) -> None:
    """WITHDRAWN: there is nothing left to do, and nothing to remember beyond that."""
    world.send("m", TWO)
    world.violate("m")
    _hears(world)
    world.violate("m", status=Status.WITHDRAWN)
    world.until_quiet()
    assert not world.desk.docket.open


def test_an_event_behind_one_that_cannot_be_read_now_is_not_forgotten(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that does not answer: the message is looked at again, with all of its events, when it does."""
    world.send("m", TWO)
    world.violate("m", status=Status.WITHDRAWN)
    world.until_quiet()
    world.desk.docket.done.clear()
    world.violate("m")
    world.read(Topic.VIOLATIONS)
    with monkeypatch.context() as down:
        down.setattr(world.wire, "stored_violation", _down)
        world.tell()
        world.step()
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.WITHDRAWN, Outcome.REVOKED]


def _down(_: bytes, at: int = 0) -> NoReturn:
    raise RegistryDown("no answer")


def test_a_withdrawn_violation_is_not_called_and_says_so_once(world: SmallWorld) -> None:
    """WITHDRAWN once per withdrawal; what has not been done yet is stopped."""
    world.send("m", TWO)
    world.violate("m")
    world.read(Topic.SENDS)
    world.read(Topic.VIOLATIONS)
    world.tell()
    world.step()
    assert len(world.waiting) == 1
    world.violate("m", status=Status.WITHDRAWN)
    world.violate("m", status=Status.WITHDRAWN)
    world.until_quiet()
    assert world.called == []
    assert world.outcomes("m") == [Outcome.WITHDRAWN]
    assert world.results[0].sends == ()


def test_a_confirmed_after_a_withdrawal_revokes_again(world: SmallWorld) -> None:
    """A CONFIRMED that counts revokes again after WITHDRAWN; each withdrawal is said."""
    world.send("m", TWO)
    world.violate("m")
    world.violate("m", status=Status.WITHDRAWN)
    world.until_quiet()
    world.violate("m")
    world.until_quiet()
    world.violate("m", status=Status.WITHDRAWN)
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.WITHDRAWN, Outcome.REVOKED, Outcome.WITHDRAWN]
    ids = [r.result_id for r in world.results]
    assert len(set(ids)) == len(ids)


def test_a_withdrawal_while_the_call_is_in_flight_stops_its_retry(world: SmallWorld) -> None:
    """WITHDRAWN: stop what has not been done yet."""
    world.send("m", TWO)
    world.violate("m")
    world.read(Topic.SENDS)
    world.read(Topic.VIOLATIONS)
    world.tell()
    world.step()
    flying = world.call()
    world.violate("m", status=Status.WITHDRAWN)
    world.read(Topic.VIOLATIONS)
    world.tell()
    world.answer(flying, "again")
    world.until_quiet()
    assert len(world.called) == 1


def test_a_withdrawal_during_a_long_pass_stops_what_is_half_packed(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token leaves that a confirmed violation does not cover, also not from a parcel that was being filled."""
    monkeypatch.setattr(passes, "CHUNK_SENDS", 2)
    for token in "abcde":
        world.send("m", [token])
    world.violate("m")
    world.read(Topic.SENDS)
    world.read(Topic.VIOLATIONS)
    world.tell()
    world.step()
    world.violate("m", status=Status.WITHDRAWN)
    world.until_quiet()
    assert world.called == []
    world.violate("m")
    world.until_quiet()
    assert world.covered("m", "v1") == dict.fromkeys(world.places("m"), 1)


def test_an_app_with_campaigns_does_not_put_off_what_another_waits_for(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apps in turn within a lane, in planning too: three campaigns that fill it are older than the other's token."""
    monkeypatch.setattr(plans, "FEW_READY", 1)
    monkeypatch.setattr(plans, "PARCELS_READY", 4)
    monkeypatch.setattr(passes, "CHUNK_SENDS", 2)
    world.largest = 1
    for campaign in "abc":
        for number in range(40):
            world.send(campaign, [f"{campaign}{number}"], app="large")
        world.violate(campaign, severity=Severity.LOW)
    _hears(world)
    while world.step():
        pass
    assert len(world.waiting) >= 4, "the lane is full"
    world.send("single", ["x"], app="small")
    world.violate("single", severity=Severity.LOW)
    _hears(world)
    world.clock.ms += 1_000
    while world.step():
        pass
    assert "small" in {each.parcel.client_id for each in world.waiting}
    assert len(world.waiting) <= 10, "what is planned holds its tokens in memory"


@pytest.mark.parametrize("room", [4, 1_000])
def test_an_app_with_many_findings_does_not_put_off_what_another_waits_for(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """The same behind a hundred findings, none of which has been looked at: the newest is met first, also while the
    lane takes more."""
    monkeypatch.setattr(plans, "FEW_READY", 1)
    monkeypatch.setattr(plans, "PARCELS_READY", room)
    for number in range(100):
        world.send(f"m{number}", ["a"], app="large")
        world.violate(f"m{number}", severity=Severity.LOW)
    world.send("single", ["x"], app="small")
    world.violate("single", severity=Severity.LOW)
    _hears(world)
    for _ in range(8):
        world.step()
    assert "small" in {each.parcel.client_id for each in world.waiting}
    assert len(world.waiting) <= 8


def test_a_message_that_is_only_counted_does_not_put_off_what_is_less_severe(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No severity starves another: a second, graver finding on a campaign that is revoked already makes no call, and
    takes every other turn of planning until all its sends are counted."""
    monkeypatch.setattr(passes, "CHUNK_SENDS", 2)
    for campaign in ("done", "open"):
        for number in range(40):
            world.send(campaign, [f"{campaign}{number}"])
    world.violate("done", severity=Severity.LOW)
    world.until_quiet()
    world.largest = 1
    world.violate("done", "v2", severity=Severity.CRITICAL)
    world.violate("open", severity=Severity.LOW)
    _hears(world)
    for _ in range(12):
        world.step()
    assert len(world.waiting) == 12, "six turns of two sends"
    world.until_quiet()
    assert world.covered("done", "v2") == dict.fromkeys(world.places("done"), 1)


def _past_read(world: SmallWorld) -> None:
    world.recall()
    for topic in Topic:
        world.read_past(topic, 1_000)
    world.tell()


def test_a_campaign_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After kill -9 what is open of it need not wait until what is settled has been looked at; all is counted, once."""
    monkeypatch.setattr(passes, "CHUNK_SENDS", 10)
    monkeypatch.setattr(shard_room, "WORTH_PUTTING_OFF", 20)
    world = SmallWorld(tmp_path)
    _past_read(world)
    world.largest = 10
    for number in range(400):
        world.send("m", [f"t{number}"])
    world.violate("m")
    _hears(world)
    world.shard.write_run()
    while len(world.topics[Topic.RESULTS]) < 30:
        assert world.step()
        while world.waiting:
            world.answer(world.call(), "revoked")
        while world.mailbox.written:
            world.settle_one()
    world.restart(keep=True)
    _past_read(world)
    before, steps = len(world.called), 0
    while not world.waiting:
        assert world.step()
        steps += 1
    assert steps <= 6, "thirty chunks are settled"
    world.until_quiet()
    assert len(world.called) - before == 10
    assert world.covered("m", "v1") == dict.fromkeys(world.places("m"), 1)
    assert world.results[-1].violation_tokens_matched == world.results[-1].violation_tokens_settled == 400
    world.close()


def test_a_withdrawal_ends_the_pass_over_a_campaign(world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """WITHDRAWN stops what has not been done yet: what is left of ten million sends is not even read."""
    monkeypatch.setattr(passes, "CHUNK_SENDS", 2)
    for number in range(40):
        world.send("m", [f"t{number}"])
    world.violate("m")
    _hears(world)
    world.step()
    world.violate("m", status=Status.WITHDRAWN)
    _hears(world)
    steps = 0
    while world.step():
        steps += 1
    assert steps <= 2
    [it] = world.desk.docket
    assert it.idle
    world.violate("m")
    world.until_quiet()
    assert world.covered("m", "v1") == dict.fromkeys(world.places("m"), 1)


def test_a_withdrawal_of_one_violation_does_not_stop_the_campaign_of_the_other(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every violation ends in results that cover every token, also where a pass waited for calls that were taken
    back."""
    monkeypatch.setattr(planning, "PARCELS_A_MESSAGE", 2)
    monkeypatch.setattr(passes, "CHUNK_SENDS", 2)
    world.largest = 1
    for token in "abcdefgh":
        world.send("m", [token])
    world.violate("m", "v1")
    world.violate("m", "v2")
    world.read(Topic.SENDS)
    world.read(Topic.VIOLATIONS)
    world.tell()
    while world.step():
        pass
    world.violate("m", "v1", Status.WITHDRAWN)
    world.until_quiet()
    assert world.covered("m", "v2") == dict.fromkeys(world.places("m"), 1)


def test_a_repeat_right_after_a_restart_does_not_undo_a_withdrawal(tmp_path: Path) -> None:
    """No repeat undoes a person's decision, also not before the store has been gone through."""
    world = SmallWorld(tmp_path)
    world.send("m", TWO)
    first_ms = world.clock.ms
    world.violate("m", detected_ms=first_ms)
    world.violate("m", status=Status.WITHDRAWN)
    world.until_quiet()
    world.restart(keep=True)
    for topic in Topic:
        world.read_past(topic, 100)
    world.violate("m", detected_ms=first_ms)
    world.read(Topic.VIOLATIONS)
    world.tell()
    while world.step():
        pass
    world.until_quiet()
    assert world.called == []
    world.close()


@pytest.mark.parametrize("restarted", [False, True])
def test_a_finding_older_than_a_second_withdrawal_does_not_count(world: SmallWorld, restarted: bool) -> None:
    """A CONFIRMED counts only if it was detected later than every earlier event, also one that changed nothing else."""
    detected_ms = world.clock.ms
    for status, after_ms in ((Status.CONFIRMED, 0), (Status.WITHDRAWN, 0), (Status.WITHDRAWN, 2_000)):
        world.violate("m", status=status, detected_ms=detected_ms + after_ms)
        world.until_quiet()
    world.clock.ms += RETENTION_MS // 10
    world.send("m", TWO)
    if restarted:
        world.restart(keep=True)
    world.violate("m", detected_ms=detected_ms + 1_000)
    world.until_quiet()
    assert world.called == []
    assert Outcome.REVOKED not in world.outcomes("m")


def test_an_empty_store_knows_no_withdrawal_that_has_left_retention(tmp_path: Path) -> None:
    """The one case in which a repeat undoes a decision: nothing below retention is read, and the repeat's record is
    younger. Its age is its record's time, whatever its detectedAt; a store that was not lost keeps both."""
    world = SmallWorld(tmp_path)
    detected_ms = world.clock.ms
    world.violate("m", detected_ms=detected_ms)
    below = world.violate("m", status=Status.WITHDRAWN) + 1
    world.send("m", TWO)
    world.violate("m", detected_ms=detected_ms)
    world.restart(keep=False)
    world.shard.add(Topic.VIOLATIONS, [(0, below)])  # as if the log began, or retention ended, behind the withdrawal
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.REVOKED]
    world.close()


def test_a_store_that_was_not_lost_keeps_a_withdrawal_as_long_as_a_repeat(world: SmallWorld) -> None:
    """A message's events leave together, with the last of them."""
    detected_ms = world.clock.ms
    first = world.violate("m", detected_ms=detected_ms)
    world.violate("m", status=Status.WITHDRAWN)
    world.until_quiet()
    world.clock.ms += RETENTION_MS // 2
    world.send("m", TWO)
    world.violate("m", detected_ms=detected_ms)
    world.until_quiet()
    _leaves_retention(world, first)
    world.desk.docket.done.clear()
    world.violate("m", detected_ms=detected_ms)
    world.until_quiet()
    assert world.called == []
    assert world.outcomes("m") == [Outcome.WITHDRAWN]


def test_a_more_severe_finding_lifts_what_waits(world: SmallWorld) -> None:
    """A message's remaining work runs at the highest severity of its confirmed violations."""
    world.send("m", TWO)
    world.violate("m", "v1", severity=Severity.LOW)
    world.read(Topic.SENDS)
    world.read(Topic.VIOLATIONS)
    world.tell()
    world.step()
    assert [each.severity for each in world.waiting] == [Severity.LOW]
    world.violate("m", "v2", severity=Severity.CRITICAL)
    world.read(Topic.VIOLATIONS)
    world.tell()
    assert [each.severity for each in world.waiting] == [Severity.CRITICAL]


def _hears(world: SmallWorld) -> None:
    world.read(Topic.SENDS)
    world.read(Topic.VIOLATIONS)
    world.tell()


def test_what_waits_sinks_when_the_gravest_finding_is_withdrawn(world: SmallWorld) -> None:
    """... of its confirmed violations: not of one that is withdrawn."""
    world.largest = 1
    world.send("m", TWO)
    world.violate("m", "v1", severity=Severity.LOW)
    world.violate("m", "v2", severity=Severity.CRITICAL)
    _hears(world)
    world.step()
    assert [each.severity for each in world.waiting] == [Severity.CRITICAL] * 2
    world.violate("m", "v2", Status.WITHDRAWN)
    _hears(world)
    assert [each.severity for each in world.waiting] == [Severity.LOW] * 2


@pytest.mark.parametrize(("status", "first"), [(Status.WITHDRAWN, ["other", "m"]), (Status.APPROVED, ["m", "other"])])
def test_a_plan_goes_on_in_the_lane_of_what_stands_now(world: SmallWorld, status: Status, first: list[str]) -> None:
    """The most severe goes first, and what was planned while it was another severity goes with it."""
    world.send("m", TWO)
    world.send("other", TWO)
    world.violate("m", "v1", severity=Severity.LOW)
    world.violate("m", "v2", Status.CONFIRMED if status is Status.WITHDRAWN else Status.WITHDRAWN, Severity.CRITICAL)
    world.violate("other", severity=Severity.HIGH)
    _hears(world)
    assert len(world.desk.planning.plans) == 2
    world.violate("m", "v2", status)
    _hears(world)
    assert len(world.desk.planning.plans) == 2, "it waits once"
    for _ in range(2):
        assert world.step()
    assert [each.parcel.violation.message_id for each in world.waiting] == first
    assert not world.step()
    assert len(world.desk.planning.plans) == 0


def test_a_send_without_notify_id_ends_without_a_call(world: SmallWorld) -> None:
    """NOT_REVOCABLE: no notifyId, or a push type that the API cannot revoke; it covers its places."""
    world.send("m", TWO, notify_id=None)
    world.send("m", ["token-c"], push_type=6)
    world.violate("m")
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.NOT_REVOCABLE] * 2
    assert world.called == []
    assert set(world.covered("m", "v1")) == world.places("m")


def test_a_call_that_ends_while_its_shard_leaves_does_not_say_complete_without_what_came_meanwhile(
    world: SmallWorld,
) -> None:
    """A leaving shard counts nothing any more: the next owner does."""
    world.send("m", TWO)
    world.violate("m")
    _hears(world)
    world.step()
    under_way = world.call()
    world.shard.leaving = True
    world.send("m", ["token-c"])
    _hears(world)
    world.answer(under_way, "revoked")
    world.deliver()
    assert [(r.violation_tokens_matched, r.violation_tokens_settled) for r in world.results] == [(3, 2)]


def test_totals_say_complete_only_when_all_is_counted_and_settled(world: SmallWorld) -> None:
    """Equal means complete; while stored sends are being counted, matched is at least settled + 1."""
    world.largest = 1
    world.send("m", ["a", "b", "c"])
    world.violate("m")
    world.until_quiet()
    totals = [(r.violation_tokens_matched, r.violation_tokens_settled) for r in world.results]
    assert totals == [(3, 1), (3, 2), (3, 3)]


def _send_with_a_damaged_head(world: SmallWorld, message: str) -> None:
    """A send whose head is damaged, in a run so long that no head is looked at as it comes."""
    offset = world.send(message, TWO)
    record = world.topics[Topic.SENDS][offset]
    world.topics[Topic.SENDS][offset] = record._replace(value=record.value.replace(b"app", b"\xff\xff\xff"))
    for at in range(HEADS_READ):
        world.send(f"innocent-{at}", ["a"])


def test_a_late_send_whose_head_is_unreadable_is_told_of_also_where_its_message_was_forgotten(
    world: SmallWorld,
) -> None:
    """A send that turns out unreadable goes to the dead letters, and the violation gets a FAILED for it."""
    world.violate("m")
    world.until_quiet()
    assert world.desk.docket.get(0, "m") is None
    _send_with_a_damaged_head(world, "m")
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.NOT_FOUND, Outcome.FAILED]
    assert len(world.mailbox.letters) == 1


def test_a_late_send_whose_head_cannot_be_read_now_is_revoked_when_it_can(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """... and where it is only the registry that does not answer, it is revoked once that does."""
    world.violate("m")
    world.until_quiet()
    with monkeypatch.context() as down:
        down.setattr(world.wire, "send_head", _down)
        down.setattr(world.wire, "send", _down)
        _hears_of_a_backlog(world)
        while world.step():
            pass
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.NOT_FOUND, Outcome.REVOKED]


def _hears_of_a_backlog(world: SmallWorld) -> None:
    """So many sends come at once that no head is looked at."""
    world.send("m", TWO)
    for at in range(HEADS_READ):
        world.send(f"innocent-{at}", ["a"])
    _hears(world)


def test_totals_never_say_complete_while_a_stored_send_cannot_be_read_now(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """... also where it was heard of and the registry that is needed to read it does not answer."""
    world.send("m", TWO)
    world.violate("m")
    _hears(world)
    world.step()
    with monkeypatch.context() as down:
        down.setattr(world.wire, "send", _down)
        world.send("m", ["token-c"])
        _hears(world)
    world.answer(world.call(), "revoked")
    world.until_quiet()
    totals = [(r.violation_tokens_matched, r.violation_tokens_settled) for r in world.results]
    assert totals == [(3, 2), (3, 3)]


def test_the_last_result_of_a_time_of_reading_is_not_written_again_for_its_totals(tmp_path: Path) -> None:
    """While earlier sends are unread, matched is at least settled + 1; what it was stays in the last result."""
    world = SmallWorld(tmp_path)
    world.send("innocent", TWO)
    world.send("m", TWO)
    world.violate("m")
    world.restart(keep=False)
    world.recall()
    for topic, most in [(Topic.VIOLATIONS, 10), (Topic.RESULTS, 10), (Topic.SENDS, 1)]:
        world.read_past(topic, most)
    while world.move("revoked"):
        pass
    world.until_quiet()
    assert world.covered("m", "v1") == dict.fromkeys(world.places("m"), 1)
    assert [(r.violation_tokens_matched, r.violation_tokens_settled) for r in world.results] == [(3, 2)]
    world.close()


def test_a_second_violation_waits_its_own_time_before_not_found(world: SmallWorld) -> None:
    """NOT_FOUND: the waiting time was over, for this violation."""
    world.violate("m", "v1")
    world.read(Topic.VIOLATIONS)
    world.tell()
    world.step()
    world.clock.ms += 50_000
    world.violate("m", "v2")
    world.read(Topic.VIOLATIONS)
    world.tell()
    world.step()
    world.clock.ms += 15_000
    world.desk.missing(world.clock.monotonic_s(), lambda shard, arrived_s: True)
    assert [each.result.violation_id for each in world.mailbox.written if each.result.violation_id == "v2"] == []


def test_while_a_shard_can_tell_of_nothing_no_message_of_it_is_asked_about(world: SmallWorld) -> None:
    """NOT_FOUND waits for reading to catch up; however many wait, the loop does not look at each again and again."""
    for number in range(20):
        world.violate(f"m-{number}")
    _hears(world)
    while world.step():
        pass
    world.clock.ms += 120_000
    asked = list[float]()

    def unread(shard: Shard, arrived_s: float) -> bool:
        asked.append(arrived_s)
        return False

    world.desk.missing(world.clock.monotonic_s(), unread)
    assert len(asked) == 1
    world.until_quiet()
    assert len(world.results) == 20


def test_nothing_is_called_not_found_while_its_shard_leaves(world: SmallWorld) -> None:
    """A send that comes then is stored, and looked at by the next owner: to call its message not found were wrong."""
    world.violate("m")
    _hears(world)
    while world.step():
        pass
    world.shard.leaving = True
    world.send("m", ["a"])
    _hears(world)
    world.clock.ms += 120_000
    world.desk.missing(world.clock.monotonic_s(), lambda shard, arrived_s: True)
    assert not world.mailbox.written


def test_not_found_is_said_once_also_over_a_restart(tmp_path: Path) -> None:
    """NOT_FOUND is said once per violation."""
    world = SmallWorld(tmp_path)
    world.violate("m")
    world.until_quiet()
    world.until_quiet()
    world.restart(keep=True)
    world.until_quiet()
    world.restart(keep=False)
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.NOT_FOUND]
    world.close()


def _leaves_retention(world: SmallWorld, event_offset: int) -> None:
    """Time passes until this event is dropped; what is younger stays."""
    bucket = world.shard.bucket(world.topics[Topic.VIOLATIONS][event_offset].timestamp_ms)
    world.clock.ms = (bucket + 1) * (RETENTION_MS // 12) + RETENTION_MS + 1
    world.desk.expire(world.clock.ms)
    assert world.desk.done_with(0, bucket)
    world.shard.drop_bucket(bucket)


def _revoked_late_and_acquitted(world: SmallWorld) -> None:
    """A message whose violation has left retention, while a late send of it and its mark have not."""
    first = world.violate("m", "v1")
    world.until_quiet()
    world.clock.ms += RETENTION_MS // 2
    world.send("m", TWO)
    world.until_quiet()
    _leaves_retention(world, first)
    assert not condemned(world, "m")


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_an_expired_violation_had_revoked_is_not_called_again(world: SmallWorld, forgotten: bool) -> None:
    """A send that is known to be revoked is not called again, also when nothing else is known of its message."""
    _revoked_late_and_acquitted(world)
    if forgotten:
        world.desk.docket.done.clear()
    world.violate("m", "v2")
    world.until_quiet()
    assert world.outcomes("m", "v2") == [Outcome.ALREADY_REVOKED]
    assert len(world.called) == 1


def test_a_violation_that_has_left_retention_does_not_come_back_with_the_next(world: SmallWorld) -> None:
    """A violation stays active for the retention, and no longer."""
    _revoked_late_and_acquitted(world)
    world.violate("m", "v2")
    world.until_quiet()
    said = world.outcomes("m", "v1")
    world.send("m", ["token-c"])
    world.until_quiet()
    assert world.outcomes("m", "v1") == said
    assert world.outcomes("m", "v2") == [Outcome.ALREADY_REVOKED, Outcome.REVOKED]


def test_results_of_a_former_process_are_not_called_again(tmp_path: Path) -> None:
    """Store folder deleted while stopped: not one call repeated for work already in the results topic."""
    world = SmallWorld(tmp_path)
    world.send("m", TWO)
    world.violate("m")
    world.until_quiet()
    world.restart(keep=False)
    world.until_quiet()
    assert len(world.called) == 1
    world.close()


def test_a_send_read_again_whose_places_are_all_settled_leaves_nothing_open(tmp_path: Path) -> None:
    """A store that was lost: what is done is done, also where the results are read before the sends."""
    world = SmallWorld(tmp_path)
    world.send("m", TWO)
    world.violate("m")
    world.until_quiet()
    world.restart(keep=False)
    world.recall()
    for topic in (Topic.VIOLATIONS, Topic.RESULTS):
        world.read_past(topic, 100)
    world.tell()
    while world.step():
        pass
    world.read_past(Topic.SENDS, 100)
    world.until_quiet()
    assert not world.desk.docket.open
    assert world.outcomes("m") == [Outcome.REVOKED]
    world.close()


@pytest.mark.parametrize(("minutes_back", "acts"), [(1, False), (4, False), (6, True)])
def test_results_somewhat_older_than_a_violation_are_read_before_it_is_acted_on(
    world: SmallWorld, minutes_back: int, acts: bool
) -> None:
    """All results back to its own time (the earlier of record and detection, less five minutes): clocks differ."""
    world.send("m", TWO)
    detected_ms = world.clock.ms - 60 * MINUTE_MS
    world.violate("m", detected_ms=detected_ms)
    world.shard.read_back_ms[Topic.RESULTS] = detected_ms - minutes_back * MINUTE_MS
    world.read(Topic.SENDS)
    world.read(Topic.VIOLATIONS)
    world.tell()
    while world.step():
        pass
    assert bool(world.waiting) is acts


def test_what_the_loop_hears_of_late_is_still_of_the_past(tmp_path: Path) -> None:
    """The past thread reads a violation and then its result before the loop hears of the first: the work is done."""
    world = SmallWorld(tmp_path)
    world.send("m", TWO)
    world.violate("m")
    world.until_quiet()
    world.restart(keep=False)
    world.recall()
    for topic in Topic:
        world.read_past(topic, 100)
    world.until_quiet()
    assert len(world.called) == 1
    world.close()


def test_a_new_violation_of_a_settled_message_waits_for_the_results_it_needs(tmp_path: Path) -> None:
    """A send read from the past is not acted on under a violation whose results are still unread."""
    world = SmallWorld(tmp_path)
    world.violate("m", "v1")
    world.send("m", TWO)
    world.until_quiet()
    world.clock.ms += 30 * MINUTE_MS
    world.restart(keep=False)
    world.violate("m", "v2")
    for topic in (Topic.VIOLATIONS, Topic.RESULTS):
        world.read_past(topic, 0)
    world.shard.read_back_ms = dict.fromkeys(world.shard.read_back_ms, world.clock.ms - 10.0 * MINUTE_MS)
    world.read(Topic.VIOLATIONS)
    world.tell()
    while world.step():
        pass
    world.read_past(Topic.VIOLATIONS, 10)
    world.read_past(Topic.SENDS, 10)
    world.tell()
    while world.step():
        pass
    world.until_quiet()
    assert len(world.called) == 1
    world.close()
