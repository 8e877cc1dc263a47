"""The page in a real browser: against a service that is made up, and against a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from stream.demo.plan import APPS
from stream.operate import live
from stream.operate.http import Front, Json
from stream.settings import Address, HttpSettings, Secret
from tests.operate.browser import Visit, browser, visit
from tests.operate.pictures import demo
from tests.operate.running import running
from tests.operate.sample import LONG, MARKUP, sample
from tests.operate.test_http import SIGHTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
WATCH = """() => {
    window.said = 0;
    const watcher = new MutationObserver(() => (window.said += 1));
    watcher.observe(document.getElementById("verdict"), { childList: true, characterData: true, subtree: true });
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Any]:
    """One for all; it takes seconds to start."""
    async with browser() as started:
        yield started


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is a twentieth of one."""
    monkeypatch.setattr(live, "EVERY_S", 0.05)


class Stage:
    """A service that is made up: what it tells may be changed, and how often it was asked is counted."""

    def __init__(self, token: str | None = None) -> None:
        self.seen = sample()
        self.looks = 0
        self._another = asyncio.Event()
        settings = HttpSettings(Address("127.0.0.1", 0), None, None, None if token is None else Secret(token))
        self.front = Front(settings, SIGHTS._replace(overview=self._look))

    async def _look(self) -> Json:
        self.looks += 1
        self._another.set()
        self.seen["at"] += 50
        return self.seen

    @property
    def address(self) -> str:
        return f"http://{self.front.address}/"

    async def __aenter__(self) -> Stage:
        await self.front.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.front.stop()

    async def more(self, looks: int) -> None:
        """So many looks from now on."""
        async with asyncio.timeout(10):
            for _ in range(looks):
                self._another.clear()
                await self._another.wait()

    async def looks_end(self) -> None:
        """Until nobody listens any more."""
        async with asyncio.timeout(10):
            seen = -1
            while seen != self.looks:
                seen = self.looks
                await asyncio.sleep(0.3)


async def test_it_shows_everything_that_happens_and_the_browser_finds_nothing_wrong(chromium: Any) -> None:
    """Figures, violations, held, apps, results, shards; nothing foreign asked for, no policy broken."""
    async with Stage() as stage, visit(chromium, stage.address) as seen:
        await seen.until("verdict", "Ready; violations are held for a person.")
        assert await seen.text("took") == "85 ms"
        assert await seen.text("oldest") != "none"
        assert "1\u202f234" in await seen.text("violations")
        assert "Approving revokes up to 1\u202f200\u202f000 devices of app 104729331, in 6 min 40 s" in await seen.text(
            "held"
        )
        assert "unpush approve -c unpush.toml 'held; rm -rf ~'" in await seen.text("held")
        assert "refused: 80300007 (for 1 min" in await seen.text("apps")
        assert "2\u202f401, learned" in await seen.text("apps")
        assert "partially revoked, late" in await seen.text("results")
        assert "not found" in await seen.text("results")
        assert "5\u202f000 still to read" in await seen.text("restores")
        assert (await seen.text("shards")).startswith("2\t")
        stage.seen["callsInFlight"] = 77
        await seen.until("in-flight", "77")
        assert seen.complaints == []
        ours = {stage.address + path for path in ("", "page.css", "page.mjs", "words.mjs", "icon.svg", "api/live")}
        assert set(seen.requests) <= ours


async def test_what_producers_wrote_is_text_and_nothing_else(chromium: Any) -> None:
    """All text from topics is escaped."""
    async with Stage() as stage, visit(chromium, stage.address) as seen:
        await seen.until("results", MARKUP)
        await seen.until("apps", MARKUP)
        await seen.until("held", MARKUP)
        await seen.until("words", MARKUP)
        assert await seen.page.locator("img, main script").count() == 0
        assert await seen.page.title() == "Unpush"
        assert LONG in (await seen.page.locator("#results a").evaluate_all("all => all.map(each => each.title)"))


async def test_markup_is_refused_by_the_browser_itself(chromium: Any) -> None:
    """The policy is the second wall: trusted types, and no script that is not ours."""
    async with Stage() as stage, visit(chromium, stage.address) as seen:
        await seen.until("verdict", "Ready")
        with pytest.raises(Exception, match="TrustedHTML"):
            await seen.page.evaluate("document.body.innerHTML = '<b>x</b>'")
        assert not await seen.page.evaluate("fetch('http://127.0.0.1:9/').then(() => true, () => false)")
        assert any("connect-src" in complaint for complaint in seen.complaints)


async def test_the_token_is_asked_for_kept_in_the_tab_and_forgotten(chromium: Any) -> None:
    """A form, sessionStorage, and fetch() with the header; a wrong one is said so."""
    async with Stage("s3cret") as stage, visit(chromium, stage.address) as seen:
        await seen.page.wait_for_selector("#entry:not([hidden])")
        assert await seen.focused() == "token"
        assert await seen.text("refused") == ""
        await seen.page.keyboard.type("wrong")
        await seen.page.keyboard.press("Enter")
        await seen.until("refused", "does not take this token")
        assert not await seen.page.is_visible("#service")
        await seen.page.keyboard.type(" s3cret ")
        await seen.page.keyboard.press("Enter")
        await seen.until("verdict", "Ready")
        assert await seen.focused() == "main"
        await seen.page.reload()
        await seen.until("verdict", "Ready")
        await seen.page.click("#forget")
        assert await seen.focused() == "token"
        assert await seen.page.evaluate("sessionStorage.length + localStorage.length + document.cookie.length") == 0
        await stage.looks_end()
        await seen.page.reload()
        await seen.page.wait_for_selector("#entry:not([hidden])")
        assert "s3cret" not in " ".join(seen.requests)


async def test_it_says_when_the_service_is_gone_and_finds_it_again(chromium: Any) -> None:
    """What is still shown is of a time, which is said; it tries again by itself."""
    async with Stage() as stage, visit(chromium, stage.address) as seen:
        await seen.until("verdict", "Ready")
        port = stage.front.address.port
        await stage.front.stop()
        await seen.until("verdict", "Not connected: ")
        assert "What follows is of" in await seen.text("verdict")
        assert await seen.page.is_visible("#violations")
        again = HttpSettings(Address("127.0.0.1", port), None, None, None)
        async with Front(again, SIGHTS._replace(overview=stage._look)):
            await seen.until("verdict", "Ready")


async def test_a_page_that_nobody_looks_at_does_not_listen(chromium: Any) -> None:
    """A tab in the background costs the service nothing; it goes on when it is looked at."""
    async with Stage() as stage, visit(chromium, stage.address) as seen:
        await seen.until("verdict", "Ready")
        await seen.page.evaluate(HIDE, True)
        await stage.looks_end()
        before = stage.looks
        await seen.page.evaluate(HIDE, False)
        await stage.more(2)
        assert stage.looks > before


async def test_figures_change_without_anything_being_read_aloud_or_losing_its_place(chromium: Any) -> None:
    """Live regions that do not chatter; focus and nodes stay while rows come and go."""
    async with Stage() as stage, visit(chromium, stage.address) as seen:
        await seen.until("verdict", "Ready")
        await seen.page.evaluate(WATCH)
        await seen.page.focus("#results tr:nth-child(1) a")
        newest = dict(stage.seen["recent"][0], resultId="f" * 32, violationId="newest")
        stage.seen["recent"] = [newest, *stage.seen["recent"]]
        await seen.until("results", "newest")
        await stage.more(5)
        assert await seen.page.evaluate("window.said") == 0
        assert await seen.page.evaluate("document.activeElement.textContent") == "finding-1"
        assert await seen.page.locator("#results tr").count() == 4


async def test_updates_can_be_paused(chromium: Any) -> None:
    """What moves by itself can be stopped (WCAG 2.2.2)."""
    async with Stage() as stage, visit(chromium, stage.address) as seen:
        await seen.until("verdict", "Ready")
        await seen.page.click("#pause")
        await seen.until("connection", "paused at")
        stage.seen["callsInFlight"] = 99
        await stage.more(3)
        assert await seen.text("in-flight") == "2"
        await seen.page.click("#pause")
        await seen.until("in-flight", "99")


async def test_it_is_told_by_landmarks_and_names(chromium: Any) -> None:
    """What a screen reader goes by."""
    async with Stage() as stage, visit(chromium, stage.address) as seen:
        await seen.until("verdict", "Ready")
        told = await seen.page.locator("body").aria_snapshot()
        for wanted in ("banner", "main", 'search "Search"', "contentinfo", "status", 'button "Pause updates"'):
            assert f"- {wanted}" in told, told
        for name in ("Now", "Violations", "Held for a person", "Apps", "Recent results", "Shards"):
            assert f'region "{name}"' in told
        assert 'columnheader "Severity"' in told
        assert 'rowheader "HIGH"' in told
        assert await seen.page.get_by_label("with the id").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_narrow_screen_in_light_and_dark(chromium: Any, scheme: str) -> None:
    """320 pixels are enough (WCAG 1.4.10): tables scroll by themselves, the page does not."""
    window = {"viewport": {"width": 320, "height": 640}, "color_scheme": scheme}
    async with Stage() as stage, visit(chromium, stage.address, **window) as seen:
        await seen.until("verdict", "Ready")
        assert await seen.page.evaluate("document.documentElement.scrollWidth") == 320
        ground = await seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}[scheme]


async def test_a_real_service_is_followed_and_searched_by_keyboard(chromium: Any, tmp_path: Path) -> None:
    """From the record in Kafka to the page, and back by its id; what is unknown is a sentence."""
    async with running(tmp_path) as rig:
        await rig.ready()
        async with visit(chromium, f"http://{rig.address}/") as seen:
            await seen.until("verdict", "Ready")
            rig.send("m/1 ü", 5)
            rig.event("v'1?", "m/1 ü")
            await seen.until("results", "v'1?")
            await _to(seen, "id")
            await seen.page.keyboard.type("v'1?")
            await seen.page.keyboard.press("Enter")
            await seen.until("found-title", "Violation v'1?")
            assert await seen.focused() == "found-title"
            assert "5 of 5" in await seen.text("found-facts")
            await seen.page.keyboard.press("Tab")
            await seen.page.keyboard.press("Enter")
            await seen.until("found-title", "Message m/1 ü")
            assert "settled" in await seen.text("found-violations")
            assert "100200300" in await seen.text("found-sends")
            assert seen.complaints == []
            await seen.page.fill("#id", "nobody")
            await seen.page.keyboard.press("Enter")
            await seen.until("found-words", "nothing is known of message 'nobody'")
            await seen.page.go_back()
            await seen.until("found-title", "Message m/1 ü")


async def _to(seen: Visit, id: str) -> None:
    """By the Tab key alone; the first stop leads past the header."""
    await seen.page.keyboard.press("Tab")
    assert await seen.page.evaluate("document.activeElement.className") == "skip"
    for _ in range(10):
        await seen.page.keyboard.press("Tab")
        if await seen.focused() == id:
            return
    raise AssertionError(f"{id} cannot be reached")


async def test_the_running_demo_is_shown_and_one_of_its_results_is_looked_up(chromium: Any) -> None:
    """What `unpush demo` names as the service's own page: figures, apps, results, and the way from a result to all that
    is known of its violation."""
    async with demo("--sends", "200", "--violations", "60") as address, visit(chromium, address) as seen:
        await seen.until("verdict", "Ready")
        await seen.until("results", "revoked")
        await seen.until("apps", APPS[0].client_id)
        await seen.page.wait_for_function("() => parseInt(document.getElementById('rate').innerText) > 0")
        await seen.page.locator("#results a").first.click()
        await seen.until("found-title", "Violation ")
        await seen.until("found-facts", " of ")
        assert "12 of 12 shards" in await seen.text("shards-words")
        assert seen.complaints == []
