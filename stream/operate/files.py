"""The page's files, served as they lie in ``page/``, with headers that keep a browser from anything else.

Promised: the browser runs our scripts and no other, loads nothing from elsewhere, shows the page in no frame. The
files are open: they are the same everywhere and hold nothing of the service; what they show, they ask for with the
token. Not promised: browsers older than some three years.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

from aiohttp import web

PAGE: Final = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.mjs": ("page.mjs", "text/javascript"),
    "/words.mjs": ("words.mjs", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""By path: the file and its type."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

Answer = Callable[[web.Request], Awaitable[web.Response]]


def add_files(app: web.Application) -> None:
    """Serve them all; they are read once."""
    folder = files("stream.operate") / "page"
    for path, (name, content_type) in PAGE.items():
        app.router.add_get(path, _serving((folder / name).read_bytes(), content_type))


def _serving(body: bytes, content_type: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, headers=HEADERS, content_type=content_type, charset="utf-8")

    return answer
