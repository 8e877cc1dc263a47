"""How much the benchmark does. All numbers are of one round where not said otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """Large enough that the service's start does not show; ``QUICK`` only shows that all of it runs."""

    rounds: int = 3
    small_sends: int = 2_000_000
    """(a) of one token."""
    large_sends: int = 10_000
    """(a) of a thousand tokens, 112 kB each."""
    small_calls: int = 20_000
    """(b) of one token."""
    large_calls: int = 3_000
    """(b) of a thousand tokens."""
    campaign_sends: int = 10_000
    """(b) of one token, one notifyId."""
    idle_violations: int = 300
    """(c)"""
    burst_sends: int = 1_000_000
    """(c) while these are produced and stored."""
    held_sends: int = 1_000_000
    """(d) a step."""
    held_steps: int = 3
    """(d) in all, not a round."""
    lost_sends: int = 1_000_000
    """(e)"""
    lost_violations: int = 20
    """(e)"""


FULL: Final = Sizes()

QUICK: Final = Sizes(
    rounds=1,
    small_sends=300_000,
    large_sends=1_500,
    small_calls=4_000,
    large_calls=500,
    campaign_sends=10_000,
    idle_violations=60,
    burst_sends=200_000,
    held_sends=200_000,
    held_steps=2,
    lost_sends=200_000,
)
