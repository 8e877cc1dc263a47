"""Devices per second: the buckets that lead to 503, and the peaks that were seen.

Promised: no more than the depth plus the rate times the time passes. Not promised: Push Kit's own window, which no page
describes; it says only that the unit is devices, per app and for the whole system, and the answer 503.
Source: harmonyos-references/push-msg-freq-control.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from stream.pushkit.simulator.faults import AppFaults, Faults

_SECOND_NS: Final = 1_000_000_000
_SYSTEM: Final = ""


class Bucket:
    """A token bucket that starts full; its rate may change at any moment. Times are monotonic nanoseconds."""

    __slots__ = ("_level", "_at_ns", "_rate", "_depth")

    def __init__(self, per_s: float, depth: float, now_ns: int) -> None:
        self._rate, self._depth, self._level, self._at_ns = per_s, depth, depth, now_ns

    def reset_if_changed(self, per_s: float, depth: float, now_ns: int) -> None:
        """Take on another rate and depth; starts full again if they are new."""
        if (per_s, depth) != (self._rate, self._depth):
            self._rate, self._depth, self._level, self._at_ns = per_s, depth, depth, now_ns

    def holds(self, devices: int, now_ns: int) -> bool:
        """Whether so many devices may pass now; takes nothing."""
        filled = self._level + (now_ns - self._at_ns) * self._rate / _SECOND_NS
        self._level, self._at_ns = min(self._depth, filled), now_ns
        return self._level >= devices

    def take(self, devices: int) -> None:
        """Use them up, into debt if need be."""
        self._level -= devices


class Rates:
    """The buckets of all apps and of the system."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def admit(self, faults: Faults, client_id: str, devices: int, now_ns: int) -> bool:
        """Whether a call of so many devices passes both buckets; draws from them only if it does."""
        buckets = self._limiting(faults, client_id, now_ns)
        if not all(bucket.holds(devices, now_ns) for bucket in buckets):
            return False
        for bucket in buckets:
            bucket.take(devices)
        return True

    def draw(self, faults: Faults, client_id: str, devices: int, now_ns: int) -> None:
        """Use up what a send uses up; never refused here."""
        for bucket in self._limiting(faults, client_id, now_ns):
            bucket.holds(0, now_ns)
            bucket.take(devices)

    def _limiting(self, faults: Faults, client_id: str, now_ns: int) -> list[Bucket]:
        buckets = []
        app_faults = faults.of(client_id)
        if app_faults.devices_per_s:
            buckets.append(self._bucket(client_id, app_faults.devices_per_s, _depth(app_faults), now_ns))
        if faults.system_devices_per_s:
            buckets.append(self._bucket(_SYSTEM, faults.system_devices_per_s, faults.system_devices_per_s, now_ns))
        return buckets

    def _bucket(self, name: str, per_s: float, depth: float, now_ns: int) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(per_s, depth, now_ns)
        else:
            bucket.reset_if_changed(per_s, depth, now_ns)
        return bucket


class Peak:
    """The most devices in any second that ends with a call; exact, over a sliding second."""

    __slots__ = ("_recent", "_sum", "highest")

    def __init__(self) -> None:
        self._recent: deque[tuple[int, int]] = deque()
        self._sum = 0
        self.highest = 0

    def add(self, devices: int, now_ns: int) -> None:
        """Count devices at ``now_ns`` (monotonic, never going back)."""
        self._recent.append((now_ns, devices))
        self._sum += devices
        while self._recent[0][0] <= now_ns - _SECOND_NS:
            self._sum -= self._recent.popleft()[1]
        self.highest = max(self.highest, self._sum)


def _depth(app_faults: AppFaults) -> float:
    return app_faults.burst_devices or app_faults.devices_per_s
