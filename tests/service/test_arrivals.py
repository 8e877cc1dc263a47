"""Shards come back to a process that lost them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from stream.model import Severity, Topic
from stream.service.arrivals import OWN_RESULTS_WAIT_S, Arrivals, Topics
from stream.service.clock import Clock
from stream.service.intake import Intake
from stream.service.outbox import Outbox
from stream.state.store import Store
from tests.service.small_world import SmallWorld
from tests.state.stored import HOUR_MS


class Room:
    """Any room that is told something and does nothing."""

    shards: dict[int, Any] = {}  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class Shard:
    """A shard that can be fenced."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fence(self) -> None:
        """Nothing is written."""


class OnTheirWay:
    """An outbox whose results arrive after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def size(self) -> int:
        self.looks -= 1
        return max(0, self.looks)


def arrivals(outbox: OnTheirWay) -> Arrivals:
    room = cast(Any, Room())
    made = Arrivals(
        room, Topics(4, {}, dict), cast(Intake, room), room, room, cast(Outbox, outbox), Clock(), 1_000, 100
    )
    made.tail = made.past = room
    return made


async def test_shards_that_were_lost_come_back_after_the_results_that_were_on_their_way() -> None:
    """No repeat where it can be avoided: else all calls of an outage would be made again."""
    outbox = OnTheirWay(looks=5)
    coming = arrivals(outbox)
    coming.lost([])
    await asyncio.to_thread(coming.returning)
    assert outbox.looks <= 0


async def test_a_shard_that_is_back_before_its_going_was_heard_of_leaves_no_call_behind() -> None:
    """A call that answers after the fence leaves no trace here: its answer would end places of the shard as it was, in
    results of the shard as it is."""
    coming, heard = arrivals(OnTheirWay(looks=0)), list[str]()
    room = cast(Any, coming)
    room._desk = SimpleNamespace(shard_went=lambda _: heard.append("went"), shard_came=lambda _: heard.append("came"))
    room._calls = SimpleNamespace(forsake=lambda _: heard.append("forsaken"), set_share=lambda _: None)
    room._intake = SimpleNamespace(shards={0: Shard(0)})
    coming.lost([0])
    room._intake.shards[0] = Shard(0)
    coming._loop.call_soon_threadsafe(room._desk.shard_came, 0)
    await asyncio.sleep(0)
    assert heard == ["went", "forsaken", "came"]


async def test_a_shard_that_comes_counts_nothing_as_read_whatever_our_clock_says(tmp_path: Path) -> None:
    """A violation acts as soon as what could speak against it has been read: by an hour's wrong clock all of it would
    seem to have been."""
    store = Store(tmp_path / "db")
    coming = arrivals(OnTheirWay(looks=0))
    coming._store = store
    coming.arrive({3: dict.fromkeys(Topic, 0)})
    assert not coming.shards[3].read_back_to(time.time() * 1_000 + HOUR_MS)
    coming.lost([3])
    store.close()


async def test_shards_that_were_never_lost_wait_for_nothing() -> None:
    outbox = OnTheirWay(looks=5)
    arrivals(outbox).returning()
    assert outbox.looks == 5


async def test_results_that_find_no_broker_hold_shards_up_for_seconds_only() -> None:
    coming = arrivals(OnTheirWay(looks=1_000_000))
    coming.lost([])
    began_s = time.monotonic()
    await asyncio.to_thread(coming.returning)
    assert OWN_RESULTS_WAIT_S <= time.monotonic() - began_s < OWN_RESULTS_WAIT_S + 5


async def test_a_share_is_given_up_before_its_shards_can_come_to_another() -> None:
    """Limits are kept over all instances together: from the moment a shard begins to leave nothing is drawn for it,
    however long its calls in flight are waited for; another may have it only when ``leave`` returns."""
    coming, heard = arrivals(OnTheirWay(looks=0)), list[Any]()
    room = cast(Any, coming)

    async def landed(*_: Any) -> None:
        heard.append("waits for calls")
        await asyncio.sleep(0.05)

    async def flush(_: float) -> None:
        heard.append("results")

    pending = SimpleNamespace(take_back=lambda _: [])
    room._calls = SimpleNamespace(set_share=heard.append, pending=pending, landed=landed, forsake=lambda _: None)
    room._outbox, room._desk = SimpleNamespace(flush=flush), SimpleNamespace(shard_went=lambda _: None)
    room._intake = SimpleNamespace(shards={number: Shard(number) for number in range(3)})
    await asyncio.to_thread(coming.leave, [0, 2])
    heard.append("left")
    await asyncio.sleep(0)
    assert heard[:3] == [0.25, "waits for calls", "results"]
    assert {each for each in heard if isinstance(each, float)} == {0.25}
    coming.lost([1])
    await asyncio.sleep(0)
    assert heard[-1] == 0.0


async def test_a_message_is_looked_at_in_the_lane_of_its_gravest_finding(tmp_path: Path) -> None:
    """On start every active violation is evaluated again, most severe first: also one that came after milder ones."""
    world = SmallWorld(tmp_path)
    for severity in (Severity.LOW, Severity.CRITICAL, Severity.MEDIUM):
        world.violate("m", f"v-{severity.name}", severity=severity)
    world.until_quiet()
    told: list[tuple[int, int, bytes]] = []
    made = arrivals(OnTheirWay(0))
    hears = SimpleNamespace(remembered=lambda number, found: told.extend(found))
    now = SimpleNamespace(call_soon_threadsafe=lambda call, *what: call(*what))
    made._desk, made._loop, made._intake = cast(Any, hears), cast(Any, now), world.intake
    made._load(world.shard)
    assert [severity for severity, _, _ in told] == [Severity.LOW, Severity.CRITICAL]
    world.close()
