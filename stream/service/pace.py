"""Bulk reading gives way: while calls are due or violations wait it takes small batches and rests between them.

Readers and calls share one GIL; at full speed reading would take the calls two thirds of their rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

FULL: Final = 2_000
SMALL: Final = 100
REST_SHARE: Final = 1.5
LONGEST_REST_S: Final = 0.02


class GivingWay:
    """``kafka.tail.Pace``; ``busy()`` says whether anything more urgent is under way."""

    __slots__ = ("_busy",)

    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy = busy

    def most(self) -> int:
        """Records in the next batch, at most."""
        return SMALL if self._busy() else FULL

    def rest(self, worked_s: float) -> None:
        """While something is urgent: leave it one and a half times what was just used."""
        if self._busy():
            time.sleep(min(REST_SHARE * worked_s, LONGEST_REST_S))
