"""Where the service's log lines go on their way to stderr: whoever logs never waits, and never hears that it failed.

Promised: lines come out in the order in which they were logged. While they cannot be written (a full disk, a reader
that is gone or reads nothing) the oldest are kept and the newest dropped; once it works again the kept ones come out,
then one line that says how many are missing. Not promised: what was logged right before a kill -9.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from time import sleep
from types import TracebackType
from typing import Final, Self

MAX_BYTES: Final = 4 * 2**20
"""What waits to be written: some ten thousand lines, more than a burst that a reader has fallen behind of."""

TOGETHER_BYTES: Final = 2**16
"""So much is written at once: what a pipe holds."""

TOGETHER_S: Final = 0.01
"""Lines of so long a time are written together: a thread that wakes for each would take the GIL for each."""

AGAIN_AFTER_S: Final = 0.2
"""Between two attempts at what could not be written."""

END_WITHIN_S: Final = 0.3
"""How long the end of the process waits for its last lines."""


class Lines:
    """A file to log to. As a context manager: at its end all is written, or given up after ``END_WITHIN_S``."""

    def __init__(self, fd: int, say_lost: Callable[[int], object], max_bytes: int = MAX_BYTES) -> None:
        """``say_lost`` logs how many lines are missing; it is called by the thread that writes."""
        self._fd, self._say_lost, self._max_bytes = fd, say_lost, max_bytes
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._lost = 0
        self._resting = False
        self._changed = Condition()
        Thread(target=self._write_on, name="log", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """What is said on this file afterwards would wait or fail as its lines did: then it leads nowhere from here
        on."""
        if not self.settle() or not self._takes_more():
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._fd)

    def write(self, line: str) -> None:
        """Takes a line, or drops it: where there is no room, and until that has been said."""
        raw = line.encode("utf-8", "backslashreplace")
        with self._changed:
            if self._lost or self._waiting_bytes + len(raw) > self._max_bytes:
                self._lost += 1
                return
            self._waiting.append(raw)
            self._waiting_bytes += len(raw)
            self._changed.notify_all()

    def flush(self) -> None:
        """Nothing: what logs asks for it after each line."""

    def settle(self, within_s: float = END_WITHIN_S) -> bool:
        """Waits until all lines are written; False: they were not, within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._resting and not self._waiting, within_s)

    def _takes_more(self) -> bool:
        """Whether a sentence fits: what a pipe calls writable has room for a page."""
        look = select.poll()
        look.register(self._fd, select.POLLOUT)
        return any(event & select.POLLOUT for _, event in look.poll(0))

    def _write_on(self) -> None:
        while True:
            some = self._next()
            self._write_whole(some)
            if lost := self._written(len(some)):
                self._say_lost(lost)
            if self._waiting_bytes < TOGETHER_BYTES:
                sleep(TOGETHER_S)

    def _next(self) -> bytes:
        """The oldest lines, whole ones, as many as go together."""
        with self._changed:
            self._rest()
            together = [self._waiting.popleft()]
            size = len(together[0])
            while self._waiting and (size := size + len(self._waiting[0])) <= TOGETHER_BYTES:
                together.append(self._waiting.popleft())
        return b"".join(together)

    def _rest(self) -> None:
        """Until there is a line."""
        self._resting = True
        self._changed.notify_all()
        self._changed.wait_for(lambda: self._waiting)
        self._resting = False

    def _write_whole(self, some: bytes) -> None:
        """However long it takes, so that no line is torn by a disk that was full in the middle of it."""
        while some:
            try:
                some = some[os.write(self._fd, some) :]
            except OSError:
                sleep(AGAIN_AFTER_S)

    def _written(self, size: int) -> int:
        """Makes room again. Gives how many lines were lost meanwhile, to be said once the kept ones are written."""
        with self._changed:
            self._waiting_bytes -= size
            lost = 0 if self._waiting_bytes else self._lost
            self._lost -= lost
        return lost
