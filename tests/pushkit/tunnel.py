"""An HTTP proxy of some forty lines: CONNECT to a tunnel, any other method passed on as it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Tunnel:
    """``asked``: request line and headers of all that came. ``wants``: the Proxy-Authorization that it takes, None:
    any. ``refuses``: the status that it answers all with."""

    def __init__(self, wants: str | None, refuses: str | None) -> None:
        self.url = ""
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._wants, self._refuses = wants, refuses

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *rest = head.strip().split("\r\n")
            headers = dict(each.lower().split(": ", 1)[:1] + each.split(": ", 1)[1:] for each in rest)
            self.asked.append((line, headers))
            status = self._refuses or self._against(headers)
            if status is None:
                await self._pass_on(line, head, reader, writer)
            else:
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _against(self, headers: dict[str, str]) -> str | None:
        right = self._wants is None or headers.get("proxy-authorization") == self._wants
        return None if right else "407 Proxy Authentication Required"

    async def _pass_on(self, line: str, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, _ = line.split(" ")
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        far_reader, far_writer = await asyncio.open_connection(url.hostname, url.port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            far_writer.write(head.replace(target, url.path, 1).encode())
        await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            target.write(data)
    finally:
        target.close()


@asynccontextmanager
async def tunnel(wants: str | None = None, refuses: str | None = None) -> AsyncIterator[Tunnel]:
    found = Tunnel(wants, refuses)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(found.serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
