"""What a process was reading when it died, for the one kind of reading that corruption can kill it by.

A read that verifies nothing may meet a block whose bytes make RocksDB run astray, which no exception tells: the
process is gone, and would go again at the next start. Promised: the key under way is in a file that outlives the
process at any end but the machine's own, for less than a microsecond. Not promised: more than one read at a time.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

_MOST_BYTES: Final = 63


class Witness:
    """One file, 64 bytes: the key's length and the key."""

    __slots__ = ("_seen",)

    def __init__(self, file: Path) -> None:
        """Raises OSError, where the disk is full too: a hole in the file would ask it for room at the first key, and
        be answered with a signal that kills."""
        file.touch()
        with file.open("r+b") as opened:
            held = opened.read(1 + _MOST_BYTES).ljust(1 + _MOST_BYTES, b"\0")
            opened.seek(0)
            opened.write(held)
            opened.flush()
            self._seen = mmap.mmap(opened.fileno(), 1 + _MOST_BYTES)

    @property
    def key(self) -> bytes | None:
        """What was being read, by this process or the one before; None: nothing."""
        length = self._seen[0]
        return self._seen[1 : 1 + length] if 0 < length <= _MOST_BYTES else None

    def begins(self, key: bytes) -> None:
        """This key is about to be read. Longer ones than 63 bytes are not remembered."""
        if len(key) <= _MOST_BYTES:
            self._seen[: 1 + len(key)] = bytes([len(key)]) + key

    def ends(self) -> None:
        """It has been read."""
        self._seen[0] = 0

    def close(self) -> None:
        """Let the file go."""
        self._seen.close()
