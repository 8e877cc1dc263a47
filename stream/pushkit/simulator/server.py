"""The simulator as a server on a port: in a test's own event loop, or as a process of its own.

Promised: ``url`` answers from ``start`` until ``stop``, on the same port through every ``down``; TLS 1.2 or newer only.
Not promised: anything kept after ``stop`` but the book, which is memory.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final

from stream.model import StartError
from stream.pushkit.simulator import replies
from stream.pushkit.simulator.apps import App
from stream.pushkit.simulator.book import Book, Moment
from stream.pushkit.simulator.control import Control
from stream.pushkit.simulator.faults import Down, End, Faults
from stream.pushkit.simulator.gateway import Answer, Gateway
from stream.pushkit.simulator.heads import Heads, Request
from stream.pushkit.simulator.protocol import CONTROL, Connection
from stream.pushkit.simulator.rules import read_call
from stream.pushkit.simulator.slots import Message, Slots
from stream.pushkit.simulator.tokens import TokenFacts

_BEFORE: Final = b"/v1/"
_AFTER: Final = b"/messages:revoke"
_BACKLOG: Final = 1_024
_REOPEN_WAIT_S: Final = 0.1
_log: Final = logging.getLogger(__name__)


class Simulator:
    """Push Kit on a port of this machine; port 0 takes a free one.

    Use it as ``async with Simulator([app]) as sim`` and point a client at ``sim.url``. Its methods belong to the event
    loop that started it. Starting raises StartError where the port is taken or the certificate is bad.
    """

    def __init__(
        self,
        apps: Iterable[App],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | None = None,
        seed: int | None = None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
    ) -> None:
        self._host, self._port = host, port
        self._tls = (tls_cert, tls_key) if tls_cert else None
        self._gateway = Gateway(apps, faults or Faults(), seed, time.time_ns() // 1_000_000)
        self._control = Control(self._gateway, time.monotonic_ns, self._set_faults_soon)
        self._heads, self._connections = Heads(), set[Connection]()
        self._server: asyncio.Server | None = None
        self._context: ssl.SSLContext | None = None
        self._aligning = asyncio.Lock()
        self._change: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._clients: dict[bytes, str] = {}

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Scheme, host and port, without a path; what ``push_kit.url`` wants."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    @property
    def book(self) -> Book:
        """What was received, revoked and refused."""
        return self._gateway.world.book

    @property
    def slots(self) -> Slots:
        """What has become of registered messages."""
        return self._gateway.world.slots

    @property
    def tokens(self) -> TokenFacts:
        """Which tokens are another app's or bad."""
        return self._gateway.world.facts

    @property
    def faults(self) -> Faults:
        """The state in force, with its failures counted down."""
        return self._gateway.world.faults

    @property
    def resetting(self) -> bool:
        """Whether revoke calls are met with a reset."""
        return self.faults.down is Down.RESET

    def register(self, message: Message) -> None:
        """Let a sent message take its slots."""
        self._gateway.register(message, time.monotonic_ns())

    async def set_faults(self, faults: Faults) -> None:
        """Put a whole new state into force for every call from now on; returns with the port closed or open by it."""
        self._take(faults)
        await self._align()

    async def start(self) -> None:
        """Listen; raises StartError."""
        self._context = self._make_context()
        try:
            await self._listen()
        except OSError as error:
            raise StartError(f"cannot listen on {self._host}:{self._port}: {error.strerror}") from None
        await self.set_faults(self.faults)

    async def stop(self) -> None:
        """Close the listener and cut every connection."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        async with self._aligning:
            await self._shut()

    def respond(self, request: Request) -> Answer:
        """Answer one request; called by the connections."""
        if request.target.startswith(CONTROL):
            reply = self._control.respond(request.method, request.target, request.body)
            return Answer(reply, 0.0, End.REPLY)
        client_id = self._client_of(request.target)
        if client_id is None:
            return Answer(replies.plain(404), 0.0, End.REPLY)
        if request.method != b"POST":
            return Answer(replies.plain(405, b"Allow: POST\r\n"), 0.0, End.REPLY)
        return self._called(client_id, request)

    def _called(self, client_id: str, request: Request) -> Answer:
        moment = Moment(time.monotonic_ns(), time.time_ns())
        get = request.headers.get
        content_type, authorization, push_type = get(b"content-type", b""), get(b"authorization"), get(b"push-type")
        call = read_call(client_id, content_type, authorization, push_type, request.data, request.body_at)
        return self._gateway.answer(call, moment)

    def _client_of(self, target: bytes) -> str | None:
        known = self._clients.get(target)
        if known is not None:
            return known
        client_id = _client_of(target)
        if client_id is not None and client_id in self._gateway.world.apps:
            self._clients[target] = client_id
        return client_id

    def _take(self, faults: Faults) -> None:
        self._gateway.world.faults = faults
        if self._timer is not None:
            self._timer.cancel()
        if faults.down is not Down.NO and faults.down_for_s:
            self._timer = asyncio.get_running_loop().call_later(faults.down_for_s, self._come_back)

    def _come_back(self) -> None:
        self._set_faults_soon(replace(self.faults, down=Down.NO, down_for_s=0.0))

    def _set_faults_soon(self, faults: Faults) -> None:
        """For whoever cannot wait: the request that asks for it is answered before its own port closes."""
        self._take(faults)
        self._change = asyncio.get_running_loop().create_task(self._align())

    async def _align(self) -> None:
        """Close or open the listener as the state says; one change at a time."""
        async with self._aligning:
            if self.faults.down is Down.REFUSE:
                await self._shut()
            while self._server is None and self.faults.down is not Down.REFUSE and not self._stopped:
                await self._reopen()

    async def _reopen(self) -> None:
        try:
            await self._listen()
        except OSError as error:
            _log.warning("port %d is not free yet: %s", self._port, error.strerror)
            await asyncio.sleep(_REOPEN_WAIT_S)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._connection, self._host, self._port, ssl=self._context, backlog=_BACKLOG)
        self._server, self._port = server, server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in tuple(self._connections):
            connection.abort()
        if server is not None:
            await server.wait_closed()

    def _connection(self) -> Connection:
        return Connection(self, self._heads, self._connections.add, self._connections.discard)

    def _make_context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        certificate, key = self._tls
        try:
            context.load_cert_chain(str(certificate), None if key is None else str(key))
        except (OSError, ssl.SSLError):
            raise StartError(f"{certificate} and its key are no usable TLS certificate in PEM form") from None
        return context


def _client_of(target: bytes) -> str | None:
    """The Client ID of a revoke URL's exact path; a query is no part of the path."""
    path = target.partition(b"?")[0]
    client_id = path[len(_BEFORE) : -len(_AFTER)]
    exact = path == b"%b%b%b" % (_BEFORE, client_id, _AFTER) and client_id and b"/" not in client_id
    return client_id.decode("latin-1") if exact else None
