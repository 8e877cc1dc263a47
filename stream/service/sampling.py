"""A sample of the sends as they are read: who gives one notifyId to several messages. Told from ``work.reuse``.

Promised: of bulk reading it takes less than a hundredth; it raises nothing. Called by the readers' threads; asked from
any thread.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
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

log = structlog.get_logger(__name__)


class Sampling:
    """See the module's words. One for all readers."""

    def __init__(self, wire: Wire, retention_ms: int, now_ms: Callable[[], int]) -> None:
        self._wire, self._now_ms = wire, now_ms
        self._reuse = Reuse(retention_ms, now_ms())
        self._lock = threading.Lock()
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
        if found is not None and now_ms - self._said_ms.get(found.client_id, 0) >= SAY_EVERY_MS:
            self._say(found, now_ms)

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

    def reuses(self, client_id: str) -> bool:
        """Whether an app was found, within the retention, to give one notifyId to several messages of one token."""
        with self._lock:
            return self._reuse.reuses(client_id, self._now_ms())

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
