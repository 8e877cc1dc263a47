"""Requests, and their heads that were parsed before: a client's next call differs in little but its body.

Promised: ``whole`` says of a request what the parser said of one with the very same head. Not promised: an answer to
anything but one whole request with Content-Length, or without a body, on a connection that goes on.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_HEAD_END: Final = b"\r\n\r\n"
_REMEMBERED: Final = 4_096


class Request(NamedTuple):
    """One whole request. ``headers`` has the few names that the simulator looks at, in lower case."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    data: bytes
    """The body, from ``body_at`` on; a large one is not copied out of what was received."""
    body_at: int
    keep_alive: bool
    refused_with: int
    """0, or the HTTP status that its size has earned."""

    @property
    def body(self) -> bytes:
        """The body alone."""
        return self.data[self.body_at :]


class Heads:
    """By their bytes: the request that had each."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[int, bytes, bytes, dict[bytes, bytes]]] = {}

    def whole(self, data: bytes) -> Request | None:
        """The request that is all of ``data``, which begins with a head; None where the parser must say."""
        end = data.find(_HEAD_END) + len(_HEAD_END)
        known = self._known.get(data[:end])
        if known is None:
            return None
        size, method, target, headers = known
        return Request(method, target, headers, data, end, True, 0) if len(data) == size else None

    def learn(self, data: bytes, request: Request) -> None:
        """The parser began with ``data`` and has made this request last."""
        head, _, body = data.partition(_HEAD_END)
        # Several requests have another body, and so has a chunked one. Who expects 100 must hear it.
        plain = body == request.body and b"expect" not in request.headers and not request.refused_with
        if plain and request.keep_alive:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[head + _HEAD_END] = len(data), request.method, request.target, request.headers
