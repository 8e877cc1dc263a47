"""The service at a glance, for people: its status, its violations counted, the latest results.

Promised: counting holds the loop for a fraction of a millisecond at a time and takes a fiftieth of the time at most,
however many messages are in memory and whoever asks; what producers wrote is cut to a length that a person can read,
and no push token is in it. Not promised: one moment for all of it; of a hundred thousand messages the counts may be ten
seconds old (``countedAt``). On the event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from stream.model import RevokeResult, Severity
from stream.operate.http import Json
from stream.service.gauges import Gauges
from stream.service.guarding import HeldSeen
from stream.service.lately import Lately, Waits
from stream.service.story import Service
from stream.work.census import Census
from stream.work.condemned import Condemned
from stream.work.judgement import Violation

SLICE_S: Final = 0.0005
"""How long it counts before the loop turns to calls and replies again."""
LOOK_EVERY: Final = 32
"""Messages between two looks at the clock."""
RESTS: Final = 49.0
"""Times as long as counting took, before it counts again."""
LONGEST: Final = 256
"""Characters of a producer's text; an id may have a million."""
STATES: Final = ("waiting", "active", "held", "settled", "withdrawn")

MemoryState = Callable[[Condemned, Violation, bool], str]
"""The state of a violation as memory has it, given whether all sends of its shard have been read."""


class Overview:
    """See the module's words."""

    def __init__(self, service: Service, gauges: Gauges, lately: Lately, state: MemoryState) -> None:
        self._service, self._gauges, self._lately, self._state = service, gauges, lately, state
        self._counting = asyncio.Lock()
        self._census = Census()
        self._counted_ms = 0
        self._again_s = 0.0
        """When it may be counted again."""

    async def look(self) -> Json:
        """``/api/overview``."""
        await self._see_to_count()
        census, outcomes = self._census, Counter[str]()
        for (outcome, _), number in self._service.settling.results.items():
            outcomes[outcome.name] += number
        return {
            "at": self._service.clock.now_ms(),
            **self._gauges.status(),
            "guard": self._gauges.guard(),
            "countedAt": self._counted_ms,
            "retentionMs": int(self._service.settings.store.retention_s * 1000),
            "violations": {severity.name: self._of(severity, census) for severity in sorted(Severity, reverse=True)},
            "held": [_held_seen(seen) for seen in self._gauges.held()],
            "results": outcomes,
            "recent": [_result_seen(*each) for each in reversed(self._lately.results)],
        }

    async def _see_to_count(self) -> None:
        """Count where the last count is old enough; those who ask meanwhile wait for the same one."""
        loop = asyncio.get_running_loop()
        async with self._counting:
            if loop.time() < self._again_s:
                return
            began_s, self._counted_ms = loop.time(), self._service.clock.now_ms()
            self._census = await self._counted()
            self._again_s = loop.time() + RESTS * (loop.time() - began_s)

    async def _counted(self) -> Census:
        """Over a copy of the list of messages: the desk goes on meanwhile."""
        census, loop, settling = Census(), asyncio.get_running_loop(), self._service.settling
        all_read = {number: settling.all_read(shard) for number, shard in list(self._service.arrivals.shards.items())}

        def state_of(it: Condemned, violation: Violation) -> str:
            return self._state(it, violation, all_read.get(it.shard, False))

        until_s = loop.time() + SLICE_S
        for number, it in enumerate(list(self._service.desk.docket)):
            if number % LOOK_EVERY == 0 and loop.time() > until_s:
                await asyncio.sleep(0)
                until_s = loop.time() + SLICE_S
            census.add(it, state_of)
        return census

    def _of(self, severity: Severity, census: Census) -> Json:
        counts, oldest = census.counts[severity], census.oldest.get(severity)
        return {
            **{state: counts[state] for state in STATES},
            "oldest": None if oldest is None else _named(oldest) | {"since": oldest.latest_ms},
            "toRevoked": _waits_seen(self._lately.waits(severity)),
        }


def shown(text: str) -> str:
    """A producer's text as it is shown: cut where no person reads on."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _named(violation: Violation) -> Json:
    return {"violationId": shown(violation.violation_id), "messageId": shown(violation.message_id)}


def _held_seen(seen: HeldSeen) -> Json:
    violation = seen.violation
    return {
        **_named(violation),
        "severity": violation.severity.name,
        "reason": shown(violation.reason),
        "detector": None if violation.detector is None else shown(violation.detector),
        "detectedAt": violation.detected_at_ms,
        "heldFor": seen.why,
        "tokensOpen": sum(seen.would.values()),
        "apps": sorted(shown(app) for app, places in seen.would.items() if places),
    }


def _waits_seen(waits: Waits | None) -> Json | None:
    if waits is None:
        return None
    return {
        "calls": waits.calls,
        "p50Ms": round(1000 * waits.p50_s),
        "p99Ms": round(1000 * waits.p99_s),
        "lastAt": waits.last_ms,
    }


def _result_seen(result: RevokeResult, took_s: float | None) -> Json:
    return {
        "resultId": result.result_id,
        "completedAt": result.completed_at_ms,
        "violationId": shown(result.violation_id),
        "messageId": shown(result.message_id),
        "severity": result.severity.name,
        "outcome": result.outcome.name,
        "clientId": None if result.client_id is None else shown(result.client_id),
        "tokensRequested": result.tokens_requested,
        "tokensRevoked": result.tokens_revoked,
        "tokensRejected": len(result.rejected_tokens),
        "attempts": result.attempts,
        "detail": None if result.detail is None else shown(result.detail),
        "late": result.late,
        "tookMs": None if took_s is None else round(1000 * took_s),
    }
