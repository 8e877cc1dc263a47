"""Messages of one severity that wait to be planned: apps in turn, in each the oldest finding first. Pure.

Promised: an app with ten million tokens, or a million messages, puts nobody else's off by more than a turn. A message
is a *stranger* while nobody knows its app: strangers share one turn, and the newest of them is the next to be asked
about, so that one that comes behind a million of another app is known at once. Not promised: turns that are counted in
tokens; a turn is one chunk of a pass.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

from stream.work.condemned import Condemned

STRANGER = ""
"""Stands for the app that is not known; no app's Client ID is empty."""


class Turns:
    """See the module's words. A message that was pushed again, here or elsewhere, is passed over where it was before:
    ``queued`` says which of its turns counts."""

    __slots__ = ("_apps", "_strangers", "_turns")

    def __init__(self) -> None:
        self._apps: dict[str, list[tuple[int, int, Condemned]]] = {}
        self._turns: deque[str] = deque()
        self._strangers: dict[Condemned, int] = {}

    def push(self, it: Condemned, queued: int) -> None:
        """Let a message wait under this number, which counts from now on."""
        app = it.app or STRANGER
        if app not in self._apps:
            self._apps[app] = []
            self._turns.append(app)
        heapq.heappush(self._apps[app], (it.first_timestamp_ms, queued, it))
        self._strangers.pop(it, None)
        if app == STRANGER:
            self._strangers[it] = queued

    def first(self, has_room: Callable[[str], bool]) -> Condemned | None:
        """The message whose turn it is, of those apps (or STRANGER) that have room; it waits on until it is taken."""
        for _ in range(len(self._turns)):
            app = self._turns[0]
            if (it := self._oldest(app)) is None:
                del self._apps[self._turns.popleft()]
                continue
            self._turns.rotate(-1)
            if has_room(app):
                return it
        return None

    def stranger(self) -> Condemned | None:
        """The newest message whose app is not known; once only."""
        while self._strangers:
            it, queued = self._strangers.popitem()
            if it.queued == queued:
                return it
        return None

    def __bool__(self) -> bool:
        """Whether anything waits."""
        while self._turns and self._oldest(self._turns[0]) is None:
            del self._apps[self._turns.popleft()]
        return bool(self._turns)

    @property
    def strangers(self) -> int:
        """How many are still to be asked about, at most."""
        return len(self._strangers)

    @property
    def apps(self) -> int:
        """How many take turns, at most."""
        return len(self._turns)

    def taken(self, it: Condemned) -> None:
        """It waits no more."""
        self._strangers.pop(it, None)

    def _oldest(self, app: str) -> Condemned | None:
        heap = self._apps[app]
        while heap and heap[0][2].queued != heap[0][1]:
            heapq.heappop(heap)
        return heap[0][2] if heap else None
