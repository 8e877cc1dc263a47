"""What a test may do to an instance from outside while it runs: step its clock, keep its results from Kafka, and have
it die at a named point.

A small file that both processes map. Promised: what is set is seen by the instance at its next look, and outlives it.
Not promised: more than one point at a time.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
from pathlib import Path
from typing import Final

VARIABLE: Final = "FAILURES_CONTROL"
"""Names the file to the instance."""

_CLOCK: Final = struct.Struct("<q")
_HELD: Final = _CLOCK.size
_DEATH: Final = struct.Struct("<i20s")
_DEATH_AT: Final = _HELD + 1
_BYTES: Final = _DEATH_AT + _DEATH.size


class Control:
    """See the module's words."""

    def __init__(self, file: Path) -> None:
        """Makes the file where it is not there yet."""
        with file.open("ab") as made:
            made.truncate(_BYTES)
        with file.open("r+b") as opened:
            self._seen = mmap.mmap(opened.fileno(), _BYTES)
        self.file = file

    @property
    def clock_ms(self) -> int:
        """How far the instance's wall clock is ahead of the true one."""
        found: int = _CLOCK.unpack_from(self._seen)[0]
        return found

    @clock_ms.setter
    def clock_ms(self, ahead_ms: int) -> None:
        _CLOCK.pack_into(self._seen, 0, ahead_ms)

    @property
    def results_held(self) -> bool:
        """Whether the leaders of the results topic are out of the instance's reach."""
        return bool(self._seen[_HELD])

    @results_held.setter
    def results_held(self, held: bool) -> None:
        self._seen[_HELD] = held

    def doom(self, point: str, nth: int = 1) -> None:
        """kill -9 when the instance comes by this point the nth time from now on."""
        _DEATH.pack_into(self._seen, _DEATH_AT, nth, point.encode())

    def spare(self) -> None:
        """No death any more."""
        self.doom("", 0)

    def comes_by(self, point: str) -> None:
        """In the instance: here it dies, if it is to."""
        left, doomed = _DEATH.unpack_from(self._seen, _DEATH_AT)
        if not left or doomed.rstrip(b"\0") != point.encode():
            return
        self.doom(point, left - 1)
        if left == 1:
            os.kill(os.getpid(), signal.SIGKILL)
