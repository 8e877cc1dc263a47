"""The key files: read at the start, and again whenever they change on the disk.

Promised: apps that share a file share one JWT; a new key is used within ten seconds of its file being written, without
a restart. A file that is no key is said, and the key before it stays in use. Not promised: that Push Kit knows the new
key; if not, its apps pause and are probed as with any other.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from stream.model import SettingsError, StartError
from stream.pushkit.key import ServiceKey, load_key
from stream.pushkit.token import Bearer, keep_renewed
from stream.service.clock import Clock
from stream.settings import PushKitSettings

LOOK_EVERY_S: Final = 5.0

log = structlog.get_logger(__name__)

Look = tuple[int, int, int] | None
"""What tells one state of a file from another: inode (a mounted secret is another file behind the same link), time of
change, size. None: it is not there."""


class Keys:
    """The bearer of each app. On the event loop."""

    def __init__(self, settings: PushKitSettings, clock: Clock) -> None:
        """Load every key file that the settings name. Raises SettingsError for one that is missing or no key."""
        self._settings, self._clock = settings, clock
        self._files: dict[str, Path | None] = {}
        own = {f'push_kit.apps."{app}".key_file': each.key_file for app, each in settings.apps.items()}
        named = {path: name for name, path in own.items() if path is not None}
        if settings.key_file is not None:
            named[settings.key_file] = "push_kit.key_file"
        self._seen = {path: _look(path) for path in named}  # before they are read: what changes meanwhile is seen
        self._bearers = {path: _bearer(path, named[path], self._now_s()) for path in sorted(named)}

    def _now_s(self) -> float:
        return self._clock.now_ms() / 1000

    def _file_of(self, client_id: str) -> Path | None:
        if client_id not in self._files:
            self._files[client_id] = self._settings.app(client_id).key_file
        return self._files[client_id]

    def _uses(self, path: Path, client_id: str) -> bool:
        return self._file_of(client_id) == path

    def of(self, client_id: str) -> Bearer | None:
        """The app's bearer; None: no key file is set for it."""
        path = self._file_of(client_id)
        return None if path is None else self._bearers[path]

    def keyless(self, client_id: str) -> str | None:
        """Why an app cannot call, for people; None: it has a key."""
        if self._file_of(client_id) is not None:
            return None
        return f'no key_file: set push_kit.apps."{client_id}".key_file or push_kit.key_file'

    def ages_s(self) -> dict[str, float]:
        """Of each key file, how old its JWT is."""
        return {str(path): bearer.age_s(self._now_s()) for path, bearer in self._bearers.items()}

    async def keep_renewed(self) -> None:
        """Renew every JWT before its end, for ever."""
        if not self._bearers:
            await asyncio.get_running_loop().create_future()
        await keep_renewed(list(self._bearers.values()), self._now_s)

    async def keep_current(self, taken_up: Callable[[Callable[[str], bool]], None]) -> None:
        """Take up files that change, for ever. ``taken_up(has)``: ``has(app)`` says whether an app has a new key."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for path in [path for path, seen in self._seen.items() if seen != _look(path)]:
                if (key := await self._changed(path)) is not None:
                    self._bearers[path].take_up(key, self._now_s())
                    taken_up(partial(self._uses, path))

    async def _changed(self, path: Path) -> ServiceKey | None:
        self._seen[path] = _look(path)
        try:
            key = await asyncio.to_thread(load_key, path)
        except StartError as why:
            log.error("key_not_taken_up", why=str(why), instead="the key before it stays in use")
            return None
        log.info("key_taken_up", path=str(path), key=str(key))
        return key


def _look(path: Path) -> Look:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen.st_ino, seen.st_mtime_ns, seen.st_size


def _bearer(path: Path, name: str, now_s: float) -> Bearer:
    try:
        return Bearer(load_key(path), now_s)
    except StartError as error:
        raise SettingsError(f'{name} = "{path}": {error}') from None
