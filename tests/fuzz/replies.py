"""What comes back from Push Kit, or from whatever answers in its place.

Promised of it: a Reply, never an exception; success only where Push Kit says so in so many words under a status that
does not deny it; no more than ``MAX_REPLY_BYTES`` of it read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import cache, partial
from typing import Any, Final

from hypothesis import strategies as st

from stream.pushkit.client import PushKit, encode_body
from stream.pushkit.reply import MAX_RETRY_AFTER_S, Reply, Verdict, sort_reply
from tests.fuzz.promise import held, must

TOKENS: Final = tuple(f"{name}-{'x' * 106}".encode() for name in ("aaaaa", "bbbbb", "ccccc", "ddddd"))
NOW_S: Final = 1_795_516_622.0
LISTED: Final = json.dumps({"success": 3, "failure": 1, "illegalTokens": {"noRight": [TOKENS[0].decode()]}})
FLAT: Final = json.dumps({"success": 2, "failure": 2, "illegal_tokens": [token.decode() for token in TOKENS[:2]]})

BODIES: Final = tuple(
    json.dumps({"code": code, "msg": msg, "requestId": "request-1"}).encode()
    for code, msg in (
        ("80000000", "Success"),
        ("80100000", LISTED),
        ("80100000", FLAT),
        ("80300007", LISTED),
        ("80300010", "token count should within 1 and 2."),
        ("80300017", "tokens of several apps"),
        ("80200005", "JWT expired"),
        (81000001, None),
    )
)


def rules(reply: Reply | None, status: int, tokens: Sequence[bytes], shown: object) -> None:
    """What is true of every reply. Raises Broken."""
    must(reply is not None, "no reply", shown)
    assert reply is not None
    success = reply.verdict is Verdict.REVOKED
    must(not success or (reply.code == "80000000" and status // 100 == 2), "a success that nobody said", shown)
    places = [place for place, _ in reply.rejected]
    must(places == sorted(set(places)) and all(0 <= place < len(tokens) for place in places), "places", shown)
    must(reply.verdict is not Verdict.PARTIAL or 0 < len(places) < len(tokens), "a part that is none", shown)
    must(0 <= (reply.retry_after_s or 0) <= MAX_RETRY_AFTER_S, "waits for ever", shown)
    texts = f"{reply.detail}{reply.code}{reply.push_request_id}{reply.rejected}"
    must(not any(token.decode("utf-8", "replace") in texts for token in tokens if len(token) > 64), "a token", shown)


def body(data: bytes) -> None:
    """Bytes in the place of a reply's body, under three statuses."""
    for status in (200, 400, 503):
        read = partial(sort_reply, status, data, None, None, TOKENS, NOW_S)
        rules(held("sort_reply", read, (), len(data), data), status, TOKENS, data)


# --- replies that are nearly right

CODES: Final = st.sampled_from([json.loads(each)["code"] for each in BODIES]) | st.text(max_size=70) | st.integers()
JSON: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
SOME: Final = st.sampled_from([token.decode() for token in TOKENS]) | st.text(max_size=4)
COUNTS: Final = st.integers(-1, 5) | JSON
LISTINGS: Final = st.fixed_dictionaries(
    {"success": COUNTS, "failure": COUNTS},
    optional={
        "illegalTokens": st.dictionaries(st.text(max_size=80), st.lists(SOME, max_size=5) | JSON, max_size=3) | JSON,
        "illegal_tokens": st.lists(SOME, max_size=5) | JSON,
    },
)
MESSAGES: Final = LISTINGS | LISTINGS.map(json.dumps) | st.text(max_size=80) | JSON | SOME
TIMES: Final = st.none() | st.text(max_size=40) | st.integers(-9, 10**30).map(str) | st.datetimes().map(str)
DATES: Final = st.none() | st.sampled_from(
    ["Tue, 24 Nov 2026 10:37:02 GMT", "Tue, 24 Nov 0000 10:37:02 +9999", "Fri, 31 Dec 9999 23:59:59 -2359"]
)
inputs = st.tuples(
    st.integers(100, 599),
    CODES,
    MESSAGES,
    JSON,
    TIMES | DATES,
    TIMES | DATES,
    st.lists(st.sampled_from(TOKENS), unique=True, min_size=1),
)


def sorting(given: tuple[int, object, object, object, str | None, str | None, list[bytes]]) -> None:
    """Status, code, message, request id, ``Retry-After``, ``Date``, and the tokens that were sent."""
    status, code, msg, request_id, retry_after, date, tokens = given
    data = json.dumps({"code": code, "msg": msg, "requestId": request_id}).encode()
    size = len(data) + len(retry_after or "") + len(date or "")
    reply = held("sort_reply", lambda: sort_reply(status, data, retry_after, date, tokens, NOW_S), (), size, given)
    rules(reply, status, tokens, given)


# --- what is hardly HTTP


class Exchange:
    """A port that answers each connection with the bytes of the moment and hangs up; and a client that calls it."""

    TIMEOUT_S: Final = 5.0

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.answer = b""
        self.loop.run_until_complete(self._open())

    async def _open(self) -> None:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.server = server
        self.client = PushKit(f"http://127.0.0.1:{port}", self.TIMEOUT_S, 4)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"]}")
            writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()

    def call(self, answer: bytes) -> Reply:
        """What comes of one call that is answered so."""
        self.answer = answer
        ask = self.client.revoke("1", 0, "Bearer x", encode_body(7, TOKENS), TOKENS)
        return self.loop.run_until_complete(ask)


exchange = cache(Exchange)
ANSWERS: Final = (
    *(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(each), each) for each in BODIES[:2]),
    b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nDate: Tue, 24 Nov 2026 10:37:02 GMT\r\nContent-Length: 0\r\n\r\n",
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"cod\r\n4\r\ne":1\r\n1\r\n}\r\n0\r\n\r\n',
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03",
)


def connection(data: bytes) -> None:
    """Bytes in the place of the gateway's HTTP."""
    reply = held("revoke", lambda: exchange().call(data), (), len(data), data)
    rules(reply, (reply.http_status if reply else None) or 0, TOKENS, data)
