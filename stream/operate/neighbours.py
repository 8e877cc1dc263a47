"""Another instance's API, asked by an instance.

Promised: only GET of one message or violation; bounded in time and size; no redirect is followed; what comes back is
taken only where it is about what was asked. Not promised: that the address is an Unpush. It is what a member of the
consumer group says of itself, and it is shown our token: whoever may join the group is trusted with both.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

import aiohttp
import orjson
from aiohttp import hdrs
from yarl import URL

from stream.model import UnpushError
from stream.operate.asking import why_silent
from stream.operate.http import Json, Unknown
from stream.operate.paths import locally, message_path, violation_path
from stream.settings import Secret

CONNECTED_WITHIN_S: Final = 2.0
WITHIN_S: Final = 12.0
"""It may search for ten seconds."""
MOST_BYTES: Final = 16 << 20


class Question(NamedTuple):
    """What another is asked; its answer must name ``value`` as its ``field``."""

    path: str
    field: str
    value: str


def about_message(message_id: str) -> Question:
    """``/api/messages/{messageId}``."""
    return Question(message_path(message_id), "messageId", message_id)


def about_violation(violation_id: str, message_id: str | None) -> Question:
    """``/api/violations/{violationId}``."""
    return Question(violation_path(violation_id, message_id), "violationId", violation_id)


class Neighbours:
    """See the module's words. On the event loop."""

    def __init__(self, token: Secret | None) -> None:
        self._headers = {} if token is None else {hdrs.AUTHORIZATION: f"Bearer {token.reveal()}"}
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, at: str, question: Question) -> Json | Unknown:
        """What the instance at this base URL knows itself. Raises UnpushError: it cannot tell, or does not answer."""
        try:
            async with self._opened().get(
                URL(f"{at}{locally(question.path)}", encoded=True), headers=self._headers, allow_redirects=False
            ) as reply:
                return _read(at, question, reply.status, await _whole(reply.content))
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise UnpushError(f"{at}: {why_silent(error)}") from None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=WITHIN_S, sock_connect=CONNECTED_WITHIN_S)
            self._session = aiohttp.ClientSession(timeout=timeout)
        return self._session


async def _whole(content: aiohttp.StreamReader) -> bytes:
    try:
        await content.readexactly(MOST_BYTES + 1)
    except asyncio.IncompleteReadError as ended:
        return ended.partial
    raise ValueError(f"an answer of more than {MOST_BYTES >> 20} MiB")


def _read(at: str, question: Question, status: int, content: bytes) -> Json | Unknown:
    try:
        body = orjson.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise UnpushError(f"{at}: what answers there is no Unpush (HTTP {status})")
    if status == 200 and body.get(question.field) == question.value:
        return body
    why, partition = body.get("error"), body.get("partition")
    if not isinstance(why, str):
        raise UnpushError(f"{at}: what answers there is no Unpush (HTTP {status})")
    if status != 404:
        raise UnpushError(f"{at}: {why}")
    return Unknown(why, partition if isinstance(partition, int) else None, body.get("restoring") is True)
