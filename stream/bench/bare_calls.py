"""The limits of calling: clients that do nothing but send bodies that were made before.

``python -m stream.bench.bare_calls asyncio|uvloop|raw URL KEYFILE COUNT TOKENS IN_FLIGHT``: aiohttp on asyncio's
loop or on uvloop, or requests written whole to raw connections, which shows what the simulator sustains. How fast it
went is read from the simulator's timeline, as it is for the service.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import uvloop

from stream.bench.load import CLIENT_ID, token
from stream.pushkit.client import encode_body
from stream.pushkit.key import load_key
from stream.pushkit.token import Bearer

_PATH: Final = f"/v1/{CLIENT_ID}/messages:revoke"
_ACCEPTED: Final = b"HTTP/1.1 200"


async def with_aiohttp(url: str, authorization: str, bodies: list[bytes], in_flight: int) -> None:
    """So many workers over one session; each sends the next body as soon as its last was answered."""
    headers = {"Authorization": authorization, "Content-Type": "application/json", "push-type": "0"}
    left = iter(bodies)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:

        async def work() -> None:
            for body in left:
                async with session.post(url + _PATH, data=body, headers=headers) as reply:
                    await reply.read()
                    reply.raise_for_status()

        await asyncio.gather(*(work() for _ in range(in_flight)))


async def raw(url: str, authorization: str, bodies: list[bytes], in_flight: int) -> None:
    """So many connections; each sends the next request as soon as its last was answered."""
    at, left, loop = urlsplit(url), iter(bodies), asyncio.get_running_loop()
    door = at.hostname or "", at.port or 80
    connecting = [loop.create_connection(lambda: _Raw(at.netloc, authorization, left), *door) for _ in range(in_flight)]
    await asyncio.gather(*[client.ended for _, client in await asyncio.gather(*connecting)])


class _Raw(asyncio.Protocol):
    """One connection; takes it that an answer comes in one piece, as the simulator's do."""

    def __init__(self, host: str, authorization: str, left: Iterator[bytes]) -> None:
        self._head = (
            f"POST {_PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\npush-type: 0\r\n"
            f"Authorization: {authorization}\r\nContent-Length: %d\r\n\r\n"
        ).encode()
        self._left = left
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # of TCP it is one
        self._next()

    def data_received(self, data: bytes) -> None:
        if data.startswith(_ACCEPTED):
            self._next()
        else:
            self.ended.set_exception(ConnectionError(f"unexpected answer: {data[:200]!r}"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error or ConnectionError("closed by the simulator"))

    def _next(self) -> None:
        body = next(self._left, None)
        if body is None:
            self.ended.set_result(None)
            self._transport.close()
        else:
            self._transport.write(self._head % len(body) + body)


def main(arguments: list[str]) -> None:
    """The process."""
    mode, url, key_file, count, tokens, in_flight = arguments
    named = [token(place) for place in range(int(tokens))]
    bodies = [bytes(encode_body(number, named)) for number in range(int(count))]
    authorization = Bearer(load_key(Path(key_file)), time.time()).header(time.time())
    client = raw if mode == "raw" else with_aiohttp
    calling = client(url, authorization, bodies, int(in_flight))
    if mode == "asyncio":
        asyncio.run(calling)
    else:
        uvloop.run(calling)


if __name__ == "__main__":
    main(sys.argv[1:])
