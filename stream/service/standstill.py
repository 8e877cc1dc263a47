"""Whether this process has just stood still: frozen, starved, or busy with one thing for long.

Promised: for a second after it goes on it says so, so that nobody trusts what was known before. Not promised: standing
still for less than a second is noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

STILL_S: Final = 1.0

CATCHING_UP_S: Final = 1.0
"""After so long the readers have heard of what came meanwhile, or count as behind themselves."""


class Standstill:
    """Times are monotonic seconds. On the event loop."""

    __slots__ = ("_looked_s", "_over_s")

    def __init__(self, now_s: float) -> None:
        self._looked_s = now_s
        self._over_s = now_s

    def look(self, now_s: float) -> bool:
        """Whether it stood still just now; asked by all who would rely on what was read, and regularly."""
        if now_s - self._looked_s > STILL_S:
            self._over_s = now_s + CATCHING_UP_S
        self._looked_s = now_s
        return now_s < self._over_s

    async def keep_looking(self, clock: Callable[[], float]) -> None:
        """For ever; ends by cancellation."""
        while True:
            await asyncio.sleep(STILL_S / 4)
            self.look(clock())
