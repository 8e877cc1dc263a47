"""The story, told once: the stage is set, the past written, the service started, the cast plays, the judge decides.

Promised: the service is the one that ``unpush run`` wires, its page included, and nothing of it is asked: all that is
shown here and judged comes from the topics and from the simulator's book. Whatever happens, the simulator ends. Not
promised: that a story whose service fails is judged; its error is raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from stream.demo.audience import Audience
from stream.demo.cast import OWN_HEADERS, Cast
from stream.demo.judge import Breach, Evidence, judge
from stream.demo.plan import Plan
from stream.demo.stage import Broker, Gateway, gateway, ready, settings_for
from stream.demo.standing import Standing
from stream.demo.view import View
from stream.kafka.preflight import look
from stream.model import RevokeResult, Topic
from stream.operate.http import Front
from stream.service.clock import Clock
from stream.service.story import Service
from stream.service.views import Views
from stream.settings import Settings

TURN_S: Final = 0.01
LULL_S: Final = 1.0
"""How long nothing may happen any more once all is settled: what should not come has time to come."""
PATIENCE_S: Final = 20.0
"""How long nothing may happen while something is still open; then the story is over, and the judge says what lacks."""


class Outcome(NamedTuple):
    """How it ended."""

    standing: Standing
    breaches: list[Breach]
    counts: Mapping[str, Mapping[str, Any]]


async def tell(plan: Plan, broker: Broker, folder: Path, view: View) -> Outcome:
    """Play the plan on a started broker, with all files in ``folder``. Raises StartError; may be cancelled."""
    async with gateway(plan, folder) as push_kit:
        settings = settings_for(folder, broker, push_kit.url)
        partitions = await asyncio.to_thread(ready, broker, settings)
        view.say(f"Broker at {broker.bootstrap_servers}, {partitions} partitions; Push Kit simulator at {push_kit.url}")
        told = _Telling(plan, settings, partitions, view)
        try:
            return await told.all_of_it(push_kit)
        finally:
            told.audience.close()


class _Telling:
    """What the chapters share."""

    def __init__(self, plan: Plan, settings: Settings, partitions: int, view: View) -> None:
        names = settings.topics
        written = {Topic.SENDS: names.message_sent, Topic.VIOLATIONS: names.violation_detected}
        counts = dict.fromkeys((names.revoke_result, names.dead_letter), partitions)
        self._plan, self._settings, self._view = plan, settings, view
        self._servers = settings.kafka.bootstrap_servers
        self._cast = Cast(plan, self._servers, written)
        self.audience = Audience(self._servers, names.revoke_result, names.dead_letter, counts)
        self._standing = Standing(plan)
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._curtain_s = math.inf
        """When the cast began, on the story's clock: as soon as the service has settled something of the past."""
        self._curtain_ms = 0

    async def all_of_it(self, push_kit: Gateway) -> Outcome:
        """Each chapter in its turn."""
        await asyncio.to_thread(self._cast.begin)
        self._view.say(f"{len(self._plan.past):,} records are there already; the service starts")
        await self._with_the_service()
        await asyncio.to_thread(self.audience.read_to_end, self._result, self._letter)
        book, counts = await push_kit.book(), await push_kit.counts()
        cast, heard = self._cast, self.audience
        evidence = Evidence(cast.sends, cast.bad, OWN_HEADERS, heard.results, heard.letters, book)
        return Outcome(self._standing, judge(self._plan, evidence), counts)

    async def _with_the_service(self) -> None:
        """Wired as ``unpush run`` wires it; it drains whatever ends the play."""
        world = await asyncio.to_thread(look, self._settings)
        async with (
            Service(self._settings, world) as service,
            Views(service) as views,
            Front(self._settings.http, views.sights) as front,
        ):
            self._view.say(f"What the service says of itself: http://{front.address}/ while this runs")
            running = asyncio.create_task(service.run())
            try:
                await self._play(running)
            finally:
                service.stop()
                await running

    async def _play(self, running: asyncio.Task[None]) -> None:
        """Turn by turn, until all is settled and quiet, or nothing happens any more, or the service has ended."""
        self._began_s = self._loop.time()
        while not running.done():
            now_s = self._now_s()
            self.audience.look(self._result, self._letter)
            if self._standing.seen and self._curtain_s == math.inf:
                self._curtain_s, self._curtain_ms = now_s, Clock().now_ms()
            self._cast.act(now_s - self._curtain_s, self._standing.seen)
            self._standing.sends_written = len(self._cast.sends)
            self._standing.events_written = self._cast.events_written
            self._view.show(self._standing, now_s)
            if self._over(now_s):
                return
            await asyncio.sleep(TURN_S)

    def _over(self, now_s: float) -> bool:
        last_s = self._plan.live[-1].at_s + self._curtain_s if self._standing.seen else 0.0
        quiet_s = now_s - max(self._standing.changed_s, last_s)
        settled = self._cast.finished and self._standing.done
        return quiet_s > (LULL_S if settled else PATIENCE_S)

    def _now_s(self) -> float:
        return self._loop.time() - self._began_s

    def _result(self, result: RevokeResult) -> None:
        self._standing.result(result, self._since_ms(result), self._now_s())

    def _letter(self) -> None:
        self._standing.letter(self._now_s())

    def _since_ms(self, result: RevokeResult) -> int | None:
        """When everything that this call needed was there; None for what was found before the service came."""
        cast = self._cast
        with contextlib.suppress(KeyError):  # a result that nobody can explain: the judge's business
            found_ms = cast.found_ms[result.violation_id]
            numbers = (cast.sends[part.partition, part.offset] for part in result.sends)
            since_ms = max((found_ms, *(cast.sent_ms[number] for number in numbers)))
            return since_ms if found_ms >= self._curtain_ms > 0 else None
        return None
