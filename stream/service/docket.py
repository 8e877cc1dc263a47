"""The docket: the condemned messages in memory, those with work to do and those that were done lately.

Pure bookkeeping; the desk moves them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from typing import Final

from stream.work.condemned import Condemned

DONE_KEPT: Final = 5_000
"""Messages whose work is done stay in memory so many, for sends that follow soon."""

Key = tuple[int, str]
"""Shard and messageId."""


class Docket:
    """See the module's words."""

    def __init__(self) -> None:
        self.open: dict[Key, Condemned] = {}
        self.done: OrderedDict[Key, Condemned] = OrderedDict()

    def __iter__(self) -> Iterator[Condemned]:
        return chain(self.open.values(), self.done.values())

    def get(self, shard: int, message_id: str) -> Condemned | None:
        """The message, open or done; None: it is not in memory."""
        key = (shard, message_id)
        return self.open.get(key) or self.done.get(key)

    def has_open(self, it: Condemned) -> bool:
        """Whether this very message is open; a shard that came back has others of the same name."""
        return self.open.get((it.shard, it.message_id)) is it

    def reopen(self, it: Condemned) -> None:
        """There is work for it, or may be."""
        key = (it.shard, it.message_id)
        self.done.pop(key, None)
        self.open[key] = it

    def close(self, it: Condemned) -> None:
        """Its work is done; what was done long ago is forgotten. Another of the same name is not touched."""
        key = (it.shard, it.message_id)
        if self.open.get(key) is it:
            del self.open[key]
            self.done[key] = it
        while len(self.done) > DONE_KEPT:
            self.done.popitem(last=False)

    def drop(self, it: Condemned) -> None:
        """Forget an open message."""
        self.open.pop((it.shard, it.message_id), None)

    def forget(self, shard: int) -> None:
        """Forget all of a shard."""
        for held in (self.open, self.done):
            for key in [key for key in held if key[0] == shard]:
                del held[key]
