"""Whatever the bytes: BadRecord or a valid record, in time and memory that the bytes are worth."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream.model import BadRecord, Send
from stream.wire import Wire, schemas
from stream.wire.primitives import long
from tests.wire import records
from tests.wire.records import EVENT, HEAD, KEY, RESULT

wire = Wire()

READS: dict[str, Callable[[bytes], Any]] = {
    "MessageSent": wire.send,
    "ViolationDetected": partial(wire.violation, KEY),
    "RevokeResult": wire.result,
}
VALUES = {
    "MessageSent": wire.encode_send(Send(HEAD, (b"t" * 70, b"u" * 70, b"v"))),
    "ViolationDetected": wire.encode_violation(EVENT),
    "RevokeResult": wire.encode_result(RESULT),
}
HEADERS = {name: value[:10] for name, value in VALUES.items()}
AS_FIELDS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "MessageSent": records.send_fields,
    "ViolationDetected": records.event_fields,
    "RevokeResult": records.result_fields,
}
names = st.sampled_from(sorted(READS))


def read_or_refused(name: str, value: bytes) -> Any:
    """The record, or None for BadRecord; any other exception fails the test."""
    try:
        return READS[name](value)
    except BadRecord:
        return None


@st.composite
def mutated(draw: st.DrawFn, value: bytes) -> bytes:
    """A valid record with some bytes changed, put in, taken out or cut off at the end."""
    data = bytearray(value)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(10, max(10, len(data) - 1)))
        change = draw(st.binary(max_size=3))
        data[at : at + draw(st.integers(0, 3))] = change
    return bytes(data[: draw(st.integers(10, len(data)) | st.just(len(data)))])


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_raise_nothing_but_bad_record(value: bytes) -> None:
    """Dead letters: what cannot be read is a bad record and nothing worse."""
    for name in READS:
        read_or_refused(name, value)
        read_or_refused(name, HEADERS[name] + value)
    for read in (partial(wire.check_send, KEY), wire.send_head):
        with suppress(BadRecord):
            read(HEADERS["MessageSent"] + value)
    wire.plain_sends([KEY, value], [HEADERS["MessageSent"] + value, value])


@given(names.flatmap(lambda name: st.tuples(st.just(name), mutated(VALUES[name]))))
@example(("MessageSent", VALUES["MessageSent"]))
def test_what_is_read_from_a_damaged_record_is_what_fastavro_reads(damaged: tuple[str, bytes]) -> None:
    """Either refused, or exactly what the bytes say; a negative notifyId reads as none, attributes as not there."""
    name, value = damaged
    record = read_or_refused(name, value)
    if record is None:
        return
    expected = records.read(name, value)
    if name == "MessageSent":
        expected |= {"attributes": {}}
        if expected["notifyId"] is not None and expected["notifyId"] < 0:
            expected["notifyId"] = None
    assert AS_FIELDS[name](record) == expected


@pytest.mark.parametrize("name", sorted(READS))
def test_a_record_cut_anywhere_is_refused(name: str) -> None:
    """A truncated record never passes for a whole one."""
    for length in range(10, len(VALUES[name])):
        with pytest.raises(BadRecord):
            READS[name](VALUES[name][:length])


GIGABYTES = long(2**40)
BEFORE_TOKENS = wire.encode_send(Send(HEAD, ()))[10:-1]
BEFORE_ATTRIBUTES = BEFORE_TOKENS[:-1]
BIG_BYTES = 250_000
HOSTILE = {
    "a text of a terabyte": GIGABYTES + b"rest",
    "a text of minus a terabyte": long(-(2**40)) + b"rest",
    "a number without end": b"\xff" * BIG_BYTES,
    "a trillion tokens": BEFORE_TOKENS + GIGABYTES + b"\2a" * 50,
    "a trillion empty tokens": BEFORE_TOKENS + GIGABYTES + bytes(50),
    "minus a trillion tokens": BEFORE_TOKENS + long(-(2**40)) + GIGABYTES + b"\2a" * 50,
    "as many tokens as numbers go": BEFORE_TOKENS + long(-(2**63)) + long(2**63 - 1),
    "a token of a terabyte": BEFORE_TOKENS + long(1) + GIGABYTES + b"a",
    "a trillion attributes": BEFORE_ATTRIBUTES + GIGABYTES + bytes(50),
    "as many blocks as there is room for": BEFORE_TOKENS + b"\2\0" * (BIG_BYTES // 2) + b"\xff",
    "as many attributes as there is room for": BEFORE_ATTRIBUTES + long(BIG_BYTES // 2) + bytes(BIG_BYTES),
    "tokens that all claim more than is there": BEFORE_TOKENS
    + long(BIG_BYTES // 4)
    + b"\x80\x80\x80\x10" * (BIG_BYTES // 4),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_record_costs_no_time_and_no_memory(body: bytes) -> None:
    """Claimed lengths of gigabytes, numbers without end, counts without end: refused at once."""
    value = HEADERS["MessageSent"] + body
    begin = perf_counter()
    refused(value)
    took_s = perf_counter() - begin
    tracemalloc.start()
    refused(value)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took_s < 0.2 + 3e-6 * len(value)
    assert peak_bytes < 100_000 + 12 * len(value)


def refused(value: bytes) -> None:
    """Refused when it is read whole, whatever the cheap look at its ends says."""
    with suppress(BadRecord):
        wire.check_send(KEY, value)
    with pytest.raises(BadRecord):
        wire.send(value)


@pytest.mark.parametrize("at", ["sends", "rejectedTokens"])
def test_a_result_that_claims_a_trillion_parts_costs_nothing(at: str) -> None:
    """The ledger reads other instances' records too."""
    fields = records.result_fields(RESULT._replace(sends=(), rejected_tokens=()))
    names = [field["name"] for field in schemas.present("RevokeResult")["fields"]]
    before = schemas.cut(schemas.present("RevokeResult"), *names[names.index(at) :])
    value = HEADERS["RevokeResult"] + records.body(before, fields) + GIGABYTES + b"\2" * 100
    tracemalloc.start()
    with pytest.raises(BadRecord):
        wire.result(value)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 100_000


def test_a_refusal_shows_no_token() -> None:
    """No whole push token in any error."""
    value = VALUES["MessageSent"][:-4] + b"\xff"
    with pytest.raises(BadRecord) as error:
        wire.send(value)
    assert "ttt" not in f"{error.value!r} {error.value}"
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
