"""HTTP/1.1 on one connection: bytes become requests, requests are answered in their order.

Promised: keep-alive, pipelining, chunked bodies; headers above 16 kB answer 431, bodies above their bound 413, what is
no HTTP 400, and no exception's text ever reaches the wire. Not promised: time limits; an idle connection stays open.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, cast

import httptools

from stream.pushkit.simulator import replies
from stream.pushkit.simulator.faults import End
from stream.pushkit.simulator.gateway import Answer
from stream.pushkit.simulator.heads import Heads, Request
from stream.pushkit.simulator.replies import Reply

MAX_HEADER_BYTES: Final = 16_384
MAX_BODY_BYTES: Final = 1_048_576
"""Of a call to Push Kit; twice the largest that Unpush makes (contract, Limits)."""
MAX_CONTROL_BODY_BYTES: Final = 256 * 1_048_576
CONTROL: Final = b"/_sim"

_MAX_WAITING: Final = 64
_WANTED: Final = frozenset({b"authorization", b"content-type", b"push-type", b"expect"})
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_log: Final = logging.getLogger(__name__)


class Site(Protocol):
    """What stands behind the connections."""

    def respond(self, request: Request) -> Answer:
        """Answer one request; may raise anything, which becomes a bare 500."""

    @property
    def resetting(self) -> bool:
        """Whether revoke calls are met with a reset."""


class Connection(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_site", "_heads", "_closed", "_parser", "_transport", "_target", "_headers", "_chunks", "_header_bytes",
        "_unended_bytes", "_body_bytes", "_in_request", "_in_headers", "_refused_with", "_ready", "_busy", "_timer",
    )  # fmt: skip

    def __init__(
        self, site: Site, heads: Heads, opened: Callable[[Connection], None], closed: Callable[[Connection], None]
    ) -> None:
        self._site, self._heads, self._closed = site, heads, closed
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._ready: deque[Request] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self.on_message_begin()
        self._in_request = False
        opened(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop; uvloop's transports are of no class of asyncio's."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._transport = None
        self._ready.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._closed(self)

    def abort(self) -> None:
        """Close at once; what was not answered never is."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        request = None if self._in_request else self._heads.whole(data)
        if request is None:
            self._parse(data)
        else:
            self._ready.append(request)
        self._go_on()

    def _parse(self, data: bytes) -> None:
        in_request, headers_before, ready_before = self._in_request, self._headers, len(self._ready)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._ready.append(_unreadable(400))
        if self._in_headers and self._headers is headers_before:
            self._unended_bytes += len(data)
            if self._unended_bytes > MAX_HEADER_BYTES:
                self._ready.append(_unreadable(431))
        if not in_request and len(self._ready) > ready_before:
            self._heads.learn(data, self._ready[-1])

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._target, self._headers, self._chunks = b"", dict[bytes, bytes](), list[bytes]()
        self._header_bytes = self._unended_bytes = self._body_bytes = self._refused_with = 0
        self._in_request = self._in_headers = True

    def on_url(self, url: bytes) -> None:
        """Called by the parser, several times for a long one."""
        self._target += url
        self._header_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._header_bytes += len(name) + len(value)
        name = name.lower()
        if name in _WANTED:
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._in_headers = False
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refused_with = 431
        elif self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Called by the parser; what is above the bound is read and dropped, then refused."""
        self._body_bytes += len(body)
        if self._body_bytes > (MAX_CONTROL_BODY_BYTES if self._target.startswith(CONTROL) else MAX_BODY_BYTES):
            self._refused_with = 413
            self._chunks.clear()
        else:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._in_request, chunks = False, self._chunks
        self._ready.append(
            Request(
                self._parser.get_method(),
                self._target,
                self._headers,
                chunks[0] if len(chunks) == 1 else b"".join(chunks),
                0,
                self._parser.should_keep_alive(),
                self._refused_with,
            )
        )

    def _go_on(self) -> None:
        while self._ready and not self._busy and self._transport is not None:
            self._answer(self._ready.popleft())
        if self._transport is not None:
            self._hold_back(self._transport)

    def _hold_back(self, transport: asyncio.Transport) -> None:
        """A client that pipelines more than is answered waits in its own buffers, not in ours."""
        if len(self._ready) > _MAX_WAITING:
            transport.pause_reading()
        elif not transport.is_closing() and not transport.is_reading():
            transport.resume_reading()

    def _answer(self, request: Request) -> None:
        if self._site.resetting and not request.target.startswith(CONTROL):
            self._reset()
            return
        answer = self._response(request)
        if answer.reply is not None and not answer.delay_s:
            self._reply(answer.reply, request.keep_alive)
        else:
            self._busy = True
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(answer.delay_s, self._later, answer, request.keep_alive)

    def _response(self, request: Request) -> Answer:
        if request.refused_with:
            return Answer(replies.plain(request.refused_with), 0.0, End.REPLY)
        try:
            return self._site.respond(request)
        except Exception:  # noqa: BLE001 - the last line before the wire: nothing of it may be seen there
            _log.exception("the simulator failed at a request; answered with 500")
            return Answer(replies.plain(500), 0.0, End.REPLY)

    def _later(self, answer: Answer, keep_alive: bool) -> None:
        if answer.reply is not None:
            self._busy = False
            self._reply(answer.reply, keep_alive)
            self._go_on()
        elif not answer.end.hangs:
            self.abort()

    def _reply(self, reply: Reply, keep_alive: bool) -> None:
        self._write(replies.on_the_wire(reply, keep_alive))
        if not keep_alive and self._transport is not None:
            self._transport.close()
            self._ready.clear()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _reset(self) -> None:
        """End with RST rather than FIN, as a load balancer without backends does."""
        if self._transport is not None:
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()


def _unreadable(status: int) -> Request:
    return Request(b"", b"", {}, b"", 0, False, status)
