"""``unpush run`` as a process, watched as operators watch it: ``/readyz``, ``/metrics``, and its memory.

Promised: nothing here reaches into the service. Not promised: times finer than ``LOOK_EVERY_S``, since each look costs
the service some of its time.
"""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from stream.bench.children import Children
from stream.model import StartError

LOOK_EVERY_S: Final = 0.025
_UP_WITHIN_S: Final = 60.0
_NOTHING_NEW_S: Final = 60.0
_STOPS_WITHIN_S: Final = 30.0
_SAMPLE: Final = re.compile(r"^(unpush_\w+?)(?:_total)?(?:\{(.*)\})? (\S+)$", re.MULTILINE)


class Memory(NamedTuple):
    """Resident, in MB of a million bytes: now, and the most so far."""

    now_mb: float
    most_mb: float


class Service:
    """One process."""

    def __init__(self, children: Children, settings: Path, http_port: int) -> None:
        self._children = children
        self._at = ("127.0.0.1", http_port)
        self.started_ns = time.time_ns()
        self._child = children.start("stream", "run", "-c", settings)
        self._process = self._child.process

    def wait_until_ready(self) -> None:
        """Until ``/readyz`` says so. Raises StartError."""
        self._wait(lambda: self._get("/readyz")[0] == 200, "became ready", lambda: 0)

    def wait_until_stored(self, topic: str, count: int) -> None:
        """Until it has read so many records since its start."""
        self._wait(lambda: self.stored(topic) >= count, f"stored {count} records", lambda: self.stored(topic))

    def wait_until_all_is_read(self, topic: str, count: int) -> None:
        """Until it has read so many records of the topic since its start, and nothing of the past is unread."""
        self.wait_until_stored(topic, count)
        self._wait(lambda: not self._restoring(), "read its past", self._restoring)

    def stored(self, topic: str) -> int:
        """Records of the topic that it has read and stored since its start."""
        return int(self.metrics().get("unpush_records_read", {}).get(f'topic="{topic}"', 0))

    def storing_rate(self, topic: str, count: int) -> float:
        """Records per second, from the first look that found some stored until the one that found all."""
        first, since_s = 0, 0.0
        while not first:
            self._raise_if_dead()
            time.sleep(LOOK_EVERY_S)
            first, since_s = self.stored(topic), time.perf_counter()
        if first == count:
            raise StartError(f"all {count} records were stored at once: too few to tell a rate")
        self.wait_until_stored(topic, count)
        return (count - first) / (time.perf_counter() - since_s)

    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """By name (a counter's without its ``_total``), then by labels as they are written."""
        found: dict[str, dict[str, float]] = defaultdict(dict)
        for name, labels, value in _SAMPLE.findall(self._get("/metrics")[1].decode()):
            found[name][labels] = float(value)
        return found

    def memory(self) -> Memory:
        """Raises StartError where the system does not tell (it must be Linux)."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            raise StartError("memory can only be measured on Linux") from None
        found = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", status))
        return Memory(int(found["VmRSS"]) * 1024 / 1e6, int(found["VmHWM"]) * 1024 / 1e6)

    def stop(self) -> None:
        """SIGTERM, and its end. Raises StartError where that is no clean one."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise StartError("the service did not stop") from None
        if code != 0:
            raise self._child.ended()

    def end(self) -> None:
        """However that went, it is gone."""
        self._children.kill(self._child)

    def _restoring(self) -> int:
        return int(sum(self.metrics()["unpush_restore_remaining_records"].values()))

    def _wait(self, done: Callable[[], bool], what: str, progress: Callable[[], int]) -> None:
        """``progress`` that changes gives it more time."""
        seen, until_s = 0, time.monotonic() + _UP_WITHIN_S
        while not done():
            self._raise_if_dead()
            if time.monotonic() > until_s:
                if (now := progress()) == seen:
                    raise StartError(f"the service never {what}: {self._child.complaints()}")
                seen, until_s = now, time.monotonic() + _NOTHING_NEW_S
            time.sleep(LOOK_EVERY_S)

    def _get(self, path: str) -> tuple[int, bytes]:
        """Status and body; status 0 while nobody listens."""
        connection = http.client.HTTPConnection(*self._at, timeout=_NOTHING_NEW_S)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def _raise_if_dead(self) -> None:
        if self._process.poll() is not None:
            raise self._child.ended()
