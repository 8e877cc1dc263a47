"""Results become marks: what is done, as the store remembers it.

The same for a result that this process wrote and for one that it read: only which outcomes count differs between a
real run and a dry one, since a dry run's DRY_RUN counts for itself alone, and nothing else counts for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stream.model import Outcome, RevokeResult
from stream.state import keys
from stream.state.records import Admitted, pack_admitted, pack_mark, pack_rejects
from stream.state.shard import Shard
from stream.state.store import Put
from stream.work.cover import Kind, Mark, kind_of
from stream.work.endings import ever_held_id, not_found_id

FOUND: Final = b"found"
"""Stands in NOT_FOUND's place where places were covered."""


def entries(shard: Shard, result: RevokeResult, stamp: keys.Stamp, dry: bool) -> list[Put]:
    """What the store has to remember of a result."""
    digest = keys.digest_of(result.message_id.encode())
    if not result.sends:
        return list(_said(shard, result, stamp, digest, dry))
    if not counts(result.outcome, dry):
        return []
    puts = [*_marks(shard, result, stamp, digest), _found(shard, result, stamp, digest, dry)]
    if shard.keeps_admitted and called(result):
        places = sum(part.token_count for part in result.sends)
        admitted = Admitted(digest, result.violation_id, result.client_id or "", places)
        key = keys.timed(shard.head(b"A", stamp.timestamp_ms), stamp.timestamp_ms, stamp.offset)
        puts.append((key, pack_admitted(admitted)))
    if result.rejected_tokens:
        prefix = shard.head(b"J", stamp.timestamp_ms) + digest
        puts.append((keys.numbered(prefix, stamp.offset), pack_rejects(result.rejected_tokens)))
    return puts


def called(result: RevokeResult) -> bool:
    """Whether its places were called; of a dry run, whether they would have been."""
    return result.attempts > 0 or (result.outcome is Outcome.DRY_RUN and result.detail is None)


def _said(shard: Shard, result: RevokeResult, stamp: keys.Stamp, digest: bytes, dry: bool) -> Iterator[Put]:
    """A result without places; HELD is remembered by its message too, so that all others are asked at no cost."""
    yield _word(shard, stamp, digest, result.result_id), result.outcome.value.encode()
    if _is_held(result, dry):
        shard.perhaps_held.add(digest)
        yield shard.head(b"H", stamp.timestamp_ms) + digest, b""
        yield _word(shard, stamp, digest, ever_held_id(result, dry)), b"held"
        yield _found(shard, result, stamp, digest, dry)


def _is_held(result: RevokeResult, dry: bool) -> bool:
    if dry:
        return result.outcome is Outcome.DRY_RUN and (result.detail or "").startswith("would be HELD")
    return result.outcome is Outcome.HELD


def _found(shard: Shard, result: RevokeResult, stamp: keys.Stamp, digest: bytes, dry: bool) -> Put:
    """Its message had sends: NOT_FOUND is never to be said of it, though they leave, and these marks with them."""
    return _word(shard, stamp, digest, not_found_id(result, dry)), FOUND


def _word(shard: Shard, stamp: keys.Stamp, digest: bytes, result_id: str) -> bytes:
    return shard.head(b"D", stamp.timestamp_ms) + digest + result_id.encode()


def counts(outcome: Outcome, dry: bool) -> bool:
    """Whether places with this outcome are done for this run."""
    return outcome is Outcome.DRY_RUN if dry else outcome.covers


def _marks(shard: Shard, result: RevokeResult, stamp: keys.Stamp, digest: bytes) -> Iterator[Put]:
    prefix = shard.head(b"M", stamp.timestamp_ms) + digest
    rejects = bool(result.rejected_tokens)
    kind = Kind.REVOKED if result.outcome is Outcome.DRY_RUN else kind_of(result.outcome, rejects)
    for _, offset, first, places in result.sends:
        mark = Mark(offset, first, places, kind, result.violation_id, stamp.offset, stamp.timestamp_ms, rejects)
        yield keys.mark(prefix, offset, first, stamp.offset), pack_mark(mark)
