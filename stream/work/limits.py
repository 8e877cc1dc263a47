"""Devices per second, kept by a token bucket, and shared by several instances. Pure: the caller says what time it is.

What one bucket may be *ahead* of its rate is a twentieth of a second and one call. Several that hold shares of one
limit may together be no more ahead than one that holds all of it: so each may be ahead by its share of that, its calls
are smaller where they must be, and whoever is given more begins with the call of it in debt, since whoever had it
before may have made that call a moment ago. Where there is room beside the call, only half of it is used: Push Kit
counts what arrives, and the way there, or a busy machine, pushes together what left apart.
"""

from __future__ import annotations

from math import inf
from typing import Final

from stream.model import MAX_CALL_TOKENS

AHEAD_S: Final = 0.05
"""How much of a second's devices, beside one call, may be ahead of the rate."""
DEPTH_S: Final = 0.025
"""How much of them may be saved up, at the most; the rest is for the way."""
LEAST_DEPTH_S: Final = 0.02
"""So much is saved up however small the share: a timer that is late loses nothing."""


class DeviceBucket:
    """A token bucket counted in devices (push tokens): this instance's share of a limit.

    Promised: in any window of ``t`` seconds all buckets of one limit, whose shares are at no time more than the whole,
    let through at most ``limit * (t + 0.05)`` devices, one call of the whole, and one device each. A call leaves while
    anything is left and may take the bucket into debt, so its size does not matter to whether, only to when the next
    goes. A rate of 0 means no limit, a share of 0 no call. Not promised: fairness; the lanes see to that; nor anything
    of calls larger than ``largest_call``.
    """

    __slots__ = ("_at_s", "_depth", "_devices", "_on_credit", "devices_per_s", "share")

    def __init__(self, devices_per_s: float, now_s: float, share: float = 1.0) -> None:
        """``devices_per_s``: this share's rate; ``share``: the part of the limit that it is, since ``now_s``."""
        self._devices = self._on_credit = self._depth = 0.0
        self._at_s = now_s
        self._set(devices_per_s, share)

    def set_rate(self, devices_per_s: float, now_s: float, share: float = 1.0) -> None:
        """Another share: what was saved up is lost, what is new begins in debt, and of a debt for a call on credit
        a smaller share keeps its part: whoever is given the rest begins in debt for that."""
        self._refill(now_s)
        self._set(devices_per_s, share)

    def follow(self, devices_per_s: float, now_s: float) -> None:
        """Another rate that is promised to nobody else, as it is learned: what was saved up is kept, as far as it may
        be, and so is a debt."""
        self._refill(now_s)
        self.devices_per_s = devices_per_s
        self._on_credit, self._depth = _ahead(devices_per_s, self.share)
        self._devices = min(self._devices, self._depth)

    def _set(self, devices_per_s: float, share: float) -> None:
        before, debt = self._on_credit, max(0.0, -self._devices)
        self.devices_per_s, self.share = devices_per_s, share
        self._on_credit, self._depth = _ahead(devices_per_s, share)
        if self._on_credit < before:
            debt -= min(debt, before) * (1.0 - self._on_credit / before)
        self._devices = -debt - max(0.0, self._on_credit - before)

    @property
    def largest_call(self) -> int:
        """The most devices one call may have: no more than one second of the share, at least one."""
        return MAX_CALL_TOKENS if self.devices_per_s <= 0 else max(1, int(self._on_credit))

    def wait_s(self, now_s: float) -> float:
        """How long until the next call may leave; 0 means now, infinite: not with this share."""
        if self.share <= 0:
            return inf
        if self.devices_per_s <= 0:
            return 0.0
        self._refill(now_s)
        return max(0.0, -self._devices / self.devices_per_s)

    def take(self, devices: int, now_s: float) -> None:
        """A call leaves; ask ``wait_s`` first."""
        if self.devices_per_s > 0:
            self._refill(now_s)
            self._devices -= devices

    def _refill(self, now_s: float) -> None:
        grown = self._devices + max(0.0, now_s - self._at_s) * self.devices_per_s
        self._devices = min(grown, self._depth)
        self._at_s = max(now_s, self._at_s)


def _ahead(devices_per_s: float, share: float) -> tuple[float, float]:
    """How many devices a share may be ahead: by one call on credit, and saved up. Together the share's part of what the
    whole may be ahead, the call first."""
    if devices_per_s <= 0 or share <= 0:
        return 0.0, 0.0
    whole = min(float(MAX_CALL_TOKENS), devices_per_s / share)
    both = AHEAD_S * devices_per_s + whole * share
    on_credit = min(whole, devices_per_s, both - LEAST_DEPTH_S * devices_per_s)
    return on_credit, min(DEPTH_S * devices_per_s, both - on_credit)
