"""The list of tokens: every shape that Avro allows, and none that it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.model import BadRecord, Send
from stream.wire import Wire
from stream.wire.primitives import blob, long
from stream.wire.tokens import read_tokens, tokens_written
from tests.wire import records
from tests.wire.records import HEAD

wire = Wire()
BEFORE_TOKENS = wire.encode_send(Send(HEAD, ()))[:-1]


def in_blocks(blocks: list[tuple[bytes, ...]], sized: bool) -> bytes:
    """The tokens as a writer that flushes blocks does it, with their sizes before them or not."""
    return b"".join(_block(block, sized) for block in blocks if block) + b"\0"


def _block(block: tuple[bytes, ...], sized: bool) -> bytes:
    items = b"".join(map(blob, block))
    return (long(-len(block)) + long(len(items)) if sized else long(len(block))) + items


@given(st.lists(records.tokens, max_size=4), st.booleans())
def test_tokens_in_several_blocks_are_one_list(blocks: list[tuple[bytes, ...]], sized: bool) -> None:
    """Avro lets a writer cut a list into blocks, each with its size before it or not."""
    expected = tuple(token for block in blocks for token in block)
    assert wire.send(BEFORE_TOKENS + in_blocks(blocks, sized)).tokens == expected


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 128, 1_000, 5_000])
@pytest.mark.parametrize("length", [0, 1, 63, 64, 112, 8_192])
def test_tokens_of_one_length_are_cut_exactly(count: int, length: int) -> None:
    """Whatever the number and the width of the lengths before them."""
    tokens = tuple(b"%0*d" % (length, n) if length else b"" for n in range(min(count, 500_000 // (length or 1))))
    assert all(len(token) == length or length < 4 for token in tokens)
    assert read_tokens(tokens_written(tokens), 0) == tokens


def test_one_token_of_another_length_among_a_thousand_is_found() -> None:
    """The fast way is only taken where every length was compared."""
    for odd in (0, 1, 500, 998, 999):
        tokens = tuple(b"%0112d" % n if n != odd else b"%0113d" % n for n in range(1_000))
        assert read_tokens(tokens_written(tokens), 0) == tokens


@pytest.mark.parametrize("token", [b"", b"t", b"t" * 112, "é".encode()])
def test_one_token_that_does_not_end_the_send_is_read_as_any_list(token: bytes) -> None:
    """The short way is only taken where nothing but the list's end follows."""
    whole = tokens_written((token,))
    assert read_tokens(b"head" + whole, 4) == (token,)
    assert read_tokens(whole[:-1] + tokens_written((b"more",)), 0) == (token, b"more")
    for wrong in (whole[:-1], whole[:-2], whole + b"\0", whole[:-1] + b"\2"):
        with pytest.raises((IndexError, ValueError)):
            read_tokens(wrong, 0)


def test_sends_that_begin_alike_are_told_apart() -> None:
    """What was read of the last send is used again only where the same bytes stand."""
    heads = [HEAD, HEAD._replace(sent_at_ms=HEAD.sent_at_ms + 1), HEAD._replace(push_type=HEAD.push_type + 1)]
    heads += [HEAD._replace(message_id=HEAD.message_id + "2"), HEAD._replace(notify_id=None), HEAD]
    sends = [Send(head, (b"token",)) for head in heads]
    written = [wire.encode_send(send) for send in sends]
    assert [wire.send(each) for each in written] == sends
    for cut in range(len(written[0])):
        with pytest.raises(BadRecord):
            wire.send(written[0][:cut])


def test_a_length_written_longer_than_needed_is_read_all_the_same() -> None:
    """Avro does not ask for the shortest number."""
    assert read_tokens(long(2) + b"\x82\x80\x00a" + b"\x82\x80\x00b" + b"\0", 0) == (b"a", b"b")


@pytest.mark.parametrize(
    "tokens", [(b"\xff",), (b"ok", b"\xc3"), (b"\xc3", b"\xa9"), (b"a" * 64, b"\xed\xa0\x80" + b"a" * 61)]
)
def test_a_token_that_is_not_utf8_makes_the_send_undecodable(tokens: tuple[bytes, ...]) -> None:
    """Also where two broken ones side by side would make a whole character."""
    with pytest.raises(BadRecord, match="a text is not UTF-8"):
        wire.send(BEFORE_TOKENS + tokens_written(tokens))


def test_tokens_beyond_ascii_are_kept() -> None:
    """UTF-8 is promised, ASCII is not."""
    tokens = ("é" * 20).encode(), "中文".encode(), b"plain"
    assert wire.send(BEFORE_TOKENS + tokens_written(tokens)).tokens == tokens


def test_the_head_is_read_whatever_the_tokens_are() -> None:
    """Design 5: what precedes the tokens is read without them."""
    assert wire.send_head(BEFORE_TOKENS + b"\xff\xff") == HEAD
