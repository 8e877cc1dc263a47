"""What Push Kit answers: its codes with the HTTP status that goes with each here, and the bytes on the wire.

Promised: ``code`` is a string, ``msg`` and ``requestId`` are always there (harmonyos-references/push-msg-revoke).
Not promised: the HTTP status of a business code; no page maps them, so ``Rules.answers`` can change any of them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple

import orjson

SUCCESS: Final = "80000000"
PARTIAL: Final = "80100000"
PARTIAL_TEXT: Final = "80100020"
PARAMETER_ERROR: Final = "80100001"
ILLEGAL_PAYLOAD: Final = "80100003"
AUTH_FAILED: Final = "80200001"
JWT_EXPIRED: Final = "80200005"
NOT_THE_APP: Final = "80300002"
ALL_TOKENS_INVALID: Final = "80300007"
BODY_TOO_LARGE: Final = "80300008"
TOKEN_COUNT: Final = "80300010"
SEVERAL_APPS: Final = "80300017"
ANOTHER_APP: Final = "80300028"
NO_PERMISSION: Final = "80300032"
JWT_TOO_LONG: Final = "80300036"
PENALTY: Final = "80300037"
INTERNAL: Final = "80000001"
SEND_INTERNAL: Final = "81000001"

STATUS: Final = {
    SUCCESS: 200,
    PARTIAL: 200,
    PARTIAL_TEXT: 200,
    PARAMETER_ERROR: 400,
    ILLEGAL_PAYLOAD: 400,
    AUTH_FAILED: 401,
    "80200003": 401,
    JWT_EXPIRED: 401,
    NOT_THE_APP: 400,
    ALL_TOKENS_INVALID: 200,
    BODY_TOO_LARGE: 400,
    TOKEN_COUNT: 400,
    SEVERAL_APPS: 400,
    ANOTHER_APP: 400,
    NO_PERMISSION: 400,
    JWT_TOO_LONG: 401,
    PENALTY: 400,
    INTERNAL: 500,
    SEND_INTERNAL: 500,
    "80600003": 500,
}
"""Code → HTTP status; a code that is not here answers with 400."""

PARTIAL_MESSAGE: Final = "Check Parameter Partial Success."

JSON: Final = b"application/json"
HTML: Final = b"text/html"


class Reply(NamedTuple):
    """One HTTP reply. ``extra`` holds whole header lines, each with its CRLF."""

    status: int
    body: bytes
    content_type: bytes = JSON
    extra: bytes = b""


def business(status: int, code: str, message: str, request_id: str, extra: bytes = b"") -> Reply:
    """A reply with Push Kit's three fields; an empty code is left out."""
    fields = {"code": code, "msg": message, "requestId": request_id}
    if not code:
        del fields["code"]
    return Reply(status, orjson.dumps(fields), JSON, extra)


def plain(status: int, extra: bytes = b"") -> Reply:
    """A reply of the web server in front, not of Push Kit: a short HTML page without ``code``."""
    title = f"{status} {_phrase(status)}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Reply(status, page.encode(), HTML, extra)


def on_the_wire(reply: Reply, keep_alive: bool) -> bytes:
    """The whole reply as HTTP/1.1 bytes, with its length."""
    return b"%b%b\r\nContent-Length: %d\r\n%b%b\r\n%b" % (
        _head(reply.status),
        reply.content_type,
        len(reply.body),
        reply.extra,
        b"" if keep_alive else b"Connection: close\r\n",
        reply.body,
    )


def retry_after(value: str) -> bytes:
    """A ``Retry-After`` header line, or nothing for an empty value."""
    return f"Retry-After: {value}\r\n".encode() if value else b""


_heads: dict[int, bytes] = {}


def _head(status: int) -> bytes:
    head = _heads.get(status)
    if head is None:
        head = f"HTTP/1.1 {status} {_phrase(status)}\r\nServer: unpush-simulator\r\nContent-Type: ".encode()
        _heads[status] = head
    return head


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
