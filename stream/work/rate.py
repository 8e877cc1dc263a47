"""How many devices a second Push Kit takes of one app, learned from what it refuses. Pure.

Promised: it is lowered at most once a round trip, and raised at most once, since a call that left before says nothing
of what was changed since (but what was too much before a rise is too much after it); only flow control lowers it, and
only accepted calls raise it. Not promised: the quota itself; nobody tells it, so now and then a little more is tried,
and refused. Each branch says why it is there; docs/limits.md draws what they do.
"""

from __future__ import annotations

from math import exp
from typing import Final

from stream.work.chance import Chance

LEAST_PER_S: Final = 10.0
"""No app's rate is learned to be less: there a call has one device, and one that is refused costs a wait."""
BACK: Final = 0.85
"""What is left of a rate that was too much."""
LEVEL_S: Final = 15.0
"""How long it takes back to what was last too much: growth is flat there, and steep before and behind it."""
STEP: Final = 1.5
STEP_S: Final = 0.2
"""Far below what was ever too much the rate grows by such steps, at most so often."""
FORGET: Final = 16.0
"""A rate that has grown to so many times what was too much holds nothing back that is known."""
MOST_PER_S: Final = 1e6
MEASURED_S: Final = 1.0
CALLS_PER_S: Final = 8
"""At a learned rate a second has at least so many calls: one that is refused costs little, and tells more exactly."""
SIZES: Final = (1_000, 500, 250, 125, 62, 31, 15, 7, 3, 1)
"""Calls are made smaller by halves: what was packed for one size is cut in two, not into one and a bit."""


class Measured:
    """Devices a second lately: a mean in which what is a second old counts 37 %."""

    __slots__ = ("_at_s", "_devices")

    def __init__(self, now_s: float) -> None:
        self._devices, self._at_s = 0.0, now_s

    def add(self, devices: int, now_s: float) -> None:
        """So many more."""
        self._devices = self.per_s(now_s) * MEASURED_S + devices
        self._at_s = max(now_s, self._at_s)

    def per_s(self, now_s: float) -> float:
        """The mean at this time. It is never above what one second has seen and what was saved up for it."""
        return self._devices * exp(-max(0.0, now_s - self._at_s) / MEASURED_S) / MEASURED_S


class LearnedRate:
    """See the module's words. ``devices_per_s`` 0: nothing is learned, no limit."""

    __slots__ = (
        "_accepted",
        "_asked",
        "_barren",
        "_chance",
        "_changed_s",
        "_level_s",
        "_lowered_s",
        "_share",
        "ceiling",
        "devices_per_s",
    )

    def __init__(self, now_s: float, share: float = 1.0) -> None:
        """``share``: this instance's part of the shards."""
        self.devices_per_s = 0.0
        self.ceiling = 0.0
        """What was last too much, as far as it got through; 0: not known."""
        self._barren = 0
        """Refusals in a row, a round trip apart, with nothing accepted between."""
        self._chance = Chance()
        self._accepted, self._asked = Measured(now_s), Measured(now_s)
        self._changed_s = self._level_s = self._lowered_s = now_s
        self._share = share

    @property
    def largest_call(self) -> int:
        """Devices in one call, at most."""
        most = self.devices_per_s / CALLS_PER_S
        return next((size for size in SIZES if size <= most), 1) if self.devices_per_s else SIZES[0]

    @property
    def barren_beyond(self) -> int | None:
        """How many more refusals have come in a row, nothing accepted between, than it takes to know that nothing gets
        through at whatever speed; None: fewer."""
        after = self._chance.barren_after
        return self._barren - after if self._barren >= after else None

    def refused(self, devices: int, left_s: float, now_s: float) -> bool:
        """Flow control for a call of so many devices that left then. True where that changes the rate."""
        self._asked.add(devices, now_s)
        self._chance.heard(refused=True)
        if left_s < self._lowered_s:
            # It left before the rate was last lowered: it was too fast for one that is given up already.
            return False
        self._barren += 1
        if self._chance.explains and self.barren_beyond is None:
            # As many are refused at any rate: going more slowly would help nobody.
            return False
        self.devices_per_s = min(max(self._lowered(devices, now_s), LEAST_PER_S), MOST_PER_S)
        if self._barren == 1:
            self.devices_per_s, self.ceiling = self._chance.lowered((self.devices_per_s, self.ceiling), now_s)
        self._changed_s = self._level_s = self._lowered_s = now_s
        return True

    def _lowered(self, devices: int, now_s: float) -> float:
        # Of what gets through at a quota, chance takes its part first.
        measured, rate = self._accepted.per_s(now_s) / (1 - self._chance.expected), self.devices_per_s
        if not rate:
            # The first refusal. What got through in the last second is the best guess: the quota, and what had been
            # saved up of it. Whether that was the quota or all that we had to send, only the next refusal tells.
            return BACK * max(measured, devices)
        if self.barren_beyond is not None:
            # Nothing gets through at whatever speed: the quota is used up by others (the app's own sends, say), or the
            # whole of Push Kit is overloaded. The ceiling stays, so that the way back is short; the caller waits too.
            return rate / 2
        if self._asked.per_s(now_s) < rate / 2:
            # We were not using it, so it was not us who went too fast; but who adds little, gives way as well.
            return BACK * rate
        # We were using it, so this is the quota as it is now, and what got through is its measure.
        if self._barren == 1:
            got = min(measured, rate)
            # Less than last time: somebody else wants his part. Give him room before we grow again.
            self.ceiling = got * (1 + BACK) / 2 if got < self.ceiling else got
        return BACK * min(measured, rate)

    def accepted(self, devices: int, left_s: float, now_s: float) -> bool:
        """A call of so many devices was accepted that left then. True where that changes the rate."""
        self._accepted.add(devices, now_s)
        self._chance.heard(refused=False)
        if not self.devices_per_s:
            self._barren = 0
            return False
        self._asked.add(devices, now_s)
        if left_s >= self._lowered_s:
            self._barren = 0
        if left_s < self._changed_s:
            # It got through before the last change: no proof that the present rate does.
            return False
        before = self.devices_per_s
        self._grow(now_s)
        return self.devices_per_s != before

    def _grow(self, now_s: float) -> None:
        rate, level = self.devices_per_s, BACK * self.ceiling
        if not self.ceiling or rate < level:
            # Far below what was too much, or that is not known: by steps, each once the one before has got through.
            if now_s - self._changed_s < STEP_S:
                return
            rate = min(rate * STEP, level or MOST_PER_S)
            self._level_s = now_s
        else:
            # Near it: quickly at first, hardly at all where it was too much, then ever more quickly, since a quota
            # that has grown is nowhere near. In parts of the ceiling, so that small apps and large ones take as long.
            away = (now_s - self._level_s - LEVEL_S) / LEVEL_S
            rate = max(rate, self.ceiling * (1 + (1 - BACK) * away**3))
        self.devices_per_s, self._changed_s = rate, now_s
        if rate >= min(MOST_PER_S, FORGET * self.ceiling or MOST_PER_S):
            # So much more than what was once refused gets through that this holds nothing back: forget it.
            self.devices_per_s = self.ceiling = 0.0

    def move_to(self, share: float) -> None:
        """This instance's part of the shards has changed, and with it its part of what was learned. While it has none
        nothing changes: it may have them all again in a moment."""
        if share <= 0:
            return
        if self._share > 0:
            factor = share / self._share
            self.devices_per_s *= factor
            self.ceiling *= factor
            self._chance.scale(factor)
        self._share = share
