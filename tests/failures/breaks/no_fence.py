"""The fence is ignored: a shard that has left is written for, and what is called for it counts."""

from __future__ import annotations

from stream.service.arrivals import Arrivals
from stream.state.shard import Shard


def spoil() -> None:
    """Two owners at once, and results of both."""
    Shard.fence = lambda _: None  # type: ignore[method-assign,assignment]
    Arrivals._forget = lambda *_: None  # type: ignore[method-assign]
