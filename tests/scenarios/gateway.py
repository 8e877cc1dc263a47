"""The Push Kit simulator as a process of its own: `unpush simulate`, spoken to over HTTP as a user would."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import orjson

from stream.pushkit.simulator import AppFaults, Faults
from stream.pushkit.simulator.faults_json import to_json
from tests.authority import Authority
from tests.scenarios.story import Book, Call, Slot

ROOT = Path(__file__).parents[2]
CALLS_KEPT = 200_000


class PushKit:
    """One simulator. Promised: it is this test's alone, and gone when the test is over."""

    def __init__(self, keys: Path, apps: Sequence[str], vouched: Authority | None = None) -> None:
        """``vouched``: it is served over TLS, and this authority says that it is who it is."""
        self.keys, self.apps = keys, tuple(apps)
        tls = () if vouched is None else ("--tls-cert", str(vouched.certificate("127.0.0.1")))
        self._trusts = None if vouched is None else ssl.create_default_context(cafile=vouched.file)
        named = [word for app in apps for word in ("--app", app)]
        command = [sys.executable, "-m", "stream", "simulate", "--port", "0", "--make-keys", str(keys), *named, *tls]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True, cwd=ROOT
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said.startswith("listening on "), said
        self.url = said.removeprefix("listening on ").strip()

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def key_file(self, app: str) -> Path:
        """The app's key."""
        return self.keys / f"{app}.json"

    def fail(self, faults: Faults | AppFaults) -> None:
        """From now on."""
        whole = Faults(all=faults) if isinstance(faults, AppFaults) else faults
        self._ask("PUT", "faults", to_json(whole))

    def heal(self) -> None:
        """No faults."""
        self.fail(Faults())

    def tell(
        self, client_id: str, tokens: Iterable[bytes], *, reason: str | None = None, app: str | None = None
    ) -> None:
        """These tokens are bad, or another app's."""
        what = {"clientId": client_id, "tokens": [token.decode() for token in tokens], "app": app, "reason": reason}
        self._ask("POST", "tokens", what)

    def counts(self) -> dict[str, dict[str, Any]]:
        """Counts by app."""
        counts: dict[str, dict[str, Any]] = self._ask("GET", "counts")
        return counts

    @property
    def calls(self) -> int:
        """Calls received so far."""
        return sum(app["calls"] for app in self.counts().values())

    @property
    def devices(self) -> int:
        """Devices revoked so far."""
        return sum(app["devices"] for app in self.counts().values())

    def book(self) -> Book:
        """All of it."""
        told, calls = self._ask("GET", "book"), self._ask("GET", "calls")
        assert len(calls) < CALLS_KEPT, "the timeline has forgotten calls"
        seen = [
            Call((call["clientId"], call["notifyId"]), call["tokens"], call["status"], call["monotonicNs"])
            for call in calls
        ]
        revoked = told["revoked"]
        return Book(_ledger(revoked, "calls"), _ledger(told["refused"], "calls"), _ledger(revoked, "lastMs"), seen)

    def _ask(self, method: str, path: str, value: Any = None) -> Any:
        body = None if value is None else orjson.dumps(value)
        request = Request(f"{self.url}/_sim/{path}", body, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, timeout=60, context=self._trusts) as response:
            return orjson.loads(response.read())


def _ledger(rows: list[dict[str, Any]], what: str) -> dict[Slot, dict[str, int]]:
    found: dict[Slot, dict[str, int]] = {}
    for row in rows:
        found.setdefault((row["clientId"], row["notifyId"]), {})[row["token"]] = row[what]
    return found
