"""Which app may call at this moment: its own limits and pauses, its breaker, and how all fare. Pure.

Promised: each question and each answer costs the same, however many apps and parcels there are; of all calls in flight
at most half are probes of apps whose calls get nowhere, so slow failures of some leave room for the others. Not
promised: an order; the lanes see to that.
"""

from __future__ import annotations

from random import Random

from stream.model import Severity
from stream.work.apps import App
from stream.work.bound import LearnedBound
from stream.work.breaker import OPENS_AFTER, Breaker, Silence, State


class Gate:
    """See the module's words."""

    __slots__ = ("_milder_share", "_probing", "_random", "bound", "in_flight", "milder", "share", "silence")

    def __init__(self, most: int, now_s: float, random: Random, milder_share: float) -> None:
        """``milder_share``: the part of all calls that lanes milder than CRITICAL are promised, 0 to 1."""
        self._milder_share = milder_share
        self.bound = LearnedBound(most)
        self.silence = Silence(now_s)
        self.in_flight = 0
        self.milder = 0
        """Those of them that are not CRITICAL."""
        self.share = 1.0
        self._probing = 0
        """Calls in flight that left while their app's breaker was open."""
        self._random = random

    def set_share(self, share: float, now_s: float) -> None:
        """The part of all shards that this instance owns: probes are shared out by it, as limits are."""
        self.share = share
        self.silence.set_share(share, now_s)

    def least(self) -> Severity | None:
        """How severe a call must be at least to leave now; None: there is room for none. The last slot is kept for what
        is most severe, so that it need not wait for a call to come back, as long as milder calls have what is theirs:
        where many CRITICAL wait, each slot that comes free is the last one."""
        bound = int(self.bound.calls)
        if self.in_flight >= bound:
            return None
        is_kept = self.in_flight == bound - 1 > 0 and self.milder >= self._milder_share * bound
        return Severity.CRITICAL if is_kept else Severity.LOW

    @property
    def patience(self) -> int:
        """After how many failures in a row an app is sent no further but for probes: while nobody gets an answer, one
        is enough."""
        return min(OPENS_AFTER, self.bound.most) if self.silence.since_s is None else 1

    def admits(self, app: App, now_s: float) -> bool:
        """Whether a call of this app may leave, if there is room for one at all."""
        breaker = app.breaker
        if (breaker.in_a_row or breaker.state is not State.CLOSED) and not self._admits_beside(breaker, app.in_flight):
            return False
        if self.silence.in_a_row and not self._admits_in_silence(app, now_s):
            return False
        return app.wait_s(now_s) == 0.0

    def _admits_beside(self, breaker: Breaker, in_flight: int) -> bool:
        if breaker.state is State.OPEN and self._probing >= max(1, int(self.bound.calls) // 2):
            return False
        return breaker.admits(in_flight, self.patience)

    def _admits_in_silence(self, app: App, now_s: float) -> bool:
        """While nobody gets an answer, or seems not to: of an app that is not answered one call at a time."""
        silence = self.silence
        alone = silence.since_s is not None or (silence.suspected and app.breaker.in_a_row)
        return not (alone and app.in_flight) and silence.wait_s(now_s) == 0.0

    def wait_s(self, app: App, now_s: float) -> float | None:
        """How long until a call of this app may leave: 0 now or when one comes back, None: not by the passing of
        time."""
        wait_s = app.wait_s(now_s)
        return None if wait_s is None else max(wait_s, self.silence.wait_s(now_s))

    def leaves(self, app: App, devices: int, now_s: float, *, milder: bool = True) -> bool:
        """A call of so many devices leaves; ``milder``: than CRITICAL. True where it is a probe."""
        probe = app.breaker.state is State.OPEN
        app.leaves(devices, now_s)
        app.budget.leaves()
        app.in_flight += 1
        app.milder += milder
        self.in_flight += 1
        self.milder += milder
        if probe:
            app.breaker.leaves(now_s, self.share, self._random)
            self._probing += 1
        if self.silence.in_a_row:
            self.silence.leaves(now_s)
        return probe

    def comes_back(self, app: App, *, probe: bool, milder: bool = True) -> None:
        """A call is no longer under way, however it ended."""
        app.in_flight -= 1
        app.milder -= milder
        self.in_flight -= 1
        self.milder -= milder
        self._probing -= probe
