"""What is remembered on this disk: RocksDB behind one small interface. A cache of three topics, never the truth.

Promised: a batch is whole or absent after kill -9, by hand-made and automatic flushes alike, since everything lives
in one column family and the write-ahead log is off (Kafka is the log; a flush is the checkpoint). No write waits
inside RocksDB: where it would, it raises ``StoreStalled`` instead, because a waiting write holds the GIL and with it
the event loop. A scan that met corruption says so. Not promised: that what was written last is still there after a
crash; the ranges of offsets, written in the same batch as the data they speak of, say what is.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import starmap
from pathlib import Path
from typing import Final

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
    SliceTransform,
    WriteBatch,
    WriteOptions,
)

from stream.model import StartError, StoreCorrupt, StoreStalled
from stream.state import manifest
from stream.state.keys import DATA_KINDS, PREFIX_BYTES, bucket_of, head
from stream.state.witness import Witness

DATABASE: Final = "db"
"""RocksDB's part of the store's folder."""
MEMTABLE_BYTES: Final = 32 << 20
MEMTABLES: Final = 4
CACHE_BYTES: Final = 32 << 20
"""A campaign's pass fills it: with ten million sends stored the process stays below 150 MB above idle."""
BLOB_MIN_BYTES: Final = 24_576

Put = tuple[bytes, bytes]


class Store:
    """One RocksDB folder, of this process alone. Safe to use from several threads; close it from one, when the others
    have stopped."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises StartError where another process has it or the disk refuses, StoreCorrupt where it
        cannot be trusted."""
        self.path = path
        manifest.check(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._witness = Witness(path.with_name(f"{path.name}.reading"))
            self._db = Rdict(str(path), options())
        except Exception as error:  # noqa: BLE001  # rocksdict raises nothing narrower
            raise _opening_error(path, error) from None
        self._writing = WriteOptions()
        self._writing.disable_wal = True  # type: ignore[method-assign,assignment]  # a property; the stub says method
        self._writing.no_slowdown = True
        self._one_prefix = ReadOptions()
        self._one_prefix.set_prefix_same_as_start(True)
        self._any_prefix = ReadOptions()
        self._any_prefix.set_total_order_seek(True)
        self._unverified = ReadOptions()
        self._unverified.set_verify_checksums(False)
        # What nobody has verified must not be what others find in the cache.
        self._unverified.fill_cache(False)  # type: ignore[call-arg]  # the stub forgot the argument
        if (key := self._witness.key) is not None:
            self._verify(key)

    def write(self, puts: Iterable[Put]) -> None:
        """One batch, whole or not at all. Raises StoreStalled (write it again later) or StoreCorrupt."""
        batch = WriteBatch(raw_mode=True)
        deque(starmap(batch.put, puts), 0)
        self._commit(batch)

    def _commit(self, batch: WriteBatch) -> None:
        try:
            self._db.write(batch, self._writing)
        except Exception as error:  # noqa: BLE001  # rocksdict raises nothing narrower
            raise _writing_error(error) from None

    def get(self, key: bytes) -> bytes | None:
        """The value of one key. Raises StoreCorrupt."""
        try:
            return self._db.get(key)
        except Exception as error:  # noqa: BLE001  # rocksdict raises nothing narrower
            raise StoreCorrupt(f"reading the store failed: {error}") from None

    def get_sealed(self, key: bytes) -> bytes | None:
        """The value of one key as it lies there, for values with a seal of their own: RocksDB's costs a nanosecond a
        byte of them. What seems to be missing may also be corruption. Raises StoreCorrupt; corruption may also end
        the process, and is found by the next that opens the store."""
        self._witness.begins(key)
        try:
            return self._db.get(key, read_opt=self._unverified)
        except Exception as error:  # noqa: BLE001  # rocksdict raises nothing narrower
            raise StoreCorrupt(f"reading the store failed: {error}") from None
        finally:
            self._witness.ends()

    def _verify(self, key: bytes) -> None:
        """Read what a process before us died reading; most often it was killed by somebody, and all is well."""
        try:
            self.get(key)
        except StoreCorrupt:
            self._db.close()
            raise
        self._witness.ends()

    def scan(self, prefixes: Iterable[bytes]) -> Iterator[Put]:
        """All pairs of each 15-byte prefix in turn, by key.

        Raises StoreCorrupt: a corrupt block never ends a scan quietly. A view of the moment of the call.
        """
        return _walk_each(self._db.iter(self._one_prefix), prefixes)

    def scan_from(self, prefix: bytes, start: bytes) -> Iterator[Put]:
        """The pairs of one prefix from the key ``start`` on, as of the moment of the call. Raises StoreCorrupt."""
        return _walk(self._db.iter(self._one_prefix), prefix, start)

    def seeker(self) -> Callable[[bytes], Put | None]:
        """A view of this moment, as a function: the pair with the greatest key not above the one asked for, in the
        same 15-byte prefix, or None.

        The function raises StoreCorrupt.
        """
        cursor = self._db.iter(self._one_prefix)

        def up_to(key: bytes) -> Put | None:
            cursor.seek_for_prev(key)
            if cursor.valid() and cursor.key().startswith(key[:PREFIX_BYTES]):
                return cursor.key(), cursor.value()
            _sound(cursor)
            return None

        return up_to

    def scan_kind(self, kind: bytes, shard: int) -> Iterator[Put]:
        """All pairs of one kind in one shard, by key. Slow beside ``scan``; raises StoreCorrupt."""
        start = head(kind, shard, 0)[:3]
        yield from _walk(self._db.iter(self._any_prefix), start, start)

    def scan_between(self, start: bytes, end: bytes) -> Iterator[Put]:
        """All pairs from ``start`` up to ``end``, by key. Slow beside ``scan``; raises StoreCorrupt."""
        cursor = self._db.iter(self._any_prefix)
        cursor.seek(start)
        while cursor.valid() and cursor.key() < end:
            yield cursor.key(), cursor.value()
            cursor.next()
        _sound(cursor)

    def buckets(self, kind: bytes, shard: int) -> list[int]:
        """The time buckets in which the shard has keys of this kind, oldest first."""
        cursor = self._db.iter(self._any_prefix)
        start, found = head(kind, shard, 0)[:3], list[int]()
        cursor.seek(start)
        while cursor.valid() and cursor.key().startswith(start):
            found.append(bucket_of(cursor.key()))
            cursor.seek(head(kind, shard, found[-1] + 1))
        _sound(cursor)
        return found

    def drop_bucket(self, shard: int, bucket: int) -> None:
        """Let a whole bucket of a shard go; its disk space comes back with ``compact_bucket``."""
        spans = [(head(kind, shard, bucket), head(kind, shard, bucket + 1)) for kind in DATA_KINDS]
        self._drop(spans)

    def compact_bucket(self, shard: int, bucket: int) -> None:
        """Give the disk space of a dropped bucket back. Blocks, without the GIL."""
        for kind in DATA_KINDS:
            self._db.compact_range(head(kind, shard, bucket), head(kind, shard, bucket + 1))

    def drop_shard(self, shard: int, kinds: Iterable[bytes]) -> None:
        """Forget all of a shard, its ranges too (kinds: all that the caller knows)."""
        self._drop([(head(kind, shard, 0), _after(kind, shard)) for kind in kinds])

    def _drop(self, spans: list[tuple[bytes, bytes]]) -> None:
        batch = WriteBatch(raw_mode=True)
        for lo, hi in spans:
            batch.delete_range(lo, hi)
        self._commit(batch)

    def flush(self) -> None:
        """Checkpoint: what has been written so far survives kill -9. Blocks, without the GIL; raises StoreStalled or
        StoreCorrupt."""
        try:
            self._db.flush()
        except Exception as error:  # noqa: BLE001  # rocksdict raises nothing narrower
            raise _writing_error(error) from None

    def bytes_on_disk(self) -> int:
        """What the folder takes, as RocksDB counts it."""
        names = ("rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size", "rocksdb.cur-size-all-mem-tables")
        return sum(self._db.property_int_value(name) or 0 for name in names)

    def close(self) -> None:
        """Flush and close; the folder may then be opened by another."""
        with contextlib.suppress(StoreStalled):
            self.flush()
        with contextlib.suppress(Exception):  # a full disk: what is not written now is read again
            self._db.close()
        self._witness.close()


def options() -> Options:
    """How the folder is opened, by whoever opens it."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_compression_type(DBCompressionType.none())
    _memtables(options)
    _tables(options)
    _blobs(options)
    # A burst of sends may pile up flushed files faster than one core merges them; reads go through prefix filters, so
    # many small files cost little, while a stall costs everything.
    options.set_level_zero_file_num_compaction_trigger(8)
    options.set_level_zero_slowdown_writes_trigger(200)
    options.set_level_zero_stop_writes_trigger(400)
    options.set_soft_pending_compaction_bytes_limit(0)
    options.set_hard_pending_compaction_bytes_limit(0)
    options.set_max_background_jobs(2)
    options.set_max_open_files(512)
    options.set_keep_log_file_num(2)
    return options


def _memtables(options: Options) -> None:
    options.set_prefix_extractor(SliceTransform.create_fixed_prefix(PREFIX_BYTES))
    options.set_write_buffer_size(MEMTABLE_BYTES)
    options.set_max_write_buffer_number(MEMTABLES)


def _tables(options: Options) -> None:
    tables = BlockBasedOptions()
    tables.set_block_cache(Cache(CACHE_BYTES))
    tables.set_bloom_filter(10, False)
    tables.set_cache_index_and_filter_blocks(True)
    options.set_block_based_table_factory(tables)


def _blobs(options: Options) -> None:
    options.set_enable_blob_files(True)
    options.set_min_blob_size(BLOB_MIN_BYTES)
    options.set_blob_file_size(64 << 20)
    # No garbage collection of blobs: it would write all of them again at every merge. A blob file goes when nothing
    # in it
    # is referred to any more, and since files follow time, that is when its bucket goes.


def _after(kind: bytes, shard: int) -> bytes:
    return head(kind, shard + 1, 0) if shard < 0xFFFF else bytes([kind[0] + 1])


def _walk_each(cursor: RdictIter, prefixes: Iterable[bytes]) -> Iterator[Put]:
    for prefix in prefixes:
        yield from _walk(cursor, prefix, prefix)


def _walk(cursor: RdictIter, prefix: bytes, start: bytes) -> Iterator[Put]:
    cursor.seek(start)
    while cursor.valid():
        key = cursor.key()
        if not key.startswith(prefix):
            break
        yield key, cursor.value()
        cursor.next()
    _sound(cursor)


def _sound(cursor: object) -> None:
    try:
        cursor.status()  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001  # rocksdict raises nothing narrower
        raise StoreCorrupt(f"a scan of the store met corruption: {error}") from None


def _opening_error(path: Path, error: Exception) -> Exception:
    text = str(error)
    if "/LOCK" in text:
        return StartError(
            f"the store {path} is in use by another process; each process needs a folder of its own (store.path)"
        )
    # A file is missing that another names: our own folder is there, it has just been made or looked into.
    if any(said in text for said in ("Corruption", "not exist", "IO error: No such file", "raw mode")):
        return StoreCorrupt(f"the store {path} cannot be opened: {text}")
    return StartError(f"the store {path} cannot be opened: {text}")


def _writing_error(error: Exception) -> Exception:
    text = str(error)
    if "Corruption" in text:
        return StoreCorrupt(f"writing to the store failed: {text}")
    return StoreStalled(f"the store refuses writes for now: {text}")
