"""The store of an earlier run, where there is one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stream.model import Standing, StartError, StoreCorrupt, Topic, Verdict
from stream.state.folder import fits
from stream.state.glance import Glance, glance

ABOUT: Final = "store"


def look(path: Path) -> Glance | Verdict:
    """What it was written for; a verdict: it cannot be told, and why."""
    try:
        found = glance(path)
    except StartError as error:
        return Verdict(ABOUT, Standing.BAD, str(error), "store.path must be a folder of the service's user")
    except StoreCorrupt as error:
        return Verdict(ABOUT, Standing.WARNING, str(error), "nothing: it is moved aside and built anew from Kafka")
    if found.stamp is None and not _can_be_made(path):
        return Verdict(ABOUT, Standing.BAD, f"store.path {path} cannot be made", "give this user the folder above it")
    return found


def _can_be_made(path: Path) -> bool:
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def judged(
    path: Path, seen: Glance, partitions: int | None, ids: Mapping[Topic, tuple[str, str | None]]
) -> list[Verdict]:
    """Does it fit the topics. ``partitions`` None: not known; ``ids``: name and present id of each topic."""
    if seen.stamp is None:
        return [Verdict(ABOUT, Standing.GOOD, f"none at {path} yet: all within retention is read first")]
    if partitions is None:
        return [Verdict(ABOUT, Standing.UNKNOWN, f"{path} was written for {seen.stamp['partitions']} partitions")]
    return [fits(path, seen.stamp, partitions), *_made_anew(seen, ids)]


def _made_anew(seen: Glance, ids: Mapping[Topic, tuple[str, str | None]]) -> list[Verdict]:
    anew = [name for topic, (name, now) in ids.items() if now and seen.topic_ids.get(topic, set()) - {now}]
    if not anew:
        return []
    found = f"deleted and created again since the store was written (another topic id): {', '.join(anew)}"
    return [Verdict("topic ids", Standing.WARNING, found, "nothing: their shards start anew with the next start")]
