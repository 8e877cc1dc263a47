"""One revoke call: a body goes out, a sorted reply comes back, whatever happens on the way.

Promised: :meth:`PushKit.revoke` answers every call with a :class:`Reply` and raises nothing but CancelledError; no call
takes longer than twice the timeout. Not promised: that a call without a reply had no effect; a repeat is harmless.
Request: https://developer.huawei.com/consumer/cn/doc/harmonyos-references/push-msg-revoke
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import aiohttp
import orjson
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from stream.block import TokenBlock
from stream.pushkit.proxy import WANTS_CREDENTIALS, Proxy, proxy_trouble, refusal
from stream.pushkit.reply import MAX_REPLY_BYTES, Reply, no_reply, skew_s, sort_reply

KEEPALIVE_S: Final = 15.0
"""Below what gateways usually keep an idle connection for (60 s and more); Huawei states no figure."""

_TRACEPARENT: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""Ids and flags, nothing that anybody could read: https://www.w3.org/TR/trace-context/#traceparent-header-field-values"""

SessionFactory = Callable[[float, int], aiohttp.ClientSession]


def pooled_session(timeout_s: float, max_connections: int) -> aiohttp.ClientSession:
    """A session for one gateway: TLS 1.2 or newer, no cookies, no decompression; no proxy and no netrc of the
    environment's, since push tokens go where the settings say and nowhere else."""
    tls = ssl.create_default_context()
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=max_connections, keepalive_timeout=KEEPALIVE_S, ssl=tls),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def encode_body(notify_id: int, tokens: Sequence[bytes]) -> bytes | memoryview:
    """The request's JSON, to be sent before another is made of the same tokens. Never raises.

    Its size is 23 bytes, the id's digits, and each token's length + 3: exactly, unless a token holds a quote, a
    backslash (one byte more each) or a control character (five more). A byte that is not UTF-8 goes out as U+FFFD.
    """
    if isinstance(tokens, TokenBlock):
        return tokens.json(b'{"notifyId":%d,"token":["' % notify_id, b'"]}')
    if tokens and _needs_no_escape(b"".join(tokens)):
        return b"".join((b'{"notifyId":%d,"token":["' % notify_id, b'","'.join(tokens), b'"]}'))
    return orjson.dumps({"notifyId": notify_id, "token": [token.decode("utf-8", "replace") for token in tokens]})


def _needs_no_escape(text: bytes) -> bool:
    """ASCII that stands in JSON as it is; orjson finds out 32 bytes at once, Python would take one after the other."""
    try:
        return len(orjson.dumps(text.decode("ascii"))) == len(text) + 2
    except UnicodeDecodeError:
        return False


class Answered(NamedTuple):
    """What the gateway answered when nothing was asked of it. ``skew_s``: how far its clock is ahead of ours, to the
    second; None: it did not say the time."""

    http_status: int
    took_s: float
    skew_s: float | None


class PushKit:
    """The gateway. Made inside a running loop, closed by :meth:`close`; at most ``max_connections`` calls at a time.

    More calls than that wait for a connection, and their waiting counts towards the timeout: bound them outside.
    Raises ValueError for a ``url`` that is none.
    """

    __slots__ = ("_base", "_doors", "_heard_s", "_proxy_headers", "_session", "_way")

    def __init__(
        self,
        url: str,
        timeout_s: float,
        max_connections: int,
        session_factory: SessionFactory = pooled_session,
        proxy: Proxy | None = None,
    ) -> None:
        self._base = str(URL(url)).rstrip("/")
        self._way: Mapping[str, Any] = proxy.way(self._base) if proxy is not None else {}
        self._proxy_headers: Mapping[str, str] = proxy.headers(self._base) if proxy is not None else {}
        self._session = session_factory(timeout_s, max_connections)
        self._doors: dict[tuple[str, int], tuple[URL, CIMultiDict[str]]] = {}
        self._heard_s = float("-inf")

    async def close(self) -> None:
        """Closes all connections; calls still open end in RETRY."""
        await self._session.close()

    async def knock(self) -> Answered | str:
        """Whether anybody answers, with the connection that calls would take and nothing asked; else why not."""
        begun_s = time.monotonic()
        try:
            ask = self._session.get(self._base, headers=self._proxy_headers, allow_redirects=False, **self._way)
            async with ask as reply:
                if reply.status == WANTS_CREDENTIALS:
                    return refusal(reply.status)
                took_s = time.monotonic() - begun_s
                return Answered(reply.status, took_s, skew_s(reply.headers.get(hdrs.DATE), time.time()))
        except Exception as error:  # noqa: BLE001  # as in ``revoke``
            return self._trouble(error)

    async def revoke(
        self,
        client_id: str,
        push_type: int,
        authorization: str,
        body: bytes | memoryview,
        tokens: Sequence[bytes],
        traceparent: str | None = None,
    ) -> Reply:
        """One call of :func:`encode_body`'s ``body`` for ``tokens``; ``authorization`` is ``Bearer.header``'s.

        On a connection that was kept alive and found closed the call is sent once more, at once; ``calls`` says so.
        """
        url, headers = self._door(client_id, push_type, authorization)
        if traceparent is not None:
            headers = _traced(headers, traceparent)
        # Whatever is raised here, the call has no reply; and that is a value, not the end of the pipeline.
        try:
            return await self._call(url, headers, body, tokens)
        except Exception as error:  # noqa: BLE001
            if not self._was_stale(error):
                return no_reply(self._trouble(error))
        try:
            reply = await self._call(url, headers, body, tokens)
        except Exception as error:  # noqa: BLE001
            self._heard_s = float("-inf")  # it was not the connection: an outage must not see each call twice
            reply = no_reply(self._trouble(error))
        return reply._replace(calls=2)

    async def _call(
        self, url: URL, headers: CIMultiDict[str], body: bytes | memoryview, tokens: Sequence[bytes]
    ) -> Reply:
        reply = await self._session.post(url, data=body, headers=headers, allow_redirects=False, **self._way)
        found = reply.headers
        length = found.get(hdrs.CONTENT_LENGTH)
        known = length is not None and int(length) <= MAX_REPLY_BYTES
        content = await (reply.read() if known else _read_bounded(reply))
        if reply.status == WANTS_CREDENTIALS:
            return no_reply(refusal(reply.status))
        self._heard_s = time.monotonic()
        return sort_reply(reply.status, content, found.get(hdrs.RETRY_AFTER), found.get(hdrs.DATE), tokens, time.time())

    def _door(self, client_id: str, push_type: int, authorization: str) -> tuple[URL, CIMultiDict[str]]:
        """URL and headers, made once per app, push type and JWT."""
        door = self._doors.get((client_id, push_type))
        if door is None or door[1][hdrs.AUTHORIZATION] != authorization:
            url = URL(f"{self._base}/v1/{quote(client_id, safe='', errors='replace')}/messages:revoke", encoded=True)
            headers = _headers(push_type, authorization)
            headers.update(self._proxy_headers)
            door = self._doors[client_id, push_type] = (url, headers)
        return door

    def _was_stale(self, error: Exception) -> bool:
        """Whether the gateway may just have closed an idle connection: only if one can still have been open."""
        lost = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionResetError)
        connecting = isinstance(error, aiohttp.ClientConnectorError)
        return lost and not connecting and time.monotonic() - self._heard_s < KEEPALIVE_S

    def _trouble(self, error: Exception) -> str:
        """The kind of what went wrong on the way; the error's own text may hold the URL and is left out."""
        if (at_proxy := proxy_trouble(error)) is not None:
            return at_proxy
        return _trouble(error, proxied=bool(self._way))


def _trouble(error: Exception, *, proxied: bool) -> str:
    match error:
        case aiohttp.ClientConnectorError():
            return _no_connection(error, proxied=proxied)
        case TimeoutError():
            return "timeout"
        case aiohttp.ServerDisconnectedError():
            return f"connection closed by the gateway{' or the proxy' if proxied else ''} before its reply"
        case aiohttp.ClientPayloadError():
            return "reply cut short"
        case aiohttp.ClientOSError() | ConnectionResetError():
            return "connection reset"
        case aiohttp.ClientResponseError():
            return "reply is not HTTP"
    return f"no reply: {type(error).__name__}"


def _no_connection(error: aiohttp.ClientConnectorError, *, proxied: bool) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"TLS: certificate verify failed: {getattr(error.certificate_error, 'verify_message', 'no reason')}"
        case aiohttp.ClientSSLError():
            return f"TLS: {getattr(error.os_error, 'reason', None) or 'handshake failed'}"
        case aiohttp.ClientConnectorDNSError():
            return f"DNS: the {'proxy' if proxied else 'gateway'}'s host name was not found"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return "connection refused"
    return f"no connection: {error.os_error.strerror or type(error.os_error).__name__}"


def _headers(push_type: int, authorization: str) -> CIMultiDict[str]:
    return CIMultiDict(
        {
            hdrs.AUTHORIZATION: authorization,
            hdrs.CONTENT_TYPE: "application/json",
            "push-type": str(push_type),
            hdrs.ACCEPT: "application/json",
            hdrs.ACCEPT_ENCODING: "identity",
            hdrs.USER_AGENT: "unpush",
        }
    )


def _traced(headers: CIMultiDict[str], traceparent: str) -> CIMultiDict[str]:
    """With the trace's header, if it is one: it comes from producers, must not cost the call, and goes to strangers."""
    if _TRACEPARENT.fullmatch(traceparent) is None:
        return headers
    headers = headers.copy()
    headers["traceparent"] = traceparent
    return headers


async def _read_bounded(reply: aiohttp.ClientResponse) -> bytes:
    """The body, or a first part that is longer than any real one; the connection is then closed."""
    content = bytearray()
    async with reply:
        while len(content) <= MAX_REPLY_BYTES and (part := await reply.content.readany()):
            content += part
    return bytes(content)
