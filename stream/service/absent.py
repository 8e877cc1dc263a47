"""Messages no send of which is known: they wait until NOT_FOUND may be said of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Final

from stream.work.condemned import Condemned

AGAIN_S: Final = 0.5


class Absent:
    """Whoever waits here comes out when its waiting time is over, counted from the latest of its violations."""

    def __init__(self, not_found_after_s: float) -> None:
        self._after_s = not_found_after_s
        self._turn = count()
        self._heaps: dict[int, list[tuple[float, int, Condemned]]] = {}
        """By shard."""
        self._waiting: set[Condemned] = set()

    def wait(self, it: Condemned) -> None:
        """Let it wait; once, however often it is said."""
        if it not in self._waiting:
            self._push(it, it.arrived_s + self._after_s)

    def again(self, it: Condemned, now_s: float) -> None:
        """It cannot be told now: ask again soon."""
        self._push(it, now_s + AGAIN_S)

    def _push(self, it: Condemned, due_s: float) -> None:
        self._waiting.add(it)
        heapq.heappush(self._heaps.setdefault(it.shard, []), (due_s, next(self._turn), it))

    def forget(self, shard: int) -> None:
        """Nothing of the shard waits any more."""
        self._waiting.difference_update(it for _, _, it in self._heaps.pop(shard, []))

    def due(self, shard: int, now_s: float) -> Iterator[Condemned]:
        """Those of a shard whose time is over; they wait no more."""
        heap = self._heaps.get(shard, [])
        while heap and heap[0][0] <= now_s:
            it = heapq.heappop(heap)[2]
            self._waiting.discard(it)
            if it.arrived_s + self._after_s > now_s:
                self.wait(it)  # another violation came meanwhile
            else:
                yield it
