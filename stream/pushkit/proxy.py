"""The way out to the gateway through an HTTP proxy, where the settings name one.

Promised: an https gateway is reached through a tunnel (CONNECT), so the proxy learns its host name and sees nothing of
the calls; the proxy's credentials are in no repr, no error and no connection's key; trouble that is the proxy's is told
from the gateway's. Not promised: that of an http gateway (a simulator's), whose calls the proxy reads, and may answer
itself: only 407 is told apart there.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from stream.settings import PushKitSettings, Secret

WANTS_CREDENTIALS: Final = HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
"""Only a proxy answers so, whatever it was asked: https://www.rfc-editor.org/rfc/rfc9110#status.407"""


class Proxy:
    """Where the proxy is, and what it is told; made of ``push_kit.proxy``, ``.proxy_user`` and ``.proxy_password``."""

    __slots__ = ("_headers", "address")

    def __init__(self, address: str, user: str | None = None, password: Secret | None = None) -> None:
        self.address = address
        self._headers: CIMultiDict[str] = CIMultiDict()
        if user is not None:
            self._headers[hdrs.PROXY_AUTHORIZATION] = _basic(user, password)

    def __repr__(self) -> str:
        return f"Proxy({self.address})"

    def way(self, gateway: str) -> Mapping[str, Any]:
        """What each request to the gateway is given: where to go, and what to say before a tunnel. Credentials are no
        part of the URL, since that is part of a connection's key, and aiohttp's warnings show it."""
        tunnel = {"proxy_headers": self._headers} if gateway.startswith("https:") and self._headers else {}
        return {"proxy": URL(self.address), **tunnel}

    def headers(self, gateway: str) -> Mapping[str, str]:
        """What a request itself has to carry besides: without a tunnel the proxy reads it there."""
        return {} if gateway.startswith("https:") else self._headers


def proxy_of(settings: PushKitSettings) -> Proxy | None:
    """The proxy that the settings name, if any."""
    if settings.proxy is None:
        return None
    return Proxy(settings.proxy, settings.proxy_user, settings.proxy_password)


def _basic(user: str, password: Secret | None) -> str:
    pair = f"{user}:{password.reveal() if password is not None else ''}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def proxy_trouble(error: Exception) -> str | None:
    """What went wrong at the proxy; None where the error says nothing of one."""
    match error:
        case aiohttp.ClientHttpProxyError():
            return refusal(error.status)
        case aiohttp.ClientProxyConnectionError(os_error=ConnectionRefusedError()):
            return "proxy: connection refused"
        case aiohttp.ClientProxyConnectionError():
            return f"proxy: no connection: {error.os_error.strerror or type(error.os_error).__name__}"
    return None


def refusal(status: int) -> str:
    """What a proxy's own answer means, in one sentence."""
    if status == WANTS_CREDENTIALS:
        return "proxy: HTTP 407, it does not take our user name and password, or wants some"
    if status >= 500:
        return f"proxy: HTTP {status}, it cannot reach the gateway"
    return f"proxy: HTTP {status}, it does not let us through to the gateway"
