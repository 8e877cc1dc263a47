"""Which apps were found to give one notifyId to several messages, kept in the store's folder over restarts.

Promised: a file is written whole (temporary file, fsync, rename) or not at all. One that is missing, or says something
else, says nothing: what it knew is found again. It belongs to the store: where that is lost, all sends are read anew,
and looked at anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stream.work.reuse import Found

FILE: Final = "reused.json"


def recalled(folder: Path) -> dict[str, tuple[Found, int]]:
    """By clientId the last slot that was found, and when (ms)."""
    try:
        lines = json.loads((folder / FILE).read_text("utf-8"))
        return {str(name): (Found(str(name), int(slot), str(a), str(b)), int(ms)) for name, slot, a, b, ms in lines}
    except (OSError, ValueError, TypeError, OverflowError, RecursionError):
        return {}


def remember(folder: Path, seen: Mapping[str, tuple[Found, int]]) -> None:
    """Raises OSError."""
    fresh = folder / f"{FILE}.new"
    with fresh.open("w", encoding="utf-8") as out:
        json.dump([[*found, ms] for found, ms in seen.values()], out)
        out.flush()
        os.fsync(out.fileno())
    fresh.rename(folder / FILE)
