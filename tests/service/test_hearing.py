"""What threads tell the loop: in the order in which it became true, and never before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from stream.model import Topic
from stream.service.clock import Clock
from stream.service.desk import Desk
from stream.service.hearing import Hearing
from stream.state.shard import EVERYTHING, Shard
from stream.state.store import Store
from tests.service.small_world import NAMES


class Listening:
    """Stands for the desk: keeps what it hears, and what it could know of the shard at that moment."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.heard: list[tuple[str, bool]] = []

    def events_came(self, number: int, came: list[object], now_s: float) -> None:
        self.heard.append(("events", self.shard.past_is_read))

    def past_read(self, number: int) -> None:
        self.heard.append(("past", self.shard.past_is_read))


@pytest.mark.parametrize("topic", [Topic.VIOLATIONS, Topic.RESULTS])
async def test_events_are_heard_of_before_it_is_true_that_they_have_been_read(tmp_path: Path, topic: Topic) -> None:
    """A violation acts as soon as all events above its own have been read, and heard of: a withdrawal in the loop's
    queue counts."""
    store = Store(tmp_path / "store")
    shard = Shard(0, store, 1_000)
    shard.read_back_ms = dict.fromkeys((Topic.VIOLATIONS, Topic.RESULTS), EVERYTHING) | {topic: 5.0}
    desk = Listening(shard)
    hearing = Hearing({0: shard}, cast(Desk, desk), NAMES, Clock(), lambda: None, lambda error: None)
    hearing.events(0, [])
    hearing.further((topic, 0), EVERYTHING)
    assert not shard.past_is_read
    await asyncio.sleep(0)
    assert desk.heard == [("events", False), ("past", True)]
    store.close()


async def test_what_retention_took_unread_is_counted_by_topic() -> None:
    """Never a silent jump: how many are gone, in the log and as a metric."""
    hearing = Hearing({}, cast(Desk, None), NAMES, Clock(), lambda: None, lambda error: None)
    hearing.lost((Topic.SENDS, 3), 100, 800)
    hearing.lost((Topic.SENDS, 4), 0, 7)
    await asyncio.sleep(0)
    assert hearing.gone == {Topic.SENDS: 707, Topic.VIOLATIONS: 0, Topic.RESULTS: 0}
