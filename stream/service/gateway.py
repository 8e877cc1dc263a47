"""Push Kit with its keys: one call with the right Authorization, the JWT renewed once where it was refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

from stream.model import SettingsError, StartError
from stream.pushkit.client import PushKit
from stream.pushkit.key import load_key
from stream.pushkit.reply import Reply, Verdict
from stream.pushkit.token import Bearer, keep_renewed
from stream.service.clock import Clock
from stream.settings import PushKitSettings
from stream.work.apps import App
from stream.work.packing import Parcel


class Keys:
    """The bearer of each app; apps that share a key file share one JWT."""

    def __init__(self, settings: PushKitSettings, clock: Clock) -> None:
        """Load every key file that the settings name. Raises SettingsError for one that is missing or no key."""
        self._settings = settings
        own = {f'push_kit.apps."{app}".key_file': each.key_file for app, each in settings.apps.items()}
        named = {path: name for name, path in own.items() if path is not None}
        if settings.key_file is not None:
            named[settings.key_file] = "push_kit.key_file"
        self._known: dict[str, Bearer | None] = {}
        self._bearers = {path: _bearer(path, named[path], clock.now_ms() / 1000) for path in sorted(named)}

    def of(self, client_id: str) -> Bearer | None:
        """The app's bearer; None: no key file is set for it."""
        if client_id not in self._known:
            path = self._settings.app(client_id).key_file
            self._known[client_id] = self._bearers.get(path) if path is not None else None
        return self._known[client_id]

    def keyless(self, client_id: str) -> str | None:
        """Why an app cannot call, for people; None: it has a key."""
        if self.of(client_id) is not None:
            return None
        return f'no key_file: set push_kit.apps."{client_id}".key_file or push_kit.key_file'

    async def keep_renewed(self, clock: Clock) -> None:
        """Renew every JWT before its end, for ever."""
        if not self._bearers:
            await asyncio.get_running_loop().create_future()
        await keep_renewed(list(self._bearers.values()), lambda: clock.now_ms() / 1000)


def _bearer(path: Path, name: str, now_s: float) -> Bearer:
    try:
        return Bearer(load_key(path), now_s)
    except StartError as error:
        raise SettingsError(f'{name} = "{path}": {error}') from None


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
