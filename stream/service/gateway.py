"""Push Kit with its keys: one call with the right Authorization, the JWT renewed once where it was refused."""

from __future__ import annotations

from stream.pushkit.client import PushKit
from stream.pushkit.reply import Reply, Verdict
from stream.service.clock import Clock
from stream.service.keys import Keys
from stream.work.apps import App
from stream.work.packing import Parcel


class KeyedPushKit:
    """What ``Calls`` knows as its gateway."""

    def __init__(self, push_kit: PushKit, keys: Keys, clock: Clock) -> None:
        self._push_kit = push_kit
        self._keys = keys
        self._clock = clock

    async def revoke(self, app: App, parcel: Parcel, body: bytes | memoryview) -> Reply:
        """One call; a refused JWT is renewed and the call sent once more. Never raises."""
        bearer = self._keys.of(app.client_id)
        assert bearer is not None, "an app without a key is held"
        authorization = bearer.header(self._clock.now_ms() / 1000)
        reply = await self._send(app, parcel, body, authorization)
        if reply.verdict is Verdict.RENEW:
            bearer.renew(self._clock.now_ms() / 1000, refused=authorization)
            first, renewed = reply, bearer.header(self._clock.now_ms() / 1000)
            reply = await self._send(app, parcel, body, renewed)
            reply = reply._replace(calls=first.calls + reply.calls)
        return reply

    async def _send(self, app: App, parcel: Parcel, body: bytes | memoryview, authorization: str) -> Reply:
        trace = (
            {name: value.decode("latin-1") for name, value in parcel.violation.trace} if parcel.violation.trace else {}
        )
        return await self._push_kit.revoke(
            app.client_id,
            parcel.push_type or 0,
            authorization,
            body,
            parcel.tokens,
            trace.get("traceparent"),
            trace.get("tracestate"),
        )
