"""How much of each app is planned and not ended, lane by lane: what is planned holds its tokens in memory. Pure.

Promised: an app has room in a lane again when half of the bound has ended, not at each single end; a backlog of one
severity takes no room from another; where many apps stand still each has no more than a call in each lane, once all
together have enough. Not promised: that no more than the bound is planned; who plans asks first.
"""

from __future__ import annotations

from typing import Final

from stream.model import MAX_CALL_TOKENS, Severity

Lane = tuple[str, Severity]


class Bounds:
    """One or more bounds on something that is counted by app and lane."""

    __slots__ = ("_bounds", "_count")

    def __init__(self, *most: int) -> None:
        self._count: dict[Lane, int] = {}
        self._bounds: Final = tuple((each, set[Lane]()) for each in most)

    def add(self, lane: Lane, amount: int) -> None:
        """So much more; negative: it has ended."""
        self._count[lane] = count = self._count.get(lane, 0) + amount
        for most, full in self._bounds:
            if count >= most:
                full.add(lane)
            elif count <= most // 2:
                full.discard(lane)

    def reached(self, lane: Lane, which: int = 0) -> bool:
        """Whether that bound was reached, and half of it has not ended since."""
        return lane in self._bounds[which][1]


class Crowd:
    """Parcels and their tokens."""

    __slots__ = ("_in_all", "_most_in_all", "_parcels", "_tokens")

    def __init__(self, most_parcels: int, heavy_tokens: int, most_tokens: int, most_in_all: int) -> None:
        """``heavy_tokens``: enough for an app that may not call now, ``most_tokens``: for any; ``most_in_all``: tokens
        of all apps beyond which one that stands still has enough with a call."""
        self._parcels, self._tokens = Bounds(most_parcels), Bounds(heavy_tokens, most_tokens, MAX_CALL_TOKENS)
        self._in_all, self._most_in_all = 0, most_in_all

    def came(self, app: str, severity: Severity, tokens: int) -> None:
        """A parcel is planned."""
        lane = app, severity
        self._parcels.add(lane, 1)
        self._tokens.add(lane, tokens)
        self._in_all += tokens

    def went(self, app: str, severity: Severity, tokens: int) -> None:
        """It has ended, or is taken back."""
        lane = app, severity
        self._parcels.add(lane, -1)
        self._tokens.add(lane, -tokens)
        self._in_all -= tokens

    def crowded(self, app: str, severity: Severity) -> bool:
        """Whether there are enough parcels or tokens, whatever the app may do now."""
        return self._parcels.reached((app, severity)) or self._tokens.reached((app, severity), 1)

    def heavy(self, app: str, severity: Severity) -> bool:
        """Whether there are so many tokens that no more should be planned for an app that may not call now."""
        return self._tokens.reached((app, severity))

    def enough(self, app: str, severity: Severity) -> bool:
        """Whether there are so many of all apps that one that stands still needs no more than it has here."""
        return self._in_all >= self._most_in_all and self._tokens.reached((app, severity), 2)
