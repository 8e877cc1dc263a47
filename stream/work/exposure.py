"""Devices whose call is planned and not ended, and for how long they have shown what they should not. Pure.

Promised: a few steps a parcel, none at a look, whatever waits; exact, since the sums are whole numbers. Not promised:
what is not planned yet, as most of a campaign, or is held: at least so many devices wait, and at least so long.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream.model import Severity
from stream.work.packing import Parcel


class Exposure:
    """By severity, the number of devices, and the sum of the times since when each could have been revoked."""

    __slots__ = ("_since_ms", "devices")

    def __init__(self) -> None:
        self.devices: dict[Severity, int] = dict.fromkeys(Severity, 0)
        self._since_ms: dict[Severity, int] = dict.fromkeys(Severity, 0)

    def came(self, parcel: Parcel, severity: Severity) -> None:
        """Its call is planned."""
        devices = len(parcel.tokens)
        self.devices[severity] += devices
        self._since_ms[severity] += devices * parcel.since_ms

    def went(self, parcel: Parcel, severity: Severity) -> None:
        """It has ended, or is taken back."""
        devices = len(parcel.tokens)
        self.devices[severity] -= devices
        self._since_ms[severity] -= devices * parcel.since_ms

    def device_s(self, now_ms: int) -> Mapping[Severity, float]:
        """Until now, of those that wait: device-seconds. Clocks that differ do not make it negative."""
        return {each: max(0, n * now_ms - self._since_ms[each]) / 1000 for each, n in self.devices.items()}
