"""Records for the wire's tests: made by hypothesis, written and read by fastavro, the independent second opinion."""

from __future__ import annotations

from io import BytesIO
from typing import Any, cast

from fastavro import schemaless_reader, schemaless_writer
from hypothesis import strategies as st

from stream.model import (
    MAX_NOTIFY_ID,
    Outcome,
    RejectedToken,
    RevokeResult,
    Send,
    SendHead,
    SendPart,
    Severity,
    Status,
    ViolationEvent,
)
from stream.wire import schemas

KEY = b"m-1"
HEAD = SendHead("m-1", "104729131", 7, 0, 1_764_000_000_000, None)
EVENT = ViolationEvent("v-1", "m-1", Severity.HIGH, Status.CONFIRMED, "spam", None, 1_764_000_000_000)
RESULT = RevokeResult(
    *("r-1", "v-1", "m-1", Severity.HIGH, "spam", 1_764_000_000_000, Outcome.PARTIALLY_REVOKED, "104729131", 7, 0),
    *((SendPart(3, 41, 0, 2),), 2, 1, (RejectedToken("t-2", "noRight"),), 1, 200, "80100000", "partial", "req-1"),
    *(2, 2, False, 1_764_000_000_100, 1_764_000_000_200),
)

ints = st.integers(-(2**31), 2**31 - 1)
counts = st.integers(0, 2**31 - 1)
longs = st.integers(-(2**63), 2**63 - 1)
times = st.integers(-62_135_596_800_000, 253_402_300_799_999)
texts = st.text(max_size=200)
ids = st.text(min_size=1, max_size=80)
tokens = st.one_of(
    st.lists(st.binary(min_size=112, max_size=112).map(lambda b: b.hex()[:112].encode()), max_size=200),
    st.lists(texts.map(str.encode), max_size=40),
    st.builds(lambda text, times: [text.encode()] * times, texts, st.integers(0, 150)),
).map(tuple)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Or nothing."""
    return st.none() | values


heads = st.builds(SendHead, ids, ids, optional(st.integers(0, MAX_NOTIFY_ID)), ints, times, optional(texts))
sends = st.builds(Send, heads, tokens)
events = st.builds(
    ViolationEvent, ids, ids, st.sampled_from(Severity), st.sampled_from(Status), texts, optional(texts), times
)
parts = st.lists(st.builds(SendPart, counts, st.integers(0, 2**63 - 1), counts, counts), max_size=5).map(tuple)
rejected = st.lists(st.builds(RejectedToken, texts, texts), max_size=5).map(tuple)
results = st.builds(
    RevokeResult,
    *(ids, ids, ids, st.sampled_from(Severity), texts, times, st.sampled_from(Outcome)),
    *(optional(texts), optional(counts), optional(ints), parts, counts, counts, rejected, counts),
    *(optional(counts), optional(texts), optional(texts), optional(texts), longs, longs, st.booleans(), times, times),
)


def send_fields(send: Send, attributes: dict[str, str] | None = None) -> dict[str, Any]:
    """The send as fastavro takes it."""
    head = dict(zip(("messageId", "clientId", "notifyId", "pushType", "sentAt", "requestId"), send.head, strict=True))
    return head | {"attributes": attributes or {}, "tokens": [token.decode() for token in send.tokens]}


def event_fields(event: ViolationEvent) -> dict[str, Any]:
    """The event as fastavro takes it."""
    names = ("violationId", "messageId", "severity", "status", "reason", "detector", "detectedAt")
    return dict(zip(names, event, strict=True)) | {"severity": event.severity.name, "status": event.status.value}


def result_fields(result: RevokeResult) -> dict[str, Any]:
    """The result as fastavro takes it."""
    names = (field["name"] for field in schemas.present("RevokeResult")["fields"])
    part_names = ("partition", "offset", "firstToken", "tokenCount")
    return dict(zip(names, result, strict=True)) | {
        "severity": result.severity.name,
        "outcome": result.outcome.value,
        "sends": [dict(zip(part_names, part, strict=True)) for part in result.sends],
        "rejectedTokens": [each._asdict() for each in result.rejected_tokens],
    }


def written(schema: Any, fields: dict[str, Any]) -> bytes:
    """The record by fastavro, in single-object encoding."""
    return schemas.header(schema) + body(schema, fields)


def body(schema: Any, fields: dict[str, Any]) -> bytes:
    """The record by fastavro, no header before it."""
    stream = BytesIO()
    schemaless_writer(stream, schema, fields)
    return stream.getvalue()


def written_by_a_careless_writer(schema: Any, fields: dict[str, Any]) -> bytes:
    """The same, except that ints of more than 32 bits pass: Avro writes int and long alike."""
    return schemas.header(schema) + body(_widened(schema), fields)


def _widened(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _widened(value) for key, value in schema.items() if not key.startswith("__")}
    if isinstance(schema, list):
        return [_widened(part) for part in schema]
    return "long" if schema == "int" else schema


def read(name: str, value: bytes) -> dict[str, Any]:
    """The fields by fastavro."""
    fields: Any = schemaless_reader(BytesIO(value[10:]), cast(Any, schemas.present(name)), None)
    return fields
