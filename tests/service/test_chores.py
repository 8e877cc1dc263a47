"""What is done now and then, and what must not wait for that."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

from stream.model import Outcome, Topic
from stream.service.chores import Chores
from stream.service.clock import Clock
from stream.wire.partitioners import Agreement
from tests.service.small_world import RETENTION_MS, SmallWorld


class _NoCalls:
    def give_up(self, now_ms: int) -> None:
        """Nothing waits."""


async def test_a_send_older_than_retention_is_never_called_not_even_right_after_the_start(tmp_path: Path) -> None:
    """A send's record may be old the moment it is read (CreateTime): FAILED, ``expired``, and no call."""
    world = SmallWorld(tmp_path)
    chores = Chores(
        world.desk,
        cast(Any, _NoCalls()),
        world.store,
        {},
        {Topic.SENDS: Agreement(), Topic.VIOLATIONS: Agreement()},
        cast(Clock, world.clock),
        RETENTION_MS,
        ask_end=lambda place: None,
        kick=lambda: None,
        failed=lambda error: None,
    )
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
