"""A gateway that misbehaves on the wire as a test says: one act per request, in order, the last one repeated."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

OK = b'{"code":"80000000","msg":"Success","requestId":"request-1"}'
Act = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes = OK, status: str = "200 OK", headers: bytes = b"", after_s: float = 0.0) -> Act:
    async def act(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(after_s)
        writer.write(b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status.encode(), headers, len(body), body))

    return act


def raw(content: bytes) -> Act:
    """These bytes, whatever they are, and the end of the connection."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        writer.close()

    return act


async def reset(writer: asyncio.StreamWriter) -> None:
    found: socket.socket = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


class Wire:
    """What the gateway saw: each request's head and body; ``url`` is where it listens."""

    def __init__(self, acts: Sequence[Act]) -> None:
        self.url = ""
        self.requests: list[tuple[str, bytes]] = []
        self.connections = 0
        self._acts = acts

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await _request(reader))
                await self._acts[min(len(self.requests), len(self._acts)) - 1](writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(line for line in head.lower().split("\r\n") if line.startswith("content-length:"))
    return head, await reader.readexactly(int(length.split(":")[1]))


@asynccontextmanager
async def wire(*acts: Act, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    seen = Wire(acts)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(seen.serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    seen.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
