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

from stream.bench.children import Child, Children
from stream.model import StartError

LOOK_EVERY_S: Final = 0.025
_SHORTEST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 0.5
_NOTHING_NEW_S: Final = 60.0
_STOPS_WITHIN_S: Final = 30.0
_SAMPLE: Final = re.compile(r"^(unpush_\w+?)(?:_total)?(?:\{(.*)\})? (\S+)$", re.MULTILINE)


class Memory(NamedTuple):
    """Resident, in MB of a million bytes: now, and the most so far."""

    now_mb: float
    most_mb: float


class _Look(NamedTuple):
    """How many records were stored at a time (``time.perf_counter``)."""

    stored: int
    at_s: float


class Service:
    """One process."""

    def __init__(self, children: Children, settings: Path, http_port: int) -> None:
        self._children = children
        self._at = ("127.0.0.1", http_port)
        self.started_ns = time.time_ns()
        self._child = children.start("stream", "run", "-c", settings)

    def wait_until_ready(self) -> None:
        """Until ``/readyz`` says so. Raises StartError."""
        patience = _Patience(self._child, "become ready")
        while self.get("/readyz")[0] != 200:
            patience.lasts(0)
            time.sleep(LOOK_EVERY_S)

    def wait_until_stored(self, topic: str, count: int) -> None:
        """Until it has read so many records since its start. Raises StartError where nothing new comes."""
        self._wait(lambda: count - self.stored(topic), f"store {count} records")

    def wait_until_all_is_read(self, topic: str, count: int) -> None:
        """Until it has read so many records of the topic since its start, and nothing of the past is unread."""
        self.wait_until_stored(topic, count)
        self._wait(lambda: int(sum(self.metrics()["unpush_restore_remaining_records"].values())), "read its past")

    def stored(self, topic: str) -> int:
        """Records of the topic that it has read and stored since its start."""
        return int(self.metrics().get("unpush_records_read", {}).get(f'topic="{topic}"', 0))

    def storing_rate(self, topic: str, count: int) -> float:
        """Records per second, from the first look that found some stored until the one that found all. It looks the
        more often the nearer the end must be. Raises StartError where that cannot be told."""
        patience = _Patience(self._child, f"store {count} records")
        while not (last := self._look(topic)).stored:
            patience.lasts(0)
            time.sleep(LOOK_EVERY_S)
        first = last
        while last.stored < count:
            patience.lasts(last.stored)
            time.sleep(_pause_s(first, last, count))
            last = self._look(topic)
        if first.stored == count:
            raise StartError(f"all {count} records were stored at once: too few to tell a rate")
        return _rate(first, last)

    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """By name (a counter's without its ``_total``), then by labels as they are written. Empty before it listens."""
        found: dict[str, dict[str, float]] = defaultdict(dict)
        for name, labels, value in _SAMPLE.findall(self.get("/metrics")[1].decode()):
            found[name][labels] = float(value)
        return found

    def memory(self) -> Memory:
        """Raises StartError where the system does not tell (it must be Linux)."""
        try:
            status = Path(f"/proc/{self._child.process.pid}/status").read_text()
        except OSError:
            raise StartError("memory can only be measured on Linux") from None
        found = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", status))
        return Memory(int(found["VmRSS"]) * 1024 / 1e6, int(found["VmHWM"]) * 1024 / 1e6)

    def stop(self) -> None:
        """SIGTERM, and its end. Raises StartError where that is no clean one."""
        if self._child.process.poll() in (0, -signal.SIGKILL):
            return  # it was asked to before
        self._child.process.send_signal(signal.SIGTERM)
        try:
            code = self._child.process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise StartError("the service did not stop") from None
        if code != 0:
            raise self._child.ended()

    def kill(self) -> None:
        """kill -9."""
        self._child.process.kill()
        self._child.process.wait()

    def end(self) -> None:
        """However that went, it is gone."""
        self._children.kill(self._child)

    def _look(self, topic: str) -> _Look:
        return _Look(self.stored(topic), time.perf_counter())

    def _wait(self, left: Callable[[], int], what: str) -> None:
        patience = _Patience(self._child, what)
        while (found := left()) > 0:
            patience.lasts(found)
            time.sleep(LOOK_EVERY_S)

    def get(self, path: str) -> tuple[int, bytes]:
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


class _Patience:
    """Lasts while the process lives and something changes now and then."""

    def __init__(self, child: Child, what: str) -> None:
        self._child = child
        self._what = what
        self._seen, self._until_s = 0, time.monotonic() + _NOTHING_NEW_S

    def lasts(self, progress: int) -> None:
        """Raises StartError where it ends."""
        if self._child.process.poll() is not None:
            raise self._child.ended()
        if progress != self._seen:
            self._seen, self._until_s = progress, time.monotonic() + _NOTHING_NEW_S
        elif time.monotonic() > self._until_s:
            raise StartError(f"the service did not {self._what}: {self._child.complaints()}")


def _rate(first: _Look, last: _Look) -> float:
    return (last.stored - first.stored) / (last.at_s - first.at_s)


def _pause_s(first: _Look, last: _Look, count: int) -> float:
    """Half of the time that the rest should take: looks cost, and the last must not come late."""
    if last.stored == first.stored:
        return LOOK_EVERY_S
    rest_s = (count - last.stored) / _rate(first, last)
    return min(max(rest_s / 2, _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S)
