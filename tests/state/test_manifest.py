"""The look at the MANIFEST: what would make RocksDB spin is found, and nothing that RocksDB writes is taken for it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from stream.model import StoreCorrupt
from stream.state import manifest
from stream.state.folder import open_folder
from stream.state.shard import Shard
from tests.state.stored import HOUR_MS, T0_MS, add_sends

FULL, RECYCLABLE_FULL, RESERVED = 1, 5, 0


def record(kind: int, data: bytes) -> bytes:
    """As the log's format has it; the checksum is RocksDB's to verify."""
    return struct.pack("<IHB", 0, len(data), kind) + data


def written(folder: Path, content: bytes) -> Path:
    (folder / "CURRENT").write_text("MANIFEST-000005\n")
    (folder / "MANIFEST-000005").write_bytes(content)
    return folder


def a_store(path: Path) -> Path:
    """Closed, with something in it; gives its MANIFEST."""
    opened, _ = open_folder(path, 12 * HOUR_MS, 4)
    add_sends(Shard(0, opened, HOUR_MS), [(at, f"m{at}", T0_MS, bytes(300)) for at in range(5)])
    opened.close()
    return path / "db" / (path / "db" / "CURRENT").read_text("ascii").strip()


def test_a_record_type_that_would_be_read_for_ever_moves_the_store_aside(tmp_path: Path) -> None:
    """A bit of the last record's type flipped: opening spun inside RocksDB, holding all of the process."""
    path = tmp_path / "state"
    file = a_store(path)
    whole, at = file.read_bytes(), 0
    while (end := at + 7 + struct.unpack_from("<H", whole, at + 4)[0]) < len(whole):
        at = end
    file.write_bytes(whole[: at + 6] + bytes([whole[at + 6] ^ 4]) + whole[at + 7 :])
    with pytest.raises(StoreCorrupt, match=f"at {at} of MANIFEST-"):
        manifest.check(path / "db")  # else the next line might never return
    opened, _ = open_folder(path, 12 * HOUR_MS, 4)
    opened.close()
    assert len(list(tmp_path.glob("state.corrupt-*"))) == 1


def test_what_rocksdb_writes_is_sound(tmp_path: Path) -> None:
    file = a_store(tmp_path / "state")
    manifest.check(file.parent)


def test_records_are_looked_at_over_the_ends_of_blocks(tmp_path: Path) -> None:
    """A block of 32,768 bytes ends with zeros where no head has room."""
    first = record(FULL, bytes(32_768 - 7 - 5)) + bytes(5)
    manifest.check(written(tmp_path, first + record(FULL, b"x")))
    with pytest.raises(StoreCorrupt, match="at 32768 of"):
        manifest.check(written(tmp_path, first + record(RECYCLABLE_FULL, b"x")))


@pytest.mark.parametrize("rest", [b"", record(FULL, bytes(9))[:8], record(RESERVED, b""), b"\x00\x00\x00"])
def test_an_end_that_was_cut_or_never_written_is_left_to_rocksdb(tmp_path: Path, rest: bytes) -> None:
    manifest.check(written(tmp_path, record(FULL, b"abc") + rest))


def test_what_cannot_be_read_is_left_to_rocksdb(tmp_path: Path) -> None:
    manifest.check(tmp_path)
    (tmp_path / "CURRENT").write_bytes(b"\xff\x00")
    manifest.check(tmp_path)
    (tmp_path / "CURRENT").write_bytes(b"MANIFEST\x00")
    manifest.check(tmp_path)
