"""The Push Kit simulator as a process of its own, and its timeline.

Promised: a call's time is when the simulator had it whole, on the same wall clock as ``time.time_ns`` here. Not
promised: more than its last 200,000 calls.
"""

from __future__ import annotations

import contextlib
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from stream.bench.children import Children
from stream.bench.load import CLIENT_ID
from stream.model import StartError
from stream.pushkit.simulator import AppFaults, Faults, Latency, Shape, faults_json

_LOOK_EVERY_S: Final = 0.05
_NOTHING_NEW_S: Final = 30.0


class Call(NamedTuple):
    """One revoke call, as the simulator saw it."""

    wall_ns: int
    notify_id: int
    tokens: int
    app: str = CLIENT_ID
    status: int = 200
    """The HTTP status answered; 0: cut, or left hanging."""

    @property
    def accepted(self) -> bool:
        """Whether it revoked what it named."""
        return self.status == 200


class Gateway(NamedTuple):
    """The simulator's other door."""

    url: str
    key_file: Path

    def answer_after(self, latency_ms: float) -> None:
        """From now on; 0: at once."""
        latency = Latency(Shape.FIXED, low_ms=latency_ms) if latency_ms else Latency()
        self.fail(Faults(all=AppFaults(latency=latency)))

    def fail(self, faults: Faults) -> None:
        """From now on, in place of what was set before."""
        self._ask("PUT", "faults", faults_json.to_json(faults))

    def forget(self) -> None:
        """Empty book, counts and timeline."""
        self._ask("DELETE", "book")

    def devices(self, app: str = CLIENT_ID) -> int:
        """Distinct tokens of one app revoked, summed over calls."""
        counts = self._ask("GET", "counts").get(app)
        return int(counts["devices"]) if counts else 0

    def tell(self, tokens: Iterable[bytes], reason: str, app: str = CLIENT_ID) -> None:
        """From now on these tokens of an app are refused for that reason."""
        named = [token.decode() for token in tokens]
        self._ask("POST", "tokens", {"clientId": app, "tokens": named, "app": None, "reason": reason})

    def calls(self, *, refused: bool = False) -> list[Call]:
        """Accepted calls in the order received. With those ``refused``, or raises StartError for one."""
        calls = self._ask("GET", "calls")
        wrong = [call for call in calls if call["status"] != 200 and not refused]
        if wrong:
            raise StartError(f"the simulator refused {len(wrong)} calls, the first with {wrong[0]['code']}")
        return [
            Call(call["wallNs"], call["notifyId"], call["tokens"], call["clientId"], call["status"]) for call in calls
        ]

    def calls_of(self, devices: int) -> list[Call]:
        """Waits until so many devices were revoked. Raises StartError where nothing new comes for long."""
        seen, until_s = -1, 0.0
        while (found := self.devices()) < devices:
            now_s = time.monotonic()
            if found > seen:
                seen, until_s = found, now_s + _NOTHING_NEW_S
            elif now_s > until_s:
                raise StartError(f"only {found} of {devices} devices were revoked")
            time.sleep(_LOOK_EVERY_S)
        return self.calls()

    def _ask(self, method: str, what: str, body: object = None) -> Any:
        data = None if body is None else orjson.dumps(body)
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.url}/_sim/{what}", data, method=method), timeout=_NOTHING_NEW_S
        ) as reply:
            return orjson.loads(reply.read() or b"null")


@contextlib.contextmanager
def gateway(children: Children, folder: Path, apps: Sequence[str] = (CLIENT_ID,)) -> Iterator[Gateway]:
    """Raises StartError where it does not come up."""
    named = [word for app in apps for word in ("--app", app)]
    child = children.start("stream", "simulate", "--port", 0, *named, "--make-keys", folder)
    try:
        assert child.process.stdout is not None
        url = child.process.stdout.readline().decode().strip().partition("listening on ")[2]
        if not url:
            child.process.wait()
            raise child.ended()
        yield Gateway(url, folder / f"{apps[0]}.json")
    finally:
        children.kill(child)


def calls_per_s(calls: list[Call]) -> float:
    """From the first to the last."""
    return (len(calls) - 1) / ((calls[-1].wall_ns - calls[0].wall_ns) / 1e9)
