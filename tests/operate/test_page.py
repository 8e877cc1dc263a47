"""The page's files as they are served: whole, closed to anything foreign, and in step with script and service."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from stream.operate.files import HEADERS, PAGE
from tests.operate.running import APP, running
from tests.operate.sample import sample
from tests.operate.test_http import front

FOLDER = Path(__file__).parents[2] / "stream" / "operate" / "page"
HTML, CSS, SCRIPT, WORDS = (
    (FOLDER / name).read_text("utf-8") for name in ("index.html", "page.css", "page.mjs", "words.mjs")
)
EMPTY: Final = frozenset({"input", "link", "meta"})
"""Elements without an end."""

Tag = tuple[str, dict[str, str | None]]


class Reading(HTMLParser):
    """Reads the page and objects to what is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[Tag] = []
        self.feed(HTML)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))  # inside svg

    def all(self, *names: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of these names."""
        return [attributes for tag, attributes in self.tags if tag in names]


PAGE_READ = Reading()
IDS: Final = [attributes["id"] for _, attributes in PAGE_READ.tags if "id" in attributes]


# --- how it is served


@pytest.mark.parametrize("path", PAGE)
async def test_each_file_comes_with_its_type_and_the_headers_that_close_it(path: str) -> None:
    """Strict Content-Security-Policy, no sniffing, no referrer, no frame."""
    name, content_type = PAGE[path]
    async with front() as session, session.get(path) as reply:
        assert (reply.status, reply.content_type, reply.charset) == (200, content_type, "utf-8")
        assert await reply.read() == (FOLDER / name).read_bytes()
        assert {header: reply.headers[header] for header in HEADERS} == HEADERS


def test_every_file_of_the_folder_is_served_and_no_other() -> None:
    """What lies there is package data; what is forgotten is a page without its script."""
    assert {name for name, _ in PAGE.values()} == {path.name for path in FOLDER.iterdir()}


def test_the_policy_lets_the_browser_do_what_the_page_needs_and_nothing_else() -> None:
    """default-src 'none'; no 'unsafe-…', no other host, no eval, no form that goes anywhere."""
    rules = dict(rule.strip().split(" ", 1) for rule in HEADERS["Content-Security-Policy"].split(";"))
    ours = ("script-src", "style-src", "img-src", "connect-src")
    closed = ("default-src", "base-uri", "form-action", "frame-ancestors", "trusted-types")
    wanted = dict.fromkeys(ours, "'self'") | dict.fromkeys(closed, "'none'")
    assert rules == wanted | {"require-trusted-types-for": "'script'"}


# --- what is in it


def test_nothing_is_loaded_from_elsewhere() -> None:
    """One page without anything foreign: each address is one of ours, or a place in the page."""
    addresses = [attributes[name] for _, attributes in PAGE_READ.tags for name in ("src", "href") if name in attributes]
    assert {f"/{address}" for address in addresses if address and not address.startswith("#")} <= PAGE.keys()
    assert "//" not in re.sub(r"(?m)(^|\s)//.*$", "", SCRIPT + WORDS).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"@import|url\(|//", CSS)
    assert re.findall(r'(?:from|import\() *["\'](.+?)["\']', SCRIPT + WORDS) == ["./words.mjs"]
    assert set(re.findall(r"\b(?:fetch|answerOf)\((.+?)[,)]", SCRIPT)) == {'"/api/live"', "address", "say.address(kind"}


def test_nothing_is_inline_and_no_text_becomes_markup() -> None:
    """No inline script, style or handler; textContent, never innerHTML."""
    for tag, attributes in PAGE_READ.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        assert tag != "style"
        assert tag != "script" or "src" in attributes
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|setAttribute\(\"on"
    )
    assert not re.search(forbidden, SCRIPT + WORDS)
    assert not re.search(r"localStorage|document\.cookie", SCRIPT), "the token lives as long as the tab"


def test_the_html_is_well_formed() -> None:
    """Every element closed in order, every id once."""
    assert PAGE_READ.open == []
    assert HTML.startswith("<!doctype html>\n")
    assert len(set(IDS)) == len(IDS)


def test_every_id_that_the_script_uses_exists_and_every_reference_leads_somewhere() -> None:
    """Else the page dies at that line, or a screen reader is told of nothing."""
    used = set(re.findall(r'\$\("([\w-]+)"\)', SCRIPT))
    listed = {
        name for names in re.findall(r"for \(const id of \[(.+?)\]\)", SCRIPT) for name in re.findall(r'"(.+?)"', names)
    }
    assert len(used) > 30
    assert (used | listed) - set(IDS) == set()
    for _, attributes in PAGE_READ.tags:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert set((attributes.get(name) or "").split()) <= set(IDS), attributes
    assert not re.search(r"\$\([^\")]*[^\w\")(]", SCRIPT), "an id that is put together cannot be looked for here"


def test_every_word_that_the_page_says_is_there_and_every_one_that_is_there_is_said() -> None:
    """The two scripts are in step."""
    said = set(re.findall(r"\bsay\.(\w+)", SCRIPT))
    exported = set(re.findall(r"^export (?:function|class|const) (\w+)", WORDS, re.MULTILINE))
    assert said <= exported
    inside = {name for name in exported - said if len(re.findall(rf"\b{name}\b", WORDS)) > 1}
    assert exported - said == inside


def test_it_has_landmarks_headings_in_order_and_a_name_for_everything() -> None:
    """Keyboard and screen reader."""
    names = [tag for tag, _ in PAGE_READ.tags]
    assert [names.count(each) for each in ("h1", "main", "header", "footer")] == [1, 1, 1, 1]
    levels = [int(name[1]) for name in names if re.fullmatch(r"h\d", name)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all("aria-labelledby" in each for each in PAGE_READ.all("section"))
    assert all("type" in each for each in PAGE_READ.all("button"))
    assert all(each.get("scope") == "col" for each in PAGE_READ.all("th"))
    labels = {each["for"] for each in PAGE_READ.all("label")}
    assert {each["id"] for each in PAGE_READ.all("input", "select")} == labels
    scrolling = [each for _, each in PAGE_READ.tags if each.get("class") == "wide"]
    assert len(scrolling) == 6
    assert all(each["tabindex"] == "0" and each["role"] == "region" and each["aria-labelledby"] for each in scrolling)
    assert PAGE_READ.all("html") == [{"lang": "en"}]


def test_one_place_alone_is_read_aloud_by_itself() -> None:
    """Live regions that do not chatter: figures change every second, the verdict when something has happened."""
    aloud = [each["id"] for _, each in PAGE_READ.tags if each.get("role") in ("status", "alert") or "aria-live" in each]
    assert aloud == ["refused", "verdict"]


# --- colours


def luminance(colour: str) -> float:
    """As WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("which", [0, 1], ids=["light", "dark"])
def test_every_text_can_be_read_in_light_and_dark(which: int) -> None:
    """4.5 at least for text, 3 for the edge of what can be worked with (WCAG 2.2 AA)."""
    block = re.findall(r":root \{(.+?)\}", CSS, re.DOTALL)[which]
    colours = dict(re.findall(r"--(\w+): (#\w{6});", block))
    assert len(colours) == 9
    for ink in ("ink", "faint", "mark", "good", "wary", "bad"):
        for ground in ("ground", "sheet"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert not re.search(r"(?<!-): #", re.sub(r":root \{.+?\}", "", CSS, flags=re.DOTALL)), "a colour of its own"


# --- in step with the service


def lacks(wanted: Any, given: Any, at: str = "") -> list[str]:
    """The paths in ``wanted`` that ``given`` has not; of lists the first entries are compared."""
    if isinstance(wanted, list) and isinstance(given, list):
        return lacks(wanted[0], given[0], f"{at}[]") if wanted and given else []
    if not (isinstance(wanted, dict) and isinstance(given, dict)):
        return []
    inside = [lacks(wanted[name], given[name], f"{at}.{name}") for name in wanted.keys() & given.keys()]
    return [f"{at}.{name}" for name in wanted.keys() - given.keys()] + list(chain.from_iterable(inside))


SEARCHED: Final = {
    *("violationId", "messageId", "severity", "status", "state", "reason", "detector", "detectedAt", "tokensMatched"),
    *("tokensSettled", "waitsFor", "partition", "offset", "sends", "tokens", "counted", "violations", "firstSends"),
}
"""What is read of a violation and of a message that were searched for."""

SENT: Final = {
    *("offset", "timestamp", "tokens", "clientId", "notifyId", "pushType", "sentAt", "requestId", "revocable"),
    "unreadable",
}
"""What is read of a message's sends; the last where it is so."""

SAMPLE: Final = sample()
FIELDS: Final[dict[str, set[str]]] = {
    "seen": SAMPLE.keys() | SEARCHED,
    "app": set(SAMPLE["apps"][0]),
    "result": set(SAMPLE["recent"][0]),
    "held": set(SAMPLE["held"][0]),
    "shard": set(SAMPLE["shards"][0]),
    "row": set(SAMPLE["violations"]["HIGH"]),
    "restore": set(SAMPLE["restore"]["sends"]),
    "sends": set(SAMPLE["shards"][0]["sends"]),
    "send": SENT,
}
"""By the name that the scripts give a value: its fields."""


@pytest.mark.parametrize("reader", FIELDS)
def test_every_field_that_the_scripts_read_is_in_the_sample(reader: str) -> None:
    """A field that is renamed in the service alone shows as a blank, which nobody reports."""
    read = set(re.findall(rf"(?<![\w.]){reader}\??\.(\w+)", SCRIPT + WORDS))
    assert read
    assert read - FIELDS[reader] == set()


async def test_the_sample_is_what_the_service_answers(tmp_path: Path) -> None:
    """Every field of it; and what a search shows too."""
    async with running(tmp_path) as rig:
        await rig.ready()
        rig.send("m1", 5)
        rig.event("v1", "m1")
        reply = await rig.until("/api/overview", lambda r: bool(r.json["recent"] and r.json["apps"]))
        ours = sample() | {"restore": {}, "results": {}, "deadLetters": {}}  # what is in them depends on what happens
        ours["apps"][0]["devices"] = {"revoked": 5}
        assert lacks(ours, reply.json) == []
        assert lacks(reply.json | {"results": {}}, ours) == []
        violation = (await rig.get("/api/violations/v1")).json
        message = (await rig.get("/api/messages/m1")).json
        assert violation.keys() | message.keys() >= SEARCHED
        assert message["firstSends"][0].keys() | {"unreadable"} == SENT
        assert message["firstSends"][0]["clientId"] == APP


# --- what it says


def test_what_the_page_says_is_right() -> None:
    """The script's pure functions, by node's own test runner."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine: the page's words are not tested")
    run = [node, "--test", str(Path(__file__).with_name("words.test.mjs"))]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"^(?:# |ℹ )pass (\d+)", done.stdout, re.MULTILINE)
    assert passed
    assert int(passed[1]) >= 20, done.stdout
