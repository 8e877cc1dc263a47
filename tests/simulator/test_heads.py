"""Requests whose heads were seen before: whatever was learned, the same bytes are the same requests."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from unittest.mock import Mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream.pushkit.simulator.faults import End
from stream.pushkit.simulator.gateway import Answer
from stream.pushkit.simulator.heads import Heads, Request
from stream.pushkit.simulator.protocol import Connection
from stream.pushkit.simulator.replies import plain

CALL = b"POST /v1/app/messages:revoke HTTP/1.1\r\nHost: x\r\nPush-Type: 0\r\nContent-Length: 4\r\n\r\n"
QUESTION = b"GET /_sim/counts HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
EXPECTING = b"POST /b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"
LAST = b"POST /c HTTP/1.1\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"
OUTER = b"POST /d HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(CALL + b"body")
LARGE = b"GET /e HTTP/1.1\r\nX: " + b"x" * 16_384 + b"\r\n\r\n"
REQUESTS = [
    CALL + b"body",
    CALL + b"\r\n\r\n",
    QUESTION,
    CHUNKED,
    EXPECTING,
    LAST,
    OUTER + CALL + b"body",
    LARGE,
    CALL[10:] + b"body",
]


class Site:
    """Answers everything with 200."""

    resetting = False

    def __init__(self) -> None:
        self.seen: list[Request] = []

    def respond(self, request: Request) -> Answer:
        """Remembers the request."""
        self.seen.append(request._replace(data=request.body, body_at=0))
        return Answer(plain(200), 0.0, End.REPLY)


class Ignorant(Heads):
    """Learns nothing."""

    def learn(self, data: bytes, request: Request) -> None:
        """Nothing."""


def heard(heads: Heads, pieces: list[bytes]) -> tuple[list[Request], list[bytes]]:
    """The requests that arrive in these pieces, and what is written back."""
    site, transport = Site(), Mock(spec=asyncio.Transport)
    open_ = [True]
    transport.close.side_effect = lambda: open_.clear()
    transport.is_closing.side_effect = lambda: not open_
    connection = Connection(site, heads, lambda _: None, lambda _: None)
    connection.connection_made(transport)
    for piece in pieces:
        if open_:
            connection.data_received(piece)
    return site.seen, [call.args[0] for call in transport.write.call_args_list]


@given(
    st.lists(st.sampled_from(REQUESTS), max_size=6).map(b"".join),
    st.sets(st.integers(1, 400), max_size=4),
)
@example((CALL + b"body") * 2, set())
@example(OUTER + CALL + b"body", {len(OUTER)})
@example(CHUNKED, set())
@example(LARGE, set())
@example(LAST, set())
@example(EXPECTING, set())
@example(CALL[10:] + b"body", set())
def test_what_was_learned_changes_nothing(data: bytes, places: set[int]) -> None:
    """Keep-alive, pipelining, chunked bodies, limits: the same whether a head was seen before or not."""
    edges = [0, *sorted(place for place in places if place < len(data)), len(data)]
    pieces = [data[begin:end] for begin, end in pairwise(edges) if begin < end]
    heads = Heads()
    for request in REQUESTS:
        heard(heads, [request])
        heard(heads, [request[:10], request[10:]])
    assert heard(heads, pieces) == heard(Ignorant(), pieces)


def test_a_head_seen_before_needs_no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of what a client says is what it said before."""
    heads = Heads()
    heard(heads, [CALL + b"1234"])
    monkeypatch.setattr(Connection, "_parse", lambda *_: pytest.fail("parsed"))
    [request], _ = heard(heads, [CALL + b"body"])
    assert request[:3] == (b"POST", b"/v1/app/messages:revoke", {b"push-type": b"0"})
    assert (request.body, request.keep_alive, request.refused_with) == (b"body", True, 0)


def test_heads_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that says something new in each head costs no memory."""
    monkeypatch.setattr("stream.pushkit.simulator.heads._REMEMBERED", 3)
    heads = Heads()
    for number in range(10):
        heard(heads, [b"GET /_sim/calls?since=%d HTTP/1.1\r\n\r\n" % number])
    assert len(heads._known) <= 3
