"""Devices per second, kept by a token bucket. Pure: the caller says what time it is."""

from __future__ import annotations

from typing import Final

DEPTH_S: Final = 0.05
"""How much of a second's devices may be saved up; one call more may leave on credit."""


class DeviceBucket:
    """A token bucket counted in devices (push tokens).

    Promised: in any window of ``t`` seconds at most ``rate * (t + 0.05)`` devices plus one call leave; a new bucket
    starts empty. A call leaves while anything is left and may take the bucket into debt, so its size does not matter
    to whether, only to when the next goes. A rate of 0 means no limit. Not promised: fairness; the lanes see to that.
    """

    __slots__ = ("_at_s", "_devices", "devices_per_s")

    def __init__(self, devices_per_s: float, now_s: float) -> None:
        self.devices_per_s = devices_per_s
        self._devices = -devices_per_s * DEPTH_S
        self._at_s = now_s

    def set_rate(self, devices_per_s: float, now_s: float) -> None:
        """A new share; what was saved up at the old rate is lost, a debt is kept."""
        self._refill(now_s)
        self.devices_per_s = devices_per_s
        self._devices = min(self._devices, 0.0)

    def wait_s(self, now_s: float) -> float:
        """How long until the next call may leave; 0 means now."""
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
        self._devices = min(grown, self.devices_per_s * DEPTH_S)
        self._at_s = max(now_s, self._at_s)


def largest_call(devices_per_s: float, limit: int) -> int:
    """The most devices one call may have: no more than one second of the share, at least one."""
    return limit if devices_per_s <= 0 else max(1, min(limit, int(devices_per_s)))
