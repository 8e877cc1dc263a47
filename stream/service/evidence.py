"""The evidence against a message: its violation events, those that are stored and those that have just come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import structlog

from stream.model import BadRecord
from stream.state.shard import Shard
from stream.wire.wire import Wire
from stream.work.condemned import Condemned
from stream.work.judgement import Event

log = structlog.get_logger(__name__)


def stored_events(wire: Wire, shard: Shard, digest: bytes) -> Iterator[Event]:
    """The stored events with this digest that can still be read: one could be when it came, but its registry may be set
    no more. Raises RegistryDown."""
    for stored in shard.stored.events(digest):
        try:
            said = wire.stored_violation(stored.value)
        except BadRecord as error:
            log.error("stored_event_unreadable", partition=shard.number, offset=stored.offset, why=str(error))
            continue
        yield Event(stored.offset, stored.timestamp_ms, said, stored.trace)


def events_of(wire: Wire, shard: Shard, digest: bytes, message_id: str) -> list[Event]:
    """Those of one message. Raises RegistryDown."""
    return [event for event in stored_events(wire, shard, digest) if event.event.message_id == message_id]


def by_message(events: Iterable[Event]) -> dict[str, list[Event]]:
    """Events of one digest, message by message: two may share it."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.event.message_id, []).append(event)
    return found


def news(came: Iterable[tuple[bytes, Event, bool]]) -> dict[tuple[bytes, str], tuple[list[Event], bool]]:
    """What has come of each message, by digest and messageId, and whether it was condemned before the first of it."""
    found: dict[tuple[bytes, str], tuple[list[Event], bool]] = {}
    for digest, event, known in came:
        found.setdefault((digest, event.event.message_id), ([], known))[0].append(event)
    return found


def may_act(it: Condemned, shard: Shard) -> bool:
    """Whether all that could speak against acting on a message has been read: all events above its own first, and all
    results and events back to its own time."""
    return shard.past_is_read or (shard.read_back_to(it.since_ms) and shard.events_read_from(it.first_offset))
