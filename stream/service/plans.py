"""What waits to be planned: messages in order of severity, those that the store remembers, and those that must wait.

Pure bookkeeping; the desk does the planning.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from itertools import count, islice
from typing import Final, NamedTuple

from stream.work.condemned import Condemned

UNPARKED_AT_ONCE: Final = 512


class Remembered(NamedTuple):
    """A message that the store knows to be condemned, by its digest; compares by urgency."""

    urgency: int
    newness: int
    turn: int
    shard: int
    digest: bytes


class Plans:
    """The most severe first, then the oldest finding, as in the lanes; of those remembered by the store the newest,
    whose notification is the likeliest to be on a screen still."""

    def __init__(self) -> None:
        self._turn = count()
        self._heap: list[tuple[int, int, int, Condemned]] = []
        """Also what its message has left for another lane; passed over when its turn comes."""
        self._waiting = 0
        self._remembered: list[Remembered] = []
        self._unread: list[Remembered] = []
        self._parked: dict[str, dict[Condemned, None]] = {}
        self._later: dict[Condemned, None] = {}

    def __len__(self) -> int:
        return self._waiting

    @property
    def any(self) -> bool:
        """Whether anything could be planned now."""
        return bool(self._waiting or self._remembered)

    def put(self, it: Condemned) -> None:
        """Plan this message in its turn; once, however often it is put."""
        if it.queued is None:
            self._waiting += 1
            self._push(it)

    def move(self, it: Condemned) -> None:
        """Its severity has changed: if it waits here, it waits in that lane from now on."""
        if it.queued is not None:
            self._push(it)

    def _push(self, it: Condemned) -> None:
        it.queued = next(self._turn)
        heapq.heappush(self._heap, (-it.severity, it.first_timestamp_ms, it.queued, it))

    def first(self) -> Condemned | None:
        """The message whose turn it is."""
        while self._heap and self._heap[0][3].queued != self._heap[0][2]:
            heapq.heappop(self._heap)
        return self._heap[0][3] if self._heap else None

    def take(self, it: Condemned) -> None:
        """Take a message out."""
        if it.queued is not None:
            it.queued = None
            self._waiting -= 1

    def remember(self, shard: int, found: Iterable[tuple[int, int, bytes]]) -> None:
        """Messages to be loaded from the store in their turn: severity, record time (ms), digest."""
        for severity, timestamp_ms, digest in found:
            heapq.heappush(self._remembered, Remembered(-severity, -timestamp_ms, next(self._turn), shard, digest))

    def take_remembered(self) -> Remembered | None:
        """One of those, if none that is in memory is as severe."""
        first = self.first()
        if not self._remembered or (first is not None and self._remembered[0].urgency >= -first.severity):
            return None
        return heapq.heappop(self._remembered)

    def remembers(self, shard: int) -> bool:
        """Whether some message of the shard is still to be loaded."""
        return any(each.shard == shard for each in (*self._remembered, *self._unread))

    def unreadable_now(self, remembered: Remembered) -> None:
        """The registry that is needed to read it does not answer: again after ``go_on``."""
        self._unread.append(remembered)

    def later(self, it: Condemned) -> None:
        """The same for a message in memory."""
        self._later[it] = None

    def park(self, app: str, it: Condemned) -> None:
        """Let a message wait until its app has room; once, however often it is parked."""
        self._parked.setdefault(app, {})[it] = None

    def parked(self, chosen: Callable[[Condemned], bool]) -> list[Condemned]:
        """Those that are parked, and chosen; they are parked no more."""
        found = [it for waiting in self._parked.values() for it in waiting if chosen(it)]
        for it in found:
            for waiting in self._parked.values():
                waiting.pop(it, None)
        return found

    def forget(self, shard: int) -> None:
        """Nothing of the shard waits any more."""
        self.parked(lambda it: it.shard == shard)
        self._later = {it: None for it in self._later if it.shard != shard}

    def go_on(self, has_room: Callable[[str], bool]) -> None:
        """Put back what waited for the registry, and some of what waited for an app that has room now."""
        for app in [app for app in self._parked if has_room(app)]:
            waiting = self._parked[app]
            for it in list(islice(waiting, UNPARKED_AT_ONCE)):
                del waiting[it]
                self.put(it)
            if not waiting:
                del self._parked[app]
        for it in self._later:
            self.put(it)
        for remembered in self._unread:
            heapq.heappush(self._remembered, remembered)
        self._later, self._unread = {}, []
