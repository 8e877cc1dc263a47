"""The time, in one place, so that tests may turn it."""

from __future__ import annotations

import time


class Clock:
    """Wall clock in ms for what is written down, monotonic seconds for what is waited for; what a thread has worked."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds on a clock that is never set."""
        return time.monotonic()

    def worked_s(self) -> float:
        """Seconds that this thread has had a processor."""
        return time.thread_time()
