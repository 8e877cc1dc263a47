"""When to try again: by due time, with full jitter. Pure, but for the random source it is given."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import Final, Generic, TypeVar

T = TypeVar("T")

SHORTEST_S: Final = 0.05


def backoff_s(attempts: int, first_s: float, longest_s: float, retry_after_s: float | None, random: Random) -> float:
    """How long to wait after so many attempts: uniform up to a bound that begins at ``first_s`` and doubles up to
    ``longest_s``; never less than the gateway asked for (``retry_after_s``).

    Full jitter, since callers that failed together must not come back together. Source for the shape:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    bound_s = min(longest_s, first_s * 2.0 ** min(max(attempts - 1, 0), 16))
    wait_s = random.uniform(min(SHORTEST_S, bound_s), bound_s)
    return wait_s if retry_after_s is None else retry_after_s + min(wait_s, 1.0)


class Due(Generic[T]):
    """Things that wait for their time, soonest first."""

    __slots__ = ("_heap", "_turn")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._turn = count()

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[T]:
        return (thing for _, _, thing in self._heap)

    def put(self, thing: T, due_s: float) -> None:
        """Keep until ``due_s``."""
        heapq.heappush(self._heap, (due_s, next(self._turn), thing))

    def take(self, now_s: float) -> list[T]:
        """All whose time has come."""
        ready = []
        while self._heap and self._heap[0][0] <= now_s:
            ready.append(heapq.heappop(self._heap)[2])
        return ready

    def next_s(self) -> float | None:
        """When the soonest is due."""
        return self._heap[0][0] if self._heap else None

    def keep(self, wanted: Callable[[T], bool]) -> list[T]:
        """Drop what ``wanted(thing)`` refuses; what was dropped."""
        dropped = [entry[2] for entry in self._heap if not wanted(entry[2])]
        if dropped:
            self._heap = [entry for entry in self._heap if wanted(entry[2])]
            heapq.heapify(self._heap)
        return dropped
