"""The bad records of the story: one of each kind that producers in the field are known to write. Pure."""

from __future__ import annotations

from stream.demo.plan import APPS, BadRecord
from stream.model import DeadReason, Send, SendHead, Severity, Status, Topic, ViolationEvent
from stream.wire.wire import Wire


def spoiled() -> tuple[BadRecord, ...]:
    """Each with the reason that its dead letter must give."""
    sent, found = _send("spoiled-send"), _violation("spoiled-finding")
    kinds = (
        (Topic.SENDS, b"spoiled-1", b'{"messageId": "spoiled-1"}', DeadReason.WIRE_FORMAT),
        (Topic.SENDS, b"spoiled-2", b"\xc3\x01" + b"\x2a" * 8 + sent[10:], DeadReason.UNKNOWN_SCHEMA),
        (Topic.SENDS, b"spoiled-3", sent, DeadReason.KEY),
        (Topic.SENDS, b"spoiled-send", sent[:-40], DeadReason.DECODE),
        (Topic.SENDS, b"spoiled-5", None, DeadReason.INVALID),
        (Topic.VIOLATIONS, b"spoiled-finding", found[:-3], DeadReason.DECODE),
        (Topic.VIOLATIONS, b"", _violation(""), DeadReason.INVALID),
        (Topic.VIOLATIONS, b"spoiled-8", b"", DeadReason.WIRE_FORMAT),
        (Topic.VIOLATIONS, None, found, DeadReason.KEY),
    )
    return tuple(BadRecord(number, *kind) for number, kind in enumerate(kinds))


def _send(message_id: str) -> bytes:
    head = SendHead(message_id, APPS[0].client_id, 1, 0, 0, None)
    return Wire().encode_send(Send(head, (b"0" * 112,)))


def _violation(message_id: str) -> bytes:
    event = ViolationEvent("v-spoiled", message_id, Severity.LOW, Status.CONFIRMED, "spam", None, 0)
    return Wire().encode_violation(event)
