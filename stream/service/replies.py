"""What a reply obliges us to do with the parcel and with its app: settle, halve, wait, renew the JWT, or pause."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

import structlog

from stream.model import Outcome, RejectedToken
from stream.pushkit.reply import Reply, Verdict
from stream.service.clock import Clock
from stream.settings import PushKitSettings
from stream.work.apps import App
from stream.work.breaker import PROBE_LONGEST_S, State
from stream.work.endings import Ending
from stream.work.packing import LastReply, Parcel
from stream.work.retry import backoff_s

if TYPE_CHECKING:
    from stream.service.calls import Calls

PAUSES_AFTER: Final = 3
"""So often a parcel comes back with what speaks of the app and may pass by itself; then it is somebody's to mend."""
_EXAMINED: Final = frozenset({Verdict.REJECTED, Verdict.SPLIT})
"""Push Kit has looked at the tokens: it knows the JWT and the app."""
SKEWED_S: Final = 60.0
"""Clocks that are kept by NTP differ by far less, and a reply's Date by no more than its way."""

log = structlog.get_logger(__name__)


class Replies:
    """One method a verdict; ``pushkit.reply.Verdict`` says what each means."""

    def __init__(self, calls: Calls, settings: PushKitSettings, clock: Clock, random: Random) -> None:
        self._calls = calls
        self._settings = settings
        self._clock = clock
        self._random = random
        self._by_verdict: Final[dict[Verdict, Callable[[Parcel, App, Reply], None]]] = {
            Verdict.REVOKED: self._revoked,
            Verdict.PARTIAL: self._partial,
            Verdict.REJECTED: self._refused,
            Verdict.FAILED: self._refused,
            Verdict.SPLIT: self._split,
            Verdict.SMALLER: self._smaller,
            Verdict.RETRY: self._retry,
            Verdict.FLOW_CONTROL: self._flow_control,
            Verdict.RENEW: self._pause,
            Verdict.PAUSE: self._pause,
        }

    def sort(self, parcel: Parcel, app: App, reply: Reply) -> None:
        """Do what the reply says."""
        if reply.verdict is not Verdict.REVOKED:
            reason = reply.detail or reply.code or f"HTTP {reply.http_status}"
            parcel.last_reply = LastReply(reason, reply.http_status, reply.code, reply.push_request_id)
        if reply.verdict in _EXAMINED:
            self._goes_on(app, app.examined())
        self._by_verdict[reply.verdict](parcel, app, reply)

    def _revoked(self, parcel: Parcel, app: App, reply: Reply) -> None:
        self._goes_on(app, app.accepted())
        self._calls.finish(parcel, _ending(Outcome.REVOKED, len(parcel.tokens), (), reply))

    def _partial(self, parcel: Parcel, app: App, reply: Reply) -> None:
        self._goes_on(app, app.accepted())
        rejected = _rejected(parcel, reply)
        self._calls.known_bad(parcel, rejected)
        self._calls.finish(
            parcel, _ending(Outcome.PARTIALLY_REVOKED, len(parcel.tokens) - len(rejected), rejected, reply)
        )

    @staticmethod
    def _goes_on(app: App, paused_no_more: bool) -> None:
        if paused_no_more:
            log.info("app_goes_on", client_id=app.client_id)

    def _refused(self, parcel: Parcel, app: App, reply: Reply) -> None:
        """All tokens refused for good; but where all that an app sends is refused, that is a wrong setting."""
        if reply.verdict is Verdict.FAILED or reply.suspect_configuration:
            log.error(
                "call_refused", client_id=app.client_id, code=reply.code, detail=reply.detail, tokens=len(parcel.tokens)
            )
        before, parcel.refused_at = parcel.refused_at, app.accepted_calls
        proven = before is not None and before < app.accepted_calls  # others were accepted meanwhile: it is the tokens
        if not proven and app.refuse(parcel.tokens):
            self._pause(parcel, app, reply, refusals=True)
            return
        rejected = _rejected(parcel, reply)
        if reply.verdict is Verdict.REJECTED:
            self._calls.known_bad(parcel, rejected)
        self._calls.finish(parcel, _ending(Outcome.FAILED, 0, rejected, reply))

    def _split(self, parcel: Parcel, app: App, reply: Reply) -> None:
        self._calls.cut(parcel, (len(parcel.tokens) + 1) // 2)

    def _smaller(self, parcel: Parcel, app: App, reply: Reply) -> None:
        app.token_limit = max(1, reply.token_limit or 1)
        log.warning("calls_made_smaller", client_id=app.client_id, token_limit=app.token_limit)
        self._calls.cut(parcel, app.token_limit)

    def _retry(self, parcel: Parcel, app: App, reply: Reply) -> None:
        if reply.of_app:
            parcel.put_off += 1
            parcel.put_off_at = app.accepted_calls if parcel.put_off_at is None else parcel.put_off_at
            # Where others were accepted meanwhile it is not the app, whatever is said.
            if parcel.put_off >= PAUSES_AFTER and parcel.put_off_at == app.accepted_calls:
                self._pause(parcel, app, reply)
                return
        self._calls.again(parcel, self._backoff_s(parcel, app, reply), asked=reply.retry_after_s is not None)

    def _flow_control(self, parcel: Parcel, app: App, reply: Reply) -> None:
        self._calls.again(parcel, 0.0)  # in its lane it waits for its app, which waits as long as it must

    def _backoff_s(self, parcel: Parcel, app: App, reply: Reply) -> float:
        first_s, longest_s = self._settings.retry_first_s, self._settings.retry_longest_s
        if app.breaker.state is State.OPEN:  # probes wait for all; and the one before must not be the next as well
            longest_s = min(longest_s, PROBE_LONGEST_S)
        return backoff_s(parcel.attempts, first_s, longest_s, reply.retry_after_s, self._random)

    def _pause(self, parcel: Parcel, app: App, reply: Reply, refusals: bool = False) -> None:
        reason = f"{reply.code or reply.http_status}: {reply.detail or reply.verdict.value}{_wrong_clock(reply)}"
        now_s = self._clock.monotonic_s()
        if app.pause(reason, now_s, refusals=refusals):
            log.error("app_paused", client_id=app.client_id, why=reason)
        if reply.retry_after_s is not None:
            app.probe_not_before(now_s + reply.retry_after_s)
        self._calls.again(parcel, 0.0, last=refusals or reply.of_app)  # last: so that the next probe is another


def _wrong_clock(reply: Reply) -> str:
    """A JWT is refused too where the two clocks differ; then no new key helps."""
    skew_s = reply.date_skew_s
    if skew_s is None or abs(skew_s) < SKEWED_S:
        return ""
    return (
        f"; this machine's clock is {abs(skew_s):.0f} s {'behind' if skew_s > 0 else 'ahead of'} the gateway's: set it"
    )


def _rejected(parcel: Parcel, reply: Reply) -> tuple[RejectedToken, ...]:
    return tuple(RejectedToken(parcel.tokens[place].decode(), reason) for place, reason in reply.rejected)


def _ending(outcome: Outcome, revoked: int, rejected: tuple[RejectedToken, ...], reply: Reply) -> Ending:
    detail = None if outcome is Outcome.REVOKED else reply.detail
    return Ending(outcome, revoked, rejected, reply.http_status, reply.code, detail, reply.push_request_id)
