"""The guard: how much may be revoked without a person's word. Pure.

Promised: of what a violation asks for all is admitted, or nothing; never are more token places of an app admitted
within any 60 minutes than ``per_hour``, nor of a violation in all than ``per_violation``. A place is a position in a
send's list: a device named twice counts twice, so that counting needs no memory of tokens. Not promised: fairness; who
asks first is served first. What was admitted and not called after all (withdrawn, refused) stays counted for its hour.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

HOUR_S: Final = 3_600.0


class Limits(NamedTuple):
    """Token places; 0: no such limit."""

    per_violation: int = 0
    per_hour: int = 0
    """Of each app, by one instance."""


class Request(NamedTuple):
    """What a violation asks for."""

    more: Mapping[str, int]
    """Places that would be called now, by app."""
    spent: int = 0
    """Places called, or admitted, for it before."""


class Hold(NamedTuple):
    """Why a violation is held: it would come to ``places``, and ``allowed`` are."""

    cause: str
    """The setting that says so, by its full name."""
    places: int
    allowed: int
    app: str | None = None
    """Of which app; None: of all together."""
    because: str = ""
    """What else than their number speaks against them."""

    def __str__(self) -> str:
        if self.because:
            return f"{self.because}; {self.cause} leaves the {self.places} devices to a person"
        whose = "it would revoke" if self.app is None else f"within 60 minutes app {self.app} would come to"
        return f"{whose} {self.places} devices, {self.cause} allows {self.allowed}"


Reason = Callable[[Request, float], Hold | None]
"""Whether to hold what is asked for at a moment (s); it changes nothing."""


class Hour:
    """What was admitted within the last 60 minutes, by shard and app. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._windows: dict[str, dict[int, _Window]] = {}

    def draw(self, shard: int, app: str, places: int, at_s: float) -> None:
        """So many were admitted then. One that is older than the last counts as long as the last."""
        self._windows.setdefault(app, {}).setdefault(shard, _Window()).add(int(at_s // 1), places)

    def give_back(self, shard: int, app: str, places: int, at_s: float) -> None:
        """So many of those that were admitted then are to be asked for anew. What cannot be told apart stays."""
        if (window := self._windows.get(app, {}).get(shard)) is not None:
            window.take(int(at_s // 1), places)

    def drawn(self, app: str, now_s: float) -> int:
        """Of all shards; what was admitted counts a moment longer than the hour, never shorter."""
        return sum(window.total(now_s) for window in self._windows.get(app, {}).values())

    def apps(self) -> list[str]:
        """Those of which anything was admitted."""
        return list(self._windows)

    def forget(self, shard: int) -> None:
        """The shard has left, and its hour with it."""
        for windows in self._windows.values():
            windows.pop(shard, None)


class _Window:
    """Of one app in one shard, second by second."""

    __slots__ = ("_places", "_seconds")

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque()
        self._places = 0

    def add(self, second: int, places: int) -> None:
        before = 0
        if self._seconds and self._seconds[-1][0] >= second:
            second, before = self._seconds.pop()
        self._seconds.append((second, before + places))
        self._places += places

    def take(self, second: int, places: int) -> None:
        for index, (at, admitted) in enumerate(self._seconds):
            if at == second:
                self._seconds[index] = at, admitted - min(admitted, places)
                self._places -= min(admitted, places)

    def total(self, now_s: float) -> int:
        while self._seconds and self._seconds[0][0] + 1 + HOUR_S <= now_s:
            self._places -= self._seconds.popleft()[1]
        return self._places


class Guard:
    """See the module's words."""

    def __init__(self, limits: Limits, others: Sequence[Reason] = ()) -> None:
        """``others``: further reasons to hold, asked after the limits."""
        self.limits = limits
        self.hour = Hour()
        self._reasons = (self._too_many, self._too_many_an_hour, *others)
        self.on = any(limits) or bool(others)
        """Whether anything may be held at all."""

    def admit(self, shard: int, request: Request, now_s: float) -> Hold | None:
        """Admit all that is asked for (None), or nothing, and say why. What needs no call is always admitted."""
        if not any(request.more.values()):
            return None
        for reason in self._reasons:
            if (why := reason(request, now_s)) is not None:
                return why
        if self.limits.per_hour:
            for app, places in request.more.items():
                self.hour.draw(shard, app, places, now_s)
        return None

    def _too_many(self, request: Request, _: float) -> Hold | None:
        allowed, places = self.limits.per_violation, request.spent + sum(request.more.values())
        return Hold("guard.max_devices_per_violation", places, allowed) if 0 < allowed < places else None

    def _too_many_an_hour(self, request: Request, now_s: float) -> Hold | None:
        allowed = self.limits.per_hour
        for app, more in sorted(request.more.items()) if allowed else ():
            places = self.hour.drawn(app, now_s) + more
            if more and places > allowed:
                return Hold("guard.max_devices_per_hour", places, allowed, app)
        return None
