"""Push Kit as the laws see it: it takes so many devices a second, bears so many calls, answers after a while, or not.

The quota is the simulator's own bucket. Promised: every call is written down at the time it came. Not promised: HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from stream.model import Severity
from stream.pushkit.reply import Reply, Verdict
from stream.pushkit.simulator import AppFaults, Faults
from stream.pushkit.simulator.rates import Rates
from stream.work.apps import App
from stream.work.packing import Parcel
from tests.limits.virtual import START_S

TIMEOUT_S = 2.0
REVOKED = Reply(Verdict.REVOKED, 200, "80000000")
FLOW = Reply(Verdict.FLOW_CONTROL, 503, detail="flow control")
BROKEN = Reply(Verdict.RETRY, 502, detail="HTTP 502")
TIMEOUT = Reply(Verdict.RETRY, detail="timeout")
REFUSED = Reply(Verdict.RETRY, detail="connection refused")


class Seen(NamedTuple):
    """One call, as it came; ``at_s`` from the run's start."""

    at_s: float
    app: str
    severity: Severity
    devices: int
    verdict: Verdict
    retry: bool


@dataclass
class PushKit:
    """What may be changed while it runs."""

    random: Random
    quota: Mapping[str, float] = field(default_factory=dict)
    """Devices a second by app; none: no limit."""
    latency_ms: tuple[float, float] = (50.0, 50.0)
    """Median and 99th percentile, lognormal; equal: always that."""
    bears: int = 10_000
    """Calls at once; of more, each waits until it times out."""
    broken: float = 0.0
    """The share of calls that end with a 502."""
    busy: float = 0.0
    """The share of calls that flow control refuses whatever the rate."""
    away: bool = False
    hangs: bool = False
    """Whether every call waits until it times out."""
    timeout_s: float = TIMEOUT_S
    down: frozenset[str] = frozenset()
    """Apps whose every call is answered with 502."""
    seen: list[Seen] = field(default_factory=list)
    under_way: int = 0
    _rates: Rates = field(default_factory=Rates)

    async def revoke(self, app: App, parcel: Parcel, body: bytes | memoryview) -> Reply:
        """One call."""
        now_s = asyncio.get_running_loop().time()
        self.under_way += 1
        try:
            reply, wait_s = self._answer(app.client_id, len(parcel.tokens), now_s)
            seen = app.client_id, parcel.violation.severity, len(parcel.tokens), reply.verdict, parcel.attempts > 1
            self.seen.append(Seen(now_s - START_S, *seen))
            await asyncio.sleep(wait_s)
        finally:
            self.under_way -= 1
        return reply

    def _answer(self, client_id: str, devices: int, now_s: float) -> tuple[Reply, float]:
        if self.away:
            return REFUSED, 0.001
        if self.hangs or self.under_way > self.bears:
            return TIMEOUT, self.timeout_s
        wait_s = self._latency_s()
        if client_id in self.down or self.random.random() < self.broken:
            return BROKEN, wait_s
        faults = Faults(apps={app: AppFaults(devices_per_s=quota) for app, quota in self.quota.items()})
        if self.random.random() < self.busy:
            return FLOW, wait_s
        admitted = self._rates.admit(faults, client_id, devices, int(now_s * 1e9))
        return REVOKED if admitted else FLOW, wait_s

    def _latency_s(self) -> float:
        median, p99 = self.latency_ms
        if p99 <= median:
            return median / 1_000
        return median / 1_000 * (p99 / median) ** (self.random.gauss(0, 1) / 2.326)
