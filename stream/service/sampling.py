"""A sample of the sends as they are read: who gives one notifyId to several messages. Told from ``work.reuse``.

Promised: of bulk reading it takes less than a hundredth; it raises nothing. Called by the readers' threads; asked from
any thread.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from stream.model import BadRecord, RegistryDown, Send
from stream.wire.looks import Records
from stream.wire.samples import chosen
from stream.wire.wire import Wire
from stream.work.reuse import MOST_APPS, NAME_CHARACTERS, Found, Message, Reuse, Standing

BULK_HALVINGS: Final = 13
"""Of a backlog, one slot in 8,192 at most."""
BULK: Final = 100
"""A run of more sends is a backlog."""
SAY_EVERY_MS: Final = 24 * 3_600_000
REMEMBER_PARTS: Final = 64
"""Of the retention: so old may be what is remembered of an app."""

Known = Mapping[str, tuple[Found, int]]
"""By clientId the slot found last, and when (ms)."""

log = structlog.get_logger(__name__)


class Sampling:
    """See the module's words. One for all readers."""

    def __init__(
        self,
        wire: Wire,
        retention_ms: int,
        now_ms: Callable[[], int],
        known: Known | None = None,
        remember: Callable[[Known], None] = lambda known: None,
    ) -> None:
        """``known``: what an earlier process had found; ``remember``: keeps it for the next, and may raise OSError."""
        self._wire, self._now_ms, self._remember = wire, now_ms, remember
        self._reuse = Reuse(retention_ms, now_ms())
        self._remember_every_ms = retention_ms // REMEMBER_PARTS
        self._remembered_ms: dict[str, int] = {}
        for client_id, (found, at_ms) in (known or {}).items():
            self._reuse.recall(found, at_ms)
            self._remembered_ms[client_id] = at_ms
        self._lock, self._keeping = threading.Lock(), threading.Lock()
        self._seen = 0
        self._said_ms: dict[str, int] = {}

    def look(self, records: Records, digests: Sequence[bytes]) -> None:
        """A run of sends that has been checked; ``digests``: of their messageIds. The same run again changes
        nothing."""
        below = self._reuse.below
        if len(digests) > BULK:
            below = min(below, (2**32 - 1) >> BULK_HALVINGS)
        for place in chosen(records, below, self._seen):
            with contextlib.suppress(BadRecord, RegistryDown):
                self._look_at(self._wire.send(records.values[place]), digests[place])
        self._seen += len(digests)

    def _look_at(self, send: Send, digest: bytes) -> None:
        head, now_ms = send.head, self._now_ms()
        if head.notify_id is None or not head.revocable:
            return
        message = Message(digest, head.message_id[:NAME_CHARACTERS])
        with self._lock:
            found = self._reuse.look(head.client_id, head.notify_id, message, send.tokens, now_ms)
        if found is None:
            return
        if now_ms - self._said_ms.get(found.client_id, 0) >= SAY_EVERY_MS:
            self._say(found, now_ms)
        if now_ms - self._remembered_ms.get(found.client_id, 0) >= self._remember_every_ms:
            self._keep(now_ms)

    def _keep(self, now_ms: int) -> None:
        """One file for all apps, and one reader at a time that writes it; a disk that refuses costs what it would have
        said, for a while."""
        with self._keeping:
            known = {name: (it.latest, it.last_ms) for name, it in self.reusing.items() if it.latest is not None}
            self._remembered_ms = dict.fromkeys(known, now_ms)
            try:
                self._remember(known)
            except OSError as error:
                log.warning("reuse_not_remembered", why=error.strerror, lost="held apps are called after a restart")

    def _say(self, found: Found, now_ms: int) -> None:
        if len(self._said_ms) >= MOST_APPS:
            self._said_ms.clear()
        self._said_ms[found.client_id] = now_ms
        log.warning(
            "notify_id_reused",
            client_id=found.client_id,
            notify_id=found.notify_id,
            messages=[found.first, found.second],
            why="a revoke of one takes away what the slot shows now, perhaps the other; give each message its own",
        )

    # --- what is asked

    def shared(self, client_id: str) -> Found | None:
        """The slot of an app that was last found, within the retention, to be given to several messages."""
        with self._lock:
            standing = self._reuse.apps.get(client_id)
            return standing.latest if standing and self._reuse.reuses(client_id, self._now_ms()) else None

    @property
    def reusing(self) -> dict[str, Standing]:
        """The apps that do, and what was seen of them."""
        with self._lock:
            return self._reuse.reusing(self._now_ms())

    @property
    def apps(self) -> dict[str, Standing]:
        """All apps that were looked at, the last thousand of them."""
        with self._lock:
            return dict(self._reuse.apps)

    @property
    def share(self) -> float:
        """The part of all slots that is looked at while reading keeps up."""
        return self._reuse.share
