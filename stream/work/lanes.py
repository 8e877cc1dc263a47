"""Parcels that wait for a call: the most severe first, apps in turn, then age. Pure.

Promised: of any calls that leave while a lane has something that may be called, at least its reserved share is its
own, but for one call or two; all others go to the most severe lane, and what a lane does not need is for the others.
Within a lane apps take turns, so a campaign of one does not delay a single token of another; within an app the oldest
finding goes first. An app that may not call now (limit, pause) is passed over and holds up no other. Not promised:
that shares are counted in devices; a call is a call.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Final

from stream.model import Severity
from stream.work.packing import Parcel

Allowed = Callable[[str], bool]
LAST: Final = 2**63
MOST_CREDIT: Final = 2.0
"""Calls that a lane may be behind its share: it catches up on no more than that."""


class _Lane:
    """One severity: apps in turn, each with its parcels by age; ``credit``: calls it is behind its share."""

    __slots__ = ("apps", "credit", "share", "turns")

    def __init__(self, share: float) -> None:
        self.share, self.credit = share, 0.0
        self.apps: dict[str, list[tuple[int, int, Parcel]]] = {}
        self.turns: deque[str] = deque()

    def next(self, allowed: Allowed, passed_over: Allowed) -> Parcel | None:
        for _ in range(len(self.turns)):
            app = self.turns[0]
            self.turns.rotate(-1)
            if allowed(app) and not (self.apps[app][0][0] == LAST and passed_over(app)):
                return self._pop(app)
        return None

    def _pop(self, app: str) -> Parcel:
        heap = self.apps[app]
        parcel = heapq.heappop(heap)[2]
        if not heap:
            del self.apps[app]
            self.turns.remove(app)
        return parcel


class Lanes:
    """All parcels that are ready to be called."""

    __slots__ = ("_lanes", "_turn", "size")

    def __init__(self, shares: Mapping[Severity, float]) -> None:
        """``shares``: what part of all calls is a severity's own while it has any waiting; together less than 1."""
        self._lanes = {severity: _Lane(shares.get(severity, 0.0)) for severity in sorted(Severity, reverse=True)}
        self._turn = count()
        self.size = 0

    def put(self, parcel: Parcel, severity: Severity, last: bool = False, first: bool = False) -> None:
        """Let a parcel wait in a lane; its place among its app's is its age, or the ``last``; ``first``: of its age."""
        lane, app = self._lanes[severity], parcel.client_id or ""
        if app not in lane.apps:
            lane.apps[app] = []
            lane.turns.append(app)
        age = LAST if last else parcel.violation.first_timestamp_ms
        turn = next(self._turn)
        heapq.heappush(lane.apps[app], (age, -turn if first else turn, parcel))
        self.size += 1

    def next(
        self,
        allowed: Allowed,
        least: Severity = Severity.LOW,
        urgently: Allowed | None = None,
        paused: Allowed | None = None,
    ) -> Parcel | None:
        """The next parcel to call, of ``least`` severity, among the apps that are ``allowed`` to, or None;
        ``urgently``: those that may call for what is CRITICAL, where these are more. What was put ``last`` by an app
        that is ``paused`` has its turn only when the app has nothing else, in any lane: that may end the pause."""

        def passed_over(app: str) -> bool:
            return paused is not None and paused(app) and self._has_other_than_last(app)

        critical = self._lanes[Severity.CRITICAL]
        for lane in self._in_turn(least):
            may = urgently if urgently and lane is critical else allowed
            if (parcel := lane.next(may, passed_over)) is not None:
                self.size -= 1
                self._account(lane)
                return parcel
        return None

    def _has_other_than_last(self, app: str) -> bool:
        heaps = [lane.apps[app] for lane in self._lanes.values() if app in lane.apps]
        return any(heap[0][0] != LAST for heap in heaps)

    def _in_turn(self, least: Severity) -> list[_Lane]:
        """Those with something waiting: first who is a whole call behind its share, each group by severity."""
        lanes = [lane for severity, lane in self._lanes.items() if lane.turns and severity >= least]
        if len(lanes) > 1:
            lanes.sort(key=lambda lane: lane.credit < 1.0)
        return lanes

    def _account(self, taken: _Lane) -> None:
        for lane in self._lanes.values():
            credit = lane.credit + lane.share - (lane is taken)
            lane.credit = min(max(credit, 0.0), MOST_CREDIT) if lane.turns or lane is taken else 0.0

    def depth(self, severity: Severity) -> int:
        """How many parcels wait in one lane."""
        return sum(map(len, self._lanes[severity].apps.values()))

    def depth_of(self, app: str, severity: Severity) -> int:
        """How many of them are an app's."""
        return len(self._lanes[severity].apps.get(app, ()))

    def ready(self, severity: Severity, allowed: Allowed) -> int:
        """How many parcels of this severity wait for a call and belong to an app that is ``allowed`` to."""
        return sum(len(heap) for app, heap in self._lanes[severity].apps.items() if allowed(app))

    def apps(self) -> set[str]:
        """The apps that have something waiting."""
        return {app for lane in self._lanes.values() for app in lane.apps}

    def remove(self, chosen: Callable[[Parcel], bool]) -> list[Parcel]:
        """Take out all that ``chosen`` names, in no particular order."""
        removed: list[Parcel] = []
        for lane in self._lanes.values():
            for app in list(lane.apps):
                removed += self._sift(lane, app, chosen)
        self.size -= len(removed)
        return removed

    @staticmethod
    def _sift(lane: _Lane, app: str, chosen: Callable[[Parcel], bool]) -> list[Parcel]:
        heap = lane.apps[app]
        out = [entry[2] for entry in heap if chosen(entry[2])]
        if out:
            kept = [entry for entry in heap if not chosen(entry[2])]
            heapq.heapify(kept)
            lane.apps[app] = kept
            if not kept:
                del lane.apps[app]
                lane.turns.remove(app)
        return out

    def __iter__(self) -> Iterator[Parcel]:
        for lane in self._lanes.values():
            for heap in lane.apps.values():
                yield from (entry[2] for entry in heap)
