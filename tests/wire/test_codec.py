"""Records by hand against fastavro: what we write it reads, what it writes we read, and the same comes out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.model import BadRecord, DeadReason, Outcome, RevokeResult, Send, SendPart, Severity, Status, ViolationEvent
from stream.wire import Wire, schemas
from tests.wire import records
from tests.wire.records import EVENT, HEAD, KEY, RESULT

wire = Wire()


READS: tuple[Callable[[bytes], object], ...] = wire.send, partial(wire.violation, KEY), wire.result


def reason_of(error: pytest.ExceptionInfo[BadRecord]) -> DeadReason:
    return error.value.reason


@given(records.sends)
def test_a_send_is_written_as_fastavro_writes_it_and_read_back_whole(send: Send) -> None:
    """Values: MessageSent, field order and encoding."""
    value = wire.encode_send(send)
    assert value == records.written(schemas.present("MessageSent"), records.send_fields(send))
    assert wire.send(value) == send
    assert wire.send_head(value) == send.head


@given(records.sends, st.dictionaries(records.texts, records.texts, max_size=4))
def test_attributes_are_passed_over(send: Send, attributes: dict[str, str]) -> None:
    """Values: attributes are never interpreted."""
    value = records.written(schemas.present("MessageSent"), records.send_fields(send, attributes))
    assert wire.send(value) == send
    assert wire.send_head(value) == send.head


@given(records.events)
def test_a_violation_is_written_as_fastavro_writes_it_and_read_back_whole(event: ViolationEvent) -> None:
    """Values: ViolationDetected, field order and encoding."""
    value = wire.encode_violation(event)
    assert value == records.written(schemas.present("ViolationDetected"), records.event_fields(event))
    assert wire.violation(event.message_id.encode(), value) == event


@given(records.results)
def test_a_result_is_written_as_fastavro_writes_it_and_read_back_whole(result: RevokeResult) -> None:
    """Values: RevokeResult, field order and encoding."""
    value = wire.encode_result(result)
    assert value == records.written(schemas.present("RevokeResult"), records.result_fields(result))
    assert wire.result(value) == result


def test_a_thousand_parts_and_refused_tokens_survive_the_way_there_and_back() -> None:
    """Limits: a result has at most 1,000 SendParts."""
    parts = tuple(SendPart(n % 8, n << 33, n, 1) for n in range(1_000))
    result = RESULT._replace(sends=parts, outcome=Outcome.FAILED)
    assert wire.result(wire.encode_result(result)) == result


def test_a_text_that_utf8_cannot_hold_is_written_with_a_question_mark() -> None:
    """A lone surrogate in the gateway's reply must not cost the result."""
    assert wire.result(wire.encode_result(RESULT._replace(detail="a\ud800b"))).detail == "a?b"


@pytest.mark.parametrize(
    "change",
    [
        {"tokens_requested": 2**31},
        {"tokens_revoked": -1},
        {"attempts": 2**31},
        {"http_status": 2**31},
        {"notify_id": 2**31},
        {"push_type": -(2**31) - 1},
        {"sends": (SendPart(0, 0, 2**31, 1),)},
        {"sends": (SendPart(-1, 0, 0, 1),)},
        {"sends": (SendPart(0, 2**63, 0, 1),)},
        {"completed_at_ms": 2**63},
    ],
)
def test_a_number_that_no_java_reader_could_read_is_never_written(change: dict[str, Any]) -> None:
    """RevokeResult's int fields have 32 bits for everybody who reads them."""
    with pytest.raises(ValueError, match="beyond"):
        wire.encode_result(RESULT._replace(**change))


@pytest.mark.parametrize(
    ("written", "read"), [(None, None), (-1, None), (-(2**31), None), (0, 0), (2**31 - 1, 2**31 - 1)]
)
def test_a_notify_id_that_is_null_or_negative_means_not_revocable(written: int | None, read: int | None) -> None:
    """Values: notifyId is 0 to 2147483647; null or negative cannot be revoked."""
    value = wire.encode_send(Send(HEAD._replace(notify_id=written), (b"t",)))
    assert wire.send_head(value).notify_id == read
    assert wire.send(value).head.notify_id == read


@pytest.mark.parametrize(
    "change",
    [
        {"notifyId": 2**31},
        {"notifyId": -(2**31) - 1},
        {"pushType": 2**31},
        {"messageId": ""},
        {"clientId": ""},
        {"sentAt": 2**62},
        {"sentAt": 1_764_000_000_000_000},
    ],
)
def test_a_send_that_means_nothing_is_invalid(change: dict[str, Any]) -> None:
    """Dead letters: `invalid`. A time in microseconds is one of them."""
    fields = records.send_fields(Send(HEAD, (b"t",))) | change
    value = records.written_by_a_careless_writer(schemas.present("MessageSent"), fields)
    for read in (wire.send, wire.send_head):
        with pytest.raises(BadRecord) as error:
            read(value)
        assert reason_of(error) is DeadReason.INVALID


@pytest.mark.parametrize("change", [{"violationId": ""}, {"messageId": ""}, {"detectedAt": -(2**62)}])
def test_a_violation_that_means_nothing_is_invalid(change: dict[str, Any]) -> None:
    """Dead letters: `invalid`."""
    value = records.written(schemas.present("ViolationDetected"), records.event_fields(EVENT) | change)
    with pytest.raises(BadRecord) as error:
        wire.violation(b"", value)
    assert reason_of(error) is DeadReason.INVALID


@pytest.mark.parametrize(
    "change",
    [
        {"resultId": ""},
        {"violationId": ""},
        {"completedAt": 2**62},
        {"attempts": -1},
        {"tokensRequested": 2**31},
        {"notifyId": 2**31},
        {"sends": [{"partition": -1, "offset": 0, "firstToken": 0, "tokenCount": 1}]},
        {"sends": [{"partition": 0, "offset": -1, "firstToken": 0, "tokenCount": 1}]},
    ],
)
def test_a_result_with_impossible_numbers_is_invalid(change: dict[str, Any]) -> None:
    """The ledger builds the store's keys from them: what no store can hold must not reach it."""
    value = records.written_by_a_careless_writer(
        schemas.present("RevokeResult"), records.result_fields(RESULT) | change
    )
    with pytest.raises(BadRecord) as error:
        wire.result(value)
    assert reason_of(error) is DeadReason.INVALID


@pytest.mark.parametrize("read", [partial(wire.violation, KEY), partial(wire.check_send, KEY), wire.result])
def test_a_record_without_a_value_is_invalid(read: Callable[[bytes | None], object]) -> None:
    """Dead letters: a null value is `invalid`."""
    with pytest.raises(BadRecord) as error:
        read(None)
    assert reason_of(error) is DeadReason.INVALID


def test_a_stored_violation_is_read_without_its_key() -> None:
    """It was compared with the key before it was stored."""
    assert wire.stored_violation(wire.encode_violation(EVENT)) == EVENT


@pytest.mark.parametrize("key", [None, b"", b"m-2", b"\xff"])
def test_a_violation_under_another_key_is_refused(key: bytes | None) -> None:
    """Dead letters: `key`; the record's key equals messageId."""
    with pytest.raises(BadRecord) as error:
        wire.violation(key, wire.encode_violation(EVENT))
    assert reason_of(error) is DeadReason.KEY


@pytest.mark.parametrize(("at", "index"), [(0, 4), (0, -1), (1, 3), (1, -1)])
def test_an_index_that_no_symbol_has_cannot_be_decoded(at: int, index: int) -> None:
    """A negative index must not count from the end, as lists do: the last status is APPROVED."""
    value = bytearray(wire.encode_violation(EVENT))
    value[10 + 4 + 4 + at] = index << 1 if index >= 0 else -index * 2 - 1
    with pytest.raises(BadRecord) as error:
        wire.violation(KEY, bytes(value))
    assert reason_of(error) is DeadReason.DECODE


@pytest.mark.parametrize("index", [b"\x01", b"\x12"])
def test_an_outcome_that_no_symbol_has_cannot_be_decoded(index: bytes) -> None:
    """Minus one would be DRY_RUN, and what was revoked would be revoked again."""
    value = wire.encode_result(RESULT)
    at = 10 + 4 + 4 + 4 + 1 + 5 + 6
    assert value[at] == 2
    with pytest.raises(BadRecord) as error:
        wire.result(value[:at] + index + value[at + 1 :])
    assert reason_of(error) is DeadReason.DECODE


def test_a_number_beyond_64_bits_cannot_be_decoded() -> None:
    """Ten bytes can hold seventy bits, Avro's long cannot."""
    before = wire.encode_send(Send(HEAD, (b"t",)))[: 10 + 4 + 10 + 2 + 1]
    for last in (b"\x02", b"\x7f"):
        with pytest.raises(BadRecord, match="beyond 64 bits") as error:
            wire.send_head(before + b"\xff" * 9 + last + b"\0\0\2\2t\0")
        assert reason_of(error) is DeadReason.DECODE


def test_nothing_may_follow_the_last_field() -> None:
    """Trailing bytes are a bad record: fastavro would not mind them."""
    values = wire.encode_send(Send(HEAD, (b"t",))), wire.encode_violation(EVENT), wire.encode_result(RESULT)
    for value, read in zip(values, READS, strict=True):
        with pytest.raises(BadRecord, match="1 bytes follow") as error:
            read(value + b"\0")
        assert reason_of(error) is DeadReason.DECODE


@pytest.mark.parametrize("value", [b"", b"\xc3", b"\xc3\x01", b"\0\0\0", b"Obj\x01", b'{"messageId":"m"}'])
def test_a_record_in_neither_wire_format_is_refused(value: bytes) -> None:
    """Wire formats: anything else is a bad record."""
    for read in (
        wire.send,
        wire.send_head,
        wire.result,
        partial(wire.violation, KEY),
        lambda v: wire.check_send(KEY, v),
    ):
        with pytest.raises(BadRecord) as error:
            read(value)
        assert reason_of(error) is DeadReason.WIRE_FORMAT


def test_a_fingerprint_that_nobody_knows_is_an_unknown_schema() -> None:
    """Dead letters: `unknown_schema`."""
    with pytest.raises(BadRecord) as error:
        wire.send(b"\xc3\x01" + bytes(8) + b"rest")
    assert reason_of(error) is DeadReason.UNKNOWN_SCHEMA


def test_a_record_of_another_kind_cannot_be_decoded() -> None:
    """A violation in the topic of sends names a schema that we know, but not the one that is wanted here."""
    for read in (wire.send, wire.send_head, wire.result):
        with pytest.raises(BadRecord) as error:
            read(wire.encode_violation(EVENT))
        assert reason_of(error) is DeadReason.DECODE


def test_every_symbol_stands_where_the_schema_has_it() -> None:
    """The enums' numbers are the schemas' indexes."""
    fields = {field["name"]: field["type"] for field in schemas.present("ViolationDetected")["fields"]}
    outcome = next(field["type"] for field in schemas.present("RevokeResult")["fields"] if field["name"] == "outcome")
    assert fields["severity"]["symbols"] == [severity.name for severity in Severity]
    assert fields["status"]["symbols"] == [status.value for status in Status]
    assert outcome["symbols"] == [outcome.value for outcome in Outcome]
