"""The loop's time, shared between the desk and everything else: planning comes in slices.

Promised: calls and replies wait for half a millisecond of planning at most, and for the step that ends it. Not
promised: that a step is short; its own room promises that.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from stream.service.clock import Clock
from stream.service.planning import Planning

SLICE_S: Final = 0.0005
"""How long the desk plans before the loop turns to calls and replies again."""


async def keep_planning(planning: Planning, clock: Clock, kick: asyncio.Event) -> None:
    """Plan as long as there is something to plan and room for it, then wait for ``kick``. For ever; ends by
    cancellation."""
    loop = asyncio.get_running_loop()
    while True:
        until_s = loop.time() + SLICE_S
        while planning.step(clock.monotonic_s()):
            if loop.time() > until_s:
                await asyncio.sleep(0)
                until_s = loop.time() + SLICE_S
        await _something_new(planning, kick)


async def _something_new(planning: Planning, kick: asyncio.Event) -> None:
    kick.clear()
    if planning.plans.any:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(planning.rests_s):  # unlike wait_for it makes no task
                await kick.wait()
    else:
        await kick.wait()
