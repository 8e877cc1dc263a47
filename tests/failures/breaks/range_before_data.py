"""The range of sends that were read is advanced before their data: these are stored a moment later."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from typing import Any

from stream.model import Topic, UnpushError
from stream.state.shard import Shard

LATER_S = 0.3


def spoil() -> None:
    """A crash, or a violation that scans meanwhile, does not find them."""
    add = Shard.add

    def advanced(
        shard: Shard,
        topic: Topic,
        spans: Iterable[tuple[int, int]],
        puts: Iterable[Any] = (),
        parts: Iterable[Any] = (),
    ) -> int:
        if topic is not Topic.SENDS:
            return add(shard, topic, spans, puts, parts)
        late = threading.Timer(LATER_S, _store, (add, shard, list(puts), list(parts)))
        late.daemon = True
        late.start()
        return add(shard, topic, spans)

    Shard.add = advanced  # type: ignore[method-assign,assignment]


def _store(add: Any, shard: Shard, puts: list[Any], parts: list[Any]) -> None:
    with contextlib.suppress(UnpushError):
        add(shard, Topic.SENDS, (), puts, parts)
