"""How fast something becomes less. Pure.

Promised: what comes on top (a place that begins, or turns out larger) slows nothing down. Not promised: the future.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from typing import Final

WINDOW_S: Final = 30.0
"""Long enough for chunks of very different sizes, short enough to show a change."""


class Progress:
    """What is left of each place, looked at now and then; ``now_s`` is monotonic."""

    def __init__(self) -> None:
        self._left: Mapping[Hashable, int] = {}
        self._done = 0
        self._looks: deque[tuple[float, int]] = deque()
        """When, and how much had been done by then."""

    def look(self, left: Mapping[Hashable, int], now_s: float) -> None:
        """Count what has become less since the last look; a place that is no longer named has gone, not been done."""
        self._done += sum(max(0, self._left.get(place, 0) - count) for place, count in left.items())
        self._left = dict(left)
        self._looks.append((now_s, self._done))
        while len(self._looks) > 2 and now_s - self._looks[1][0] >= WINDOW_S:
            self._looks.popleft()

    @property
    def remaining(self) -> int:
        """What was left at the last look."""
        return sum(self._left.values())

    @property
    def per_s(self) -> float:
        """So much becomes less a second, by the last half minute; 0 before the second look."""
        if len(self._looks) < 2:
            return 0.0
        (first_s, before), (last_s, after) = self._looks[0], self._looks[-1]
        return (after - before) / (last_s - first_s) if last_s > first_s else 0.0
