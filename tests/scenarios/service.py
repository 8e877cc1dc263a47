"""`unpush run` as a real process: started, watched through its log, killed, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.scenarios.gateway import ROOT

Log = dict[str, Any]


class Instance:
    """One process. Its log is JSON lines in a file of its own."""

    def __init__(
        self,
        settings: Path,
        log: Path,
        *flags: str,
        environment: Mapping[str, str] | None = None,
        program: str = "stream",
    ) -> None:
        """``program``: the module that is run; ``tests.failures.launcher`` prepares the same command."""
        self.settings, self.log = settings, log
        self.dismissed = False
        """Whether its end was asked for."""
        command = [sys.executable, "-m", program, "run", "-c", str(settings), *flags]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
            )

    @property
    def text(self) -> str:
        """All it has said."""
        return self.log.read_text("utf-8", "replace")

    def said(self, event: str | None = None) -> Iterator[Log]:
        """Its log lines, or those of one event."""
        for line in self.text.splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if event is None or found.get("event") == event:
                yield found

    def wait_for(self, event: str, within_s: float = 30.0, **fields: object) -> Log:
        """Until it has said so, with these fields."""
        until_s = time.monotonic() + within_s
        while True:
            for found in self.said(event):
                if all(found.get(name) == value for name, value in fields.items()):
                    return found
            assert self.process.poll() is None, f"it has ended, exit {self.process.returncode}:\n{self.text[-3000:]}"
            assert time.monotonic() < until_s, f"never said {event} {fields}:\n{self.text[-3000:]}"
            time.sleep(0.02)

    def wait_until_it_works(self, within_s: float = 30.0) -> Instance:
        """Until it has shards."""
        self.wait_for("shards_came", within_s)
        return self

    def kill(self) -> None:
        """kill -9."""
        self.dismissed = True
        self.process.kill()
        self.process.wait()

    def stop(self, within_s: float = 30.0) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.ended(within_s)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal that ends it."""
        self.dismissed = True
        self.process.send_signal(number)

    def ended(self, within_s: float = 30.0) -> int:
        """The exit code, once it has ended by itself."""
        return self.process.wait(within_s)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def memory_mb(self) -> float:
        """Resident, the most so far. Linux."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
