"""Push Kit with its keys: one call with the right Authorization, the JWT renewed once where it was refused."""

from __future__ import annotations

from stream.pushkit.client import PushKit
from stream.pushkit.reply import Reply, Verdict
from stream.service.clock import Clock
from stream.service.keys import Keys
from stream.service.tracing import Tracing
from stream.work.apps import App
from stream.work.packing import Parcel


class KeyedPushKit:
    """What ``Calls`` knows as its gateway."""

    def __init__(
        self, push_kit: PushKit, keys: Keys, clock: Clock, tracing: Tracing | None = None, *, sends_trace: bool = True
    ) -> None:
        """``sends_trace``: whether the gateway is told which trace a call belongs to."""
        self._push_kit = push_kit
        self._keys = keys
        self._clock = clock
        self._tracing = tracing
        self._sends_trace = sends_trace

    async def revoke(self, app: App, parcel: Parcel, body: bytes | memoryview) -> Reply:
        """One call; a refused JWT is renewed and the call sent once more. Never raises."""
        span = None if self._tracing is None else self._tracing.call(app, parcel)
        if self._tracing is None or span is None:
            return await self._renewing(app, parcel, body, _traceparent(parcel) if self._sends_trace else None)
        reply = await self._renewing(app, parcel, body, span.traceparent if self._sends_trace else None)
        self._tracing.answered(span, reply)
        return reply

    async def _renewing(self, app: App, parcel: Parcel, body: bytes | memoryview, traceparent: str | None) -> Reply:
        bearer = self._keys.of(app.client_id)
        assert bearer is not None, "an app without a key is held"
        authorization = bearer.header(self._clock.now_ms() / 1000)
        reply = await self._send(app, parcel, body, authorization, traceparent)
        if reply.verdict is Verdict.RENEW:
            bearer.renew(self._clock.now_ms() / 1000, refused=authorization)
            first, renewed = reply, bearer.header(self._clock.now_ms() / 1000)
            reply = await self._send(app, parcel, body, renewed, traceparent)
            reply = reply._replace(calls=first.calls + reply.calls)
        return reply

    async def _send(
        self, app: App, parcel: Parcel, body: bytes | memoryview, authorization: str, traceparent: str | None
    ) -> Reply:
        return await self._push_kit.revoke(
            app.client_id, parcel.push_type or 0, authorization, body, parcel.tokens, traceparent
        )


def _traceparent(parcel: Parcel) -> str | None:
    """The violation's own. Its tracestate stays here: it is others' words among themselves, and Push Kit a stranger."""
    for name, value in parcel.violation.trace:
        if name == "traceparent":
            return value.decode("latin-1")
    return None
