"""The guard at the desk: held whole before any call, approved, withdrawn, remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stream.model import Outcome, Severity, Status, Topic
from stream.service import passes, planning
from stream.state.shard import Shard
from stream.work.guard import Limits
from tests.service.small_world import MINUTE_MS, RETENTION_MS, SmallWorld

APPROVED, WITHDRAWN = Status.APPROVED, Status.WITHDRAWN
HELD, REVOKED, FAILED = Outcome.HELD, Outcome.REVOKED, Outcome.FAILED

MakeWorld = Callable[..., SmallWorld]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeWorld]:
    """A shard that has read its empty past, with these limits."""
    made: list[SmallWorld] = []

    def world(per_violation: int = 0, per_hour: int = 0, **rest: Any) -> SmallWorld:
        small = SmallWorld(tmp_path / str(len(made)), limits=Limits(per_violation, per_hour), **rest)
        made.append(small)
        small.recall()
        for topic in Topic:
            small.read_past(topic, 1)
        small.tell()
        return small

    yield world
    for small in made:
        small.close()


def tokens(number: int, name: str = "t") -> list[str]:
    """So many."""
    return [f"{name}-{place}" for place in range(number)]


def held_by_app(world: SmallWorld) -> list[tuple[str, dict[str, int]]]:
    """What is held here."""
    return [(each.violation.violation_id, dict(each.would)) for each in world.desk.guarding.seen()]


def test_a_violation_above_its_limit_is_held_whole_before_any_call_and_said_once(make: MakeWorld) -> None:
    """Held, whole, before any call of it; HELD has no sends and zero counts, and is not an end."""
    world = make(per_violation=5)
    world.send("m", tokens(3))
    world.send("m", tokens(3, "u"), app="other")
    world.violate("m")
    world.until_quiet()
    world.until_quiet()
    [held] = world.results
    assert (held.outcome, held.sends, held.tokens_requested, held.attempts) == (HELD, (), 0, 0)
    assert held.detail == "it would revoke 6 devices, guard.max_devices_per_violation allows 5"
    assert (held.violation_tokens_matched, held.violation_tokens_settled) == (6, 0)
    assert world.called == []
    assert held_by_app(world) == [("v1", {"app": 3, "other": 3})]


def test_what_is_held_before_any_call_goes_through_nothing_that_waits(make: MakeWorld) -> None:
    """A hundred thousand findings above the hour, held one by one, would each go through all lanes and retries."""
    world = make(per_violation=5)
    asked: list[object] = []

    def take_back(chosen: Any) -> list[Any]:
        asked.append(chosen)
        return []

    world.desk._ways = world.desk._ways._replace(take_back=take_back)
    world.send("m", tokens(6))
    world.violate("m")
    world.until_quiet()
    assert (world.outcomes("m"), asked) == ([HELD], [])


def test_a_violation_up_to_its_limit_is_revoked(make: MakeWorld) -> None:
    """More than allowed: not as many."""
    world = make(per_violation=6)
    world.send("m", tokens(6))
    world.violate("m")
    world.until_quiet()
    assert world.outcomes("m") == [REVOKED]


def test_a_held_violation_blocks_nobody(make: MakeWorld) -> None:
    """Other violations go on, of the same app too."""
    world = make(per_violation=2)
    world.send("big", tokens(9))
    world.violate("big", severity=Severity.CRITICAL)
    for number in range(5):
        world.send(f"m{number}", tokens(2, f"m{number}"))
        world.violate(f"m{number}", severity=Severity.LOW)
    world.until_quiet()
    assert world.outcomes("big") == [HELD]
    assert all(world.outcomes(f"m{number}") == [REVOKED] for number in range(5))
    assert not world.desk.planning.plans.any


def test_an_approved_violation_goes_on_and_draws_on_nothing(make: MakeWorld) -> None:
    """An APPROVED event goes on; approved work does not draw on the hour."""
    world = make(per_violation=5, per_hour=5)
    world.send("m", tokens(6))
    world.violate("m")
    world.until_quiet()
    world.violate("m", status=APPROVED)
    world.send("n", tokens(5, "n"))
    world.violate("n")
    world.until_quiet()
    assert world.outcomes("m") == [HELD, REVOKED]
    assert world.outcomes("n") == [REVOKED]
    assert world.covered("m", "v1") == dict.fromkeys(world.places("m"), 1)
    assert held_by_app(world) == []
    assert world.desk.guarding.hour() == {"app": 5}


def test_an_approved_violation_does_not_wait_for_counting(make: MakeWorld) -> None:
    """A person has lifted the guard for it: nothing is to be counted."""
    world = make(per_violation=5)
    world.send("m", tokens(9))
    world.send("later", tokens(1))
    world.violate("m", status=APPROVED)
    world.intake.take(Topic.SENDS, 0, [world._message(Topic.SENDS, 0)], 0, 1)  # the end of sends is not reached
    world.at[Topic.SENDS] = 1
    world.read(Topic.VIOLATIONS)
    while world.loop or world.desk.planning.plans.any:
        world.tell()
        world.step()
    assert len(world.waiting) == 1


def test_a_withdrawn_violation_ends(make: MakeWorld) -> None:
    """A WITHDRAWN one ends it; confirmed again it is asked about anew, and said anew."""
    world = make(per_violation=5)
    world.send("m", tokens(6))
    world.violate("m")
    world.until_quiet()
    world.violate("m", status=WITHDRAWN)
    world.until_quiet()
    assert world.outcomes("m") == [HELD, Outcome.WITHDRAWN]
    assert held_by_app(world) == []
    world.violate("m")
    world.until_quiet()
    assert world.outcomes("m") == [HELD, Outcome.WITHDRAWN, HELD]
    assert len({result.result_id for result in world.results}) == 3
    assert world.called == []


@pytest.mark.parametrize("keep", [True, False])
def test_after_a_restart_it_is_held_still_and_not_said_again(make: MakeWorld, keep: bool) -> None:
    """The results topic is the ledger: HELD stands, though the hour that held it is over."""
    world = make(per_hour=5)
    world.send("m", tokens(6))
    world.violate("m")
    world.until_quiet()
    world.limits = Limits(per_hour=100)
    world.restart(keep=keep)
    world.until_quiet()
    assert world.outcomes("m") == [HELD]
    assert held_by_app(world) == [("v1", {"app": 6})]
    world.violate("m", status=APPROVED)
    world.until_quiet()
    assert world.outcomes("m") == [HELD, REVOKED]


def test_a_limit_that_is_taken_away_releases_nobody(make: MakeWorld) -> None:
    """HELD stands until APPROVED or WITHDRAWN."""
    world = make(per_violation=5)
    world.send("m", tokens(6))
    world.violate("m")
    world.until_quiet()
    world.limits = Limits()
    world.restart(keep=True)
    world.send("n", tokens(6, "n"))
    world.violate("n")
    world.until_quiet()
    assert world.outcomes("m") == [HELD]
    assert world.outcomes("n") == [REVOKED]


def test_a_hold_that_was_not_delivered_is_said_by_the_next_process(make: MakeWorld) -> None:
    """kill -9 between the decision and its result: the same id, once in the ledger."""
    world = make(per_violation=5)
    world.send("m", tokens(6))
    world.violate("m")
    for topic in Topic:
        world.read(topic)
    while world.loop or world.desk.planning.plans.any:
        world.tell()
        world.step()
    [written] = world.mailbox.written
    world.restart(keep=True)
    world.until_quiet()
    assert [result.result_id for result in world.results] == [written.result.result_id]


@pytest.mark.parametrize("keep", [True, False])
def test_the_hour_survives_a_restart(make: MakeWorld, keep: bool) -> None:
    """Rebuilt from the results of its shards; sliding."""
    world = make(per_hour=10)
    world.send("m", tokens(8))
    world.violate("m")
    world.until_quiet()
    world.restart(keep=keep)
    world.send("n", tokens(3, "n"))
    world.violate("n")
    world.until_quiet()
    assert world.outcomes("n") == [HELD]
    assert "app app would come to 11 devices" in (world.results[-1].detail or "")
    world.clock.ms += 61 * MINUTE_MS
    world.send("o", tokens(3, "o"))
    world.violate("o")
    world.until_quiet()
    assert world.outcomes("o") == [REVOKED]
    assert world.outcomes("n") == [HELD]


def share_a_slot(world: SmallWorld, app: str, token: str = "shared") -> None:
    """Two messages of an app under one notifyId for one device."""
    world.send(f"{app}-first", [token], app=app)
    world.send(f"{app}-second", [token], app=app)


def test_an_app_that_shares_notify_ids_is_held_where_that_is_asked_for_and_no_other(make: MakeWorld) -> None:
    """Whole, before any call, until a person approves; other apps, and this one before it was found, are called."""
    world = make(held_if_shared=frozenset({"kept"}))
    world.send("before", tokens(2), app="kept", notify_id=1)
    world.violate("before")
    world.until_quiet()
    share_a_slot(world, "kept")
    share_a_slot(world, "free")
    world.violate("kept-first")
    world.violate("free-first")
    world.until_quiet()
    assert (world.outcomes("before"), world.outcomes("free-first")) == ([REVOKED], [REVOKED])
    assert (world.outcomes("kept-first"), held_by_app(world)) == ([HELD], [("v1", {"kept": 1})])
    world.violate("kept-first", status=APPROVED)
    world.until_quiet()
    assert world.outcomes("kept-first") == [HELD, REVOKED]


def test_the_reason_names_the_app_the_messages_and_the_setting(make: MakeWorld) -> None:
    """Whoever has to decide reads what may be taken away, and what made it wait."""
    world = make(held_if_shared=frozenset({"kept"}))
    share_a_slot(world, "kept")
    world.violate("kept-first")
    world.until_quiet()
    [seen] = world.desk.guarding.seen()
    assert seen.why == (
        "app kept gives one notifyId to several messages (notifyId 7 for messages kept-first and kept-second), so a "
        "revoke may take away others; push_kit.apps.kept.hold_shared_notify_ids leaves the 1 devices to a person"
    )


@pytest.mark.parametrize("keep", [True, False])
def test_an_app_that_shared_notify_ids_is_held_after_a_restart_too(make: MakeWorld, keep: bool) -> None:
    """The store's folder remembers it; where that is lost, its sends are looked at again."""
    world = make(held_if_shared=frozenset({"kept"}))
    share_a_slot(world, "kept")
    world.until_quiet()
    world.restart(keep=keep)
    world.until_quiet()
    world.violate("kept-first")
    world.until_quiet()
    assert world.outcomes("kept-first") == [HELD]


def test_approved_work_does_not_draw_on_the_hour_after_a_restart_either(make: MakeWorld) -> None:
    """What was approved when it was called does not count; what was called before does."""
    world = make(per_violation=5, per_hour=10)
    world.send("m", tokens(3))
    world.violate("m")
    world.until_quiet()
    world.send("m", tokens(4, "late"))
    world.until_quiet()
    assert world.outcomes("m") == [REVOKED, HELD]
    world.clock.ms += MINUTE_MS
    world.violate("m", status=APPROVED)
    world.until_quiet()
    assert world.outcomes("m") == [REVOKED, HELD, REVOKED]
    world.restart(keep=False)
    world.until_quiet()
    assert world.desk.guarding.hour() == {"app": 3}


def test_the_hour_is_per_app(make: MakeWorld) -> None:
    """An app that has used its hour up holds no other."""
    world = make(per_hour=5)
    for app in ("a", "b"):
        for number in range(2):
            world.send(f"{app}{number}", tokens(4, f"{app}{number}"), app=app)
            world.violate(f"{app}{number}")
    world.until_quiet()
    outcomes = [world.outcomes(f"{app}{number}") for app in ("a", "b") for number in range(2)]
    assert outcomes == [[REVOKED], [HELD], [REVOKED], [HELD]]


def test_sends_that_carry_it_over_its_limit_later_hold_what_is_left(make: MakeWorld) -> None:
    """What was revoked is revoked; the rest waits."""
    world = make(per_violation=5)
    world.send("m", tokens(4))
    world.violate("m")
    world.until_quiet()
    world.send("m", tokens(1, "one"))
    world.until_quiet()
    world.send("m", tokens(2, "two"))
    world.until_quiet()
    world.send("m", tokens(1, "three"))
    world.until_quiet()
    assert world.outcomes("m") == [REVOKED, REVOKED, HELD]
    assert len(world.called_tokens("m")) == 5
    assert held_by_app(world) == [("v1", {"app": 3})]
    world.violate("m", status=APPROVED)
    world.until_quiet()
    assert world.covered("m", "v1") == dict.fromkeys(world.places("m"), 1)


def test_after_a_restart_late_sends_count_with_what_was_revoked_before(make: MakeWorld) -> None:
    """The violation's limit is of all its places, not of this process's."""
    world = make(per_violation=5)
    world.send("m", tokens(4))
    world.violate("m")
    world.until_quiet()
    world.restart(keep=False)
    world.until_quiet()
    world.send("m", tokens(2, "two"))
    world.until_quiet()
    assert world.outcomes("m") == [REVOKED, HELD]


def test_what_waits_for_its_call_is_given_back_when_late_sends_hold_the_violation(make: MakeWorld) -> None:
    """Hold what is left: what is in flight ends, what waits does not leave."""
    world = make(per_violation=5)
    world.largest = 2
    world.send("m", tokens(4))
    world.violate("m")
    for topic in Topic:
        world.read(topic)
    while world.loop or world.desk.planning.plans.any:
        world.tell()
        world.step()
    assert len(world.waiting) == 2
    flying = world.call()
    world.send("m", tokens(2, "late"))
    world.read(Topic.SENDS)
    world.tell()
    assert world.waiting == []
    world.answer(flying, "revoked")
    world.until_quiet()
    assert sorted(world.outcomes("m"), key=lambda each: each.value) == [HELD, REVOKED]
    assert len(world.called_tokens("m")) == 2
    assert held_by_app(world) == [("v1", {"app": 4})]


def test_a_call_that_comes_back_to_be_tried_again_is_given_back_when_its_violation_is_held(make: MakeWorld) -> None:
    """What is left is held: a retry too."""
    world = make(per_violation=5)
    world.send("m", tokens(4))
    world.violate("m")
    plan(world)
    flying = world.call()
    world.send("m", tokens(2, "late"))
    plan(world)
    assert not world.desk.wants(flying.parcel)
    world.in_flight.clear()
    world.until_quiet()
    assert world.outcomes("m") == [HELD]
    assert held_by_app(world) == [("v1", {"app": 6})]


def test_a_violation_starts_only_when_no_earlier_send_is_unread(make: MakeWorld) -> None:
    """With a guard set; without one nothing waits."""
    world = make(per_violation=5)
    world.send("m", tokens(3))
    world.read(Topic.SENDS)
    world.send("m", tokens(3, "unread"))
    world.violate("m")
    world.read(Topic.VIOLATIONS)
    for _ in range(5):
        world.tell()
        world.step()
        world.desk.planning.unpark()
    assert not world.waiting
    assert not world.mailbox.written
    world.until_quiet()
    assert world.outcomes("m") == [HELD]


def test_the_first_violation_that_is_not_held_is_called(make: MakeWorld) -> None:
    """A call is reported under the first of them (by offset) that is not held."""
    world = make(per_violation=5)
    world.send("m", tokens(6))
    world.violate("m", "v1")
    world.violate("m", "v2")
    world.until_quiet()
    assert (world.outcomes("m", "v1"), world.outcomes("m", "v2")) == ([HELD], [HELD])
    world.violate("m", "v2", status=APPROVED)
    world.until_quiet()
    assert (world.outcomes("m", "v1"), world.outcomes("m", "v2")) == ([HELD], [HELD, REVOKED])
    world.violate("m", "v1", status=APPROVED)
    world.until_quiet()
    assert world.outcomes("m", "v1") == [HELD, Outcome.ALREADY_REVOKED]


def test_a_second_violation_of_a_message_draws_nothing_and_gets_already_revoked(make: MakeWorld) -> None:
    """The others get ALREADY_REVOKED: no call, so no draw on the hour."""
    world = make(per_violation=6, per_hour=6)
    world.send("m", tokens(6))
    world.violate("m", "v1")
    world.violate("m", "v2")
    world.until_quiet()
    assert world.outcomes("m", "v1") == [REVOKED]
    assert world.outcomes("m", "v2") == [Outcome.ALREADY_REVOKED]
    assert world.desk.guarding.hour() == {"app": 6}


def test_the_second_violation_is_counted_whole_before_it_takes_over(make: MakeWorld) -> None:
    """WITHDRAWN of the first hands the rest to the second, under the guard as if it were alone."""
    world = make(per_violation=6, per_hour=9)
    world.largest = 2
    world.send("m", tokens(6))
    world.violate("m", "v1")
    world.violate("m", "v2")
    for topic in Topic:
        world.read(topic)
    while world.loop or world.desk.planning.plans.any:
        world.tell()
        world.step()
    assert len(world.waiting) == 3
    world.violate("m", "v1", status=WITHDRAWN)
    world.until_quiet()
    assert world.outcomes("m", "v2") == [HELD]
    assert world.called == []


def test_held_work_that_leaves_retention_ends_failed(make: MakeWorld) -> None:
    """Held work that leaves retention ends FAILED, ``expired``, before anything is dropped."""
    world = make(per_violation=5)
    world.send("m", tokens(6))
    world.violate("m")
    world.until_quiet()
    world.clock.ms += RETENTION_MS + MINUTE_MS
    world.desk.expire(world.clock.ms)
    world.until_quiet()
    assert [(r.outcome, r.detail) for r in world.results[1:]] == [(FAILED, "expired")]
    assert world.covered("m", "v1") == dict.fromkeys(world.places("m"), 1)
    assert held_by_app(world) == []
    assert not world.desk.docket.open


def test_what_needs_no_call_is_not_held(make: MakeWorld) -> None:
    """It would revoke no device."""
    world = make(per_violation=1)
    world.send("m", tokens(6), notify_id=None)
    world.violate("m")
    world.violate("nobody")
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.NOT_REVOCABLE]
    assert world.outcomes("nobody") == [Outcome.NOT_FOUND]


def test_what_was_given_up_may_be_tried_again_without_counting_twice(make: MakeWorld) -> None:
    """The violation's limit is of its places: a second try of the same does not hold it."""
    world = make(per_violation=5)
    world.send("m", tokens(4))
    world.violate("m")
    world.until_quiet("given up")
    world.violate("m")
    world.until_quiet()
    assert world.outcomes("m") == [FAILED, REVOKED]


def test_a_dry_run_says_what_would_be_held_once(make: MakeWorld) -> None:
    """Everything but the calls: of its own ledger only."""
    world = make(per_violation=5, dry=True)
    world.send("m", tokens(6))
    world.violate("m")
    world.until_quiet()
    world.restart(keep=True)
    world.until_quiet()
    [would] = world.results
    assert would.outcome is Outcome.DRY_RUN
    assert (would.detail or "").startswith("would be HELD: it would revoke 6 devices")
    assert held_by_app(world) == [("v1", {"app": 6})]


def test_held_work_whose_send_leaves_retention_first_ends_before_its_bucket_is_dropped(make: MakeWorld) -> None:
    """Age is the record's: of a young violation too an old send ends FAILED before it is gone."""
    world = make(per_violation=5)
    old = world.send("m", tokens(6))
    world.clock.ms += RETENTION_MS - 60 * MINUTE_MS
    world.violate("m")
    world.until_quiet()
    assert world.outcomes("m") == [HELD]
    bucket = world.shard.bucket(world.topics[Topic.SENDS][old].timestamp_ms)
    world.clock.ms += RETENTION_MS // 12
    world.desk.expire(world.clock.ms)
    assert not world.desk.done_with(0, bucket)
    world.until_quiet()
    assert [(r.outcome, r.detail) for r in world.results[1:]] == [(FAILED, "expired")]
    assert world.desk.done_with(0, bucket)


def plan(world: SmallWorld) -> None:
    """Read everything, and let the desk plan as far as it can."""
    for topic in Topic:
        world.read(topic)
    while world.loop or world.desk.planning.plans.any:
        world.tell()
        world.step()


def test_what_is_being_packed_is_not_called_when_a_send_of_the_same_pass_holds_it(
    make: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Places that wait in a call which is not full yet are left too."""
    monkeypatch.setattr(passes, "CHUNK_SENDS", 1)
    world = make(per_violation=5)
    for name in ("t", "u"):
        world.send("m", tokens(2, name))
    world.violate("m")
    for topic in Topic:
        world.read(topic)
    while world.loop:
        world.tell()
    it = world.desk.docket.get(0, "m")
    assert it is not None
    while not (it.walking and it.acting):  # until the pass that packs has begun
        world.step()
        world.tell()
    world.send("m", tokens(2, "late"))
    world.send("m", tokens(2, "later"))  # so that the pass does not end as it is held
    plan(world)
    world.until_quiet()
    assert world.outcomes("m") == [HELD]
    assert world.called == []


def test_nobody_is_admitted_while_the_hour_of_a_shard_that_has_just_come_is_unknown(
    make: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was being counted or called as it came."""
    world = make(per_hour=9)
    other = cast(Shard, SimpleNamespace(number=1, past_is_read=False, read_back_to=lambda since_ms: False))
    world.send("m", tokens(2))
    world.violate("m")
    world.until_quiet()
    monkeypatch.setattr(passes, "CHUNK_SENDS", 1)
    for name in ("n", "o"):
        world.send("n", tokens(2, name))
    world.violate("n")
    for topic in Topic:
        world.read(topic)
    while (it := world.desk.docket.get(0, "n")) is None or not it.walking:  # until it is being counted
        world.tell()
        world.step()
    world.desk.guarding.shard_came(other)
    world.send("m", tokens(1, "late"))
    plan(world)
    world.desk.planning.unpark()
    assert not world.waiting
    world.desk.guarding.shard_went(1)
    world.until_quiet()
    assert (world.outcomes("m"), world.outcomes("n")) == ([REVOKED, REVOKED], [REVOKED])


def test_what_is_asked_for_anew_does_not_count_twice_in_the_hour(
    make: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CONFIRMED that counts, in the middle of a campaign: what is left of it was admitted already."""
    monkeypatch.setattr(planning, "PARCELS_A_MESSAGE", 1)
    monkeypatch.setattr(passes, "CHUNK_SENDS", 1)
    world = make(per_hour=9)
    world.largest = 1
    for number in range(6):
        world.send("m", tokens(1, f"t{number}"))
    world.violate("m")
    plan(world)
    assert (len(world.waiting), world.desk.guarding.hour()) == (1, {"app": 6})
    world.clock.ms += 1_000
    world.violate("m")
    world.until_quiet()
    assert world.outcomes("m") == [REVOKED] * 6
    assert world.desk.guarding.hour() == {"app": 6}
    world.send("n", tokens(4))
    world.violate("n")
    world.until_quiet()
    assert world.outcomes("n") == [HELD]


def test_who_waits_beside_another_is_counted_whole_when_that_is_withdrawn(
    make: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WITHDRAWN of the first hands the rest to the second: asked for whole, not send by send."""
    monkeypatch.setattr(passes, "CHUNK_SENDS", 1)
    world = make(per_hour=9)
    world.largest = 2
    world.crowd.add("a")
    for name in ("t", "u", "v"):
        world.send("m", tokens(2, name), app="a")
    world.send("m", tokens(1, "w"), app="b")
    world.violate("m", "v1")
    world.until_quiet()
    assert world.outcomes("m", "v1") == [REVOKED]
    world.violate("m", "v2")
    plan(world)
    world.violate("m", "v1", status=WITHDRAWN)
    world.crowd.clear()
    world.until_quiet()
    assert world.outcomes("m", "v2") == [HELD]
    assert {parcel.client_id for parcel in world.called} == {"b"}
