"""What the store's values hold: marks, events, rejected tokens."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

import orjson

from stream.model import RejectedToken
from stream.state import keys
from stream.work.cover import Kind, Mark
from stream.work.judgement import Trace

_MARK: Final = struct.Struct(">IB?Q")
_LENGTH: Final = struct.Struct(">I")
_ADMITTED: Final = struct.Struct(">QI")


def pack_mark(mark: Mark) -> bytes:
    """The value of a mark's key."""
    return _MARK.pack(mark.places, mark.kind, mark.rejects, max(0, mark.timestamp_ms)) + mark.violation_id.encode()


def unpack_mark(key: bytes, value: bytes) -> Mark:
    """The reverse, from key and value."""
    send_offset, first, result_offset = keys.mark_of(key)
    places, kind, rejects, timestamp_ms = _MARK.unpack_from(value)
    return Mark(
        send_offset, first, places, Kind(kind), value[_MARK.size :].decode(), result_offset, timestamp_ms, rejects
    )


def pack_event(trace: Trace, value: bytes) -> bytes:
    """The value of an event's key: its trace headers and the record as it came."""
    headers = orjson.dumps([[name, text.decode("latin-1")] for name, text in trace]) if trace else b""
    return _LENGTH.pack(len(headers)) + headers + value


def unpack_event(stored: bytes) -> tuple[Trace, bytes]:
    """The reverse."""
    (length,) = _LENGTH.unpack_from(stored)
    headers = stored[_LENGTH.size : _LENGTH.size + length]
    trace = tuple((name, text.encode("latin-1")) for name, text in orjson.loads(headers)) if headers else ()
    return trace, stored[_LENGTH.size + length :]


class Admitted(NamedTuple):
    """Places that one result says were called for a violation of the message with this digest."""

    digest: bytes
    violation_id: str
    app: str
    places: int


def pack_admitted(admitted: Admitted) -> bytes:
    """The value of an admission's key."""
    name = admitted.violation_id.encode()
    return admitted.digest + _ADMITTED.pack(admitted.places, len(name)) + name + admitted.app.encode()


def unpack_admitted(value: bytes) -> Admitted:
    """The reverse."""
    places, length = _ADMITTED.unpack_from(value, keys.DIGEST_BYTES)
    at = keys.DIGEST_BYTES + _ADMITTED.size
    return Admitted(value[: keys.DIGEST_BYTES], value[at : at + length].decode(), value[at + length :].decode(), places)


def pack_rejects(rejects: Iterable[RejectedToken]) -> bytes:
    """The value of a result's rejected tokens."""
    return orjson.dumps([list(reject) for reject in rejects])


def unpack_rejects(value: bytes) -> dict[bytes, str]:
    """Reason by token."""
    return {token.encode(): reason for token, reason in orjson.loads(value)}
