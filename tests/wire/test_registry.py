"""Confluent's wire format against a registry over real HTTP: known ids, unknown ids, and no registry at all."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import perf_counter
from typing import Any

import pytest
from fastavro.schema import parse_schema
from hypothesis import given
from hypothesis import strategies as st

from stream.model import (
    BadRecord,
    DeadReason,
    RegistryDown,
    RevokeResult,
    Send,
    SettingsError,
    Severity,
    ViolationEvent,
)
from stream.wire import Wire, choices, registry, schemas
from stream.wire.references import MAX_REFERENCES
from stream.wire.registry import Registry
from tests.wire import records
from tests.wire.records import EVENT, HEAD, KEY, RESULT
from tests.wire.schema_registry import SchemaRegistry

TOPICS = {"MessageSent": "sends", "ViolationDetected": "violations", "RevokeResult": "results"}
SEND = Send(HEAD, (b"t" * 112, b"u" * 112))


@pytest.fixture
def server() -> Iterator[SchemaRegistry]:
    """A registry of its own for each test."""
    with SchemaRegistry() as running:
        yield running


@pytest.fixture(autouse=True)
def _ask_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ASK_AGAIN_AFTER_S", 0.05)


def wire_of(server: SchemaRegistry, *, write: bool = True, **settings: Any) -> Wire:
    return Wire("confluent" if write else "single-object", Registry(server.url, TOPICS, **settings))


def confluent(schema_id: int, schema: Any, fields: dict[str, Any]) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + records.body(schemas.parsed(json.dumps(schema)), fields)


def changed(name: str, *, without: tuple[str, ...] = (), first: Any = (), last: Any = ()) -> Any:
    """The present schema with fields less or more."""
    schema = json.loads(schemas.text_of(name))
    schema["fields"] = [*first, *(each for each in schema["fields"] if each["name"] not in without), *last]
    return schema


def expect(reason: DeadReason, wire: Wire, value: bytes) -> str:
    """The sentence of the BadRecord that reading this as a send raises, whichever way it is read."""
    sentences = []
    for read in (wire.send_head, wire.send, lambda each: wire.check_send(KEY, each)):
        with pytest.raises(BadRecord) as error:
            read(value)
        assert error.value.reason is reason
        sentences.append(str(error.value))
    return sentences[-1]


def test_what_is_written_in_confluents_format_is_read_again(server: SchemaRegistry) -> None:
    """Wire formats: written is the one that the configuration names; subject `<topic>-value`."""
    wire = wire_of(server)
    values = wire.encode_send(SEND), wire.encode_violation(EVENT), wire.encode_result(RESULT)
    assert [value[0] for value in values] == [0, 0, 0]
    assert (wire.send(values[0]), wire.violation(KEY, values[1]), wire.result(values[2])) == (SEND, EVENT, RESULT)
    assert sorted(server.subjects) == ["results-value", "sends-value", "violations-value"]
    assert json.loads(server.schemas[1]["schema"])["fields"][0]["doc"]


def test_an_id_is_asked_for_once(server: SchemaRegistry) -> None:
    """Ids never change: our own cache keeps them for ever."""
    wire, other = wire_of(server), wire_of(server, write=False)
    values = [wire.encode_send(SEND) for _ in range(50)]
    assert not other.plain_sends([KEY] * 50, values)
    for value in values:
        other.check_send(KEY, value)
        assert other.send(value) == SEND
        assert other.send_head(value) == HEAD
    assert other.plain_sends([KEY] * 50, values)
    assert server.asked == {"POST /subjects/sends-value/versions": 1, "GET /schemas/ids/1": 1}


def test_threads_that_meet_an_unknown_id_together_ask_once(server: SchemaRegistry) -> None:
    """Used from several threads and the event loop."""
    value = wire_of(server).encode_send(SEND)
    wire = wire_of(server, write=False)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(wire.send, [value] * 64)) == [SEND] * 64
    assert server.asked["GET /schemas/ids/1"] == 1


def test_both_formats_are_read_whatever_is_written(server: SchemaRegistry) -> None:
    """Wire formats: told apart by the first bytes."""
    writes_confluent, writes_single = wire_of(server), wire_of(server, write=False)
    assert writes_confluent.send(writes_single.encode_send(SEND)) == SEND
    assert writes_single.send(writes_confluent.encode_send(SEND)) == SEND


def test_a_schema_may_be_looked_up_only(server: SchemaRegistry) -> None:
    """Settings: auto_register false only looks the schema up; where it is not there, nothing is written."""
    with pytest.raises(RegistryDown, match="40403"):
        wire_of(server, auto_register=False).encode_result(RESULT)
    wire_of(server).encode_result(RESULT)
    value = wire_of(server, auto_register=False).encode_result(RESULT)
    assert value[:5] == b"\0\0\0\0\1"
    assert "POST /subjects/results-value" in server.asked


def test_an_unknown_id_is_an_unknown_schema(server: SchemaRegistry) -> None:
    """Dead letters: `unknown_schema`; asked for again only after a while."""
    wire = wire_of(server)
    value = b"\0\0\0\0\x07" + wire.encode_send(SEND)[5:]
    assert "id 7" in expect(DeadReason.UNKNOWN_SCHEMA, wire, value)
    assert server.asked["GET /schemas/ids/7"] == 1


def test_an_id_that_comes_to_be_known_is_read(server: SchemaRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may change is not believed for ever."""
    monkeypatch.setattr(registry, "ASK_AGAIN_AFTER_S", 0.0)
    wire = wire_of(server)
    value = b"\0\0\0\0\x07" + wire.encode_send(SEND)[5:]
    expect(DeadReason.UNKNOWN_SCHEMA, wire, value)
    server.add(changed("MessageSent"), schema_id=7)
    assert wire.send(value) == SEND


def test_without_a_registry_a_confluent_record_is_an_unknown_schema() -> None:
    """Dead letters: a Confluent record without a registry configured is `unknown_schema`."""
    assert "none is set" in expect(DeadReason.UNKNOWN_SCHEMA, Wire(), b"\0\0\0\0\1rest")


def test_confluents_format_cannot_be_written_without_a_registry() -> None:
    """Settings: avro.write_format = "confluent" needs registry_url."""
    with pytest.raises(SettingsError, match="registry_url"):
        Wire("confluent", None)


def test_known_ids_go_on_while_the_registry_is_down_and_unknown_ones_wait(server: SchemaRegistry) -> None:
    """Issue 4: registry down, known ids go on, unknown ids wait, nothing is dropped."""
    writer, wire = wire_of(server), wire_of(server)
    known, unknown = writer.encode_send(SEND), writer.encode_violation(EVENT)
    assert wire.send(known) == SEND
    wire.encode_result(RESULT)
    server.stop()
    for _ in range(3):
        with pytest.raises(RegistryDown, match="Schema Registry cannot be used"):
            wire.violation(KEY, unknown)
        assert wire.send(known) == SEND
        wire.encode_result(RESULT)
    server.start()
    assert until_up(lambda: wire.violation(KEY, unknown)) == EVENT


def until_up(read: Any) -> Any:
    """What a caller does: waits and repeats."""
    begin = perf_counter()
    while True:
        try:
            return read()
        except RegistryDown:
            assert perf_counter() - begin < 5


def test_a_registry_that_is_down_is_not_asked_for_every_record(
    server: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storm of records must not hammer it."""
    monkeypatch.setattr(registry, "ASK_AGAIN_AFTER_S", 60)
    wire = wire_of(server)
    server.fault = 503, {"error_code": 50301, "message": "not now"}
    for schema_id in range(100):
        with pytest.raises(RegistryDown, match="503"):
            wire.send(b"\0" + schema_id.to_bytes(4, "big") + b"rest")
    assert server.asked.total() == 1


@pytest.mark.parametrize(
    "fault",
    [
        (500, {"error_code": 50001, "message": "backend"}),
        (401, {"error_code": 40101, "message": "who are you"}),
        (403, {"error_code": 40301, "message": "not you"}),
        (404, {"error_code": 404, "message": "HTTP 404 Not Found"}),
        (404, "no registry here"),
        (200, "no schema"),
        (200, {}),
    ],
)
def test_a_registry_that_answers_badly_is_down_and_the_record_is_kept(
    server: SchemaRegistry, fault: tuple[int, Any]
) -> None:
    """Never a bad record for the registry's fault; a bare 404 is another server, or another path on it."""
    wire, value = wire_of(server), wire_of(server).encode_send(SEND)
    server.fault = fault
    with pytest.raises(RegistryDown):
        wire.send(value)
    with pytest.raises(RegistryDown):
        wire.encode_result(RESULT)
    server.fault = None
    assert until_up(lambda: wire.send(value)) == SEND
    assert until_up(lambda: wire.encode_result(RESULT))


def test_a_registry_that_refuses_what_we_write_still_serves_what_we_read(
    server: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An incompatible subject stops writing with one sentence; reading goes on."""
    monkeypatch.setattr(registry, "ASK_AGAIN_AFTER_S", 60)
    wire, value = wire_of(server), wire_of(server).encode_send(SEND)
    server.fault = 409, {"error_code": 409, "message": "incompatible with an earlier schema"}
    with pytest.raises(RegistryDown, match="incompatible with an earlier schema"):
        wire.encode_result(RESULT)
    server.fault = None
    assert wire.send(value) == SEND
    with pytest.raises(RegistryDown, match="incompatible"):
        wire.encode_result(RESULT)


def test_a_registry_that_never_answers_holds_a_record_for_two_seconds_at_most() -> None:
    """The look-up is bounded."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        wire = Wire("single-object", Registry(f"http://127.0.0.1:{silent.getsockname()[1]}", TOPICS))
        begin = perf_counter()
        with pytest.raises(RegistryDown):
            wire.send(b"\0\0\0\0\1rest")
        assert perf_counter() - begin < registry.ANSWER_WITHIN_S + 1


def test_credentials_are_sent_and_never_shown(server: SchemaRegistry) -> None:
    """Secrets are never printed."""
    wire = wire_of(server, user_info="reader:s3cret")
    wire.encode_result(RESULT)
    assert server.authorizations == {"Basic cmVhZGVyOnMzY3JldA=="}
    server.fault = 401, {"error_code": 40101, "message": "no"}
    with pytest.raises(RegistryDown) as error:
        wire.send(b"\0\0\0\0\7rest")
    assert "s3cret" not in f"{error.value} {wire!r} {wire._ids!r}"


SEND_FIELDS = records.send_fields(SEND, {"k": "v"})
NEWER: Any = {"name": "channel", "type": ["null", "string"], "default": None}


@pytest.mark.parametrize(
    ("schema", "fields", "expected", "plain"),
    [
        (changed("MessageSent", without=("requestId", "attributes")), {}, SEND, True),
        (changed("MessageSent", without=("notifyId",)), {}, Send(HEAD._replace(notify_id=None), SEND.tokens), True),
        (
            changed("MessageSent", without=("tokens",), last=(NEWER, changed("MessageSent")["fields"][-1])),
            {},
            SEND,
            True,
        ),
        (changed("MessageSent", last=(NEWER,)), {"channel": "x"}, SEND, False),
        (changed("MessageSent", last=(NEWER,)), {"channel": None}, SEND, False),
        (changed("MessageSent", first=(NEWER,)), {"channel": "x"}, SEND, False),
    ],
)
def test_a_send_of_an_older_or_newer_schema_is_read_as_ours(
    server: SchemaRegistry, schema: Any, fields: dict[str, Any], expected: Send, plain: bool
) -> None:
    """Wire formats: writer schemas are resolved against ours; the cheap look knows those that keep our order."""
    wire = wire_of(server)
    value = confluent(server.add(schema), schema, SEND_FIELDS | fields)
    wire.check_send(KEY, value)
    assert wire.send(value) == expected
    assert wire.send_head(value) == expected.head
    assert (wire.plain_sends([KEY, KEY], [value, value]) is not None) is plain
    with pytest.raises(BadRecord, match="1 bytes follow"):
        wire.send(value + b"\1")
    with pytest.raises(BadRecord) as error:
        wire.check_send(b"m-2", value)
    assert error.value.reason is DeadReason.KEY


CHANNEL: Any = {"type": "enum", "name": "Channel", "namespace": "media", "symbols": ["PUSH", "MAIL"]}
ROUTE: Any = {
    "type": "record",
    "name": "Route",
    "namespace": "media",
    "fields": [{"name": "by", "type": "Channel"}, {"name": "or", "type": ["null", "media.Channel"]}],
}
ROUTED: Any = changed("MessageSent", first=({"name": "route", "type": "media.Route"}, NEWER))
"""A send with a field whose type stands in a schema of its own, and that one's in a third."""


def routed_value(schema_id: int) -> bytes:
    named: Any = {}
    parse_schema(CHANNEL, named)
    parse_schema(ROUTE, named)
    schema: Any = parse_schema(schemas.without_logical_types(ROUTED), named)
    fields = SEND_FIELDS | {"route": {"by": "MAIL", "or": "PUSH"}, "channel": "x"}
    return b"\0" + schema_id.to_bytes(4, "big") + records.body(schema, fields)


def add_routed(server: SchemaRegistry) -> int:
    server.refer("media.Channel", "string")
    channel = server.refer("media.Channel", CHANNEL)
    route = server.refer("media.Route", ROUTE, [channel])
    return server.add(ROUTED, references=[route, channel])


def test_a_schema_put_together_out_of_others_is_resolved_to_ours(server: SchemaRegistry) -> None:
    """Any schema that Avro can resolve to ours: the types that it names are fetched, each version once."""
    wire, value = wire_of(server), routed_value(add_routed(server))
    for _ in range(2):
        wire.check_send(KEY, value)
        assert wire.send(value) == SEND
    assert server.asked["GET /subjects/subject%20of%20media.Channel/versions/2"] == 1
    assert server.asked["GET /subjects/subject%20of%20media.Route/versions/1"] == 1
    assert server.asked.total() == 3


def test_our_own_enums_may_stand_in_schemas_of_their_own(server: SchemaRegistry) -> None:
    """A status that comes by reference is read as any other: an unknown one is no CONFIRMED."""
    schema = changed("ViolationDetected")
    severity, status = (field["type"] for field in schema["fields"][2:4])
    value = confluent(0, schema, records.event_fields(EVENT))[5:]
    schema["fields"][2]["type"], schema["fields"][3]["type"] = "unpush.Severity", "unpush.ViolationStatus"
    other = status | {"symbols": ["SUSPECTED", *status["symbols"][1:]]}
    for kind in (status, other):
        references = [
            server.refer("unpush.Severity", severity | {"namespace": "unpush"}),
            server.refer("unpush.ViolationStatus", kind | {"namespace": "unpush"}),
        ]
        record = b"\0" + server.add(schema, references=references).to_bytes(4, "big") + value
        if kind is status:
            assert wire_of(server).violation(KEY, record) == EVENT
        else:
            with pytest.raises(BadRecord, match="status is none of"):
                wire_of(server).violation(KEY, record)


def test_a_registry_that_goes_down_between_a_schema_and_its_references_drops_nothing(
    server: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for the schema itself: RegistryDown, and read when it is back; what was fetched is not fetched again."""
    wire, value = wire_of(server), routed_value(add_routed(server))
    answer, lost = server.answer, "subject%20of%20media.Channel"

    def down(method: str, path: str, body: Any) -> tuple[int, Any]:
        return (503, {"error_code": 50301, "message": "not now"}) if lost in path else answer(method, path, body)

    monkeypatch.setattr(server, "answer", down)
    for _ in range(2):
        with pytest.raises(RegistryDown, match="503"):
            wire.send(value)
    monkeypatch.setattr(server, "answer", answer)
    assert until_up(lambda: wire.send(value)) == SEND
    assert server.asked["GET /subjects/subject%20of%20media.Route/versions/1"] == 1


def test_a_slow_registry_holds_a_record_for_a_bounded_time_and_gets_further_each_time(
    server: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up is bounded, however many others there are."""
    wire, value = wire_of(server), routed_value(add_routed(server))
    monkeypatch.setattr(registry, "ANSWER_WITHIN_S", 0.0)
    with pytest.raises(RegistryDown, match="more others than"):
        wire.send(value)
    monkeypatch.setattr(registry, "ANSWER_WITHIN_S", 2.0)
    assert until_up(lambda: wire.send(value)) == SEND


def test_a_reference_that_nobody_knows_is_an_unknown_schema_until_it_is_known(server: SchemaRegistry) -> None:
    """Its records harm no others: dead letters, to be sent back when it is there."""
    wire, missing = wire_of(server), {"name": "media.Route", "subject": "subject of media.Route", "version": 1}
    channel = server.refer("media.Channel", CHANNEL)
    value = routed_value(server.add(ROUTED, references=[missing]))
    assert "refers to" in expect(DeadReason.UNKNOWN_SCHEMA, wire, value)
    server.refer("media.Route", ROUTE, [channel])
    time.sleep(2 * registry.ASK_AGAIN_AFTER_S)
    assert wire.send(value) == SEND


def test_a_reference_to_a_version_that_there_cannot_be_holds_nothing_up(server: SchemaRegistry) -> None:
    """The registry refuses the question, so it is not down."""
    reference = server.refer("media.Route", ROUTE, [server.refer("media.Channel", CHANNEL)]) | {"version": 0}
    wire = wire_of(server)
    assert "refers to" in expect(
        DeadReason.UNKNOWN_SCHEMA, wire, routed_value(server.add(ROUTED, references=[reference]))
    )


@pytest.mark.parametrize("how", ["a circle", "too many", "not there", "no schema"])
def test_references_without_end_or_sense_make_the_record_undecodable(server: SchemaRegistry, how: str) -> None:
    """Dead letters: `decode`, after a bounded number of questions."""
    circle = {"name": "media.Route", "subject": "subject of media.Route", "version": 1}
    references = {
        "a circle": lambda: [server.refer("media.Route", ROUTE, [circle])],
        "too many": lambda: [server.refer(f"n{n}", CHANNEL) for n in range(150)],
        "not there": lambda: [server.refer("media.Channel", CHANNEL)],
        "no schema": lambda: [server.refer("media.Route", {"type": "object"})],
    }[how]()
    value = routed_value(server.add(ROUTED, references=references))
    expect(DeadReason.DECODE, wire_of(server), value)
    assert server.asked.total() <= 3 + MAX_REFERENCES


CAMP: Any = {
    "type": "record",
    "name": "Camp",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "parts", "type": {"type": "array", "items": "Camp"}},
        {"name": "of", "type": ["null", {"type": "record", "name": "Of", "fields": [{"name": "is", "type": "Camp"}]}]},
        {"name": "by_name", "type": {"type": "map", "values": "Of"}},
    ],
}
"""A type that holds itself in every way there is."""


def camp(deep: int) -> dict[str, Any]:
    """One that holds itself so deep."""
    inner = [camp(deep - 1)] if deep else []
    others: Any = {"of": {"is": camp(0)}, "by_name": {"x": {"is": camp(0)}}} if deep else {"of": None, "by_name": {}}
    return {"name": "c", "parts": inner} | others


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("deep", [0, 1, choices.MAX_DEPTH])
def test_a_field_that_holds_itself_is_skipped(server: SchemaRegistry, last: bool, deep: int) -> None:
    """Any schema that Avro can resolve to ours, a tree of somebody's in it."""
    field = {"name": "camp", "type": CAMP}
    schema = changed("MessageSent", last=(field,)) if last else changed("MessageSent", first=(field,))
    wire, value = wire_of(server), confluent(server.add(schema), schema, SEND_FIELDS | {"camp": camp(deep)})
    wire.check_send(KEY, value)
    assert wire.send(value) == SEND


@pytest.mark.parametrize("deep", [choices.MAX_DEPTH + 1, 60])
def test_a_field_that_holds_itself_too_deep_is_undecodable(server: SchemaRegistry, deep: int) -> None:
    """A record could nest as deep as it is long: fastavro would follow it until the process dies."""
    schema = changed("MessageSent", first=({"name": "camp", "type": CAMP},))
    value = confluent(server.add(schema), schema, SEND_FIELDS | {"camp": camp(deep)})
    assert "unpush.Camp within itself more than 32 deep" in expect(DeadReason.DECODE, wire_of(server), value)
    huge = value[:5] + b"\x02c\x02" * 1_000_000
    assert "within itself" in expect(DeadReason.DECODE, wire_of(server), huge)


def test_a_type_that_is_nothing_but_itself_is_undecodable(server: SchemaRegistry) -> None:
    """It takes no bytes, and has no end."""
    endless = {"type": "record", "name": "Endless", "fields": [{"name": "more", "type": "Endless"}]}
    schema_id = server.add(changed("MessageSent", first=({"name": "endless", "type": endless},)))
    value = b"\0" + schema_id.to_bytes(4, "big") + Wire().encode_send(SEND)[10:]
    assert "within itself" in expect(DeadReason.DECODE, wire_of(server), value)


def test_an_unknown_severity_reads_as_medium_and_an_unknown_status_is_invalid(server: SchemaRegistry) -> None:
    """Values: an unknown status must never pass for CONFIRMED."""
    wire, schema = wire_of(server), changed("ViolationDetected")
    for at, symbol in ((2, "URGENT"), (3, "SUSPECTED")):
        schema["fields"][at]["type"]["symbols"].append(symbol)
    schema_id = server.add(schema)
    fields = records.event_fields(EVENT)
    urgent = wire.violation(KEY, confluent(schema_id, schema, fields | {"severity": "URGENT"}))
    assert urgent == EVENT._replace(severity=Severity.MEDIUM)
    with pytest.raises(BadRecord) as error:
        wire.violation(KEY, confluent(schema_id, schema, fields | {"status": "SUSPECTED"}))
    assert error.value.reason is DeadReason.INVALID


@pytest.mark.parametrize("at", [8, 9])
@pytest.mark.parametrize("index", [b"\x01", b"\x08"])
def test_an_index_without_a_symbol_is_undecodable_whoever_wrote_it(
    server: SchemaRegistry, at: int, index: bytes
) -> None:
    """fastavro takes -1 for the last symbol: a damaged CONFIRMED must not become APPROVED."""
    wire, schema = wire_of(server), changed("ViolationDetected", last=(NEWER,))
    value = confluent(server.add(schema), schema, records.event_fields(EVENT) | {"channel": None})
    assert wire.violation(KEY, value) == EVENT
    with pytest.raises(BadRecord, match="no symbol with the index") as error:
        wire.violation(KEY, value[: 5 + at] + index + value[5 + at + 1 :])
    assert error.value.reason is DeadReason.DECODE


@pytest.mark.parametrize("choice", [b"\x01\x02", b"\x02\x01", b"\x04\x00", b"\x02\x08"])
def test_a_branch_that_does_not_exist_is_no_choice_either(server: SchemaRegistry, choice: bytes) -> None:
    """... nor must it where a stranger's status may be null: branch -1, then symbol -1 of the right branch."""
    wire, schema = wire_of(server), changed("ViolationDetected")
    status = next(field for field in schema["fields"] if field["name"] == "status")
    status["type"] = ["null", status["type"]]
    value = confluent(server.add(schema), schema, records.event_fields(EVENT))
    assert wire.violation(KEY, value) == EVENT
    at = value.index(b"\x02\x00", 13)  # behind messageId and severity: branch 1, CONFIRMED
    with pytest.raises(BadRecord) as error:
        wire.violation(KEY, value[:at] + choice + value[at + 2 :])
    assert error.value.reason is DeadReason.DECODE


def test_an_enum_used_twice_by_a_writer_is_still_read(server: SchemaRegistry) -> None:
    """A later field may name the type that an earlier one defines."""
    wire = wire_of(server)
    schema = changed("ViolationDetected", last=({"name": "before", "type": "Severity", "default": "LOW"},))
    value = confluent(server.add(schema), schema, records.event_fields(EVENT) | {"before": "HIGH"})
    assert wire.violation(KEY, value) == EVENT


def test_an_enum_of_another_name_is_undecodable(server: SchemaRegistry) -> None:
    """Avro resolves enums by name."""
    wire, schema = wire_of(server), changed("ViolationDetected")
    schema["fields"][2]["type"]["name"] = "Urgency"
    with pytest.raises(BadRecord, match="another enum") as error:
        wire.violation(KEY, confluent(server.add(schema), schema, records.event_fields(EVENT)))
    assert error.value.reason is DeadReason.DECODE


def test_a_schema_that_cannot_become_ours_is_never_trusted_for_its_looks(server: SchemaRegistry) -> None:
    """Its sends begin with the key and end with a list, and still every one is a bad record at once."""
    wire, schema = wire_of(server), changed("MessageSent", without=("clientId",))
    value = confluent(server.add(schema), schema, SEND_FIELDS)
    for _ in range(2):
        assert not wire.plain_sends([KEY], [value])
        assert "fit" in expect(DeadReason.DECODE, wire, value)


def test_a_violation_without_the_optional_fields_gets_their_defaults(server: SchemaRegistry) -> None:
    """Values: severity MEDIUM, status CONFIRMED, reason "", detector null."""
    wire, schema = wire_of(server), changed("ViolationDetected", without=("severity", "status", "reason", "detector"))
    event = wire.violation(KEY, confluent(server.add(schema), schema, records.event_fields(EVENT)))
    assert event == EVENT._replace(severity=Severity.MEDIUM, reason="")


def test_a_result_of_a_newer_schema_is_read_as_ours(server: SchemaRegistry) -> None:
    """An instance of a later version may write to the same topic."""
    wire, schema = wire_of(server), changed("RevokeResult", first=(NEWER,))
    value = confluent(server.add(schema), schema, records.result_fields(RESULT) | {"channel": "x"})
    assert wire.result(value) == RESULT


@pytest.mark.parametrize(
    "schema",
    [
        changed("MessageSent", without=("clientId",)),
        changed("MessageSent", without=("clientId",), first=({"name": "clientId", "type": "int"},)),
        changed("MessageSent", last=({"name": "bomb", "type": {"type": "array", "items": "null"}},)),
        changed("ViolationDetected"),
        {"type": "record", "name": "MessageSent", "fields": [{"name": "messageId", "type": "Unheard"}]},
        "string",
        {"type": "enum", "name": "E", "symbols": ["A"]},
        ["null", "string"],
    ],
)
def test_a_writers_schema_that_cannot_become_ours_makes_the_record_undecodable(
    server: SchemaRegistry, schema: Any
) -> None:
    """Dead letters: `decode`; an array of null in five bytes is never resolved."""
    schema_id = server.add(schema)
    value = b"\0" + schema_id.to_bytes(4, "big") + Wire().encode_send(SEND)[10:] + b"\xfe\xff\xff\xff\x0f"
    expect(DeadReason.DECODE, wire_of(server), value)


def test_a_schema_that_is_not_avro_makes_the_record_undecodable(server: SchemaRegistry) -> None:
    """A registry also holds JSON Schema and Protobuf."""
    schema_id = server.add({"type": "object"}, kind="JSON")
    assert "JSON, not Avro" in expect(DeadReason.DECODE, wire_of(server), b"\0" + schema_id.to_bytes(4, "big") + b"{}")


def test_another_writers_records_are_read_right_or_refused_whatever_is_done_to_them() -> None:
    """Damaged records of a stranger's schema raise nothing but BadRecord; whole ones mean what they meant."""
    with SchemaRegistry() as server:
        wire = wire_of(server, write=False)
        foreign = {name: changed(name, first=(NEWER,)) for name in TOPICS}
        ids = {name: server.add(schema) for name, schema in foreign.items()}

        @given(records.sends, records.events, records.results, st.integers(0, 80), st.binary(max_size=3))
        def holds(send: Send, event: ViolationEvent, result: RevokeResult, at: int, damage: bytes) -> None:
            fields = records.send_fields(send), records.event_fields(event), records.result_fields(result)
            reads: tuple[Callable[[bytes], object], ...] = (wire.send, wire.stored_violation, wire.result)
            for name, each, read, expected in zip(TOPICS, fields, reads, (send, event, result), strict=True):
                value = confluent(ids[name], foreign[name], each | {"channel": "x"})
                assert read(value) == expected
                with suppress(BadRecord):
                    read(value[: 5 + at] + damage + value[5 + at + len(damage) :])

        holds()
