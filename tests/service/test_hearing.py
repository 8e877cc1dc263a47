"""What threads tell the loop: in the order in which it became true, and never before."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import cast

import pytest

from stream.model import Severity, Status, StoreCorrupt, Topic, ViolationEvent
from stream.service.clock import Clock
from stream.service.desk import Desk
from stream.service.hearing import Hearing
from stream.state.shard import EVERYTHING, Shard
from stream.state.store import Store
from stream.work.judgement import Event
from tests.service.small_world import NAMES


class Listening:
    """Stands for the desk: keeps what it hears, and what it could know of the shard at that moment."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.heard: list[tuple[str, bool]] = []
        self.came: list[str] = []

    def events_came(self, number: int, came: list[tuple[bytes, Event, bool]], now_s: float) -> None:
        self.heard.append(("events", self.shard.past_is_read))
        self.came += [event.event.violation_id for _, event, _ in came]
        time.sleep(0.001)  # as long as it takes to look at a few dozen

    def past_read(self, number: int) -> None:
        self.heard.append(("past", self.shard.past_is_read))


def event(name: str, severity: Severity = Severity.LOW, status: Status = Status.CONFIRMED) -> tuple[bytes, Event, bool]:
    """One that was just stored."""
    return b"digest-m", Event(0, 1, ViolationEvent(name, "m", severity, status, "", None, 1)), False


async def turns(number: int) -> None:
    """Of the loop."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_the_loop_hears_of_many_findings_a_few_at_a_time_and_of_urgent_ones_first(tmp_path: Path) -> None:
    """A CRITICAL violation that arrives behind a backlog, or a withdrawal, waits for none of it; nor does a call."""
    store = Store(tmp_path / "store")
    desk = Listening(Shard(0, store, 1_000))
    hearing = Hearing({}, cast(Desk, desk), NAMES, Clock(), lambda: None, lambda error: None)
    low = [f"low-{number}" for number in range(2_000)]
    for at in range(0, len(low), 500):
        hearing.events(0, [event(name) for name in low[at : at + 500]])
    await asyncio.sleep(0)
    assert 0 < len(desk.came) < len(low) // 2, "the loop has turned to others in between"
    before = len(desk.came)
    hearing.events(0, [event("late"), event("grave", Severity.CRITICAL), event("over", status=Status.WITHDRAWN)])
    await turns(len(low))
    assert set(desk.came[before : before + 200]) >= {"grave", "over"}
    assert [name for name in desk.came if name not in ("grave", "over")] == [*low, "late"]
    store.close()


async def test_what_a_withdrawal_has_overtaken_is_not_taken_for_all_there_is(tmp_path: Path) -> None:
    """By the time the finding's turn comes the withdrawal may be forgotten: it must be looked up, not called for."""
    store = Store(tmp_path / "store")
    known: dict[str, bool] = {}

    class Noting(Listening):
        """Whether each event's message is said to have been condemned before."""

        def events_came(self, number: int, came: list[tuple[bytes, Event, bool]], now_s: float) -> None:
            known.update({event.event.violation_id: before for _, event, before in came})

    desk = Noting(Shard(0, store, 1_000))
    hearing = Hearing({}, cast(Desk, desk), NAMES, Clock(), lambda: None, lambda error: None)
    found, over = event("v"), event("v-over", status=Status.WITHDRAWN)
    hearing.events(0, [found, (b"digest-n", event("other")[1], False)])
    hearing.events(0, [(*over[:2], True)])
    await turns(5)
    assert list(known) == ["v-over", "v", "other"]
    assert known == {"v-over": True, "v": True, "other": False}
    hearing.events(0, [found])
    await turns(5)
    assert not known["v"], "nothing is in its way any more"
    store.close()


async def test_what_cannot_be_heard_ends_the_service_and_leaves_nobody_deaf(tmp_path: Path) -> None:
    """A store that fails while the loop hears how far the past has been read: loudly, and what is behind is heard."""
    store = Store(tmp_path / "store")
    shard, failures = Shard(0, store, 1_000), list[Exception]()

    class Failing(Listening):
        """Its store is broken."""

        def past_read(self, number: int) -> None:
            raise StoreCorrupt("block checksum mismatch")

    desk = Failing(shard)
    hearing = Hearing({0: shard}, cast(Desk, desk), NAMES, Clock(), lambda: None, failures.append)
    hearing.further((Topic.RESULTS, 0), EVERYTHING)
    await turns(5)
    hearing.events(0, [event("v")])
    await turns(5)
    assert [type(each) for each in failures] == [StoreCorrupt]
    assert desk.came == ["v"]
    store.close()


@pytest.mark.parametrize("topic", [Topic.VIOLATIONS, Topic.RESULTS])
async def test_events_are_heard_of_before_it_is_true_that_they_have_been_read(tmp_path: Path, topic: Topic) -> None:
    """A violation acts as soon as all events above its own have been read, and heard of: a withdrawal in the loop's
    queue counts."""
    store = Store(tmp_path / "store")
    shard = Shard(0, store, 1_000)
    shard.read_back_ms = dict.fromkeys((Topic.VIOLATIONS, Topic.RESULTS), EVERYTHING) | {topic: 5.0}
    desk = Listening(shard)
    hearing = Hearing({0: shard}, cast(Desk, desk), NAMES, Clock(), lambda: None, lambda error: None)
    hearing.events(0, [event("v")])
    hearing.further((topic, 0), EVERYTHING)
    assert not shard.past_is_read
    await turns(5)
    assert desk.heard == [("events", False), ("past", True)]
    store.close()


async def test_sends_are_heard_of_before_it_is_true_that_all_have_been_read(tmp_path: Path) -> None:
    """Even where the loop is in the middle of hearing: else a result could say complete that does not know of them."""
    store = Store(tmp_path / "store")
    shard = Shard(0, store, 1_000)

    class Reading(Listening):
        """A reader tells of sends, and that these were all, in the middle of it."""

        def events_came(self, number: int, came: list[tuple[bytes, Event, bool]], now_s: float) -> None:
            hearing.sends(0, [])
            hearing.further((Topic.SENDS, 0), EVERYTHING)

        def sends_came(self, number: int, came: list[object], now_s: float) -> None:
            self.heard.append(("sends", shard.read_back_ms.get(Topic.SENDS) == EVERYTHING))

    desk = Reading(shard)
    hearing = Hearing({0: shard}, cast(Desk, desk), NAMES, Clock(), lambda: None, lambda error: None)
    hearing.events(0, [event("v")])
    await turns(5)
    assert desk.heard == [("sends", False)]
    assert shard.read_back_ms[Topic.SENDS] == EVERYTHING
    store.close()


async def test_what_retention_took_unread_is_counted_by_topic() -> None:
    """Never a silent jump: how many are gone, in the log and as a metric."""
    hearing = Hearing({}, cast(Desk, None), NAMES, Clock(), lambda: None, lambda error: None)
    hearing.lost((Topic.SENDS, 3), 100, 800)
    hearing.lost((Topic.SENDS, 4), 0, 7)
    await asyncio.sleep(0)
    assert hearing.gone == {Topic.SENDS: 707, Topic.VIOLATIONS: 0, Topic.RESULTS: 0}
