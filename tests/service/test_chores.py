"""What is done now and then, and what must not wait for that."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from stream.model import Outcome, Topic
from stream.service import chores
from stream.service.chores import Chores
from stream.service.clock import Clock
from stream.service.restoring import Restoring
from stream.state.shard import Shard
from stream.wire.partitioners import Agreement
from tests.service.small_world import RETENTION_MS, SmallWorld


class _NoCalls:
    def give_up(self, now_ms: int) -> None:
        """Nothing waits."""


def chores_of(
    world: SmallWorld,
    shards: dict[int, Shard],
    ask_brokers: Callable[[], str | None] = lambda: None,
    failed: Callable[[Exception], None] = lambda error: None,
) -> Chores:
    return Chores(
        world.desk,
        cast(Any, _NoCalls()),
        world.store,
        shards,
        {Topic.SENDS: Agreement(), Topic.VIOLATIONS: Agreement()},
        cast(Clock, world.clock),
        RETENTION_MS,
        Restoring(shards, {topic: topic.name for topic in Topic}, cast(Clock, world.clock)),
        ending_from_ms=world.settling.ending_from_ms,
        ask_end=lambda place: None,
        ask_brokers=ask_brokers,
        kick=lambda: None,
        failed=failed,
    )


async def test_a_send_older_than_retention_is_never_called_not_even_right_after_the_start(tmp_path: Path) -> None:
    """A send's record may be old the moment it is read (CreateTime): FAILED, ``expired``, and no call."""
    world = SmallWorld(tmp_path)
    chores = chores_of(world, {})
    world.send("m", ["a"])
    world.clock.ms += RETENTION_MS + 1
    begun = asyncio.create_task(chores.run())
    await asyncio.sleep(0)
    world.violate("m")
    world.until_quiet()
    begun.cancel()
    assert [(r.outcome, r.detail) for r in world.results] == [(Outcome.FAILED, "expired")]
    assert world.called_tokens("m") == []
    world.close()


async def test_a_bucket_is_dropped_by_one_thread_only_however_long_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket full of events takes a while; nobody else begins with it meanwhile."""
    monkeypatch.setattr(chores, "EVERY_S", 0.001)
    monkeypatch.setattr(chores, "EXPIRE_EVERY_S", 0.001)
    world = SmallWorld(tmp_path)
    world.send("m", ["a"])
    world.until_quiet()
    world.clock.ms += 2 * RETENTION_MS
    begun, go_on = list[int](), threading.Event()

    def slow(bucket: int) -> None:
        begun.append(bucket)
        go_on.wait(5)

    monkeypatch.setattr(world.shard, "drop_bucket", slow)
    running = asyncio.create_task(chores_of(world, {0: world.shard}).run())
    await asyncio.sleep(0.1)
    assert len(begun) == 1
    go_on.set()
    await asyncio.sleep(0.1)
    assert len(begun) > 1, "it is still there: once more"
    running.cancel()
    world.close()


async def test_a_look_at_the_brokers_that_fails_is_not_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else topics made anew, and shards that nobody has, would not be seen any more, and no line would say so."""
    monkeypatch.setattr(chores, "ASK_EVERY_S", 0.001)
    world, asked, failed = SmallWorld(tmp_path), list[int](), asyncio.Future[Exception]()

    def ask() -> str | None:
        asked.append(len(asked))
        if len(asked) < 3:
            raise ValueError("bytes of another version")
        return "the topic was made anew"

    running = asyncio.create_task(chores_of(world, {}, ask, failed.set_result).ask_brokers())
    assert str(await asyncio.wait_for(failed, 5)) == "the topic was made anew"
    assert asked == [0, 1, 2]
    running.cancel()
    world.close()


async def test_nobody_is_asked_once_it_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where a look was under way: the threads have gone by then, and asking one would be a traceback."""
    monkeypatch.setattr(chores, "ASK_EVERY_S", 0.001)
    world, asked, begun, go_on = SmallWorld(tmp_path), list[int](), threading.Event(), threading.Event()

    def ask() -> str | None:
        asked.append(len(asked))
        begun.set()
        go_on.wait(5)
        return None

    running = asyncio.create_task(chores_of(world, {}, ask).ask_brokers())
    assert await asyncio.to_thread(begun.wait, 5)
    running.cancel()
    go_on.set()
    await asyncio.sleep(0.1)
    assert asked == [0]
    world.close()
