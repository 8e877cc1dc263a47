"""Places are settled as soon as their result is on its way, not when Kafka has it."""

from __future__ import annotations

import contextlib
from itertools import count
from typing import Any

from stream.model import Fenced, StoreStalled, Topic
from stream.service.ledger import entries
from stream.service.outbox import Outbox, Written
from stream.state.keys import Stamp
from stream.state.shard import Shard

UNKNOWN_OFFSETS = count(1 << 40)


def spoil() -> None:
    """A result that never arrives is never written again."""
    produce, settled = Outbox._produce, set[str]()

    def marked(outbox: Outbox, written: Written, value: bytes) -> None:
        produce(outbox, written, value)
        if written.result.result_id not in settled:
            settled.add(written.result.result_id)
            _mark(outbox, written)

    Outbox._produce = marked  # type: ignore[method-assign,assignment]
    Outbox._mark_shard = _read  # type: ignore[method-assign,assignment]


def _mark(outbox: Outbox, written: Written) -> None:
    stamp = Stamp(next(UNKNOWN_OFFSETS), written.result.completed_at_ms)
    with contextlib.suppress(Fenced, StoreStalled):
        written.shard.add(Topic.RESULTS, (), entries(written.shard, written.result, stamp, outbox._dry))
        outbox._settled(written)


def _read(_: Outbox, shard: Shard, some: list[tuple[Written, Any]]) -> None:
    shard.add(Topic.RESULTS, [(stamp.offset, stamp.offset + 1) for _, stamp in some])
