"""Refusals that come by chance: as often whatever the rate, as from a Push Kit that is overloaded as a whole. Pure.

A quota that is met is met at one rate: what was let through then is let through afterwards. So where a rate is lowered
again and again, soon after each other, and calls get through all the while, speed is not what is wrong, and going more
slowly is no help to anybody.

Promised: what comes by chance is told after ``SAME_AFTER`` lowerings, each no later than ``SOON_S`` after the one
before, and expected from then on, until it has become rarer or more frequent. Not promised: anything of chance beyond
``MOST``, which is met like a quota; and where there is a quota as well, that it is noticed before more is refused.
"""

from __future__ import annotations

from math import ceil, log
from typing import Final

SAME_AFTER: Final = 5
"""A quota that has become smaller takes one or two, others that learn it at the same time one more."""
SOON_S: Final = 10.0
"""After a quota was met the rate takes longer to come near it again (``rate.LEVEL_S``)."""
MOST: Final = 0.6
MEMORY: Final = 128
"""Calls: as many, and of what was once the share of refusals a third is left in the mean."""
BARREN_AFTER: Final = 3
"""So many refusals in a row, a round trip apart, with nothing accepted between: nothing gets through at any speed."""
SLACK: Final = 0.15
"""So much more often may be refused what comes by chance; where there is a quota besides, it is passed by no more."""
_UNLIKELY: Final = -14.0
"""One in a million, as a logarithm: an app may make a hundred calls a second."""

Rate = tuple[float, float]
"""A rate, and what was last too much."""


class Chance:
    """See the module's words. ``expected`` 0: each refusal is taken for a matter of speed."""

    __slots__ = ("_calls", "_from", "_lowered_s", "_refused", "_share", "_times", "expected")

    def __init__(self) -> None:
        self.expected = 0.0
        """The share of calls that are refused by chance."""
        self._share = 0.0
        self._from: Rate = (0.0, 0.0)
        self._lowered_s = float("-inf")
        self._times = self._calls = self._refused = 0

    def heard(self, *, refused: bool) -> None:
        """A call was refused, or accepted."""
        self._calls += 1
        self._refused += refused
        self._share += (refused - self._share) / MEMORY
        if self._share < self.expected / 4:
            self.expected = 0.0

    @property
    def explains(self) -> bool:
        """Whether refusals are no more frequent than expected."""
        return self.expected > 0.0 and self._share <= min(1.5 * self.expected + 0.05, self.expected + SLACK)

    @property
    def barren_after(self) -> int:
        """So many refusals in a row are more than chance."""
        return max(BARREN_AFTER, ceil(_UNLIKELY / log(self.expected))) if self.expected else BARREN_AFTER

    def lowered(self, now: Rate, now_s: float) -> Rate:
        """Calls got through, one was refused, and this is what the rate was lowered to. What it is to be instead: the
        same, or what the first of so many lowerings would have come to without what comes by chance."""
        self.expected = 0.0
        if now_s > self._lowered_s + SOON_S:
            self._from = now
            self._times = self._calls = self._refused = 0
        self._times += 1
        self._lowered_s = now_s
        if self._times < SAME_AFTER:
            return now
        self._lowered_s = float("-inf")
        share = self._refused / max(1, self._calls)
        if share > MOST:
            return now
        self.expected = self._share = share
        return self._from[0] / (1 - share), self._from[1] / (1 - share)

    def scale(self, factor: float) -> None:
        """Rates are another part of the whole from now on."""
        self._from = self._from[0] * factor, self._from[1] * factor
