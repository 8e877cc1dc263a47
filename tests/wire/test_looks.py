"""The cheap look at sends: it may say no to a good one, never yes to a bad one that it could have known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.model import BadRecord, DeadReason, Send
from stream.wire import Wire, schemas
from stream.wire.primitives import blob, long
from tests.wire import records
from tests.wire.records import EVENT, HEAD, KEY

wire = Wire()
GOOD = wire.encode_send(Send(HEAD, (b"t" * 112,) * 3))


@given(st.lists(records.sends, max_size=8))
def test_a_batch_of_good_sends_is_plain(sends: list[Send]) -> None:
    """Design 5: what can be checked cheaply is checked at once, for the whole batch."""
    keys = [send.head.message_id.encode() for send in sends]
    assert wire.plain_sends(keys, [wire.encode_send(send) for send in sends])


one_letter_ids = st.lists(
    records.sends.map(lambda send: send._replace(head=send.head._replace(message_id="m"))), min_size=1
)


@given(one_letter_ids)
def test_a_look_gives_the_records_side_by_side(sends: list[Send]) -> None:
    """Whoever stores them needs them so."""
    values = [wire.encode_send(send) for send in sends]
    records = wire.plain_sends([b"m"] * len(values), values)
    assert records is not None
    assert (records.values, records.sizes.tolist()) == (values, list(map(len, values)))
    assert records.joined in (b"", b"".join(values))


@given(one_letter_ids, st.data())
def test_no_bad_record_hides_among_others_of_one_length_of_key(sends: list[Send], data: st.DataObject) -> None:
    """Whatever byte of its beginning or its end is another, and wherever in its beginning it is cut off."""
    values = [wire.encode_send(send) for send in sends]
    place = data.draw(st.integers(0, len(values) - 1))
    whole = values[place]
    byte = data.draw(st.one_of(st.integers(0, 11), st.just(len(whole) - 1)))
    values[place] = whole[:byte] + bytes([whole[byte] ^ data.draw(st.integers(1, 255))]) + whole[byte + 1 :]
    assert wire.plain_sends([b"m"] * len(values), values) is None
    values[place] = whole[: min(byte, 11)]
    assert wire.plain_sends([b"m"] * len(values), values) is None


def test_a_record_does_not_borrow_its_end_from_the_next() -> None:
    """Records are compared side by side: one that is cut off just where the next goes on must not pass."""
    head, after = GOOD[:10], GOOD[14:]
    key = b"k" + head[:2]
    short, following = head + long(3) + b"k", head[:2] + head[2:] + long(3) + key + after
    assert wire.plain_sends([key, key], [short, following]) is None
    assert wire.plain_sends([key, key], [short + head[:2] + after, following]) is not None


def test_keys_of_different_length_do_not_lend_each_other_bytes() -> None:
    """Each key stands before its own record."""
    one, other = (wire.encode_send(Send(HEAD._replace(message_id=m), (b"t" * 112,))) for m in ("ab", "cd"))
    assert wire.plain_sends([b"ab", b"cd"], [one, other])
    assert not wire.plain_sends([b"abc", b"d"], [one, other])
    assert not wire.plain_sends([b"cd", b"ab"], [one, other])
    start, rest = GOOD[:10] + long(3), bytes(120)
    values = [start + b"abc" + rest, start + b"de" + start[:1] + rest, start[1:] + b"fghi" + rest]
    assert b"".join(v[:14] for v in values) == start + start.join([b"abc", b"de", b"fghi"])
    assert not wire.plain_sends([b"abc", b"de", b"fghi"], values)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, GOOD),
        (KEY, None),
        (b"", GOOD),
        (b"m-2", GOOD),
        (b"m-11", GOOD),
        (b"m-", GOOD),
        (KEY, GOOD[:-1]),
        (KEY, GOOD[:-2]),
        (KEY, GOOD[:10]),
        (KEY, b""),
        (KEY, GOOD + b"\1"),
        (KEY, b"\0" + GOOD),
        (KEY, b"\xc3\x01" + bytes(8) + GOOD[10:]),
        (KEY, wire.encode_violation(EVENT)),
        (b"x" * 2_000, GOOD),
    ],
)
@pytest.mark.parametrize("place", [0, 3])
def test_one_bad_record_makes_the_batch_not_plain(key: bytes | None, value: bytes | None, place: int) -> None:
    """Whatever is wrong with it, and wherever it stands."""
    keys: list[bytes | None] = [KEY] * 7
    values: list[bytes | None] = [GOOD] * 7
    assert wire.plain_sends(keys, values)
    keys[place], values[place] = key, value
    assert not wire.plain_sends(keys, values)


def test_keys_and_values_of_different_number_are_not_plain() -> None:
    """A value that was never looked at must not pass."""
    assert not wire.plain_sends([KEY], [GOOD, b"bad\0"])
    assert not wire.plain_sends([KEY], [])
    assert wire.plain_sends([], [])


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (KEY, None, DeadReason.INVALID),
        (None, GOOD, DeadReason.KEY),
        (b"m-2", GOOD, DeadReason.KEY),
        (b"", GOOD, DeadReason.KEY),
        (KEY, GOOD[:-1], DeadReason.DECODE),
        (KEY, GOOD + b"\1", DeadReason.DECODE),
        (KEY, b"{}", DeadReason.WIRE_FORMAT),
        (KEY, b"\xc3\x01" + bytes(8) + GOOD[10:], DeadReason.UNKNOWN_SCHEMA),
        (KEY, b"\0\0\0\0\7" + GOOD[10:], DeadReason.UNKNOWN_SCHEMA),
        (KEY, wire.encode_violation(EVENT), DeadReason.DECODE),
    ],
)
def test_a_bad_send_is_named_by_its_reason(key: bytes | None, value: bytes | None, reason: DeadReason) -> None:
    """Dead letters: the five reasons; a Confluent record without a registry is an unknown schema."""
    with pytest.raises(BadRecord) as error:
        wire.check_send(key, value)
    assert error.value.reason is reason


def test_a_good_send_passes_the_check() -> None:
    """By the cheap look."""
    wire.check_send(KEY, GOOD)


def test_a_good_send_that_the_cheap_look_does_not_know_passes_by_decoding() -> None:
    """A key's length written longer than needed; a key longer than the table; an empty token list."""
    wire.check_send(KEY, GOOD[:10] + b"\x86\x00" + GOOD[11:])
    key = b"k" * 5_000
    wire.check_send(key, wire.encode_send(Send(HEAD._replace(message_id=key.decode()), (b"t",))))
    wire.check_send(KEY, wire.encode_send(Send(HEAD, ())))


def test_the_look_compares_the_whole_beginning() -> None:
    """The same bytes a place further on are another record."""
    other = schemas.header(schemas.present("MessageSent")) + long(1) + blob(KEY) + GOOD[14:]
    assert not wire.plain_sends([KEY], [other])
