"""The documents as a site: it builds without a warning, and every link of every page leads somewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.test_documents import ROOT

BUILD = ("-m", "sphinx", "-c", "docs", "-q", "-W", "--keep-going")


class Page(HTMLParser):
    """The links of a page, those of them that a browser follows by itself, and the places that a link can name."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Anything may have an id; links, pictures, scripts and styles name others."""
        for name, value in attrs:
            if name == "id":
                self.places.add(value or "")
            elif name in ("href", "src") and value:
                self.links.append(value)
                self.loaded += [] if tag == "a" else [value]


def build(root: Path, into: Path) -> subprocess.CompletedProcess[str]:
    """As `make docs` does."""
    command = [sys.executable, *BUILD, "-d", str(into / "doctrees"), str(root), str(into / "site")]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once."""
    into = tmp_path_factory.mktemp("docs")
    said = build(ROOT, into)
    assert (said.returncode, said.stderr) == (0, "")
    return into / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """All of them, by file."""
    return {file: Page(file) for file in site.rglob("*.html")}


def dangling(pages: dict[Path, Page]) -> Iterator[str]:
    """Links within the site that lead nowhere."""
    for page in pages.values():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (page.file.parent / unquote(parts.path)).resolve() if parts.path else page.file
            if not there.is_file() or (parts.fragment and there in pages and not named(pages[there], parts.fragment)):
                yield f"{page.file.name}: {link}"


def named(page: Page, fragment: str) -> bool:
    """Whether the page has this place; a script makes the others."""
    return unquote(fragment) in page.places


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    assert list(dangling(pages)) == []


def test_every_document_is_a_page(site: Path) -> None:
    """And the front page is the README."""
    documents = [path for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert [path.name for path in documents if not (site / "docs" / f"{path.stem}.html").is_file()] == []
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page]) -> None:
    """It can be read on a machine without a network: only links that a reader follows lead out of it."""
    assert {link for page in pages.values() for link in page.loaded if urlsplit(link).netloc} == set()


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    """A page, a heading and a file that are not there: each is said, and nothing passes for a site."""
    (tmp_path / "docs").mkdir()
    for name in ("conf.py", "README.md"):
        shutil.copy(ROOT / "docs" / name, tmp_path / "docs")
    (tmp_path / "README.md").write_text("# A project\n")
    (tmp_path / "docs" / "results.md").write_text("# Results\n")
    (tmp_path / "docs" / "demo.md").write_text("# Demo\n\n[a](no.md) [b](results.md#no-heading) [c](../no.avsc)\n")
    said = build(tmp_path, tmp_path / "build")
    assert said.returncode != 0
    for target in ("no.md", "no-heading", "../no.avsc"):
        assert [line for line in said.stderr.splitlines() if "demo.md" in line and target in line], target
