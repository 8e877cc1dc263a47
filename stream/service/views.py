"""The service as plain values: what ``operate`` shows of it.

Promised: looking changes nothing and holds nothing up: numbers come from counters that exist, what lies in the store is
read in a thread of its own. No push token leaves through here. On the event loop.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from stream.kafka.fellows import Fellows, fellows
from stream.model import Topic
from stream.operate.http import Far, Json, Owner, Sights, Unknown
from stream.operate.metrics import Metrics
from stream.operate.neighbours import Neighbours, about_message, about_violation
from stream.service.elsewhere import Elsewhere
from stream.service.gauges import Gauges
from stream.service.lately import Lately
from stream.service.lookup import Found, Lookup, SendSeen
from stream.service.outbox import Written
from stream.service.overview import Overview
from stream.service.story import Service
from stream.state.keys import digest_of
from stream.state.shard import Shard
from stream.wire.partitioners import Partitioner
from stream.work.condemned import Condemned
from stream.work.judgement import Violation

_WAITING_NAMED: Final = 3
HELD_BEFORE: Final = "an earlier process held it; its HELD result says why"


class Tally(NamedTuple):
    """How far a violation has come. ``complete``: no send is known to be uncounted or unread."""

    found: bool
    complete: bool
    matched: int
    settled: int
    done: bool
    """Whether every known place is settled."""
    held: str | None = None
    """Why a person's word is waited for; None: it is not."""


class Views:
    """See the module's words. ``async with``: its thread ends with it; leave it before the service is closed."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.gauges = Gauges(service)
        since_ms = service.settings.join.since_ms
        self._lookup = Lookup(service.wire, dry=service.dry, had_left=service.desk.had_left, not_before_ms=since_ms)
        self._metrics = Metrics(self.gauges.figures)
        self._lately = Lately()
        self._elsewhere = Elsewhere(self._fellows, Neighbours(service.settings.http.token))
        self._overview = Overview(service, self.gauges, self._lately, _state_in_memory)
        service.settling.watchers.append(self._settled)

    async def __aenter__(self) -> Views:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._service.settling.watchers.remove(self._settled)
        await self._elsewhere.close()
        await self._lookup.close()

    @property
    def sights(self) -> Sights:
        """What the HTTP server asks for."""
        gauges, look = self.gauges, self._overview.look
        return Sights(gauges.health, gauges.status, self._metrics.render, self.message, self.violation, look)

    # --- time to revoke, and what came last

    def _settled(self, written: Written) -> None:
        result, parcel, took_s = written.result, written.parcel, None
        if parcel is not None and result.tokens_revoked:
            took_s = max(0.0, (result.completed_at_ms - parcel.since_ms) / 1000)  # clocks that differ
            self._metrics.revoked(result.severity, took_s, result.tokens_revoked)
        self._lately.settled(result, took_s)

    # --- one message, one violation

    async def message(self, message_id: str, far: Far) -> Json | Unknown | Owner:
        """``/api/messages/{messageId}``. Raises UnpushError where it cannot be told now."""
        shard = self._shard_of(message_id)
        if isinstance(shard, Unknown):
            return await self._elsewhere.owned(shard, about_message(message_id), far)
        found = await self._lookup.message(shard, message_id)
        if not found.sends and not found.violations:
            return self._unknown(f"nothing is known of message {message_id!r}", shard.number)
        it = self._in_memory(shard, message_id)
        known = it.violations if it is not None else found.violations
        waits = self._waits_for(it)
        violations = [self._seen(each, shard, it, found, waits) for each in known.values()]
        return {
            "messageId": message_id,
            "partition": shard.number,
            "sends": found.sends,
            "tokens": found.places,
            "counted": found.whole,
            "firstSends": [_send_seen(send) for send in found.listed],
            "violations": violations,
        }

    async def violation(self, violation_id: str, message_id: str | None, far: Far) -> Json | Unknown | Owner:
        """``/api/violations/{violationId}``. Raises UnpushError where it cannot be told now."""
        question, enough = about_violation(violation_id, message_id), threading.Event()
        if message_id:
            shard = self._shard_of(message_id)
            if isinstance(shard, Unknown):
                return await self._elsewhere.owned(shard, question, far)
            return await self._violation(shard, message_id, violation_id)
        if far is Far.LOCAL or len(self.gauges.shards()) == self._service.world.partitions:
            return await self._searched(violation_id, enough)
        try:
            return await self._elsewhere.anywhere(question, self._searched(violation_id, enough))
        finally:
            enough.set()

    async def _searched(self, violation_id: str, enough: threading.Event) -> Json | Unknown:
        message_id = await self._message_of(violation_id, enough)
        if message_id is None:
            owned = f"{len(self.gauges.shards())} of {self._service.world.partitions} partitions"
            return self._unknown(f"violation {violation_id!r} is not known here (this instance owns {owned})", None)
        shard = self._shard_of(message_id)
        return shard if isinstance(shard, Unknown) else await self._violation(shard, message_id, violation_id)

    async def _violation(self, shard: Shard, message_id: str, violation_id: str) -> Json | Unknown:
        it, found = self._in_memory(shard, message_id), None
        violations: Mapping[str, Violation] = it.violations if it is not None else {}
        if it is None or not _counting(it):
            found = await self._lookup.message(shard, message_id)
            violations = {**found.violations, **violations}
        if (violation := violations.get(violation_id)) is None:
            return self._unknown(f"message {message_id!r} has no violation {violation_id!r}", shard.number)
        return self._seen(violation, shard, it, found, self._waits_for(it))

    def _seen(
        self, violation: Violation, shard: Shard, it: Condemned | None, found: Found | None, waits: str | None
    ) -> Json:
        seen = _violation_seen(violation, shard, self._tally(violation, shard, it, found))
        return seen | {"waitsFor": waits if seen["state"] == "active" else None}

    def _waits_for(self, it: Condemned | None) -> str | None:
        return None if it is None else waits_for(it.apps, self._service.calls.stopped_apps())

    def _tally(self, violation: Violation, shard: Shard, it: Condemned | None, found: Found | None) -> Tally:
        """From memory where it is counted there, else from the store."""
        all_read = self._service.settling.all_read(shard)
        if it is not None and (found is None or _counting(it)):
            return _tally_in_memory(it, violation, all_read)
        assert found is not None, "what memory has not counted is looked up"
        settled = found.settled.get(violation.violation_id, 0)
        complete = found.whole and all_read
        matched = found.places if complete else max(found.places, settled + 1)
        done = violation.violation_id not in found.open
        held = HELD_BEFORE if violation.violation_id in found.held and not done else None
        known = found.sends > 0 or violation.violation_id in found.once
        return Tally(known, complete, matched, settled, done, held)

    async def _message_of(self, violation_id: str, enough: threading.Event) -> str | None:
        known = list(self._service.desk.docket)
        it = await self._lookup.first(known, lambda each: violation_id in each.violations)
        if it is not None:
            return it.message_id
        return await self._lookup.search(self.gauges.shards(), violation_id, enough)

    def _in_memory(self, shard: Shard, message_id: str) -> Condemned | None:
        return self._service.desk.docket.get(shard.number, message_id)

    def _shard_of(self, message_id: str) -> Shard | Unknown:
        """Where a violation of it stands, else where its key belongs."""
        digest = digest_of(message_id.encode())
        for shard in self.gauges.shards():
            if digest in shard.condemned:
                return shard
        number = self._partitioner().place(message_id.encode(), self._service.world.partitions)
        why = f"message {message_id!r} belongs to partition {number}, which this instance does not own"
        return self._service.arrivals.shards.get(number) or Unknown(why, number)

    def _partitioner(self) -> Partitioner:
        """The one that the topics' producers evidently use; the house rule while that is not certain."""
        agreement = self._service.intake.agreement
        known = agreement[Topic.SENDS].partitioner or agreement[Topic.VIOLATIONS].partitioner
        return known or Partitioner.MURMUR2

    def _fellows(self) -> Fellows | None:
        """The others of the group; blocks for seconds at most."""
        service = self._service
        group = service.cluster.group(service.settings.kafka.group_id)
        return None if group is None else fellows(group, service.names[Topic.VIOLATIONS], service.membership.member_id)

    def _unknown(self, why: str, partition: int | None) -> Unknown:
        restoring = bool(self.gauges.restoring())
        return Unknown(f"{why}; the past is still being read" if restoring else why, partition, restoring)


def _tally_in_memory(it: Condemned, violation: Violation, all_read: bool) -> Tally:
    done = it.counted and it.idle and not (it.wanted or it.waits_for or it.undecided)
    totals = it.totals(violation.violation_id, all_read)
    return Tally(it.found, it.counted and all_read, *totals, done, _held_for(it, violation))


def _state_in_memory(it: Condemned, violation: Violation, all_read: bool) -> str:
    """A message whose sends nobody has looked at yet waits, though the store may have some."""
    return state_of(violation, _tally_in_memory(it, violation, all_read))


def state_of(violation: Violation, tally: Tally) -> str:
    """The contract's word."""
    if not violation.stands:
        return "withdrawn"
    if tally.held is not None:
        return "held"
    if not tally.found:
        return "waiting"
    return "settled" if tally.complete and tally.done else "active"


def waits_for(apps: Iterable[str], stopped: Mapping[str, str]) -> str | None:
    """Why what is left is not called, where an app of its sends waits for somebody."""
    found = [f"app {client_id} makes no calls: {stopped[client_id]}" for client_id in sorted(stopped.keys() & apps)]
    more = [f"and {len(found) - _WAITING_NAMED} more apps"] if len(found) > _WAITING_NAMED else []
    return "; ".join([*found[:_WAITING_NAMED], *more]) or None


def _held_for(it: Condemned, violation: Violation) -> str | None:
    """Also while what is in flight ends."""
    if it.holding is None or not it.holds(violation) or (it.counted and it.held_back is None):
        return None
    why = it.holding.held[violation.violation_id].why
    return HELD_BEFORE if why is None else str(why)


def _violation_seen(violation: Violation, shard: Shard, tally: Tally) -> Json:
    return {
        "violationId": violation.violation_id,
        "messageId": violation.message_id,
        "severity": violation.severity.name,
        "status": violation.status.value,
        "reason": violation.reason,
        "detector": violation.detector,
        "detectedAt": violation.detected_at_ms,
        "state": state_of(violation, tally),
        "heldFor": tally.held,
        "tokensMatched": tally.matched,
        "tokensSettled": tally.settled,
        "partition": shard.number,
        "offset": violation.first_offset,
        "timestamp": violation.first_timestamp_ms,
    }


def _send_seen(send: SendSeen) -> Json:
    seen: Json = {"offset": send.offset, "timestamp": send.timestamp_ms, "tokens": send.tokens}
    if send.head is None:
        return seen | {"unreadable": True}
    return seen | {
        "clientId": send.head.client_id,
        "notifyId": send.head.notify_id,
        "pushType": send.head.push_type,
        "sentAt": send.head.sent_at_ms,
        "requestId": send.head.request_id,
        "revocable": send.head.revocable,
    }


def _counting(it: Condemned) -> bool:
    """Whether a pass over its sends has begun or ended: only then its totals say anything."""
    return it.walk is not None
