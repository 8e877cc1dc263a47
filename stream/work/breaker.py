"""When calls get nowhere: few of them, one after another, until one is answered; then more, in steps. Pure.

An *answer* is whatever the gateway says deliberately, flow control and refusals included; a *failure* is a timeout, a
reset, an error of the gateway's own. Promised: while an app's breaker is open it has one call under way at the most,
and no two leave within ``PROBE_FIRST_S``; while nobody gets an answer all apps together make ``IN_ALL_PER_S``. Not
promised: that the first calls of an outage are few; who cannot know yet makes as many as the bound in flight allows.
"""

from __future__ import annotations

from enum import Enum
from random import Random
from typing import Final

from stream.work.limits import DeviceBucket

OPENS_AFTER: Final = 16
"""Failures of one app in a row, or as many as may be under way at once where those are fewer: where every second call
fails, that hardly ever happens."""
FAILS_AGAIN_AFTER: Final = 6
"""… and while it opens the way again."""
SILENT_AFTER: Final = 32
"""Failures in a row of all apps together: then nobody gets an answer, and one failure opens an app's breaker."""
SUSPECTS_AFTER: Final = 8
"""… and so many: then calls leave one after another, as in silence, until one of them is answered."""
PROBE_FIRST_S: Final = 0.6
"""At most two calls a second of one app, whatever window one looks at."""
PROBE_LONGEST_S: Final = 5.0
"""The longest that an outage's end goes unnoticed, by up to eight instances; of more each has its turn later."""
IN_ALL_PER_S: Final = 8.0
"""Below ten, so that no window of a second has more than that."""
DOUBTFUL_PER_S: Final = 1.0
"""An instance with a small share makes at least so many while it only suspects an outage: a few failures in a row
happen without one, and no CRITICAL call must wait long to show it."""
WIDE: Final = 16
"""An app with room for so many calls again has its way open: from there on the bound in flight does."""


class State(Enum):
    """What goes on in each."""

    CLOSED = "closed"
    """Calls leave as limits let them."""
    OPEN = "open"
    """One call at a time, ever more seldom."""
    OPENING = "opening"
    """One was answered: with each answer there is room for one more."""


def probe_wait_s(attempt: int, share: float, random: Random) -> float:
    """How long until the next probe after so many that failed, at random from half of it: probes of apps and of
    instances do not keep step. ``share``: this instance's part of all. The others probe too, so what all may make
    together is shared out; how seldom they have become is not, since none hears of another's answers."""
    bound_s = min(PROBE_LONGEST_S, PROBE_FIRST_S * 2.0 ** min(attempt, 10))
    return max(PROBE_FIRST_S / max(share, 0.01), random.uniform(bound_s / 2, bound_s))


class Breaker:
    """One app's."""

    __slots__ = ("_answered_s", "_asked_s", "_probes", "_since_s", "in_a_row", "probe_at_s", "room", "state")

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.probe_at_s = 0.0
        """No call leaves before, while it is open."""
        self.room = 0
        """Calls under way that there is room for while the way opens."""
        self.in_a_row = 0
        """Failures since the last answer, of calls that left after it."""
        self._probes = 0
        self._since_s = self._answered_s = self._asked_s = float("-inf")

    @property
    def since_s(self) -> float:
        """Since when it is in this state."""
        return self._since_s

    def admits(self, in_flight: int, patience: int) -> bool:
        """Whether there is room for one more beside so many of this app; ``patience``: so many failures in a row open
        it."""
        if self.state is State.CLOSED:
            # One has failed, and what is under way is enough to tell how the app fares: that is waited for. Else each
            # of fifty calls that time out at once would send another after it, until enough of them had.
            return not (self.in_a_row and in_flight) or self.in_a_row + in_flight < patience
        return in_flight < (1 if self.state is State.OPEN else self.room)

    def leaves(self, now_s: float, share: float, random: Random) -> None:
        """A probe leaves, and the next one's time is set."""
        self.probe_at_s = now_s + probe_wait_s(self._probes, share, random)
        self._probes += 1

    def failed(self, left_s: float, now_s: float, patience: int) -> bool:
        """A call that left then failed; ``patience``: so many in a row are enough. True where that opens it."""
        if self.state is State.OPEN or left_s < self._answered_s:
            # Open already; or it left before another was answered: some fail, but the app does get somewhere.
            return False
        self.in_a_row += 1
        self.room = max(1, self.room // 2)
        if self.in_a_row < (patience if self.state is State.CLOSED else min(patience, FAILS_AGAIN_AFTER)):
            # Single failures happen: those calls are tried again, and the app goes on.
            return False
        self._turn(State.OPEN, now_s)
        self._probes, self.probe_at_s = 0, now_s + PROBE_FIRST_S
        return True

    def answered(self, now_s: float) -> bool:
        """A call was answered. True where that ends its being open."""
        self.in_a_row, self._answered_s = 0, now_s
        if self.state is State.OPEN:
            # The gateway is there again for this app; but all that waits at once might be too much for it.
            self._turn(State.OPENING, now_s)
            self.room = 2
            return True
        if self.state is State.OPENING:
            self.room += 1
            if self.room >= WIDE:
                self._turn(State.CLOSED, now_s)
        return False

    def _turn(self, state: State, now_s: float) -> None:
        self.state, self._since_s, self.in_a_row = state, now_s, 0

    def not_before(self, at_s: float) -> None:
        """What the gateway asked for (Retry-After) counts for probes too."""
        self._asked_s = max(self._asked_s, at_s)
        self.probe_at_s = max(self.probe_at_s, at_s)

    def soon(self, at_s: float) -> None:
        """Somebody else got an answer: the next probe need not wait longer than until then, but for what was asked."""
        self.probe_at_s = min(self.probe_at_s, max(at_s, self._asked_s))


class Silence:
    """Whether anybody gets an answer, and how few calls leave while nobody does."""

    __slots__ = ("_answered_s", "_doubtful", "_silent", "in_a_row", "since_s")

    def __init__(self, now_s: float) -> None:
        self.in_a_row = 0
        """Failures since anybody was answered, of calls that left after it."""
        self._answered_s = float("-inf")
        self._silent = DeviceBucket(IN_ALL_PER_S, now_s)
        self._doubtful = DeviceBucket(IN_ALL_PER_S, now_s)
        self.since_s: float | None = None
        """Since when nobody gets an answer; None: somebody does."""

    def set_share(self, share: float, now_s: float) -> None:
        """This instance's part of all calls."""
        self._silent.set_rate(IN_ALL_PER_S * max(share, 0.01), now_s)
        self._doubtful.set_rate(max(IN_ALL_PER_S * share, DOUBTFUL_PER_S), now_s)

    @property
    def suspected(self) -> bool:
        """Whether so many calls failed in a row that it may have begun: few leave."""
        return self.in_a_row >= SUSPECTS_AFTER

    def wait_s(self, now_s: float) -> float:
        """How long until a call of anybody may leave."""
        return self._bucket.wait_s(now_s) if self.suspected else 0.0

    @property
    def _bucket(self) -> DeviceBucket:
        return self._doubtful if self.since_s is None else self._silent

    def leaves(self, now_s: float) -> None:
        """A call leaves."""
        if self.suspected:
            self._bucket.take(1, now_s)

    def failed(self, left_s: float, now_s: float) -> bool:
        """A call that left then failed. True where nobody gets an answer from now on."""
        self.in_a_row += left_s >= self._answered_s  # else somebody was answered since it left
        if self.in_a_row < SILENT_AFTER or self.since_s is not None:
            return False
        self.since_s = now_s
        return True

    def answered(self, now_s: float) -> bool:
        """A call was answered. True where that ends it."""
        ended = self.since_s is not None
        self.since_s, self.in_a_row, self._answered_s = None, 0, now_s
        return ended
