"""What a store was written for, without opening it: a process may have it.

Promised: nothing in the folder is touched; RocksDB looks at it through links in a folder of its own. Not promised: what
its process has not flushed yet, or an answer while it moves files: nothing is known then.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from rocksdict import AccessType, Rdict

from stream.model import StoreCorrupt, Topic
from stream.state import folder, keys, manifest
from stream.state.store import DATABASE, options

_OWN: Final = ("LOCK", "LOG")
"""What belongs to the process that has it open."""


class Glance(NamedTuple):
    """``stamp`` None: there is no store yet. ``topic_ids``: those that its shards speak of, as far as they are told."""

    stamp: folder.Stamp | None
    topic_ids: dict[Topic, set[str]]


def glance(path: Path) -> Glance:
    """Raises StartError where the folder cannot be read, StoreCorrupt where its stamp cannot be trusted."""
    stamp = folder.stamp_of(path)
    if stamp is None:
        return Glance(None, {})
    found: dict[Topic, set[str]] = {}
    with contextlib.suppress(Exception):  # rocksdict raises nothing narrower; see the module's words
        found = _ids(path / DATABASE, range(stamp["partitions"]))
    return Glance(stamp, found)


def _ids(database: Path, shards: Iterable[int]) -> dict[Topic, set[str]]:
    with tempfile.TemporaryDirectory() as own:
        view = _linked(database, Path(own))
        manifest.check(view)
        opened = Rdict(str(view), options(), access_type=AccessType.read_only())
        try:
            told = {topic: [opened.get(keys.of_topic(b"T", shard, topic)) for shard in shards] for topic in Topic}
        finally:
            opened.close()
    return {topic: {each.decode() for each in ids if each} for topic, ids in told.items()}


def _linked(database: Path, view: Path) -> Path:
    if not database.is_dir():
        raise StoreCorrupt(f"{database} is no folder")
    for file in database.iterdir():
        if file.suffix == ".json":  # rocksdict writes it anew at each opening
            (view / file.name).write_bytes(file.read_bytes())
        elif not file.name.startswith(_OWN):
            (view / file.name).symlink_to(file.resolve())
    return view
