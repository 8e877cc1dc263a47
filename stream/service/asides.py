"""What takes too long for the loop: asked in a thread, answered on the loop.

Promised: one answer to each question, while the loop runs; where nothing can be had now, one that says so. Whatever
would stay so ends the service. Not promised: when it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from stream.kafka.headers import Headers
from stream.kafka.originals import headers_again
from stream.model import Position
from stream.service.hours import PASSING, Drawn, drawn_since
from stream.state.shard import Shard
from stream.wire.wire import Wire


class Asides:
    """See the module's words. On the event loop."""

    __slots__ = ("_consumer", "_failed", "_kick", "_loop", "_not_before_ms", "_wire")

    def __init__(
        self,
        wire: Wire,
        consumer: dict[str, Any],
        kick: Callable[[], None],
        failed: Callable[[Exception], None],
        not_before_ms: int | None,
    ) -> None:
        """Made inside the running loop. ``consumer``: properties of one that is assigned by hand. ``kick()``: what was
        answered may let the desk go on. ``not_before_ms``: as of ``Judgement``."""
        self._loop = asyncio.get_running_loop()
        self._wire, self._consumer = wire, consumer
        self._kick, self._failed, self._not_before_ms = kick, failed, not_before_ms

    def hours(self, shard: Shard, since_ms: int, told: Callable[[list[Drawn] | None], None]) -> None:
        """What was called for a shard since then; None: ask again. It may be much."""

        def answered(asked: asyncio.Future[list[Drawn]]) -> None:
            error = None if asked.cancelled() else asked.exception()
            if isinstance(error, Exception) and not isinstance(error, PASSING):
                self._failed(error)
            elif not asked.cancelled():
                told(asked.result() if error is None else None)
                self._kick()

        work = partial(drawn_since, self._wire, shard, since_ms, self._not_before_ms)
        self._loop.run_in_executor(None, work).add_done_callback(answered)

    def headers(self, positions: list[Position], told: Callable[[Mapping[Position, Headers]], None]) -> None:
        """The headers of records that the store keeps without them, as far as they are still to be had. Kafka may be
        slow."""

        def answered(asked: asyncio.Future[dict[Position, Headers]]) -> None:
            if not asked.cancelled():
                told(asked.result() if asked.exception() is None else {})

        self._loop.run_in_executor(None, headers_again, self._consumer, positions).add_done_callback(answered)
