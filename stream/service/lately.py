"""The latest results, and how long the latest calls took: what a person wants to see first.

Promised: a result costs two appends, and what is kept is bounded: results are kept as they are, not copied. Not
promised: anything from before this process.
"""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import Final, NamedTuple

from stream.model import RevokeResult, Severity

RESULTS_KEPT: Final = 30
"""At worst of 900 kB each, where nothing but rejected tokens came back."""
WAITS_KEPT: Final = 500
"""Of each severity: enough for a 99th percentile, and sorted in a tenth of a millisecond."""


class Waits(NamedTuple):
    """Time from violation to revoked, of the latest calls that were accepted."""

    calls: int
    p50_s: float
    p99_s: float
    last_ms: int
    """When the last of them was accepted."""


class Lately:
    """See the module's words. On the event loop."""

    def __init__(self) -> None:
        self.results: deque[tuple[RevokeResult, float | None]] = deque(maxlen=RESULTS_KEPT)
        """The latest last, each with the time from violation to revoked; None: nothing was."""
        self._waits = {severity: deque[float](maxlen=WAITS_KEPT) for severity in Severity}
        self._last_ms = dict.fromkeys(Severity, 0)

    def settled(self, result: RevokeResult, took_s: float | None) -> None:
        """A result was delivered; ``took_s``: None where it is not of an accepted call, not below 0."""
        self.results.append((result, took_s))
        if took_s is not None:
            self._waits[result.severity].append(took_s)
            self._last_ms[result.severity] = result.completed_at_ms

    def waits(self, severity: Severity) -> Waits | None:
        """None: no call was accepted."""
        took_s = sorted(self._waits[severity])
        if not took_s:
            return None
        return Waits(len(took_s), _rank(took_s, 0.5), _rank(took_s, 0.99), self._last_ms[severity])


def _rank(ordered: list[float], share: float) -> float:
    """The smallest that so large a share does not exceed."""
    return ordered[ceil(share * len(ordered)) - 1]
