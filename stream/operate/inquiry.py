"""Asking the running service over HTTP, as people's commands do.

Promised: the instance that owns what is asked for is followed to where it says it is; the bearer token goes along, and
is never shown. Not promised: an instance that listens on another machine: the settings name the one that is asked.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

from stream.model import StartError
from stream.settings import HttpSettings

ANSWER_WITHIN_S: Final = 20.0
"""Above the ten seconds that a search for a violation by its id alone may take."""


class Unheard(StartError):
    """It has answered, and does not know what it was asked for, or cannot tell it now."""


class Inquiry:
    """Questions to the service that listens as the settings say. Blocks."""

    def __init__(self, settings: HttpSettings) -> None:
        self._at = f"{_reachable(settings.listen.host)}:{settings.listen.port}"
        self._token = settings.token
        self._open = build_opener(ProxyHandler({})).open  # a proxy for the world outside does not know our own host

    def violation(self, violation_id: str, message_id: str | None = None) -> dict[str, Any]:
        """What it knows of a violation. Raises Unheard where it knows none, StartError where it does not answer."""
        query = "" if message_id is None else "?" + urlencode({"messageId": message_id})
        return self.get(f"/api/violations/{quote(violation_id, safe='')}{query}")

    def get(self, path: str) -> dict[str, Any]:
        """The JSON at a path. Raises Unheard with the service's own sentence, StartError where nobody answers."""
        request = Request(f"http://{self._at}{path}")
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token.reveal()}")
        try:
            with self._open(request, timeout=ANSWER_WITHIN_S) as reply:
                return _read(reply.read())
        except HTTPError as error:
            raise self._refused(error) from None
        except (URLError, OSError) as error:
            why = getattr(error, "reason", error)
            raise StartError(
                f"http.listen: no service answers at {self._at}: {getattr(why, 'strerror', why)}"
            ) from None

    def _refused(self, error: HTTPError) -> StartError:
        said = _read(error.read()).get("error")
        if error.code == 401:
            return StartError(f"http.token_file: the service at {self._at} does not take this token")
        if said is None:
            return StartError(f"http.listen: what answers at {self._at} is no unpush: HTTP {error.code}")
        return Unheard(str(said))


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reachable(host: str) -> str:
    """Who listens on every address is asked on this machine's own."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{host}]" if address.version == 6 else host
