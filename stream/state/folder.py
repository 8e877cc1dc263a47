"""The store's folder: RocksDB inside, and a stamp beside it that says what the data presumes.

The stamp is JSON, written whole (temporary file, fsync, rename): the format's version, the width of a time bucket,
the partition count.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final

import structlog

from stream.model import Standing, StartError, StoreCorrupt, Verdict
from stream.state.store import DATABASE, Store

Stamp = dict[str, int]
"""``version``, ``bucket_ms``, ``partitions``."""

VERSION: Final = 3
"""Of keys and values; another one is moved aside and built anew."""
BUCKETS: Final = 12
"""Time buckets per retention: a violation seeks in each, so few; each leaves as a whole, so not too few."""

OURS_ALONE: Final = 0o700
"""Of a folder that is made here: it holds sends as they came, push tokens and all."""

log = structlog.get_logger(__name__)


def open_folder(path: Path, retention_ms: int, partitions: int) -> tuple[Store, int]:
    """The store and its bucket width in ms. A store that cannot be trusted is moved aside and begun anew: Kafka has
    everything.

    Raises StartError where the partition count has changed since it was written, another process has it, or the disk
    refuses.
    """
    try:
        bucket_ms = _stamped(path, retention_ms, partitions)
        return Store(path / DATABASE), bucket_ms
    except StoreCorrupt as why:
        aside = move_aside(path)
        log.error("store_moved_aside", path=str(path), to=str(aside), why=str(why))
    return Store(path / DATABASE), _stamped(path, retention_ms, partitions)


def move_aside(path: Path) -> Path:
    """Rename the folder, so that the next start rebuilds it; returns where it went."""
    path = path.absolute()  # "." has no name
    name = f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}"
    aside, number = path.with_name(name), 1
    while aside.exists():  # twice within a second, where whoever supervises it is quick
        number += 1
        aside = path.with_name(f"{name}-{number}")
    path.rename(aside)
    return aside


def stamp_of(path: Path) -> Stamp | None:
    """What the folder's data presumes; None: there is no store yet. Raises StoreCorrupt, StartError."""
    return _read(path / "stamp.json")


def fits(path: Path, stamp: Stamp, partitions: int) -> Verdict:
    """Whether a store that was written so can be used with topics of so many partitions."""
    if stamp["version"] != VERSION:
        found = f"it was written in format {stamp['version']}, this is format {VERSION}"
        return Verdict("store", Standing.WARNING, found, "nothing: it is moved aside and built anew from Kafka")
    if stamp["partitions"] != partitions:
        return Verdict(
            "store",
            Standing.BAD,
            f"the store {path} was written when the topics had {stamp['partitions']} partitions, now they have "
            f"{partitions}: keys have moved, so earlier sends would not meet later violations",
            "create the topics anew with their former count, or, accepting that, remove the folder and start again",
        )
    return Verdict("store", Standing.GOOD, f"{path}, written for {partitions} partitions")


def _stamped(path: Path, retention_ms: int, partitions: int) -> int:
    stamp = stamp_of(path)
    if stamp is None:
        stamp = {"version": VERSION, "bucket_ms": max(1_000, retention_ms // BUCKETS), "partitions": partitions}
        _write(path / "stamp.json", stamp)
    verdict = fits(path, stamp, partitions)
    if verdict.standing is Standing.BAD:
        raise StartError(f"{verdict.found}; {verdict.todo}")
    if verdict.standing is Standing.WARNING:
        raise StoreCorrupt(verdict.found)
    return stamp["bucket_ms"]


def _read(file: Path) -> Stamp | None:
    try:
        found = json.loads(file.read_text("utf-8"))
        return {name: int(found[name]) for name in ("version", "bucket_ms", "partitions")}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreCorrupt(f"its stamp {file} cannot be read ({error})") from None
    except OSError as error:
        raise StartError(f"the store's folder {file.parent} cannot be read: {error.strerror}") from None


def _write(file: Path, stamp: Stamp) -> None:
    try:
        file.parent.mkdir(mode=OURS_ALONE, parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as out:
            json.dump(stamp, out)
            out.flush()
            os.fsync(out.fileno())
        fresh.rename(file)
    except OSError as error:
        raise StartError(f"the store's folder {file.parent} cannot be written: {error.strerror}") from None
