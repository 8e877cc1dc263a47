"""By break, the few faults under which it must show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.failures.deaths import UNREACHABLE
from tests.failures.faults import TIMEOUTS_S, Strike
from tests.failures.plan import MESSAGES_PER_S, Plan

STOPS: Final = 5
"""A strike's seed by which an instance whose results are held is told to stop in the end."""
FOR_S: Final = 6.0


def _plan(*strikes: Strike) -> Plan:
    return Plan(0, FOR_S, "classic", ("a",), round(FOR_S * MESSAGES_PER_S), strikes, TIMEOUTS_S[-1])


SCHEDULES: Final[Mapping[str, Plan]] = {
    "range_before_data": _plan(Strike("killed: flushed", "a", 2.5, 3.0, 1)),
    "no_ledger": _plan(Strike("store lost", "a", 4.0, 0.5, 1)),
    "dropped_range": _plan(Strike("kill", "a", 3.5, 0.0, 1)),
    # Calls that answer when the shards have been let go for the guest.
    "no_fence": _plan(Strike("gateway late", "gateway", 0.5, 6.0, 1), Strike("join", "b", 1.0, 6.5, 1)),
    # A drain that ends with results undelivered.
    "settled_before_delivery": _plan(Strike(UNREACHABLE, "a", 2.0, 3.0, STOPS)),
}
