"""Parcels that are planned and not ended: in which lane each is, and how much of each app there is. Pure.

A parcel comes once and goes once; between, it waits in its lane, or for a retry, or is under way. Promised: what is
counted of them is exact at every moment. Not promised: who may leave now; the gate says that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from stream.model import Severity
from stream.work.budget import Budget, Retries
from stream.work.crowd import Crowd
from stream.work.exposure import Exposure
from stream.work.lanes import Lanes
from stream.work.packing import Parcel

CROWDED: Final = 16
"""An app with this many times the calls in flight under way in a lane is planned no further there; more than a healthy
app ever has."""

HEAVY_TOKENS: Final = 64_000
"""An app that may not call now is planned no further with so many tokens waiting: they are held in memory."""

MOST_TOKENS: Final = 256_000
"""Nor is any app: an app that has all the calls in flight that it may keeps nobody else from being planned, so that
nothing but this bounds it."""

MOST_IN_ALL: Final = 512_000
"""Tokens of all apps together, some 80 MB: in an outage of very many apps each more has a call planned in a lane."""

FEW: Final = 128
"""With fewer parcels a lane runs low."""


class Pending:
    """See the module's words."""

    def __init__(self, shares: Mapping[Severity, float], max_in_flight: int, budget: Callable[[str], Budget]) -> None:
        """``shares``: as of ``Lanes``; ``budget(app)``: of its retries."""
        self.lanes = Lanes(shares)
        self.retries = Retries(budget, lambda parcel: self.severities[parcel])
        self.severities: dict[Parcel, Severity] = {}
        """Of all of them, the lane of each."""
        self.exposure = Exposure()
        self.crowd = Crowd(CROWDED * max_in_flight, HEAVY_TOKENS, MOST_TOKENS, MOST_IN_ALL)

    def came(self, parcel: Parcel, severity: Severity, *, first: bool = False) -> None:
        """A parcel waits for its call; ``first``: before all others of its age."""
        self._count(parcel, severity)
        self.lanes.put(parcel, severity, first=first)

    def went(self, parcel: Parcel) -> None:
        """One that waits nowhere has ended, or is taken back."""
        severity = self.severities.pop(parcel)
        self.crowd.went(parcel.client_id or "", severity, len(parcel.tokens))
        self.exposure.went(parcel, severity)

    def _count(self, parcel: Parcel, severity: Severity) -> None:
        self.severities[parcel] = severity
        self.crowd.came(parcel.client_id or "", severity, len(parcel.tokens))
        self.exposure.came(parcel, severity)

    def again(self, parcel: Parcel, *, last: bool = False) -> None:
        """It waits in its lane once more; ``last``: behind all others of its app there."""
        self.lanes.put(parcel, self.severities[parcel], last)

    def later(self, parcel: Parcel, due_s: float, *, asked: bool = False) -> None:
        """It waits for a retry until then; ``asked``: the gateway asked for that time."""
        self.retries.put(parcel, due_s, asked=asked)

    def take_due(self, now_s: float) -> None:
        """Let what waited for a retry wait in its lane, as far as its time has come."""
        if len(self.retries):
            for due in self.retries.take(now_s):
                self.again(due)

    def take_back(self, chosen: Callable[[Parcel], bool]) -> list[Parcel]:
        """Those that wait (for a call or a retry) and are no longer to be called."""
        taken = self.lanes.remove(chosen) + self.retries.keep(lambda parcel: not chosen(parcel))
        for parcel in taken:
            self.went(parcel)
        return taken

    def lift(self, chosen: Callable[[Parcel], bool], severity: Severity, now_s: float) -> None:
        """Those that belong to another lane from now on; that wait for a retry or are in flight, when they come back.
        What waits for a retry and has become more severe has waited long enough, but where the gateway asked."""
        raised: set[Parcel] = set()
        for parcel, before in [(each, before) for each, before in self.severities.items() if chosen(each)]:
            if severity > before:
                raised.add(parcel)
            self.went(parcel)
            self._count(parcel, severity)
        if raised:
            self.retries.hasten(raised.__contains__, now_s)
        self.retries.reorder()
        for parcel in self.lanes.remove(chosen):
            self.lanes.put(parcel, severity)

    @property
    def waiting(self) -> int:
        """How many wait for a call or a retry."""
        return self.lanes.size + len(self.retries)

    def few(self, severity: Severity) -> bool:
        """Whether a lane runs low."""
        return self.lanes.depth(severity) < FEW

    def oldest_ms(self) -> dict[Severity, int]:
        """Of each severity that has any: since when the oldest could have been called. Looks at all of them, so it is
        for scrapes, not for calls."""
        oldest: dict[Severity, int] = {}
        for parcel, severity in self.severities.items():
            if parcel.newest_ms < oldest.get(severity, parcel.newest_ms + 1):
                oldest[severity] = parcel.newest_ms
        return oldest
