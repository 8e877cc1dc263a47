"""How many calls the gateway as a whole bears at once, learned from those that come to nothing. Pure.

Promised: it is lowered at most once a round trip, and raised at most once, and at most once a second; never more than
the settings allow, never less than an eighth of that (and four, where they allow four). Only timeouts, resets and
errors of the gateway's own lower it. How long answers take does not: a call of a thousand tokens takes longer than one
of one, and what matters of an overload shows as calls that fail. Not promised: to tell a gateway that bears no more
from one that fails a tenth of all calls for another reason; seen from here they are the same.
"""

from __future__ import annotations

from typing import Final

BACK: Final = 0.7
LEAST: Final = 4
"""Half of them for probes of apps that get nowhere, one kept for CRITICAL, and one for anybody."""
LEAST_SHARE: Final = 0.125
STEP_S: Final = 1.0
STEP: Final = 1.05
SURE_STEP: Final = 1.25
SURE_AFTER: Final = 5
"""After so many steps without a failure they become wide ones."""
TOLERATED: Final = 0.1
"""A share of the time of all calls in flight: as much may be lost."""
WEIGHT: Final = 1 / 64
"""Of the latest call in that share, if it took as long as those that are answered …"""
HEAVIEST: Final = 6.0
"""… and of one that took ten times as long (a timeout), at most this multiple: one alone changes nothing."""

QUICK_S: Final = 1.0
"""A call that is answered within this is quick."""


class LearnedBound:
    """Calls in flight, of all apps together."""

    __slots__ = ("_changed_s", "_least", "_lost", "_lowered_s", "_steps", "_usual_s", "calls", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.calls = float(most)
        self._least = max(min(LEAST, most), LEAST_SHARE * most)
        self._lost = 0.0
        """The share of their time that calls in flight spend on coming to nothing."""
        self._usual_s = 0.0
        """How long one takes that is answered: a mean of the latest."""
        self._steps = 0
        """Times that it was raised since a call failed."""
        self._changed_s = self._lowered_s = float("-inf")

    @property
    def is_quick(self) -> bool:
        """Whether answers have come, and come quickly: then a slot comes free at any moment, whoever has them all."""
        return 0.0 < self._usual_s < QUICK_S

    def of_one_app(self, most: int) -> int:
        """Calls of one app in flight, of at most so many: where few are allowed it leaves one place to the others, and
        the one that is kept for CRITICAL."""
        return most if self.calls >= self.most else min(most, max(1, int(self.calls) - 2))

    def failed(self, left_s: float, now_s: float) -> bool:
        """A call that left then came to nothing. True where that changes the bound."""
        if left_s < self._lowered_s:
            # It left before the bound was last lowered: one trouble, however many calls it hits, counts once.
            return False
        self._steps = 0
        weight = min(HEAVIEST, (now_s - left_s) / self._usual_s) if self._usual_s else 1.0
        self._lost += WEIGHT * max(1.0, weight) * (1.0 - self._lost)
        if self._lost <= TOLERATED:
            # Single failures happen, and a few in a hundred always fail somewhere: nothing that fewer calls would mend.
            return False
        # So much of what is under way comes to nothing: less of it, and look again with fresh eyes.
        self.calls, self._lost = max(self.calls * BACK, self._least), TOLERATED / 2
        self._changed_s = self._lowered_s = now_s
        return True

    def answered(self, left_s: float, now_s: float, in_flight: int) -> bool:
        """A call that left then was answered, with so many in flight, itself included. True where that changes the
        bound."""
        self._usual_s += (now_s - left_s - self._usual_s) * (WEIGHT if self._usual_s else 1.0)
        if left_s < self._lowered_s:
            # It left before the bound was last lowered: it says nothing of now.
            return False
        self._lost -= WEIGHT * self._lost
        if self.calls >= self.most or left_s < self._changed_s or now_s - self._changed_s < STEP_S:
            # All is allowed already; or it left before the bound was last raised; or that was a moment ago: unknown
            # ground is entered slowly, however quick the answers are.
            return False
        if in_flight < self.calls / 2:
            # So little was under way that nobody knows how more would fare.
            return False
        self._steps += 1
        self.calls = min(self.calls * (STEP if self._steps <= SURE_AFTER else SURE_STEP), self.most)
        self._changed_s = now_s
        return True
