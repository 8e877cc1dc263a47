"""Reading the tokens of a body: what a quick look says is what reading says."""

from __future__ import annotations

import json
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream.pushkit.simulator import named
from stream.pushkit.simulator.named import NOBODY, read

_SCRAPS = [
    b'"',
    b"\\",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b" ",
    b"a",
    b"0",
    b"\x00",
    b"\x1f",
    b"\x7f",
    b"\xc3\xa9",
    b'""',
    b'"token":[',
]


@pytest.fixture(scope="module", autouse=True)
def _every_body_is_worth_a_look() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(named, "_WORTH_A_LOOK_BYTES", 0)
        yield


def compact(notify_id: object, tokens: list[str]) -> bytes:
    """A body as Unpush's own client writes it."""
    return json.dumps({"notifyId": notify_id, "token": tokens}, separators=(",", ":")).encode()


def plainly(body: bytes) -> tuple[object, list[str] | None]:
    """The fields beside the tokens, and the tokens, by reading alone."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, None
    if not isinstance(fields, dict):
        return None, None
    listed = fields.pop("token", None)
    good = isinstance(listed, list) and all(isinstance(token, str) and token for token in listed)
    return fields, listed if good else None


def said(data: bytes, body_at: int = 0) -> tuple[object, list[str] | None]:
    """The same by ``read``, once its counts are found right."""
    fields, tokens = read(data, body_at)
    if tokens is None:
        return fields and {name: value for name, value in fields.items() if name != "token"}, None
    strings = list(tokens.strings())
    assert (len(tokens), tokens.distinct) == (len(strings), len(set(strings)))
    assert orjson.loads(tokens.json) == strings
    assert fields is not None
    return {name: value for name, value in fields.items() if name != "token"}, strings


@st.composite
def _bodies(draw: st.DrawFn) -> bytes:
    """Compact bodies of tokens of one length, with up to two scraps put in, in the place of bytes or between them."""
    chars = draw(st.integers(1, 20))
    token = st.text("ab", min_size=chars, max_size=chars)
    body = compact(draw(st.integers(0, 99)), draw(st.lists(token, min_size=1, max_size=6)))
    for scrap in draw(st.lists(st.sampled_from(_SCRAPS), max_size=2)):
        place = draw(st.integers(0, len(body)))
        body = body[:place] + scrap + body[place + draw(st.integers(0, 2)) :]
    return body


@given(_bodies())
@example(b'{"notifyId":7,"tokens":["a","b"]}')
@example(b'{"token":[],"z":["a","b"]}')
@example(b'{"x":"[","token":["a","b"]}')
@example(b'{"token":"x","token":["a","b"]}')
@example(b'{"notifyId":7,"token":["a",""b"]}')
@example(b'["a","b"]}')
@example(b"[1,2]")
@example(b'{"notifyId":7,"token":["a"]')
@example(b'{"notifyId":7,"token":["a","b"}}')
@example(b'{"notifyId":7,"token":["a","b"]]')
@example(b'{"notifyId":7,"token":["aa","bb"]x"]}')
@example(b'{"notifyId":7,"token":["aa","bb","c"]}')
@example(b'{"notifyId":7,"token":["aa","b\\"]}')
@example(b'{"notifyId":7,"token":["a\x1f"]}')
@example(b'{"notifyId":7,"token":["a\xff"]}')
@example(b'{"notifyId":7,"token":["ab",c"d"]}')
@example(b'{"notifyId":7,"token":["ab","c"d,"ef"]}')
@example(b'{"notifyId":7,"token":["ab","""","ef"]}')
@example(b'{"notifyId":7,"token":["ab";"cd"]}')
def test_a_quick_look_says_what_reading_says(body: bytes) -> None:
    """2, 6, 7: strict about JSON, types and counts, whichever way a body was read."""
    assert said(body) == said(b"head[" + body, 5) == plainly(body)


def test_the_usual_body_is_not_read_before_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand strings a call would be most of the simulator's work."""
    tokens = [f"{number:04d}".ljust(112, "x") for number in range(1_000)]
    body = compact(7, tokens)
    monkeypatch.setattr(named, "_loaded", lambda _: pytest.fail("read"))
    fields, unread = read(body, 0)
    assert (fields, unread and len(unread), unread and unread.distinct) == ({"notifyId": 7, "token": []}, 1_000, 1_000)
    monkeypatch.undo()
    assert unread is not None
    assert unread.strings() == tokens


@pytest.mark.parametrize("place", [0, 7, 8, 103, 111])
def test_tokens_that_differ_in_one_place_are_different(place: int) -> None:
    """13: distinct tokens are counted exactly, wherever they differ."""
    tokens = ["".join(chr(97 + number) if at == place else "x" for at in range(112)) for number in range(20)]
    for listed, distinct in ((tokens, 20), ([*tokens, *tokens[:5]], 20)):
        _, tokens_read = read(compact(7, listed), 0)
        assert tokens_read is not None
        assert (len(tokens_read), tokens_read.distinct) == (len(listed), distinct)


def test_no_token_is_printed() -> None:
    """No push token in any repr."""
    assert "secret" not in repr(named.named(["secret"]))
    assert len(NOBODY) == 0


def test_a_list_that_was_seen_before_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages to the same people are revoked by the same lists; what is remembered of them is bounded."""
    monkeypatch.setattr(named, "_MOST_KNOWN", 3)
    for number in range(10):
        read(compact(7, [f"other-{number}"]), 0)
        assert len(named._known) <= 3
    named._known.clear()
    tokens = ["a", "b", "a"]
    for each in (["x"], ["y"], tokens):
        read(compact(7, each), 0)
    monkeypatch.setattr(named, "_rows", lambda *_: pytest.fail("looked at"))
    fields, again = read(compact(8, tokens), 0)
    assert again is not None
    assert (fields, len(again), again.distinct, again.strings()) == ({"notifyId": 8, "token": []}, 3, 2, tokens)
