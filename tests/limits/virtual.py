"""An event loop whose time leaps to whatever is due next: a minute of waiting takes no time.

Promised: what happens, happens in the order of its times. Not promised: I/O, there is none; nor the order of what is
due at one time, which may follow addresses in memory.
"""

from __future__ import annotations

import asyncio
import selectors

from stream.service.clock import Clock

START_S = 1_000.0


class _Leaping(selectors.SelectSelector):
    """Where the loop would wait, time passes."""

    now_s = START_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing is due: it would wait for ever"
        self.now_s += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module's words."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now_s


class LoopClock(Clock):
    """The service's clock goes by the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now_ms(self) -> int:
        return int(self._loop.time() * 1_000)

    def monotonic_s(self) -> float:
        return self._loop.time()
