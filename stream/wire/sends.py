"""MessageSent: what precedes the tokens in two microseconds, the tokens when they are needed.

Promised: every record that leaves here is valid as the contract says. Not promised: ``attributes``, which nobody here
reads. Errors are those of ``primitives`` and BadRecord.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from stream.model import MAX_NOTIFY_ID, Send, SendHead
from stream.wire.foreign import resolution
from stream.wire.primitives import (
    INT_MAX,
    long,
    optional_long,
    optional_text,
    read_long,
    read_optional_long,
    read_optional_text,
    read_text,
    require_32_bits,
    skip_texts,
    text,
)
from stream.wire.readers import Reader
from stream.wire.schemas import Schema, cut, is_plain_send, present
from stream.wire.tokens import read_tokens, tokens_written
from stream.wire.validity import FIRST_MS, LAST_MS, notify_id_of, require_filled, require_int, require_time

NAME = "MessageSent"


class _Begin(NamedTuple):
    """The fields before the time, and the bytes that they were read from."""

    raw: bytes
    message_id: str
    client_id: str
    notify_id: int | None
    push_type: int


class SendReader:
    """Sends of the present schema, whole. Those of a campaign begin alike, up to the time: what was read of the last
    one is not read again."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: _Begin | None = None

    def __call__(self, data: bytes, at: int) -> Send:
        """The send whose fields begin at ``at``, to the end of ``data``."""
        begin = self._last
        if begin is None or not data.startswith(begin.raw, at):
            begin = self._last = _read_begin(data, at)
        head, at = _read_rest(begin, data, at + len(begin.raw))
        return Send(head, read_tokens(data, at))


def read_send_head(data: bytes, at: int) -> SendHead:
    """A send of the present schema without its tokens, which are neither read nor checked."""
    begin = _read_begin(data, at)
    return _read_rest(begin, data, at + len(begin.raw))[0]


def _read_begin(data: bytes, at: int) -> _Begin:
    start = at
    message_id, at = read_text(data, at)
    client_id, at = read_text(data, at)
    notify_id, at = read_optional_long(data, at)
    push_type, at = read_long(data, at)
    return _Begin(data[start:at], message_id, client_id, notify_id, push_type)


def _read_rest(begin: _Begin, data: bytes, at: int) -> tuple[SendHead, int]:
    _, message_id, client_id, notify_id, push_type = begin
    sent_at_ms, at = read_long(data, at)
    request_id, at = read_optional_text(data, at)
    at = skip_texts(data, at)
    return _valid_head(message_id, client_id, notify_id, push_type, sent_at_ms, request_id), at


def _valid_head(
    message_id: str, client_id: str, notify_id: int | None, push_type: int, sent_at_ms: int, request_id: str | None
) -> SendHead:
    if notify_id is not None and not 0 <= notify_id <= MAX_NOTIFY_ID:
        notify_id = notify_id_of(notify_id)
    if not (message_id and client_id and -1 <= push_type <= INT_MAX and FIRST_MS <= sent_at_ms <= LAST_MS):
        require_filled("messageId", message_id)
        require_filled("clientId", client_id)
        require_int("pushType", push_type)
        require_time("sentAt", sent_at_ms)
    return SendHead(message_id, client_id, notify_id, push_type, sent_at_ms, request_id)


def send_reader(writer: Schema) -> Reader[Send]:
    """How to read whole sends of another schema. Raises ValueError for one that must not be read with."""
    if is_plain_send(writer):
        return _tokens_apart(writer)
    other = resolution(writer, cut(present(NAME), "attributes"))

    def read(data: bytes, at: int) -> Send:
        fields = other.read_whole(data, at)
        return Send(_head_of(fields), tuple(token.encode() for token in fields["tokens"]))

    return read


def _tokens_apart(writer: Schema) -> Reader[Send]:
    other = resolution(cut(writer, "tokens"), cut(present(NAME), "attributes", "tokens"))

    def read(data: bytes, at: int) -> Send:
        fields, at = other.read(data, at)
        return Send(_head_of(fields), read_tokens(data, at))

    return read


def send_head_reader(writer: Schema) -> Reader[SendHead]:
    """How to read the first fields of sends of another schema. Raises ValueError for one that must not be read with."""
    if not is_plain_send(writer):
        whole = send_reader(writer)
        return lambda data, at: whole(data, at).head
    other = resolution(cut(writer, "tokens"), cut(present(NAME), "attributes", "tokens"))
    return lambda data, at: _head_of(other.read(data, at)[0])


def _head_of(fields: dict[str, Any]) -> SendHead:
    return _valid_head(
        fields["messageId"],
        fields["clientId"],
        fields["notifyId"],
        fields["pushType"],
        fields["sentAt"],
        fields["requestId"],
    )


def send_written(send: Send) -> bytes:
    """A send as the present schema writes it, without attributes. Raises ValueError for what no reader could read."""
    head = send.head
    require_32_bits("pushType", head.push_type)
    require_32_bits("notifyId", head.notify_id)
    parts = (
        text(head.message_id),
        text(head.client_id),
        optional_long(head.notify_id),
        long(head.push_type),
        long(head.sent_at_ms),
        optional_text(head.request_id),
        b"\0",
        tokens_written(send.tokens),
    )
    return b"".join(parts)
