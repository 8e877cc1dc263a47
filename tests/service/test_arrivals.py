"""Shards come back to a process that lost them."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from stream.service.arrivals import OWN_RESULTS_WAIT_S, Arrivals, Topics
from stream.service.clock import Clock
from stream.service.intake import Intake
from stream.service.outbox import Outbox


class Room:
    """Any room that is told something and does nothing."""

    shards: dict[int, Any] = {}  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class OnTheirWay:
    """An outbox whose results arrive after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def results(self) -> int:
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
