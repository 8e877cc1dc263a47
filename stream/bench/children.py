"""Processes of the benchmark that end with it, however it ends, and the folder that goes with them.

Promised: after ``close`` no process and no file is left; when we are killed, a watcher does the same. Children are in
sessions of their own, so Ctrl-C reaches only us. Not promised: Windows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from stream.model import StartError

_REAPER: Final = """
read -r _
for pid in "$1"/pids/*; do kill -s KILL "$(cat "$pid")"; done
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
"""
_OURS: Final = "UNPUSH__"
_TAIL_CHARS: Final = 1_500
_ENDS_WITHIN_S: Final = 900


class Child(NamedTuple):
    """One process; ``log`` takes what it says on stderr."""

    process: subprocess.Popen[bytes]
    log: Path

    def complaints(self) -> str:
        """The end of what it has said."""
        return self.log.read_text("utf-8", "replace")[-_TAIL_CHARS:].strip()

    def ended(self) -> StartError:
        """To be raised where it should not have."""
        return StartError(f"{self.log.stem} ended with status {self.process.returncode}: {self.complaints()}")


class Children:
    """A temporary folder, and the processes that work in it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="unpush-bench-"))
        self._pids = self.folder / "pids"
        self._pids.mkdir()
        self._running: list[Child] = []
        self._numbers = count(1)
        self._reaper = subprocess.Popen(
            ["/bin/sh", "-c", _REAPER, "unpush-bench-reaper", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def start(self, module: str, *arguments: object) -> Child:
        """``python -m module``; settings in our environment are kept from it. Its stdout must be read."""
        log = self.folder / f"{module}-{next(self._numbers)}.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={name: value for name, value in os.environ.items() if not name.upper().startswith(_OURS)},
                start_new_session=True,
            )
        (self._pids / str(process.pid)).write_text(str(process.pid))
        child = Child(process, log)
        self._running.append(child)
        return child

    def run(self, module: str, *arguments: object) -> str:
        """Runs it to its end, returns what it prints. Raises StartError with its complaints."""
        child = self.start(module, *arguments)
        try:
            return self.finish(child)
        finally:
            self.kill(child)

    def finish(self, child: Child) -> str:
        """Waits for its end, returns what it has printed since. Raises StartError with its complaints."""
        try:
            said, _ = child.process.communicate(timeout=_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise StartError(f"{child.log.stem} did not end within {_ENDS_WITHIN_S} s: {child.complaints()}") from None
        if child.process.returncode != 0:
            raise child.ended()
        return said.decode()

    def kill(self, child: Child) -> None:
        """kill -9, unless it has ended; its number may be somebody else's afterwards."""
        child.process.kill()
        child.process.wait()
        if child.process.stdout is not None:
            child.process.stdout.close()
        self._running.remove(child)
        (self._pids / str(child.process.pid)).unlink(missing_ok=True)

    def close(self) -> None:
        """Ends every process, removes the folder."""
        for child in list(self._running):
            self.kill(child)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._reaper.communicate()  # closes its input: it finds nothing left to do

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
