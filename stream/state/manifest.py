"""A look at RocksDB's MANIFEST before RocksDB takes it: some of what may stand there makes its opening spin for ever.

A record whose type has become a *recyclable* one, which RocksDB writes into recycled write-ahead logs only, counts as
the end of the file without being passed by, so that the same place is read again and again (RocksDB as `rocksdict`
0.3.29 brings it). Promised: such a type is found, in one pass over the records' heads. Not promised: that the rest is
sound; RocksDB checks each record's checksum itself, and says so.

Source: https://github.com/facebook/rocksdb/wiki/Write-Ahead-Log-File-Format (the MANIFEST has the same format).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from stream.model import StoreCorrupt

_BLOCK_BYTES: Final = 32_768
_HEAD: Final = struct.Struct("<IHB")
"""Checksum, length, type."""
_TYPES: Final = frozenset({1, 2, 3, 4})
"""Full, first, middle, last."""


def check(folder: Path) -> None:
    """Raises StoreCorrupt where the MANIFEST that CURRENT names has a record of a type that does not belong there.
    What cannot be read at all is left to RocksDB."""
    try:
        name = (folder / "CURRENT").read_text("ascii").strip()
        written = (folder / name).read_bytes()
    except (OSError, ValueError):  # ValueError: bytes that are no name
        return
    if (at := _stray(written)) is not None:
        raise StoreCorrupt(f"the store {folder} cannot be opened: at {at} of {name} stands a record of unknown type")


def _stray(written: bytes) -> int | None:
    """Where the first record of another type begins; None: there is none before the end, or before what was cut."""
    at = 0
    while at + _HEAD.size <= len(written):
        left = _BLOCK_BYTES - at % _BLOCK_BYTES
        if left < _HEAD.size:  # a block ends with zeros where no head has room
            at += left
            continue
        _, length, kind = _HEAD.unpack_from(written, at)
        if not length and not kind:  # space that was reserved and never written
            return None
        if kind not in _TYPES:
            return at
        at += _HEAD.size + length
    return None
