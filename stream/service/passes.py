"""A pass over the stored sends of a message: chunk by chunk each is read, sorted by its marks, packed; full parcels go
out as they fill.

Promised: a chunk is taken whole, or nothing has changed; each place is planned once, whether the pass meets its send or
it comes late. Not promised: anything of when; the desk says that.
"""

from __future__ import annotations

import contextlib
from typing import Final

from stream.model import BadRecord, RegistryDown
from stream.service.sorting import Sorter
from stream.service.ways import Ways
from stream.state.shard import Shard, StoredSend
from stream.work.condemned import Condemned
from stream.work.endings import Ending
from stream.work.packing import CALL, Parcel

CHUNK_SENDS: Final = 128
"""The loop can do nothing else meanwhile, not even call for another app: a few milliseconds."""
CHUNK_BYTES: Final = 1 << 20


class Passes:
    """See the module's words."""

    def __init__(self, sorter: Sorter, ways: Ways) -> None:
        self._sorter, self._ways = sorter, ways

    def go_on(self, it: Condemned, shard: Shard) -> bool:
        """Walk a chunk further, or begin. True: all stored sends have been seen. Raises RegistryDown."""
        walk = it.walk.copy() if it.walking and it.walk is not None else shard.new_walk(puts_off=True)
        on = shard.walk_back if walk.counts_next() else shard.walk
        stored = on(it.digest, walk, CHUNK_SENDS, CHUNK_BYTES)
        sends = [self._sorter.read(each) for each in stored]  # may raise RegistryDown: before anything has changed
        if it.walking:
            it.walk = walk
        else:
            it.begin_pass(walk)
        offsets = [each.offset for each in stored]
        marks = shard.stored.marks(it.digest, min(offsets), max(offsets)) if offsets else {}
        for each, send in zip(stored, sends, strict=True):
            self._sorter.consider(it, shard, each, send, marks.get(each.offset, []))
        if walk.over:
            it.end_pass()
        self.issue(it)
        return walk.over

    def learn_app(self, it: Condemned, shard: Shard) -> None:
        """Look at one of its sends for its app, where that can be read."""
        with contextlib.suppress(BadRecord, RegistryDown):
            if (stored := shard.some_send(it.digest)) is not None:
                head = self._sorter.head(stored)
                if head.message_id == it.message_id:
                    it.apps.add(head.client_id)

    def stop(self, it: Condemned) -> None:
        """Walk no further: nothing stands that what is still unseen could be called for."""
        it.leave_pass()
        self.issue(it)

    def late(self, it: Condemned, shard: Shard, stored: StoredSend) -> None:
        """A send that the last pass could not see; ``issue`` when those that came with it are packed. Raises
        RegistryDown."""
        send = self._sorter.read(stored)
        marks = shard.stored.marks(it.digest, stored.offset, stored.offset).get(stored.offset, [])
        self._sorter.consider(it, shard, stored, send, marks)

    def issue(self, it: Condemned) -> None:
        """Let the parcels go that are full; where no pass is running that could fill them, the others too."""
        parcels = it.packer.take() if it.walking else it.packer.flush()
        it.issue(parcels)
        for parcel in parcels:
            if not it.stands(parcel.violation):
                it.release(parcel)  # withdrawn while the pass was filling it
            elif parcel.fate is CALL and it.holds(parcel.violation):
                it.release(parcel)  # or held
            elif parcel.fate is CALL:
                self._ways.call(parcel, it.severity)
            else:
                self._end(parcel)

    def _end(self, parcel: Parcel) -> None:
        outcome, detail = parcel.fate
        assert outcome is not None
        self._ways.end(parcel, Ending(outcome, rejected=tuple(parcel.rejects), detail=detail))
