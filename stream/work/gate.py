"""Which app may call at this moment: its own limits and pauses, its breaker, and how all fare. Pure.

Promised: each question and each answer costs the same, however many apps and parcels there are; of all calls in flight
at most half are probes of apps whose calls get nowhere, so slow failures of some leave room for the others. Not
promised: an order; the lanes see to that.
"""

from __future__ import annotations

from random import Random

from stream.work.apps import App
from stream.work.bound import LearnedBound
from stream.work.breaker import OPENS_AFTER, Silence, State


class Gate:
    """See the module's words."""

    __slots__ = ("_probing", "_random", "bound", "in_flight", "share", "silence")

    def __init__(self, most: int, now_s: float, random: Random) -> None:
        self.bound = LearnedBound(most)
        self.silence = Silence(now_s)
        self.in_flight = 0
        self.share = 1.0
        self._probing = 0
        """Calls in flight that left while their app's breaker was open."""
        self._random = random

    def set_share(self, share: float, now_s: float) -> None:
        """The part of all shards that this instance owns: probes are shared out by it, as limits are."""
        self.share = share
        self.silence.set_share(share, now_s)

    @property
    def room(self) -> int:
        """Calls that may leave beside those in flight."""
        return max(0, int(self.bound.calls) - self.in_flight)

    @property
    def last_is_kept(self) -> bool:
        """Whether the only slot left is the one for what is most severe: that need not wait for a call to come back,
        however many are under way."""
        return self.room <= 1 < int(self.bound.calls)

    @property
    def patience(self) -> int:
        """After how many failures in a row an app is sent no further but for probes: while nobody gets an answer, one
        is enough."""
        return min(OPENS_AFTER, self.bound.most) if self.silence.since_s is None else 1

    def admits(self, app: App, now_s: float) -> bool:
        """Whether a call of this app may leave, if there is room for one at all."""
        breaker = app.breaker
        if not breaker.admits(app.in_flight):
            return False
        if breaker.state is State.OPEN and self._probing >= max(1, int(self.bound.calls) // 2):
            return False
        if self.silence.since_s is not None and (app.in_flight or self.silence.wait_s(now_s)):
            return False
        return app.wait_s(now_s) == 0.0

    def wait_s(self, app: App, now_s: float) -> float | None:
        """How long until a call of this app may leave: 0 now or when one comes back, None: not by the passing of
        time."""
        wait_s = app.wait_s(now_s)
        return None if wait_s is None else max(wait_s, self.silence.wait_s(now_s))

    def leaves(self, app: App, devices: int, now_s: float) -> bool:
        """A call of so many devices leaves. True where it is a probe."""
        probe = app.breaker.state is State.OPEN
        app.leaves(devices, now_s)
        app.breaker.leaves(now_s, self.share, self._random)
        app.budget.leaves()
        self.silence.leaves(now_s)
        app.in_flight += 1
        self.in_flight += 1
        self._probing += probe
        return probe

    def comes_back(self, app: App, *, probe: bool) -> None:
        """A call is no longer under way, however it ended."""
        app.in_flight -= 1
        self.in_flight -= 1
        self._probing -= probe
