"""The store in memory answers as RocksDB does; else the model would prove something of another program."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.state import keys
from stream.state.store import Put, Store
from tests.model.memory import MemoryStore

SHARDS, BUCKETS = st.integers(0, 1), st.integers(0, 2)
KINDS = st.sampled_from(keys.DATA_KINDS)
HEADS = st.builds(keys.head, KINDS, SHARDS, BUCKETS)
PREFIXES = st.builds(lambda head, name: head + bytes([0] * 7 + [name]), HEADS, st.integers(0, 1))
KEYS = st.builds(lambda prefix, rest: prefix + rest, PREFIXES, st.binary(max_size=2))
BATCHES = st.lists(st.tuples(KEYS, st.binary(max_size=3)), min_size=1, max_size=5)


def told(store: Any, prefix: bytes, key: bytes, shard: int) -> list[Any]:
    """All that a store says."""
    return [
        store.get(key),
        store.get_sealed(key),
        store.seeker()(key),
        list(store.scan([prefix, key[: keys.PREFIX_BYTES]])),
        list(store.scan_from(key[: keys.PREFIX_BYTES], key)),
        list(store.scan_between(*sorted((prefix, key)))),
        [list(store.scan_kind(kind, shard)) for kind in keys.DATA_KINDS],
        [store.buckets(kind, shard) for kind in keys.DATA_KINDS],
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(BATCHES, min_size=1, max_size=12), PREFIXES, KEYS, SHARDS)
def test_the_store_in_memory_answers_as_the_real_one_does(
    batches: list[list[Put]], prefix: bytes, key: bytes, shard: int
) -> None:
    memory = MemoryStore()
    with tempfile.TemporaryDirectory() as folder:
        real = Store(Path(folder) / "db")
        for batch in batches:
            memory.write(batch)
            real.write(batch)
            assert told(memory, prefix, key, shard) == told(real, prefix, key, shard)
        real.close()


def test_what_is_begun_to_be_read_is_of_its_moment() -> None:
    """A view of the moment of the call, as the real one's."""
    memory, key = MemoryStore(), keys.head(b"E", 0, 0) + bytes(8)
    scan, seek = memory.scan_from(key, key), memory.seeker()
    memory.write([(key, b"later")])
    assert list(scan) == []
    assert seek(key) is None


def test_kill_9_keeps_whole_batches_in_their_order() -> None:
    """A batch is whole or absent, and none is there without those before it."""
    memory = MemoryStore()
    first, second, third = (keys.head(b"E", 0, 0) + bytes(7) + bytes([i]) for i in range(3))
    memory.write([(first, b"1"), (second, b"1")])
    memory.write([(second, b"2"), (third, b"2")])
    memory.flush_some(1)
    left = memory.after_kill()
    assert [left.get(key) for key in (first, second, third)] == [b"1", b"1", None]
