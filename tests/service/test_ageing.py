"""What leaves retention: it ends before it goes, once, and what is left behind speaks of nothing that has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from stream.model import Outcome, Status, Topic
from stream.service import docket, passes, planning
from stream.service.chores import DROP_MARGIN_MS, Chores
from stream.state import shard as shard_room
from stream.work.endings import unended
from stream.work.guard import Limits
from tests.service.small_world import MINUTE_MS, RETENTION_MS, SmallWorld
from tests.service.test_chores import chores_of

HOUR_MS = 60 * MINUTE_MS
BUCKET_MS = RETENTION_MS // 12


class Aged(SmallWorld):
    """A world whose service does its chores, and drops what has left retention."""

    def _begin(self) -> None:
        super()._begin()
        self.desk.expire(self.clock.ms)

    def do_chores(self) -> None:
        """As ``Chores`` does them every few seconds, the drop included."""
        chores = chores_of(self, {0: self.shard})
        chores._begin_drop = lambda loop, shard, buckets: Chores._drop(shard, buckets)  # type: ignore[method-assign]
        chores._expire(cast(asyncio.AbstractEventLoop, None))

    def age(self, ms: int) -> None:
        """Time passes while it runs."""
        self.clock.ms += ms
        for _ in range(20):
            self.do_chores()
            self.until_quiet()
        assert not self.shard.expired_buckets(self.clock.ms - RETENTION_MS - DROP_MARGIN_MS)

    def crash_after_chores(self) -> None:
        """Kafka takes no result meanwhile; then a new start, to the end."""
        for _ in range(3):
            self.do_chores()
        self.restart(keep=True)
        self.until_quiet()
        self.do_chores()
        self.until_quiet()

    def read_all_past(self, *topics: Topic) -> None:
        """Of these topics."""
        for topic in topics:
            self.read_past(topic, 1_000)
        self.tell()

    def read_past_backwards(self) -> None:
        """Record by record, doing after each all that may be done."""
        self.recall()
        for _ in range(20):
            self.read_past(Topic.RESULTS, 1)
            self.read_past(Topic.VIOLATIONS, 1)
            self.tell()
            while self.move("revoked"):
                pass
        self.until_quiet()

    def said(self, violation: str = "v1") -> list[tuple[str, str | None]]:
        """Outcomes and details of a violation's results."""
        mine = [r for r in self.results if (r.message_id, r.violation_id) == ("m", violation)]
        return [(r.outcome.value, r.detail) for r in mine]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Aged]:
    aged = Aged(tmp_path)
    aged.until_quiet()
    yield aged
    aged.close()


def stop_app_with_work(world: Aged) -> None:
    """A message whose app makes no calls, and nobody runs until it has left retention."""
    world.crowd.add("stopped")
    world.send("m", ["a"], app="stopped")
    world.violate("m")
    world.until_quiet()
    world.clock.ms += RETENTION_MS + BUCKET_MS + 2 * DROP_MARGIN_MS


def test_nothing_is_dropped_before_the_store_has_been_gone_through(world: Aged) -> None:
    """Work still open ends expired before anything is dropped: also where nobody remembers it yet, after a start."""
    stop_app_with_work(world)
    world.restart(keep=True)
    world.do_chores()
    world.until_quiet()
    world.do_chores()
    world.until_quiet()
    assert world.said() == [("FAILED", "expired")]


def test_nothing_is_dropped_before_its_end_is_delivered(world: Aged) -> None:
    """... nor while that result waits for its brokers: a crash would leave nothing to say it again."""
    stop_app_with_work(world)
    world.crash_after_chores()
    assert world.said() == [("FAILED", "expired")]
    world.do_chores()
    assert not world.shard.expired_buckets(world.clock.ms - RETENTION_MS - DROP_MARGIN_MS)


def test_marks_are_not_dropped_before_the_sends_they_speak_of(world: Aged, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets leave the oldest first: a campaign's sends would else seem open again, and end expired over REVOKED."""
    monkeypatch.setattr(passes, "CHUNK_SENDS", 10)
    monkeypatch.setattr(shard_room, "WORTH_PUTTING_OFF", 20)
    world.clock.ms = (world.clock.ms // BUCKET_MS + 1) * BUCKET_MS - MINUTE_MS
    for number in range(200):
        world.send("m", [f"t{number}"])
    world.until_quiet()
    world.shard.write_run()
    world.clock.ms += 2 * MINUTE_MS
    world.violate("m")
    world.until_quiet()
    world.clock.ms += RETENTION_MS + 2 * BUCKET_MS
    world.restart(keep=True)
    world.recall()
    world.read_all_past(*Topic)
    for _ in range(6):
        world.step()
        world.do_chores()
    world.until_quiet()
    assert world.said() == [("REVOKED", None)]


def test_an_event_stays_until_the_sends_of_its_time_are_read(world: Aged) -> None:
    """What is unread may be its own."""
    world.clock.ms = (world.clock.ms // BUCKET_MS + 1) * BUCKET_MS - MINUTE_MS
    world.violate("m")
    world.until_quiet()
    world.clock.ms += RETENTION_MS - 5 * MINUTE_MS
    world.send("m", ["a"])
    world.clock.ms += 10 * MINUTE_MS
    world.restart(keep=True)
    world.recall()
    world.read_all_past(Topic.VIOLATIONS, Topic.RESULTS)
    while world.step():
        pass
    world.do_chores()
    world.until_quiet()
    world.do_chores()
    world.until_quiet()
    assert world.said() == [("NOT_FOUND", None), ("FAILED", "expired")]


def given_up_and_asked_for_again(world: Aged) -> None:
    """The finding, much later its send, which is given up, and a CONFIRMED that counts while its app is stopped."""
    world.violate("m")
    world.clock.ms += 20 * HOUR_MS
    world.send("m", ["a"])
    world.until_quiet("given up")
    world.clock.ms += 10 * HOUR_MS
    world.crowd.add("app")
    world.violate("m")
    world.until_quiet()


@pytest.mark.parametrize("keep", [True, False])
def test_a_confirmed_that_counts_is_not_forgotten_with_the_first_event(tmp_path: Path, keep: bool) -> None:
    """What was given up is tried again, with the store or without it: though the finding itself has left retention."""
    world = Aged(tmp_path)
    given_up_and_asked_for_again(world)
    if keep:
        world.age(43 * HOUR_MS)
    else:
        world.clock.ms += 43 * HOUR_MS
        world.topics[Topic.VIOLATIONS][0] = world.topics[Topic.VIOLATIONS][0]._replace(timestamp_ms=0)
        del world.topics[Topic.VIOLATIONS][0]
    world.restart(keep=keep)
    world.crowd.clear()
    world.until_quiet()
    assert world.said()[-1] == ("REVOKED", None)
    world.close()


@pytest.mark.parametrize("status", [Status.CONFIRMED, Status.APPROVED])
def test_an_event_after_the_finding_has_left_tries_again_too(world: Aged, status: Status) -> None:
    """The same, where no event was left in between."""
    world.violate("m")
    world.until_quiet()
    world.age(60 * HOUR_MS)
    world.send("m", ["a"])
    world.until_quiet("given up")
    world.age(20 * HOUR_MS)
    assert not list(world.shard.stored.all_events())
    world.violate("m", status=status)
    world.until_quiet()
    assert world.said()[-1] == ("REVOKED", None)


def test_a_finding_that_has_left_says_nothing_of_sends_that_come_later(world: Aged) -> None:
    """Though it is kept beside a later one of its message: a violation is active for as long as ``retention``."""
    world.violate("m", "v1")
    world.until_quiet()
    world.age(36 * HOUR_MS)
    world.violate("m", "v2")
    world.until_quiet()
    world.age(50 * HOUR_MS)
    world.send("m", ["a"])
    world.until_quiet()
    assert world.said("v2")[-1] == ("REVOKED", None)
    assert world.said("v1") == [("NOT_FOUND", None)]


def test_a_withdrawal_that_was_repeated_is_said_once_while_the_past_is_read(world: Aged) -> None:
    """WITHDRAWN once per withdrawal: which of two comes first is known when all of the past is."""
    world.violate("m")
    world.violate("m", status=Status.WITHDRAWN)
    world.until_quiet()
    for number in range(6):
        world.clock.ms += 5 * MINUTE_MS
        world.violate(f"other{number}")
    world.violate("m", status=Status.WITHDRAWN)
    world.until_quiet()
    world.restart(keep=False)
    world.read_past_backwards()
    assert world.said() == [("WITHDRAWN", None)]


def test_a_message_in_memory_whose_events_have_left_is_not_said_to_be_not_found(tmp_path: Path) -> None:
    """It was parked for a stopped app while they left, and what was said of it with them."""
    world = Aged(tmp_path, limits=Limits(per_violation=10))
    world.send("m", ["a"], app="stopped")
    world.violate("m")
    world.until_quiet()
    world.crowd.add("stopped")
    world.violate("m", "v2")
    world.until_quiet()
    world.age(80 * HOUR_MS)
    world.crowd.clear()
    world.until_quiet()
    world.until_quiet()
    assert world.said("v1") == [("REVOKED", None)]
    assert Outcome.NOT_FOUND.value not in dict(world.said("v2"))
    world.close()


@pytest.mark.parametrize("limit", [1, 0])
def test_what_is_held_after_an_old_withdrawal_is_held_still_without_the_store(tmp_path: Path, limit: int) -> None:
    """HELD stands until a person's word: also when the withdrawal before it has left, and the limit is gone."""
    world = Aged(tmp_path, limits=Limits(per_violation=1))
    world.violate("m")
    world.violate("m", status=Status.WITHDRAWN)
    world.until_quiet()
    world.age(40 * HOUR_MS)
    world.send("m", ["a", "b"])
    world.violate("m")
    world.until_quiet()
    assert [outcome for outcome, _ in world.said()] == ["WITHDRAWN", "HELD"]
    del world.topics[Topic.VIOLATIONS][:2]
    world.limits = Limits(per_violation=limit)
    world.restart(keep=False)
    world.until_quiet()
    assert [outcome for outcome, _ in world.said()] == ["WITHDRAWN", "HELD"]
    world.close()


def test_what_was_held_is_not_said_to_be_not_found_when_its_sends_have_left(tmp_path: Path) -> None:
    """They were read, and counted."""
    world = Aged(tmp_path, limits=Limits(per_violation=1))
    world.send("m", ["a", "b"])
    world.violate("m")
    world.until_quiet()
    world.topics[Topic.SENDS].clear()
    world.restart(keep=False)
    world.until_quiet()
    assert [outcome for outcome, _ in world.said()] == ["HELD"]
    world.close()


@pytest.mark.parametrize("then", [Status.CONFIRMED, Status.WITHDRAWN])
def test_approved_work_is_not_in_the_hour_that_a_restart_rebuilds(tmp_path: Path, then: Status) -> None:
    """Approved work does not draw on it: whatever was said of the violation since."""
    world = Aged(tmp_path, limits=Limits(per_hour=1))
    world.send("m", ["a", "b"])
    world.violate("m")
    world.until_quiet()
    world.violate("m", status=Status.APPROVED)
    world.until_quiet()
    world.violate("m", status=then)
    world.until_quiet()
    world.restart(keep=True)
    world.send("n", ["c"])
    world.violate("n")
    world.until_quiet()
    assert world.outcomes("n") == [Outcome.REVOKED]
    world.close()


def test_a_fresh_finding_does_not_wait_for_results_of_an_older_one(world: Aged, tmp_path: Path) -> None:
    """A shard came back to a store that missed forty minutes: while these are read, what an older finding had revoked
    may be called once more. Waiting would cost the fresh one seconds, and the call takes away what is away."""
    world.send("m", ["a", "b"])
    world.until_quiet()
    other = Aged(tmp_path / "other")
    other.topics, other.clock = world.topics, world.clock
    other.restart(keep=False)
    other.violate("m", "v1")
    other.until_quiet()
    for number in range(8):
        other.clock.ms += 5 * MINUTE_MS
        other.violate(f"other{number}")
        other.until_quiet()
    other.violate("m", "v2")
    world.restart(keep=True)
    world.read_past_backwards()
    assert world.called_tokens("m", "v2") == [b"a", b"b"]
    assert world.said("v2") == [("REVOKED", None)]
    assert world.covered("m", "v1") == world.covered("m", "v2") == dict.fromkeys(world.places("m"), 1)
    other.close()


def test_nothing_is_dropped_before_what_was_given_up_is_delivered(world: Aged) -> None:
    """The same of any other end: where what is given up and what has left retention are one, nothing says expired."""
    world.send("m", ["a"])
    world.violate("m")
    for topic in Topic:
        world.read(topic)
    world.tell()
    while world.step():
        pass
    world.clock.ms += RETENTION_MS + 1
    [parcel] = world._take_back(lambda parcel: True)
    world.settling.end(parcel, unended(parcel, "given up: HTTP 500"))
    world.clock.ms += BUCKET_MS + 2 * DROP_MARGIN_MS
    world.crash_after_chores()
    assert world.said() == [("FAILED", "expired")], "after a crash it is said of what is still there"


def begin_anew_with_a_withdrawal(world: Aged) -> None:
    """The store is lost, and what is read first is that m is withdrawn; all that was before is still to be read."""
    world.restart(keep=False)
    world.recall_due, world.shard.recalled = False, True
    world.clock.ms += 10 * MINUTE_MS
    world.violate("m", status=Status.WITHDRAWN)
    for topic in Topic:
        world.read(topic)


def test_a_withdrawal_is_said_once_though_its_message_was_forgotten_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WITHDRAWN waits for all of the past, not for a message that is in memory no more."""
    monkeypatch.setattr(docket, "DONE_KEPT", 0)
    world = Aged(tmp_path)
    world.violate("m")
    world.violate("m", status=Status.WITHDRAWN)
    world.clock.ms += HOUR_MS
    begin_anew_with_a_withdrawal(world)
    world.tell()
    world.read_all_past(Topic.RESULTS)
    for _ in range(3):
        world.read_past(Topic.VIOLATIONS, 1)
        world.tell()
        while world.move("revoked"):
            pass
    world.until_quiet()
    assert world.said() == [("WITHDRAWN", None)]
    world.close()


@pytest.mark.parametrize("kept", [5_000, 0])
def test_nothing_is_lost_where_a_withdrawn_message_was_forgotten_and_confirmed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Its campaign is being planned when more of the past is read: what waits for that must not end it."""
    monkeypatch.setattr(docket, "DONE_KEPT", kept)
    monkeypatch.setattr(passes, "CHUNK_SENDS", 4)
    monkeypatch.setattr(planning, "PARCELS_A_MESSAGE", 2)
    world = Aged(tmp_path)
    world.largest = 1
    world.violate("old")
    world.clock.ms += HOUR_MS
    for number in range(40):
        world.send("m", [f"t{number}"])
    begin_anew_with_a_withdrawal(world)
    world.read_all_past(Topic.SENDS, Topic.RESULTS)
    while world.move("revoked"):
        pass
    world.clock.ms += MINUTE_MS
    world.violate("m")
    world.read(Topic.VIOLATIONS)
    world.tell()
    for _ in range(3):
        world.step()
    world.read_all_past(Topic.VIOLATIONS)
    world.until_quiet()
    assert world.covered("m", "v1").keys() == world.places("m")
    world.close()
