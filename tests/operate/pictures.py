"""The page at work in the demo, and its pictures in docs: ``python -m tests.operate.pictures`` takes them anew."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.operate.browser import browser, visit

DOCS: Final = Path(__file__).parents[2] / "docs"
WINDOW: Final = {"width": 1_180, "height": 1_000}
AT_WORK_S: Final = 6.0
"""Half of the story is told by then, and all of it goes on."""
ADDRESS: Final = re.compile(rb"What the service says of itself: (http://\S+/)")


@asynccontextmanager
async def demo(*words: str) -> AsyncIterator[str]:
    """Where the page of a running ``unpush demo`` is; it is interrupted afterwards, as a person does."""
    command = [sys.executable, "-m", "stream", "demo", *words]
    running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert running.stdout is not None
    try:
        async with asyncio.timeout(60):
            while (found := ADDRESS.search(await running.stdout.readline())) is None:
                assert not running.stdout.at_eof(), "the demo has ended and named no page"
        yield found[1].decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.send_signal(signal.SIGINT)
        await running.communicate()


async def take(chromium: Any, address: str, scheme: str, file: Path) -> None:
    """The page in a window of its own, while something happens."""
    async with visit(chromium, address, viewport=WINDOW, color_scheme=scheme) as seen:
        await seen.until("verdict", "Ready")
        await asyncio.sleep(AT_WORK_S)
        await seen.page.screenshot(path=file)


async def main() -> None:
    """Both at once, so that they show the same."""
    async with browser() as chromium, demo() as address:
        await asyncio.gather(
            *(take(chromium, address, scheme, DOCS / f"page-{scheme}.png") for scheme in ("light", "dark"))
        )


if __name__ == "__main__":
    asyncio.run(main())
