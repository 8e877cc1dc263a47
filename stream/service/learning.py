"""What replies teach: an app's rate, the bound on calls in flight, whether calls get anywhere; and saying so.

Promised: each reply is heard once, with the time its call left, so that what waited in a lane or for a retry counts for
nothing; flow control changes its app's rate alone, failures the bound, the app's breaker and the budget of its retries
alone. The log has a line where something changes, not one a call. Not promised: which of the two a 503 is when all of
Push Kit is overloaded; its pages say that nobody can tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

import structlog

from stream.pushkit.reply import Reply, Verdict
from stream.service.clock import Clock
from stream.work.apps import App
from stream.work.breaker import State, probe_wait_s
from stream.work.gate import Gate

SAID_AGAIN_AT: Final = 1.5
"""The log has a learned number again when it has changed by this factor."""

log = structlog.get_logger(__name__)


class Learning:
    """See the module's words. On the event loop."""

    def __init__(
        self, gate: Gate, apps: Mapping[str, App], clock: Clock, random: Random, release: Callable[[str], None]
    ) -> None:
        """``release(app)``: what waits only for the app's calls to be answered need not wait any longer."""
        self._gate, self._apps, self._clock, self._random, self._release = gate, apps, clock, random, release
        self.answers: Counter[tuple[str, Verdict]] = Counter()
        """Calls that came back, by app and what they came back with."""
        self.silent_why: str | None = None
        """What the call came back with after which nobody had got an answer for long enough."""
        self._said: dict[str, float] = {}

    def heard(self, app: App, devices: int, reply: Reply, left_s: float) -> None:
        """A call of so many devices that left then has come back."""
        now_s = self._clock.monotonic_s()
        verdict = reply.verdict
        self.answers[app.client_id, verdict] += 1
        if verdict is Verdict.RETRY and not reply.of_app:
            self._failed(app, reply, left_s, now_s)
        else:
            self._answered(app, now_s)
            if verdict is Verdict.FLOW_CONTROL:
                self._refused(app, devices, reply, left_s, now_s)
            elif self._gate.bound.answered(left_s, now_s, self._gate.in_flight + 1):
                self._say_bound()
        if (verdict is Verdict.REVOKED or verdict is Verdict.PARTIAL) and app.learned.accepted(devices, left_s, now_s):
            self._adjust(app, now_s)

    # --- failures: the gateway as a whole, and the app's breaker

    def _failed(self, app: App, reply: Reply, left_s: float, now_s: float) -> None:
        gate, why = self._gate, reply.detail or f"HTTP {reply.http_status}"
        app.budget.heard(answered=False)
        if app.breaker.state is not State.OPEN and gate.bound.failed(left_s, now_s):
            self._say_bound()  # probes of an app that gets nowhere say nothing of the others
        if gate.silence.failed(left_s, now_s):
            self.silent_why = why
            log.error("gateway_silent", why=why)
        if app.breaker.failed(left_s, now_s, gate.patience):
            app.fails_with = why
            log.warning("app_fails", client_id=app.client_id, why=why)
        if reply.retry_after_s is not None and app.breaker.state is State.OPEN:
            app.breaker.not_before(now_s + reply.retry_after_s)

    def _answered(self, app: App, now_s: float) -> None:
        app.budget.heard(answered=True)
        if app.breaker.answered(now_s):
            app.budget.begin_anew()
            self._release(app.client_id)
            log.info("app_is_answered", client_id=app.client_id)
        if self._gate.silence.answered(now_s):
            self.silent_why = None
            log.info("gateway_answers")
            for each in self._apps.values():
                each.breaker.soon(now_s + self._random.random())

    def _say_bound(self) -> None:
        bound = self._gate.bound
        if self._news("", bound.calls, at_last=bound.calls == bound.most):
            log.info("calls_in_flight_bound", calls=int(bound.calls), most=bound.most)

    # --- flow control: the app's rate

    def _refused(self, app: App, devices: int, reply: Reply, left_s: float, now_s: float) -> None:
        first = not app.learned.devices_per_s
        if app.learned.refused(devices, left_s, now_s):
            self._adjust(app, now_s)
            if first:
                app.slow(devices, now_s)
            if (barren := app.learned.barren_beyond) is not None:
                app.cool(now_s + probe_wait_s(barren, self._gate.share, self._random))
        if reply.retry_after_s is not None:
            app.cool(now_s + reply.retry_after_s + self._random.random())

    def _adjust(self, app: App, now_s: float) -> None:
        app.adjust(now_s)
        rate = app.learned.devices_per_s
        if self._news(app.client_id, rate, at_last=not rate):
            log.info("rate_learned", client_id=app.client_id, devices_per_s=round(rate, 1))

    def _news(self, what: str, value: float, *, at_last: bool) -> bool:
        """Whether a number differs so much from what the log had last that it is said again."""
        said = self._said.get(what, 0.0)
        near = min(said, value) * SAID_AGAIN_AT > max(said, value)
        if said == value or (near and not at_last):
            return False
        self._said[what] = value
        return True
