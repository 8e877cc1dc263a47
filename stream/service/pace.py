"""Who gives way to whom. Bulk reading to calls: while calls are due or violations wait it takes small batches and rests
between them. And what the loop need not do to calls, while it has no time to spare.

Readers and calls share one GIL; at full speed reading would take the calls two thirds of their rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from stream.service.clock import Clock

FULL: Final = 2_000
SMALL: Final = 100
REST_SHARE: Final = 1.5
LONGEST_REST_S: Final = 0.02
HEAVY: Final = 0.5


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


class Load:
    """How busy the loop's thread is. On that thread."""

    __slots__ = ("_clock", "_now_s", "_worked_s")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now_s, self._worked_s = clock.monotonic_s(), clock.worked_s()

    def is_heavy(self) -> bool:
        """Whether it has worked for more than half of the time since it was asked last."""
        since_s, worked_s = self._now_s, self._worked_s
        self._now_s, self._worked_s = self._clock.monotonic_s(), self._clock.worked_s()
        return self._worked_s - worked_s > HEAVY * (self._now_s - since_s)
