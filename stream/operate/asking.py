"""A running service asked over its own HTTP API, by the commands.

Promised: an answer or one sentence within a minute; whoever answers 307 is followed to the instance that owns the
message, with the token. Not promised: that all instances are asked: only those that are named, and where they point.
The one that is asked for a violation by its id alone asks the others itself.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import aiohttp
import orjson
from aiohttp import hdrs
from yarl import URL

from stream.model import StartError
from stream.operate.paths import followed
from stream.settings import Address, HttpSettings
from stream.settings.kinds import reachable_at
from stream.settings.wrong import shown

WITHIN_S: Final = 25.0
"""A violation may be searched for ten seconds, by each of the instances that are named."""
CONNECTED_WITHIN_S: Final = 5.0
MOST_HOPS: Final = 5
LONGEST_PATH: Final = 8_000
"""A little less than servers take of a request's first line (8,190 bytes)."""

_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Answer(NamedTuple):
    """What an instance said: 200 with the thing, or 404 with ``error`` and perhaps ``partition``."""

    known: bool
    body: dict[str, Any]
    url: str


def given_id(text: str) -> str:
    """An id from a command line. Raises ArgumentTypeError for one that no record can have."""
    if not text:
        raise argparse.ArgumentTypeError("an id is never empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not UTF-8, as ids are") from None
    return text


def add_at(to: argparse._ActionsContainer) -> None:
    """The flag ``--at``, of a command that asks: a list of base URLs, empty where none is given."""
    to.add_argument(
        "--at",
        action="append",
        default=[],
        type=given_address,
        metavar="HOST:PORT",
        help="ask there instead of http.listen; repeatable: the first instance that knows it answers",
    )


def given_address(text: str) -> str:
    """A base URL from a command line, ``host:port`` too. Raises ArgumentTypeError."""
    try:
        found: str | None = reachable_at().read(text)
    except ValueError:
        found = None
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{shown('at', text)} is no address such as 10.0.0.7:8070 or https://host:port"
        )
    return found


def own_address(listen: Address) -> str:
    """Where a service with these settings is reached from its own machine. Raises StartError for a port of chance."""
    if not listen.port:
        raise StartError(
            f"http.listen = {str(listen)!r} takes any free port: name the one that the service's log says (listening) "
            "with --at HOST:PORT"
        )
    return f"http://{Address(_ANYWHERE.get(listen.host, listen.host), listen.port)}"


async def ask(settings: HttpSettings, path: str, at: Sequence[str] = ()) -> Answer:
    """The first instance that knows it, of those at these base URLs (none: the one of ``http.listen``); else the last
    that does not. Raises StartError where one cannot tell or none answers."""
    if len(path) > LONGEST_PATH:
        raise StartError(
            f"an id so long cannot be asked for: its address has {len(path)} characters, {LONGEST_PATH} are taken"
        )
    token = {} if settings.token is None else {hdrs.AUTHORIZATION: f"Bearer {settings.token.reveal()}"}
    timeout = aiohttp.ClientTimeout(total=WITHIN_S, sock_connect=CONNECTED_WITHIN_S)
    silent: StartError | None = None
    unknown: Answer | None = None
    async with aiohttp.ClientSession(timeout=timeout, headers=token) as session:
        for base in at or (own_address(settings.listen),):
            try:
                answer = await _asked(session, f"{base}{path}")
            except StartError as error:
                silent = error
                continue
            if answer.known:
                return answer
            unknown = answer
    if silent is not None or unknown is None:  # who does not answer may be the one that knows
        raise silent or StartError("nobody was asked")
    return unknown


async def _asked(session: aiohttp.ClientSession, first: str, *, again: bool = True) -> Answer:
    url = start = URL(first, encoded=True)
    try:
        for _ in range(MOST_HOPS):
            async with session.get(url, allow_redirects=False) as reply:
                further = reply.headers.get(hdrs.LOCATION)
                if reply.status not in (307, 308) or further is None:
                    return _read(url, reply.status, await reply.read())
            url = url.join(URL(further, encoded=True))
    except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
        if url != start and again:  # where it points to cannot be reached from here, as through a forwarded port
            return await _asked(session, followed(first), again=False)
        raise StartError(
            f"no running service answers at {url.origin()}: {why_silent(error)}; is `unpush run` up, and is that its "
            "address (http.listen, or --at HOST:PORT)?"
        ) from None
    raise StartError(f"{first} leads from one instance to another, {MOST_HOPS} times; ask again when shards have moved")


def _read(url: URL, status: int, content: bytes) -> Answer:
    try:
        body = orjson.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict) or (status != 200 and "error" not in body):
        raise StartError(f"what answers at {url.origin()} is no Unpush: HTTP {status}")
    if status == 401:
        raise StartError(
            f"{url.origin()} asks for a token: set http.token_file as the service has it ({body['error']})"
        )
    if status not in (200, 404):
        raise StartError(f"{url.origin()} cannot tell now: {body['error']}")
    return Answer(status == 200, body, str(url))


def why_silent(error: Exception) -> str:
    """Why nobody answered, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.os_error.errno).lower() if error.os_error.errno else "no such address"
    return str(error) or type(error).__name__
