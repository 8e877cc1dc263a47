"""What happens, told as it happens: one look a second for all who listen, as server-sent events.

Promised: nothing is looked at while nobody listens, and however many do, each look is made and encoded once; a look
that takes long is made less often. Who reads slowly gets the latest when they are ready for it, and who reads no more
is let go of. Not promised: every second of a busy service; that an event is a small change (each is the whole).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import orjson
import structlog
from aiohttp import hdrs, web

from stream.model import UnpushError

EVERY_S: Final = 1.0
RESTS: Final = 4.0
"""Times as long as a look took is the least that passes until the next."""
MOST: Final = 50
"""Who listen at the same time; each holds a connection and some kilobytes."""
STUCK_S: Final = 10.0
"""Who takes nothing for so long is gone, or as good as gone."""
AGAIN_MS: Final = 2_000

Look = Callable[[], Awaitable[dict[str, object]]]

log = structlog.get_logger(__name__)


class Live:
    """See the module's words. On the event loop."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._listeners = 0
        self._closed = False
        self._frame: bytes | None = None
        """The latest; None: there is none yet, or there will be no more."""
        self._news = asyncio.Event()
        """Set when there is another, and then replaced."""
        self._looking: asyncio.Task[None] | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The stream, to its end. Raises UnpushError where there are too many."""
        if self._closed:
            raise UnpushError("the service is stopping")
        if self._listeners >= MOST:
            raise UnpushError(f"{MOST} pages listen already; close one of them")
        response = web.StreamResponse(headers={hdrs.CACHE_CONTROL: "no-store", hdrs.CONTENT_TYPE: "text/event-stream"})
        with self._listening(), contextlib.suppress(ConnectionError):
            await response.prepare(request)
            await response.write(f"retry: {AGAIN_MS}\n\n".encode())
            await self._tell(request, response)
        return response

    async def close(self) -> None:
        """End all streams; they would keep the server from stopping."""
        self._closed = True
        self._show(None)
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        self._listeners += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._keep_looking())
        try:
            yield
        finally:
            self._listeners -= 1

    async def _tell(self, request: web.Request, response: web.StreamResponse) -> None:
        """Each frame, or the latest of those that came while the last was on its way."""
        if self._frame is None:
            await self._news.wait()
        while (frame := self._frame) is not None:
            news = self._news
            try:
                async with asyncio.timeout(STUCK_S):
                    await response.write(frame)
            except TimeoutError:
                if request.transport is not None:
                    request.transport.abort()  # what it has not taken would be kept for it
                return
            await news.wait()

    async def _keep_looking(self) -> None:
        """As long as somebody listens."""
        loop = asyncio.get_running_loop()
        try:
            while self._listeners:
                began_s = loop.time()
                self._show(b"data: %b\n\n" % orjson.dumps(await self._look()))
                await asyncio.sleep(max(EVERY_S, RESTS * (loop.time() - began_s)))
        except Exception as error:  # a fault of ours: who listens asks again, and the log has it
            log.error("look_failed", exc_info=error)
        finally:
            self._looking = None
            self._show(None)

    def _show(self, frame: bytes | None) -> None:
        news, self._frame, self._news = self._news, frame, asyncio.Event()
        news.set()
