"""What the desk takes in and where it hands things to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from stream.model import Outcome, Severity
from stream.state.shard import StoredSend
from stream.work.condemned import Condemned
from stream.work.endings import Ending
from stream.work.judgement import Violation
from stream.work.packing import Parcel


class ArrivedSend(NamedTuple):
    """A send whose message is condemned, just stored by the batch of that number."""

    digest: bytes
    batch: int
    stored: StoredSend


class Ways(NamedTuple):
    """Where the desk hands things to."""

    call: Callable[[Parcel, Severity], None]
    end: Callable[[Parcel, Ending], None]
    say: Callable[[Condemned, Violation, Outcome, str | None], None]
    """A result without places: NOT_FOUND, WITHDRAWN, HELD; with the reason, where there is one."""
    take_back: Callable[[Callable[[Parcel], bool]], list[Parcel]]
    """Parcels that wait for a call or a retry and are not to be called after all."""
    lift: Callable[[Callable[[Parcel], bool], Severity], None]
    """Parcels that belong to another lane from now on, wherever they are: in a lane, waiting for a retry, in flight."""
    ready: Callable[[Severity], int]
    """How many parcels of this severity could be called now."""
    waiting: Callable[[str, Severity], int]
    """How many parcels of this app wait in this lane, whether it may call now or not."""
    has_room: Callable[[str, Severity], bool]
    """Whether this app has not so much under way in this lane that no more should be planned for it."""
