"""How much of each app is planned and not ended, lane by lane: what is planned holds its tokens in memory. Pure.

Promised: an app has room in a lane again when half of the bound has ended, not at each single end; a backlog of one
severity takes no room from another. Not promised: that no more than the bound is planned; who plans asks first.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from stream.model import Severity

Lane = tuple[str, Severity]


class Bound:
    """One bound on something that is counted by app and lane."""

    __slots__ = ("_count", "_full", "_most")

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._count: Counter[Lane] = Counter()
        self._full: set[Lane] = set()

    def add(self, lane: Lane, amount: int) -> None:
        """So much more; negative: it has ended."""
        self._count[lane] += amount
        if self._count[lane] >= self._most:
            self._full.add(lane)
        elif self._count[lane] <= self._most // 2:
            self._full.discard(lane)

    def reached(self, lane: Lane) -> bool:
        """Whether the bound was reached, and half of it has not ended since."""
        return lane in self._full


class Crowd:
    """Parcels and their tokens."""

    __slots__ = ("_all_tokens", "_parcels", "_tokens")

    def __init__(self, most_parcels: int, heavy_tokens: int, most_tokens: int) -> None:
        """``heavy_tokens``: enough for an app that may not call now, ``most_tokens``: for any."""
        self._parcels, self._tokens, self._all_tokens = Bound(most_parcels), Bound(heavy_tokens), Bound(most_tokens)

    def came(self, app: str, severity: Severity, tokens: int) -> None:
        """A parcel is planned."""
        self._parcels.add((app, severity), 1)
        self._tokens.add((app, severity), tokens)
        self._all_tokens.add((app, severity), tokens)

    def went(self, app: str, severity: Severity, tokens: int) -> None:
        """It has ended, or is taken back."""
        self._parcels.add((app, severity), -1)
        self._tokens.add((app, severity), -tokens)
        self._all_tokens.add((app, severity), -tokens)

    def crowded(self, app: str, severity: Severity) -> bool:
        """Whether there are enough parcels or tokens, whatever the app may do now."""
        return self._parcels.reached((app, severity)) or self._all_tokens.reached((app, severity))

    def heavy(self, app: str, severity: Severity) -> bool:
        """Whether there are so many tokens that no more should be planned for an app that may not call now."""
        return self._tokens.reached((app, severity))
