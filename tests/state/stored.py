"""Shards and what is put into them, for the tests of the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stream.model import Topic
from stream.state import keys
from stream.state.index import parts
from stream.state.packs import Batch, sends_as_puts
from stream.state.shard import Shard, StoredSend
from stream.state.store import Store
from stream.wire.looks import records_of

HOUR_MS = 3_600_000
T0_MS = 500_000 * HOUR_MS


def open_shard(folder: Path, number: int = 0) -> tuple[Store, Shard]:
    """A store, and one shard of it with buckets of an hour."""
    store = Store(folder / "db")
    return store, Shard(number, store, HOUR_MS)


def add_sends(shard: Shard, rows: list[tuple[int, str, int, bytes]]) -> int:
    """One batch of sends, as the intake makes it: offset, message, record time, value; ascending by offset."""
    digests = b"".join(keys.digest_of(message.encode()) for _, message, _, _ in rows)
    offsets, times = [row[0] for row in rows], [row[2] for row in rows]
    buckets = [shard.bucket(time) for time in times]
    span = (offsets[0], offsets[-1] + 1)
    batch = Batch(offsets, np.array(times), digests, records_of([row[3] for row in rows]))
    puts, size = list(sends_as_puts(shard.number, buckets, batch)), sum(len(row[3]) for row in rows)
    return shard.add(Topic.SENDS, [span], puts, parts(buckets, offsets, digests, span, size))


def walked(shard: Shard, message: str, most: int = 1_000, most_bytes: int = 1 << 20) -> list[StoredSend]:
    """All stored sends of a message, chunk by chunk."""
    walk, found = shard.new_walk(), list[StoredSend]()
    while walk.todo:
        found += shard.walk(keys.digest_of(message.encode()), walk, most, most_bytes)
    return found
