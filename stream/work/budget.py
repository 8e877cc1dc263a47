"""Calls that are to be made again: by due time, and no more of them than a share of all calls. Pure.

Promised: while more than ``share`` of an app's calls fail, at most that share of its calls are retries (and
``FLOOR_PER_S`` beside them, so that it goes on when nothing else is left); the most severe go first. While fewer fail,
retries are no more than that by nature, and none is held back. Not promised: a call's turn; that is the lanes' to say.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Final, NamedTuple

from stream.model import Severity
from stream.work.packing import Parcel
from stream.work.retry import Due

SHARE: Final = 0.2
SAVED: Final = 10.0
"""Retries that may be saved up: a few failures are tried again whatever the share."""
FLOOR_PER_S: Final = 5.0
LOOK_S: Final = 0.5
"""How often an app's retries that are held back are looked at."""
WEIGHT: Final = 1 / 32
"""Of the latest call in the share of calls that fail …"""
UNSEEN: Final = 1e-3
"""… which is none where it is less than that."""


class Budget:
    """One app's retries, as a share of its calls."""

    __slots__ = ("_at_s", "_failing", "_left", "_share")

    def __init__(self, share: float, now_s: float) -> None:
        self._share, self._at_s = share, now_s
        self._failing = 0.0
        self._left = SAVED

    @property
    def tight(self) -> bool:
        """Whether so many calls fail that retries are held back."""
        return self._failing > self._share

    def leaves(self) -> None:
        """A call leaves, whether its first or not: some part of another."""
        if self._left < SAVED:
            self._left = min(SAVED, self._left + self._share)

    def heard(self, *, answered: bool) -> None:
        """A call came back."""
        if self._failing or not answered:
            failing = self._failing + WEIGHT * ((not answered) - self._failing)
            self._failing = failing if failing > UNSEEN else 0.0

    def grants(self, now_s: float) -> bool:
        """Whether one retry may wait for its turn now; it is counted if so."""
        self._left = min(SAVED, self._left + FLOOR_PER_S * max(0.0, now_s - self._at_s))
        self._at_s = max(now_s, self._at_s)
        if not self.tight:
            return True
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def begin_anew(self) -> None:
        """The trouble is over: what failed in it says nothing of now."""
        self._failing = 0.0


class _Retry(NamedTuple):
    """``asked``: the gateway said when."""

    parcel: Parcel
    asked: bool


class Retries:
    """All parcels that wait to be called again."""

    __slots__ = ("_budget", "_due", "_held", "_looks", "_severity", "_turn", "_waiting")

    def __init__(self, budget: Callable[[str], Budget], severity: Callable[[Parcel], Severity]) -> None:
        self._budget, self._severity = budget, severity
        self._due: Due[_Retry] = Due()
        self._held: dict[str, list[tuple[int, int, Parcel]]] = {}
        """By app: due, but held back."""
        self._looks: Due[str] = Due()
        self._turn = count()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def put(self, parcel: Parcel, due_s: float, *, asked: bool = False) -> None:
        """Keep until ``due_s``; ``asked``: the gateway asked for that time."""
        self._due.put(_Retry(parcel, asked), due_s)
        self._waiting += 1

    def next_s(self) -> float | None:
        """When something is to be looked at next."""
        if not self._waiting:
            return None
        times = [due_s for each in (self._due, self._looks) if (due_s := each.next_s()) is not None]
        return min(times, default=None)

    def take(self, now_s: float) -> list[Parcel]:
        """All whose time has come and whose app's budget has room for them."""
        ready = [retry.parcel for retry in self._due.take(now_s) if self._granted(retry.parcel, now_s)]
        for app in self._looks.take(now_s):
            ready += self._let_go(app, now_s)
        self._waiting -= len(ready)
        return ready

    def _granted(self, parcel: Parcel, now_s: float) -> bool:
        app = parcel.client_id or ""
        if app not in self._held and self._budget(app).grants(now_s):
            return True
        if app not in self._held:
            self._held[app] = []
            self._looks.put(app, now_s + LOOK_S)
        heapq.heappush(self._held[app], (-self._severity(parcel), next(self._turn), parcel))
        return False

    def _let_go(self, app: str, now_s: float) -> list[Parcel]:
        held, ready = self._held.get(app, []), list[Parcel]()
        while held and self._budget(app).grants(now_s):
            ready.append(heapq.heappop(held)[2])
        if held:
            self._looks.put(app, now_s + LOOK_S)
        else:
            self._held.pop(app, None)
        return ready

    def release(self, app: str, now_s: float) -> None:
        """The app gets answers again: what waits for nothing but that is due now."""
        self.hasten(lambda parcel: parcel.client_id == app, now_s)
        if app in self._held:
            self._looks.put(app, now_s)

    def hasten(self, chosen: Callable[[Parcel], bool], now_s: float) -> None:
        """What is chosen is due now, but where the gateway asked for its wait."""
        ours = [retry.parcel for retry in self._due.keep(lambda retry: retry.asked or not chosen(retry.parcel))]
        for parcel in ours:
            self._due.put(_Retry(parcel, asked=False), now_s)

    def keep(self, wanted: Callable[[Parcel], bool]) -> list[Parcel]:
        """Drop what ``wanted(parcel)`` refuses; what was dropped."""
        dropped = [retry.parcel for retry in self._due.keep(lambda retry: wanted(retry.parcel))]
        for app, held in self._held.items():
            dropped += [parcel for _, _, parcel in held if not wanted(parcel)]
            self._held[app] = _ordered([entry for entry in held if wanted(entry[2])])
        self._waiting -= len(dropped)
        return dropped

    def reorder(self) -> None:
        """Some have become more severe."""
        for app, held in self._held.items():
            self._held[app] = _ordered([(-self._severity(parcel), turn, parcel) for _, turn, parcel in held])


def _ordered(held: list[tuple[int, int, Parcel]]) -> list[tuple[int, int, Parcel]]:
    heapq.heapify(held)
    return held
