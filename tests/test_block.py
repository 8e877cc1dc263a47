"""Tokens as one piece of memory: the same as a tuple of them in everything but its price."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.block import (
    FEWEST,
    TokenBlock,
    all_distinct,
    block_of,
    lengths,
    total_bytes,
    turn_of,
    turns,
)
from stream.pushkit.client import encode_body

_PLAIN = [chr(code) for code in range(0x20, 0x7F) if chr(code) not in '"\\']


def side_by_side(tokens: tuple[bytes, ...], before: bytes = b"\xe0\x01") -> TokenBlock | None:
    """As they lie in a record, something in front."""
    data = b"head" + b"".join(before + token for token in tokens)
    return block_of(data, 4, len(tokens), len(before), len(tokens[0]))


@st.composite
def equally_long(draw: st.DrawFn) -> tuple[bytes, ...]:
    """Plain tokens of one length, some perhaps repeated or alike but for one byte."""
    length = draw(st.integers(8, 40))
    text = st.text(st.sampled_from(_PLAIN), min_size=length, max_size=length).map(str.encode)
    few = draw(st.lists(text, min_size=1, max_size=5))
    changed = [bytes([*token[:at], 0x41 + at % 26, *token[at + 1 :]]) for token in few for at in range(length)]
    every = list(dict.fromkeys(few + changed))
    if len(every) >= FEWEST and draw(st.booleans()):
        return tuple(every)
    return tuple(draw(st.lists(st.sampled_from(every), min_size=FEWEST, max_size=80)))


@given(equally_long(), st.slices(80), st.sampled_from([b"\x20", b"\xe0\x01", b"\x80\x80\x01"]))
def test_a_block_is_the_sequence_of_its_tokens(tokens: tuple[bytes, ...], some: slice, before: bytes) -> None:
    """Whatever is asked: length, order, places, slices, equality."""
    block = side_by_side(tokens, before)
    assert block is not None
    assert (len(block), tuple(block)) == (len(tokens), tokens)
    assert block == tokens
    assert [block[place] for place in range(-len(tokens), len(tokens))] == [*tokens, *tokens]
    assert tuple(block[some]) == tokens[some]
    assert hash(block) == hash(tokens)


@given(equally_long())
def test_what_is_said_of_all_tokens_at_once_is_true(tokens: tuple[bytes, ...]) -> None:
    """Distinctness, lengths, sum and JSON, compared with the slow way."""
    block = side_by_side(tokens)
    assert block is not None
    assert all_distinct(block) == all_distinct(tokens) == (len(set(tokens)) == len(tokens))
    assert lengths(block) == lengths(tokens)
    assert total_bytes(block) == total_bytes(tokens)
    assert encode_body(7, block) == orjson.dumps({"notifyId": 7, "token": [token.decode() for token in tokens]})


def test_all_of_a_block_is_sent_from_where_it_lies_and_a_part_is_a_copy_of_its_own() -> None:
    """A request of all its tokens costs no copy; one of some of them must not spoil it."""
    tokens = tuple(b"%040d" % number for number in range(100))
    block = side_by_side(tokens)
    assert block is not None
    assert block[0:100] is block
    whole, part = encode_body(7, block[:]), encode_body(8, block[10:60])
    assert (type(whole), type(part)) == (memoryview, bytes)
    for body, notify_id, chosen in ((whole, 7, tokens), (part, 8, tokens[10:60])):
        assert orjson.loads(body) == {"notifyId": notify_id, "token": [token.decode() for token in chosen]}
    assert tuple(block) == tokens


@pytest.mark.parametrize("length", [8, 9, 15, 16, 63, 112])
@pytest.mark.parametrize("at", [0, 1, 7, -8, -1])
def test_one_repeat_among_a_thousand_is_found(length: int, at: int) -> None:
    """And one byte of difference, wherever it stands, is a difference."""
    tokens = [b"%0*d" % (length, number) for number in range(1_000)]
    block = side_by_side((*tokens[:-1], tokens[500]))
    assert block is not None
    assert not block.all_distinct()
    changed = bytearray(tokens[500])
    changed[at] = ord("x")
    block = side_by_side((*tokens[:-1], bytes(changed)))
    assert block is not None
    assert block.all_distinct()


@pytest.mark.parametrize("wrong", [b'"', b"\\", b"\n", b"\x00", b"\x80", "é".encode(), b"\xff"])
def test_what_json_escapes_is_no_block(wrong: bytes) -> None:
    """Nor is what is not ASCII: the caller looks at each token then."""
    tokens = [b"%0*d" % (40, number) for number in range(100)]
    tokens[50] = wrong + tokens[50][len(wrong) :]
    assert side_by_side(tuple(tokens)) is None


def test_few_or_short_tokens_are_no_block() -> None:
    """They are quicker one by one."""
    assert side_by_side((b"x" * 40,) * (FEWEST - 1)) is None
    assert side_by_side((b"x" * 7,) * 100) is None


def test_no_token_is_shown_by_its_repr() -> None:
    """Logs may show a block."""
    block = side_by_side((b"secret-token-0001",) * 40)
    assert repr(block) == "TokenBlock(40 tokens of 17 bytes)"


@given(st.one_of(equally_long(), st.lists(st.binary(max_size=12), max_size=20).map(tuple)))
def test_a_tokens_turn_is_the_same_however_it_is_asked_for(tokens: tuple[bytes, ...]) -> None:
    """One by one, with others, or in a block."""
    each = [turn_of(token) for token in tokens]
    assert turns(tokens).tolist() == each
    if len(tokens) >= FEWEST and (block := side_by_side(tokens)) is not None:
        assert turns(block).tolist() == each
