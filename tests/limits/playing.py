"""Runs: the service's own ``Calls`` against the imitation, in virtual time, and what was seen in them.

Promised: calls, lanes, laws and retries are the real ones; only the planner is played: it keeps enough parcels waiting,
as large as calls may be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import NamedTuple

from stream.model import Severity
from stream.pushkit.reply import Verdict
from stream.service.calls import Calls
from stream.settings import default_settings
from stream.work.endings import Ending
from stream.work.judgement import judge
from stream.work.packing import Parcel
from tests.limits.imitation import PushKit, Seen
from tests.limits.virtual import START_S, LoopClock, VirtualLoop
from tests.work.making import event, parcel

SETTINGS = default_settings().push_kit
TOKENS = [b"%04d" % number for number in range(1_000)]
AHEAD = 100
"""Parcels that the planner keeps waiting for each app that has no end of work."""
FINDINGS = {each: judge([event(1, severity=each, time_ms=500)])["v"] for each in Severity}


class Sample(NamedTuple):
    """What one instance has learned, at a time."""

    at_s: float
    rates: Mapping[str, float]
    bound: float
    states: Mapping[str, str]
    in_flight: int


@dataclass
class Instance:
    """One process's calls."""

    push_kit: PushKit
    share: float
    seed: int
    endless: set[str] = field(default_factory=set)
    """Apps whose work has no end."""
    tokens: int = 1_000
    """Tokens in a parcel of endless work, where calls may be so large."""
    ended: list[tuple[Parcel, Ending]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    _ages: Iterator[int] = field(default_factory=count)
    _put: dict[str, int] = field(default_factory=dict)

    def begin(self) -> list[asyncio.Task[None]]:
        """Its workers."""
        self.calls = Calls(
            SETTINGS,
            self.push_kit,
            LoopClock(asyncio.get_running_loop()),
            end=self._end,
            replaced=self._replaced,
            wanted=lambda parcel: True,
            keyless=lambda app: None,
            shares={Severity.HIGH: 0.2, Severity.MEDIUM: 0.1, Severity.LOW: 0.05},
            random=Random(self.seed),
        )
        self.calls.set_share(self.share)
        workers = [asyncio.create_task(self.calls.work()) for _ in range(SETTINGS.max_in_flight)]
        return [*workers, asyncio.create_task(self._look())]

    def put(self, app: str, parcels: int, tokens: int = 1, severity: Severity = Severity.MEDIUM) -> None:
        """So many parcels more."""
        self._put[app] = self._put.get(app, 0) + parcels
        for _ in range(parcels):
            finding = FINDINGS[severity]._replace(first_timestamp_ms=next(self._ages))
            self.calls.call(parcel(TOKENS[:tokens], app, finding=finding), severity)

    def _end(self, done: Parcel, ending: Ending) -> None:
        self.ended.append((done, ending))
        app = done.client_id or ""
        self._put[app] -= 1
        self._top_up(app)

    def _replaced(self, done: Parcel, pieces: list[Parcel]) -> None:
        self._put[done.client_id or ""] += len(pieces) - 1

    def _top_up(self, app: str) -> None:
        if app in self.endless and self._put.get(app, 0) < AHEAD:
            self.put(app, AHEAD // 4, min(self.tokens, self.calls.largest_call(app)))

    async def _look(self) -> None:
        while True:
            for app in self.endless:
                self._top_up(app)
            calls, now_s = self.calls, asyncio.get_running_loop().time()
            rates = {name: app.learned.devices_per_s for name, app in calls.apps.items()}
            states = {name: app.breaker.state.value for name, app in calls.apps.items()}
            self.samples.append(Sample(now_s - START_S, rates, calls.gate.bound.calls, states, len(calls.in_flight)))
            await asyncio.sleep(0.1)


@dataclass
class Run:
    """What was seen."""

    push_kit: PushKit
    instances: list[Instance]

    def calls(self, since_s: float = 0.0, until_s: float = 1e9, app: str | None = None) -> list[Seen]:
        """Those that came within that time."""
        seen = self.push_kit.seen
        return [each for each in seen if since_s <= each.at_s < until_s and app in (None, each.app)]

    def devices_per_s(self, since_s: float, until_s: float, app: str | None = None) -> float:
        """Accepted."""
        accepted = [each for each in self.calls(since_s, until_s, app) if each.verdict is Verdict.REVOKED]
        return sum(each.devices for each in accepted) / (until_s - since_s)

    def share_of(self, verdict: Verdict, since_s: float, until_s: float, app: str | None = None) -> float:
        """Of the calls."""
        calls = self.calls(since_s, until_s, app)
        return sum(each.verdict is verdict for each in calls) / max(1, len(calls))


Play = Callable[["Run"], Awaitable[None]]


def play(script: Play, *, shares: Iterable[float] = (1.0,), seed: int = 1) -> Run:
    """One instance per share, all against one Push Kit; ``script`` changes things as time goes by, and ends it."""
    loop = VirtualLoop()
    push_kit = PushKit(Random(seed))
    run = Run(push_kit, [Instance(push_kit, share, seed + place) for place, share in enumerate(shares)])

    async def whole() -> None:
        tasks = [task for instance in run.instances for task in instance.begin()]
        await script(run)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    try:
        loop.run_until_complete(whole())
    finally:
        loop.close()
    return run


async def until(at_s: float) -> None:
    """The run is so old."""
    await asyncio.sleep(START_S + at_s - asyncio.get_running_loop().time())
