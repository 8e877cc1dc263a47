"""A real browser, where one is installed: Debian's Chromium or another, driven by Playwright's library."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_MS: Final = 15_000


@asynccontextmanager
async def browser() -> AsyncIterator[Any]:
    """One that is closed afterwards; skips the test where there is none, and says so."""
    driver = pytest.importorskip("playwright.async_api", reason="playwright is not installed: no test in a browser")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser on this machine ({', '.join(NAMES)}): the page is not tested in one")
    async with driver.async_playwright() as started:
        yield await started.chromium.launch(executable_path=path, args=["--no-sandbox"])  # tests may run as root


class Visit:
    """One look at the page, in a window of its own; what the browser finds wrong is collected."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda said: self._said(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    async def text(self, id: str) -> str:
        """What stands there, as a person sees it."""
        return str(await self.page.inner_text(f"#{id}"))

    async def until(self, id: str, text: str) -> None:
        """Wait until that is a part of what stands there."""
        await self.page.wait_for_function(
            "([id, text]) => document.getElementById(id).innerText.includes(text)", arg=[id, text]
        )

    async def focused(self) -> str:
        """The id of what has the focus."""
        return str(await self.page.evaluate("document.activeElement.id"))


@asynccontextmanager
async def visit(chromium: Any, address: str, **window: Any) -> AsyncIterator[Visit]:
    """Open the page; ``window``: what Playwright takes for a new context."""
    context = await chromium.new_context(**window)
    try:
        seen = Visit(await context.new_page())
        await seen.page.goto(address)
        yield seen
    finally:
        await context.close()
