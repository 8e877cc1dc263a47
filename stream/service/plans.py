"""What waits to be planned: messages by severity, those that the store remembers, and those that must wait.

Pure bookkeeping; ``planning`` does the rest.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from itertools import chain, count, islice
from typing import Final, NamedTuple

from stream.model import Severity
from stream.service.ways import Ways
from stream.work.condemned import Condemned
from stream.work.turns import STRANGER, Turns

UNPARKED_AT_ONCE: Final = 512

PARCELS_READY: Final = 256
"""A lane plans no further ahead of its calls than this: what is planned holds its tokens in memory."""
FEW_READY: Final = 32
"""With fewer, a lane runs dry before the next is planned, and others would get its share."""
_LANES: Final = tuple(sorted(Severity, reverse=True))


class Remembered(NamedTuple):
    """A message that the store knows to be condemned, by its digest; within its severity the newest comes first."""

    severity: int
    newness: int
    turn: int
    shard: int
    digest: bytes


class Plans:
    """In each lane apps in turn, in each the oldest finding first; of those remembered by the store the newest, whose
    notification is the likeliest to be on a screen still."""

    def __init__(self) -> None:
        self._turn = count()
        self._lanes: dict[int, Turns] = {severity: Turns() for severity in Severity}
        """Also what its message has left for another lane; passed over when its turn comes."""
        self._waiting = 0
        self._remembered: dict[int, list[Remembered]] = {severity: [] for severity in Severity}
        self._unread: list[Remembered] = []
        self._parked: dict[tuple[str, Severity], dict[Condemned, None]] = {}
        """By app and lane: what has no room in one may have some in another."""
        self._later: dict[Condemned, None] = {}
        self._counting: Severity | None = None
        """The lane whose turn it was last, where that only counted what needs no call."""

    def __len__(self) -> int:
        return self._waiting

    @property
    def any(self) -> bool:
        """Whether anything could be planned now."""
        return bool(self._waiting or any(self._remembered.values()))

    def put(self, it: Condemned) -> None:
        """Plan this message in its turn; once, however often it is put."""
        if it.queued is None:
            self._waiting += 1
            self._push(it)

    def move(self, it: Condemned) -> None:
        """Its severity has changed: if it waits here, it waits in that lane from now on; there may be room there."""
        if it.queued is not None:
            self._push(it)
        elif self._unparked(it):
            self.put(it)

    def _push(self, it: Condemned) -> None:
        it.queued = next(self._turn)
        self._lanes[it.severity].push(it, it.queued)

    def next(self, ways: Ways) -> Condemned | Remembered | None:
        """What is to be planned next, taken out: of a lane that runs dry, though it has a share of all calls, else of
        the most severe. One that only counted stays dry however often it is planned: its next turn is another's that
        runs dry too. None: nothing waits, or the lanes are full for it."""
        ready, counting = {each: ways.ready(each) for each in _LANES if self.any_of(each)}, self._counting
        dry = {each for each in ready if ready[each] < FEW_READY}
        # Among those that have enough the most severe is first, whether it counted or not.
        dry_first = sorted(ready, key=lambda each: (each not in dry, each in dry and each is counting))
        self._counting = None
        for severity in dry_first:
            if (found := self._next_in(severity, ready[severity] >= PARCELS_READY, ways)) is not None:
                return found
        return None

    def _next_in(self, severity: Severity, full: bool, ways: Ways) -> Condemned | Remembered | None:
        """A lane that is full still takes what is of apps that have not their part of it: they need not wait for
        those that fill it."""
        part = max(1, PARCELS_READY // max(1, self._lanes[severity].apps))

        def has_room(app: str) -> bool:
            return not full or (app != STRANGER and ways.waiting(app, severity) < part)

        if (it := self.first(severity, has_room)) is not None:
            self.take(it)
            return it
        return None if full else self.take_remembered(severity)

    def counted(self, severity: Severity) -> None:
        """The last that was planned, of that severity, gave nothing to call."""
        self._counting = severity

    def first(self, severity: Severity, has_room: Callable[[str], bool] = lambda app: True) -> Condemned | None:
        """The message of that severity whose turn it is, of the apps that have room; STRANGER: of those nobody
        knows."""
        return self._lanes[severity].first(has_room)

    def stranger(self) -> Condemned | None:
        """The newest message whose app is not known, of the most severe; once only. ``move`` it when it is."""
        return next(filter(None, (self._lanes[severity].stranger() for severity in _LANES)), None)

    @property
    def strangers(self) -> int:
        """How many there may be."""
        return sum(lane.strangers for lane in self._lanes.values())

    def take(self, it: Condemned) -> None:
        """Take a message out."""
        if it.queued is not None:
            it.queued = None
            self._waiting -= 1
            self._lanes[it.severity].taken(it)

    def remember(self, shard: int, found: Iterable[tuple[int, int, bytes]]) -> None:
        """Messages to be loaded from the store in their turn: severity, record time (ms), digest."""
        for severity, timestamp_ms, digest in found:
            self._recall(Remembered(severity, -timestamp_ms, next(self._turn), shard, digest))

    def _recall(self, remembered: Remembered) -> None:
        heapq.heappush(self._remembered[remembered.severity], remembered)

    def any_of(self, severity: Severity) -> bool:
        """Whether something of that severity could be planned now."""
        return bool(self._remembered[severity] or self._lanes[severity])

    def take_remembered(self, severity: Severity) -> Remembered | None:
        """One of that severity; those in memory come before it."""
        heap = self._remembered[severity]
        return heapq.heappop(heap) if heap else None

    def remembers(self, shard: int) -> bool:
        """Whether some message of the shard is still to be loaded."""
        return any(each.shard == shard for each in chain(self._unread, *self._remembered.values()))

    def unreadable_now(self, remembered: Remembered) -> None:
        """The registry that is needed to read it does not answer: again after ``go_on``."""
        self._unread.append(remembered)

    def later(self, it: Condemned) -> None:
        """The same for a message in memory."""
        self._later[it] = None

    def park(self, app: str, it: Condemned) -> None:
        """Let a message wait until its app has room; once, however often it is parked."""
        self._parked.setdefault((app, it.severity), {})[it] = None

    def parked(self, chosen: Callable[[Condemned], bool]) -> list[Condemned]:
        """Those that are parked, and chosen; they are parked no more."""
        found = [it for waiting in self._parked.values() for it in waiting if chosen(it)]
        for it in found:
            self._unparked(it)
        return found

    def _unparked(self, it: Condemned) -> bool:
        """Take it out, wherever it is parked; False: nowhere."""
        found = False
        for waiting in self._parked.values():
            found = waiting.pop(it, it) is None or found
        return found

    def forget(self, shard: int) -> None:
        """Nothing of the shard waits any more."""
        self.parked(lambda it: it.shard == shard)
        self._later = {it: None for it in self._later if it.shard != shard}

    def go_on(self, has_room: Callable[[str, Severity], bool]) -> None:
        """Put back what waited for the registry, and some of what waited for an app that has room now."""
        for lane in [lane for lane in self._parked if has_room(*lane)]:
            waiting = self._parked[lane]
            for it in list(islice(waiting, UNPARKED_AT_ONCE)):
                del waiting[it]
                self.put(it)
            if not waiting:
                del self._parked[lane]
        for it in self._later:
            self.put(it)
        for remembered in self._unread:
            self._recall(remembered)
        self._later, self._unread = {}, []
