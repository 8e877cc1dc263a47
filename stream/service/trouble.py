"""Something that is tried again and again: since when it has come to nothing, and why. Pure."""

from __future__ import annotations

from typing import Final

LASTING_S: Final = 5.0
"""What is over sooner is nobody's business: a broker's failover, a full queue."""


class Trouble:
    """One kind of work. ``met`` at each failure, ``over`` at each success."""

    __slots__ = ("_since_s", "_why")

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._why = ""

    def met(self, why: str, now_s: float) -> None:
        """It has failed once more."""
        self._since_s = now_s if self._since_s is None else self._since_s
        self._why = why

    def over(self) -> None:
        """It has succeeded."""
        self._since_s = None

    def lasting(self, now_s: float) -> str | None:
        """For people, once it has lasted: ``for 42 s: why``."""
        if self._since_s is None or now_s - self._since_s < LASTING_S:
            return None
        return f"for {now_s - self._since_s:.0f} s: {self._why}"
