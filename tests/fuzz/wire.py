"""Bytes that come out of Kafka and out of a registry.

Promised of them: BadRecord, RegistryDown, or a record that is written and read again as the same. Whether what was read
is what the bytes say is asked elsewhere, of fastavro (``tests/wire/test_hostile.py``).
"""

from __future__ import annotations

import atexit
import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st

from stream.model import BadRecord, DeadReason, Position, RegistryDown, Send
from stream.wire import Wire, dead_letters, schemas
from stream.wire.registry import Registry
from tests.fuzz.promise import Declared, held, must
from tests.wire import records
from tests.wire.records import EVENT, HEAD, KEY, RESULT
from tests.wire.schema_registry import SchemaRegistry

DECLARED: Final[Declared] = (BadRecord, RegistryDown)
NAMES: Final = ("MessageSent", "ViolationDetected", "RevokeResult")
WIRE: Final = Wire()

SENDS: Final = tuple(
    WIRE.encode_send(Send(HEAD, tokens))
    for tokens in ((), (b"t" * 70, b"u" * 70, b"v"), (b"x" * 112,) * 100, ("ü".encode() * 30,) * 8, (b"",) * 40)
)
EVENTS: Final = (WIRE.encode_violation(EVENT), WIRE.encode_violation(EVENT._replace(detector="d", reason="")))
RESULTS: Final = (WIRE.encode_result(RESULT), WIRE.encode_result(RESULT._replace(sends=(), rejected_tokens=())))


def send(data: bytes, wire: Wire = WIRE) -> None:
    """A record of message-sent, as it is looked at when it is read, and as it is read when a violation needs it."""
    ask = partial(held, declared=DECLARED, size_bytes=len(data), shown=data)
    ask("plain_sends", lambda: wire.plain_sends([KEY, KEY], [data, SENDS[0]]))
    ask("check_send", lambda: wire.check_send(KEY, data))
    ask("send_head", lambda: wire.send_head(data))
    if (found := ask("send", lambda: wire.send(data))) is not None:
        again = WIRE.send(WIRE.encode_send(found))
        same = again.head == found.head and list(again.tokens) == list(found.tokens)
        must(same, "reads again as another", data)


def violation(data: bytes, wire: Wire = WIRE) -> None:
    """A record of violation-detected."""
    found = held("violation", lambda: wire.violation(KEY, data), DECLARED, len(data), data)
    must(found is None or WIRE.violation(KEY, WIRE.encode_violation(found)) == found, "reads again as another", data)


def result(data: bytes, wire: Wire = WIRE) -> None:
    """A record of revoke-result, which an instance reads as its ledger."""
    found = held("result", lambda: wire.result(data), DECLARED, len(data), data)
    must(found is None or WIRE.result(WIRE.encode_result(found)) == found, "reads again as another", data)


# --- a registry, and what others wrote


class Told:
    """A real registry on a port, begun anew now and then: neither it nor its client forgets a schema."""

    MOST: Final = 500

    def __init__(self) -> None:
        self.server = SchemaRegistry()
        self.server.start()
        atexit.register(self.server.stop)
        self._begin()

    def _begin(self) -> None:
        self.server.schemas.clear()
        topics = {name: name for name in NAMES}
        self.wire = Wire("single-object", Registry(self.server.url, topics))
        self.ids = [self.server.add(schemas.present(name), schema_id=at) for at, name in enumerate(NAMES, 1)]

    def id_of(self, schema: Any) -> int:
        """A new id."""
        if len(self.server.schemas) > self.MOST:
            self._begin()
        return self.server.add(schema)


told = cache(Told)
READS: Final = {"MessageSent": send, "ViolationDetected": violation, "RevokeResult": result}
FRAMED: Final = tuple(
    b"\0" + at.to_bytes(4, "big") + value[10:] for at, value in enumerate((SENDS[1], EVENTS[0], RESULTS[0]), 1)
)
"""In Confluent's wire format, by ids that the registry knows."""


def framing(data: bytes) -> None:
    """A record in Confluent's wire format, or something like it."""
    for read in READS.values():
        read(data, told().wire)


KINDS: Final = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])
TYPES: Final[st.SearchStrategy[Any]] = st.recursive(
    KINDS | st.sampled_from(["Severity", "unpush.MessageSent", "Outcome", "none.Such", 7, {}]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(lambda values: {"type": "map", "values": values}, inner),
        st.builds(
            lambda name, kinds: {
                "type": "record",
                "name": name,
                "fields": [{"name": f"f{at}", "type": kind} for at, kind in enumerate(kinds)],
            },
            st.sampled_from(["A", "B", "MessageSent", "SendPart"]),
            st.lists(inner, max_size=4),
        ),
        st.builds(lambda size: {"type": "fixed", "name": "F", "size": size}, st.sampled_from([0, 1, -1, 2**40])),
        st.builds(lambda symbols: {"type": "enum", "name": "Severity", "symbols": symbols}, st.lists(st.text("AB"))),
    ),
    max_leaves=6,
)


@st.composite
def foreign_schemas(draw: st.DrawFn) -> tuple[str, Any]:
    """The name of a record, and one of our schemas with some fields of another type, gone, new or in another place."""
    name = draw(st.sampled_from(NAMES))
    schema: Any = json.loads((schemas_folder() / f"{name}.avsc").read_text("utf-8"))
    fields = schema["fields"]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(fields) - 1)) if fields else 0
        match draw(st.integers(0, 3)):
            case 0:
                fields[at : at + 1] = []
            case 1:
                fields.insert(at, {"name": draw(st.text("xyz", min_size=1, max_size=2)), "type": draw(TYPES)})
            case 2 if fields:
                fields[at] = {**fields[at], "type": draw(TYPES)}
            case 3:
                fields[:] = draw(st.permutations(fields))
    return name, draw(st.just(schema) | TYPES) if draw(st.booleans()) else schema


def schemas_folder() -> Path:
    """Where the schemas lie as they are published."""
    return Path(__file__).parents[2] / "schemas"


WRITTEN: Final = {"MessageSent": SENDS, "ViolationDetected": EVENTS, "RevokeResult": RESULTS}
foreign_inputs = foreign_schemas().flatmap(
    lambda named: st.tuples(
        st.just(named), st.sampled_from([value[10:] for value in WRITTEN[named[0]]]) | st.binary(max_size=300)
    )
)


def foreign(given: tuple[tuple[str, Any], bytes]) -> None:
    """A record that another's schema describes, or nearly."""
    (name, schema), body = given
    data = b"\0" + told().id_of(schema).to_bytes(4, "big") + body
    _foreign(name, data, len(json.dumps(schema)), (schema, body))


def _foreign(name: str, data: bytes, schema_bytes: int, shown: object) -> None:
    wire = told().wire
    reads: dict[str, Callable[[bytes], object]] = {
        "MessageSent": wire.send,
        "ViolationDetected": wire.stored_violation,
        "RevokeResult": wire.result,
    }
    held(f"{name} of another schema", lambda: reads[name](data), DECLARED, schema_bytes + len(data), shown)
    if name == "MessageSent":
        held("its head", lambda: wire.send_head(data), DECLARED, schema_bytes + len(data), shown)
        held("its look", lambda: wire.check_send(KEY, data), DECLARED, schema_bytes + len(data), shown)


# --- dead letters

header_names = st.text(max_size=12) | st.sampled_from(
    [dead_letters.REASON, dead_letters.TOPIC, dead_letters.PARTITION, dead_letters.OFFSET, dead_letters.TIMESTAMP]
)
header_values = st.none() | st.binary(max_size=24) | st.integers(-9, 10**22).map(lambda number: str(number).encode())
dead_inputs = st.tuples(
    st.lists(st.tuples(header_names, header_values), max_size=8),
    st.sampled_from(DeadReason),
    st.text(max_size=400),
    st.builds(Position, records.ids, st.integers(0, 2**31 - 1), st.integers(0, 2**62), st.integers(0, 2**43)),
)


def dead_letter(given: tuple[list[tuple[str, bytes | None]], DeadReason, str, Position]) -> None:
    """The headers that a record came with, as ``replay`` reads them; and what is written beside them."""
    own, reason, why, position = given
    size = sum(len(name) + len(value or b"") for name, value in own) + len(why)
    held("origin of anything", lambda: dead_letters.origin(own), (), size, own)
    written = held("headers", lambda: dead_letters.headers(own, BadRecord(reason, why), position), (), size, given)
    found = dead_letters.origin(written or [])
    expected = (reason.value, position.topic, position.partition, position.offset, position.timestamp_ms)
    must(found == expected, "a dead letter names another origin", (given, found))
