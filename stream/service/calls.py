"""Calls: parcels wait in lanes, leave within limits, and come back as one of three endings for each token.

Promised: never more calls in flight than ``max_in_flight``, of one app among others than ``max_in_flight_per_app`` but
for what is CRITICAL; never more devices a second of an app than its share; the most severe first; a parcel leaves this
room by ``end`` exactly once (or is taken back, or cut into pieces that do). A call is tried again by due time and
blocks nobody. Not promised: that a call whose answer was lost had no effect; revoking twice is harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from random import Random
from typing import Final, Protocol

import structlog

from stream.model import Outcome, RejectedToken, Severity
from stream.pushkit.client import encode_body
from stream.pushkit.reply import Reply
from stream.service.clock import Clock
from stream.service.learning import Learning
from stream.service.replies import Replies
from stream.settings import PushKitSettings
from stream.work.apps import App, most_of_one_app
from stream.work.endings import Ending, unended
from stream.work.gate import Gate
from stream.work.packing import Parcel, apart, cut, split
from stream.work.pending import Pending
from stream.work.refused import Refused

MAX_BODY_BYTES: Final = 512_000

log = structlog.get_logger(__name__)


class Gateway(Protocol):
    """Push Kit, or the dry run that stands in for it."""

    async def revoke(self, app: App, parcel: Parcel, body: bytes | memoryview) -> Reply:
        """One call; never raises."""


class Calls:
    """See the module's words."""

    def __init__(
        self,
        settings: PushKitSettings,
        gateway: Gateway | None,
        clock: Clock,
        end: Callable[[Parcel, Ending], None],
        replaced: Callable[[Parcel, list[Parcel]], None],
        wanted: Callable[[Parcel], bool],
        keyless: Callable[[str], str | None],
        shares: Mapping[Severity, float],
        random: Random | None = None,
    ) -> None:
        """``gateway`` None: a dry run. ``wanted(parcel)``: whether one that its call did not end is to be called again.
        ``keyless(app)``: why an app has no key to call with, or None. ``shares``: as of ``Lanes``."""
        self.apps: dict[str, App] = {}
        self.in_flight: set[Parcel] = set()
        self.share = 1.0
        """The part of all shards that this instance owns; limits are shared out by it."""
        self.pending = Pending(shares, settings.max_in_flight, lambda app: self.app(app).budget)
        self._share_since_s = clock.monotonic_s()
        self._settings = settings
        self._gateway = gateway
        self._clock = clock
        self._end = end
        self._replaced = replaced
        self._wanted = wanted
        self._keyless = keyless
        self._most_beside_others = most_of_one_app(settings.max_in_flight, settings.max_in_flight_per_app)
        self._refused = Refused()
        self._sleepers: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._landing = asyncio.Event()
        random = random or Random()
        self.gate = Gate(settings.max_in_flight, clock.monotonic_s(), random, sum(shares.values()))
        self.learning = Learning(self.gate, self.apps, clock, random, self._release)
        self._replies = Replies(self, settings, clock, random)

    # --- in and out

    def call(self, parcel: Parcel, severity: Severity, *, first: bool = False) -> None:
        """Let a parcel wait for its call; ``first``: before all others of its age."""
        self.pending.came(parcel, severity, first=first)
        self._wake_one()

    def again(self, parcel: Parcel, wait_s: float, *, last: bool = False, asked: bool = False) -> None:
        """Try the parcel again later, if it is still wanted then; ``last``: behind all others of its app and lane;
        ``asked``: the gateway asked for that wait."""
        if not self._wanted(parcel):
            self.pending.went(parcel)
            return
        if wait_s <= 0:
            self.pending.again(parcel, last=last)
        else:
            self.pending.later(parcel, self._clock.monotonic_s() + wait_s, asked=asked)
        self._wake_one()

    def cut(self, parcel: Parcel, size: int) -> None:
        """Replace a parcel by pieces of at most so many tokens; each waits for a call of its own."""
        self._replace(parcel, cut, size)

    def _replace(
        self, parcel: Parcel, into: Callable[[Parcel, int], list[Parcel]], size: int, *, first: bool = False
    ) -> None:
        if not self._wanted(parcel):
            self.pending.went(parcel)
            return
        severity = self.pending.severities[parcel]
        pieces = into(parcel, size)
        self._replaced(parcel, pieces)
        self.pending.went(parcel)
        for piece in reversed(pieces) if first else pieces:
            self.call(piece, severity, first=first)

    def finish(self, parcel: Parcel, ending: Ending) -> None:
        """The parcel has reached its end."""
        self.pending.went(parcel)
        self._end(parcel, ending)

    def known_bad(self, parcel: Parcel, rejected: Iterable[RejectedToken]) -> None:
        """These tokens of a parcel are refused for good, whatever call they are in."""
        self._refused.add(parcel, rejected)

    def _without_known(self, parcel: Parcel, known: tuple[RejectedToken, ...]) -> None:
        """End what was refused before under its violation, without a call; the rest waits for its call anew."""
        if not self._wanted(parcel):
            self.pending.went(parcel)
            return
        severity = self.pending.severities[parcel]
        reasons = {each.token.encode(): each for each in known}
        bad, rest = apart(parcel, list(reasons))
        self._replaced(parcel, bad + rest)
        self.pending.went(parcel)
        for piece in bad:
            rejected = tuple(reasons[token] for token in piece.tokens)
            self._end(piece, Ending(Outcome.FAILED, rejected=rejected, detail="refused before"))
        for piece in rest:
            self.call(piece, severity)

    def lift(self, chosen: Callable[[Parcel], bool], severity: Severity) -> None:
        """Parcels that belong to another lane from now on, wherever they are."""
        self.pending.lift(chosen, severity, self._clock.monotonic_s())
        self._wake_one()

    # --- what the desk asks

    def ready(self, severity: Severity) -> int:
        """Parcels of this severity that could be called now."""
        lanes = self.pending.lanes
        return lanes.ready(severity, self._bounded(self._allowed())) if lanes.depth(severity) else 0

    def has_room(self, app: str, severity: Severity) -> bool:
        """Whether more should be planned for an app in a lane: it has not enough under way there."""
        crowd = self.pending.crowd
        if crowd.crowded(app, severity) or (crowd.heavy(app, severity) and not self._allowed()(app)):
            return False
        return not (crowd.enough(app, severity) and self.app(app).stands_still(self._clock.monotonic_s()))

    def largest_call(self, app: str) -> int:
        """Tokens in one call of an app."""
        return self.app(app).largest_parcel

    def app(self, client_id: str) -> App:
        """An app's standing; made when it is first met."""
        found = self.apps.get(client_id)
        if found is None:
            found = self.apps[client_id] = self._new_app(client_id)
        return found

    def _new_app(self, client_id: str) -> App:
        own = self._settings.app(client_id)
        paused = "paused by the settings" if self._settings.paused or own.paused else None
        held = None if self._gateway is None else paused or self._keyless(client_id)
        if held is not None:
            log.warning("app_waits", client_id=client_id, why=held)
        since_s, retry_share = self._share_since_s, self._settings.retry_share
        return App(client_id, own.devices_per_second * self.share, since_s, held, self.share, retry_share)

    def set_share(self, share: float) -> None:
        """The part of all shards that this instance owns now."""
        if share == self.share:
            return
        now_s = self._clock.monotonic_s()
        self.share, self._share_since_s = share, now_s
        self.gate.set_share(share, now_s)
        for client_id, app in self.apps.items():
            app.set_own(self._settings.app(client_id).devices_per_second * share, share, now_s)
        self._wake_one()

    def _release(self, client_id: str) -> None:
        self.pending.retries.release(client_id, self._clock.monotonic_s())
        self._wake_one()

    def mended(self, has: Callable[[str], bool]) -> None:
        """These apps have a new key: those that are paused are probed at once."""
        for app in self.apps.values():
            if has(app.client_id):
                app.probe_now(self._clock.monotonic_s())
        self._wake_one()

    # --- the calls themselves

    async def work(self) -> None:
        """One of ``max_in_flight`` workers: takes the next parcel that may leave, carries it, for ever."""
        while True:
            parcel = self._next()
            if parcel is None:
                await self._sleep()
                continue
            if self.pending.lanes.size:
                self._wake_one()
            await self._carry(parcel)

    def _next(self) -> Parcel | None:
        now_s = self._clock.monotonic_s()
        self.pending.take_due(now_s)
        parcel = None
        if self.pending.lanes.size and not self._stopping and (least := self.gate.least()) is not None:
            allowed = self._allowed()
            parcel = self.pending.lanes.next(self._bounded(allowed), least, urgently=allowed, paused=self._paused)
        if parcel is None or not self.pending.lanes.size:  # then nobody else looks for what is due next
            self._set_timer(now_s)
        return parcel

    def _paused(self, app: str) -> bool:
        return self.app(app).pause_reason is not None

    def _allowed(self) -> Callable[[str], bool]:
        """Which apps may call at this moment."""
        now_s = self._clock.monotonic_s()
        return lambda app: self.gate.admits(self.app(app), now_s)

    def _bounded(self, allowed: Callable[[str], bool]) -> Callable[[str], bool]:
        """Of these, those that have fewer calls in flight than one app may. What is CRITICAL does not count: it would
        keep its own app's milder lanes from what is theirs."""
        apps, bound = self.apps, self._most_of_one()
        return lambda app: (app not in apps or apps[app].milder < bound) and allowed(app)

    def _most_of_one(self) -> int:
        """Calls of one app in flight. Room is kept for the others where there are any, or where one that comes would
        wait for long."""
        if len(self.apps) == 1 and not self._settings.max_in_flight_per_app and self.gate.bound.is_quick:
            return self._settings.max_in_flight
        return self.gate.bound.of_one_app(self._most_beside_others)

    async def _carry(self, parcel: Parcel) -> None:
        app = self.app(parcel.client_id or "")
        body = self._body(parcel, app)
        if body is None:
            return
        parcel.started_at_ms = parcel.started_at_ms or self._clock.now_ms()
        if self._gateway is None:
            app.leaves(len(parcel.tokens), self._clock.monotonic_s())
            self.finish(parcel, Ending(Outcome.DRY_RUN))
            await asyncio.sleep(0)
        else:
            await self._call(self._gateway, parcel, app, body)

    def _body(self, parcel: Parcel, app: App) -> bytes | memoryview | None:
        """The request's body; None where the parcel is not to be called as it is, and was cut."""
        if known := self._refused.of(parcel):
            self._without_known(parcel, known)
            return None
        if len(parcel.tokens) > app.largest_call:  # no more than is called now: the limit may be another in a moment
            self._replace(parcel, split, app.largest_call, first=True)  # else the next to leave would be cut too
            return None
        body = encode_body(parcel.notify_id or 0, parcel.tokens)
        if len(body) > MAX_BODY_BYTES and len(parcel.tokens) > 1:  # tokens full of what JSON escapes
            self.cut(parcel, (len(parcel.tokens) + 1) // 2)
            return None
        return body

    async def _call(self, gateway: Gateway, parcel: Parcel, app: App, body: bytes | memoryview) -> None:
        parcel.attempts += 1
        parcel.tried = True
        left_s = self._clock.monotonic_s()
        milder = self.pending.severities[parcel] is not Severity.CRITICAL
        probe = self.gate.leaves(app, len(parcel.tokens), left_s, milder=milder)
        self.in_flight.add(parcel)
        try:
            reply = await gateway.revoke(app, parcel, body)
        finally:
            self.gate.comes_back(app, probe=probe, milder=milder)
            self.in_flight.discard(parcel)
            self._landing.set()
        parcel.attempts += reply.calls - 1
        if reply.calls > 1:
            app.take((reply.calls - 1) * len(parcel.tokens), self._clock.monotonic_s())
        self.learning.heard(app, len(parcel.tokens), reply, left_s)
        if parcel in self.pending.severities:
            self._replies.sort(parcel, app, reply)

    async def _sleep(self) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.append(sleeper)
        await sleeper

    def _wake_one(self) -> None:
        while self._sleepers:
            sleeper = self._sleepers.pop()
            if not sleeper.done():
                sleeper.set_result(None)
                return

    def _set_timer(self, now_s: float) -> None:
        """Wake a worker when the next retry is due or the next app may call; one that waits for its own calls to come
        back is gone on with by the worker that hears of it."""
        waits_s = (self.gate.wait_s(self.app(app), now_s) for app in self.pending.lanes.apps())
        times = [wait_s for wait_s in waits_s if wait_s and isfinite(wait_s)]
        if (due_s := self.pending.retries.next_s()) is not None:
            times.append(due_s - now_s)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if times and not self._stopping:
            self._timer = asyncio.get_running_loop().call_later(max(0.001, min(times)), self._wake_one)

    # --- giving up, leaving, stopping

    def give_up(self, now_ms: int) -> None:
        """End what has waited too long: after one attempt at least, unless its app is stopped; never while the
        settings pause it."""
        give_up_ms = int(self._settings.give_up_after_s * 1000)

        def overdue(parcel: Parcel) -> bool:
            if now_ms < parcel.newest_ms + give_up_ms or self._gateway is None:
                return False
            app = self.app(parcel.client_id or "")
            paused = self._settings.paused or self._settings.app(app.client_id).paused
            return not paused and (parcel.tried or app.waits_for is not None)

        for parcel in self.pending.take_back(overdue):
            why = parcel.last_reply.reason if parcel.last_reply else self.app(parcel.client_id or "").waits_for
            self._end(parcel, unended(parcel, f"given up: {why}"))

    def forsake(self, chosen: Callable[[Parcel], bool]) -> None:
        """Calls in flight whose answer is to leave no trace: their shard has gone."""
        for parcel in [each for each in self.in_flight if chosen(each)]:
            if parcel in self.pending.severities:
                self.pending.went(parcel)

    async def landed(self, chosen: Callable[[Parcel], bool], deadline_s: float) -> None:
        """Wait until none of the chosen is in flight, or until the deadline on the loop's clock."""
        loop = asyncio.get_running_loop()
        while any(map(chosen, self.in_flight)) and (left_s := deadline_s - loop.time()) > 0:
            self._landing.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._landing.wait(), left_s)

    def stop_starting(self) -> None:
        """Let no further call leave; those in flight go on."""
        self._stopping = True

    def stopped_apps(self) -> Mapping[str, str]:
        """Apps that wait for somebody, with the reason."""
        return {name: app.waits_for for name, app in self.apps.items() if app.waits_for is not None}
