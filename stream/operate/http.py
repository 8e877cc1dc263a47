"""The service over HTTP: is it alive, is it ready, how is it, what has become of a message.

Promised: every answer but ``/metrics`` and the page's is JSON, an error is ``{"error": one sentence}``; no push token
is in any. The bearer token guards all but ``/livez``, ``/readyz`` and the page's files; where there is none, who asks
must call this machine by a name of its own. Not promised: that an answer is the last word; it is what this instance
knows at that moment.
"""

from __future__ import annotations

import errno
import hmac
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final, NamedTuple

import orjson
import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware

from stream.model import StartError, UnpushError
from stream.operate.files import PAGE, add_files
from stream.operate.health import Health
from stream.operate.hosts import Hosts
from stream.operate.live import Live
from stream.operate.paths import FOLLOW, LOCAL, locally, message_path, violation_path
from stream.settings import Address, HttpSettings, Secret

OPEN: Final = frozenset({"/livez", "/readyz", *PAGE})
"""What may be asked without the token: by whoever starts the service, and by a browser for the page's files, which tell
nothing of it."""

NOT_OUR_NAME: Final = (
    "this Host is none of ours: without http.token_file it must be localhost, an address of loopback, or a name in "
    "http.listen or http.advertise"
)

SHUTDOWN_S: Final = 2.0
"""How long answers under way may take when the server stops."""

IDLE_S: Final = 75.0
"""How long a connection may be without a whole request, the first or the next; Prometheus keeps one and asks once a
minute at the slowest. aiohttp's own hour would let a stranger hold every file that this process may open."""

Json = dict[str, object]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)


class Unknown(NamedTuple):
    """Nothing is known of it here: a sentence, and the partition that it belongs to where that can be told."""

    why: str
    partition: int | None = None
    restoring: bool = False
    """Whether the past is still being read there, so that it may be known later."""

    def as_json(self) -> Json:
        """The answer of a 404."""
        where: Json = {} if self.partition is None else {"partition": self.partition}
        return {"error": self.why, **where, **({"restoring": True} if self.restoring else {})}


class Owner(NamedTuple):
    """Another instance owns it, which is to be asked itself: its base URL."""

    at: str
    partition: int


class Far(Enum):
    """What is done where another instance owns the message that is asked for, or may know the violation."""

    POINT = "point"
    """307 to its owner; of a violation without its message, all are asked."""
    FOLLOW = FOLLOW
    """Its owner is asked, and its answer passed on: for who cannot be sent elsewhere, such as the page."""
    LOCAL = LOCAL
    """Neither: only what this instance knows itself. So an instance asks another, and nothing goes round in circles."""


class Sights(NamedTuple):
    """What the service lets be seen."""

    health: Callable[[], Health]
    status: Callable[[], Json]
    metrics: Callable[[str], tuple[bytes, str]]
    message: Callable[[str, Far], Awaitable[Json | Unknown | Owner]]
    """By messageId. May raise UnpushError: it cannot be told now."""
    violation: Callable[[str, str | None, Far], Awaitable[Json | Unknown | Owner]]
    """By violationId, and messageId where the caller names it. May raise UnpushError."""
    overview: Callable[[], Awaitable[Json]]
    """All that the page shows, but what is searched for."""


class Front:
    """The server; ``async with Front(settings.http, sights)`` listens from entry to exit."""

    def __init__(self, settings: HttpSettings, sights: Sights, *, gives_way: bool = False) -> None:
        """``gives_way``: where another process has the port, any free one will do."""
        self._listen = settings.listen
        self._gives_way = gives_way
        self._sights = sights
        app = web.Application(middlewares=[_errors_are_sentences, _guard(settings)])
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/api/status", self._status)
        app.router.add_get("/api/overview", self._overview)
        self._add_page(app)
        # An id may hold anything, a slash or a new line too; it comes percent-encoded or not.
        app.router.add_get(r"/api/messages/{id:[\s\S]+}", self._message)
        app.router.add_get(r"/api/violations/{id:[\s\S]+}", self._violation)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=_strangers_left_out(),
            shutdown_timeout=SHUTDOWN_S,
            keepalive_timeout=IDLE_S,
        )

    def _add_page(self, app: web.Application) -> None:
        live = Live(self._sights.overview)
        app.router.add_get("/api/live", live.answer, allow_head=False)
        app.on_shutdown.append(lambda _: live.close())
        add_files(app)

    @property
    def address(self) -> Address:
        """Where it listens; port 0 has become a real one."""
        host, port, *_ = self._runner.addresses[0]
        return Address(host, port)

    async def start(self) -> None:
        """Listen. Raises StartError."""
        await self._runner.setup()
        try:
            await self._open()
        except OSError as error:
            await self._runner.cleanup()
            raise StartError(f"http.listen: cannot listen on {self._listen}: {_why(error)}") from None
        log.info("listening", address=str(self.address))

    async def _open(self) -> None:
        try:
            await web.TCPSite(self._runner, self._listen.host, self._listen.port).start()
        except OSError as error:
            if not self._gives_way or error.errno != errno.EADDRINUSE:
                raise
            await web.TCPSite(self._runner, self._listen.host, 0).start()

    async def stop(self) -> None:
        """Close the port; answers under way get a moment to end."""
        await self._runner.cleanup()

    async def __aenter__(self) -> Front:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- the answers

    async def _livez(self, _: web.Request) -> web.Response:
        return _json({"alive": True})  # from the loop itself: where it does not turn, nobody answers

    async def _readyz(self, _: web.Request) -> web.Response:
        health = self._sights.health()
        return _json(health.as_json(), 200 if health.ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._sights.metrics(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    async def _status(self, _: web.Request) -> web.Response:
        return _json(self._sights.status())

    async def _overview(self, _: web.Request) -> web.Response:
        return _json(await self._sights.overview())

    async def _message(self, request: web.Request) -> web.Response:
        message_id = request.match_info["id"]
        return _found(await self._sights.message(message_id, _far(request)), message_path(message_id))

    async def _violation(self, request: web.Request) -> web.Response:
        violation_id, message_id = request.match_info["id"], request.query.get("messageId")
        seen = await self._sights.violation(violation_id, message_id, _far(request))
        return _found(seen, violation_path(violation_id, message_id))


def _strangers_left_out() -> logging.Logger:
    """The server's own log, without a traceback for each who sends what is no HTTP: that is answered 400, the token is
    not asked for by then, and nothing is wrong here."""
    found = logging.getLogger("unpush.http")
    found.addFilter(_ours)
    return found


def _ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _far(request: web.Request) -> Far:
    return next((far for far in (Far.LOCAL, Far.FOLLOW) if far.value in request.query), Far.POINT)


def _found(seen: Json | Unknown | Owner, path: str) -> web.Response:
    if isinstance(seen, Owner):
        return _pointed(seen, path)
    if not isinstance(seen, Unknown):
        return _json(seen)
    return _json(seen.as_json(), 404)


def _pointed(owner: Owner, path: str) -> web.Response:
    """307 to an answer that points nowhere else, also where the partition has moved on meanwhile."""
    told = _json({"partition": owner.partition, "owner": owner.at}, 307)
    told.headers[hdrs.LOCATION] = f"{owner.at}{locally(path)}"
    return told


def _json(value: Json, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value) + b"\n", status=status, content_type="application/json")


@web.middleware
async def _errors_are_sentences(request: web.Request, handler: Answer) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return _json({"error": f"there is nothing at {request.path}"}, 404)
    except web.HTTPMethodNotAllowed as error:
        refused = _json({"error": f"{request.method} is not answered here, only GET"}, 405)
        refused.headers[hdrs.ALLOW] = ", ".join(sorted(error.allowed_methods))
        return refused
    except UnpushError as error:
        return _json({"error": str(error)}, 503)
    except Exception as error:  # a fault of ours in an answer must not show its inside
        log.error("answer_failed", path=request.path, exc_info=error)
        return _json({"error": "this answer failed by a fault of ours; the log has the details"}, 500)


def _guard(settings: HttpSettings) -> Middleware:
    """Let through who shows the token; where there is none, who means this machine."""
    return _unlocked(Hosts(settings)) if settings.token is None else _locked(settings.token)


def _locked(token: Secret) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Answer) -> web.StreamResponse:
        if request.path in OPEN or _shows(request, token):
            return await handler(request)
        refused = _json({"error": "show the token of http.token_file: Authorization: Bearer TOKEN"}, 401)
        refused.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
        return refused

    return guard


def _unlocked(hosts: Hosts) -> Middleware:
    """421: a host that is none of ours was named, and a browser may show the answer to a stranger's page."""

    @web.middleware
    async def guard(request: web.Request, handler: Answer) -> web.StreamResponse:
        if hosts.ours(request.headers.get(hdrs.HOST)):
            return await handler(request)
        return _json({"error": NOT_OUR_NAME}, 421)

    return guard


def _shows(request: web.Request, token: Secret) -> bool:
    scheme, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    same = hmac.compare_digest(shown.strip().encode("utf-8", "surrogateescape"), token.reveal().encode())
    return same and scheme.lower() == "bearer"


def _why(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "this host name has no address"
    if error.errno == errno.EADDRINUSE:
        return "another process has this port; stop it or choose another port"
    return os.strerror(error.errno) if error.errno else str(error)
