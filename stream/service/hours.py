"""What the guard's hour is rebuilt from: the results of a shard, as the store keeps them by time.

Promised: each place that results of that time say was called counts, but for what a person had approved by then. Not
promised: what was admitted and has no result yet; whoever does that work now asks for it again.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stream.model import Fenced, RegistryDown, StoreStalled
from stream.service.evidence import stored_events
from stream.state.shard import Shard
from stream.wire.wire import Wire
from stream.work.judgement import approved_at, judge

PASSING: Final = (RegistryDown, StoreStalled, Fenced)
"""Why the past may not be had now and be had later; whatever else it is would keep the guard waiting for good."""


class Drawn(NamedTuple):
    """So many places of an app were called at that time (ms)."""

    at_ms: int
    app: str
    places: int


def drawn_since(wire: Wire, shard: Shard, since_ms: int, not_before_ms: int | None = None) -> list[Drawn]:
    """For a thread; raises as the wire and the shard do. ``not_before_ms``: as of ``Judgement``."""
    approvals: dict[bytes, dict[str, tuple[int, ...]]] = {}
    found = []
    for at_ms, admitted in shard.stored.admitted_since(since_ms):
        if admitted.digest not in approvals:
            judged = judge(stored_events(wire, shard, admitted.digest), not_before_ms).values()
            approvals[admitted.digest] = {each.violation_id: each.approvals for each in judged if each.approvals}
        if not approved_at(approvals[admitted.digest].get(admitted.violation_id, ()), at_ms):
            found.append(Drawn(at_ms, admitted.app, admitted.places))
    return found
