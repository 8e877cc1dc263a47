"""The documents as a site: `make docs` builds it from the same files that are read beside the code.

Promised: nothing is written for the site alone. Sphinx is given the project's root, so that links among README, docs/
and schemas/ are the same on both, and every warning is an error: a link, a heading or a page that is not there, a page
that docs/README.md does not list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from os.path import normpath
from pathlib import Path
from typing import Final

from sphinx.application import Sphinx

INDEX: Final = Path(__file__).parent / "README.md"

project = "Unpush"
copyright = "the Unpush authors, Apache License 2.0"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "docs/*.md", "bench/README.md"]
exclude_patterns = ["docs/README.md", "build", "**/node_modules", ".*"]
nitpicky = True
myst_heading_anchors = 4

html_theme = "furo"
html_title = "Unpush"
html_static_path = ["site"]
html_css_files = ["wide.css"]
html_copy_source = False
html_show_sphinx = False


def setup(app: Sphinx) -> None:
    """What the files themselves do not say: their order, and where to begin."""
    app.connect("env-get-outdated", lambda *_: [root_doc])  # the order may have changed, and README not
    app.connect("source-read", _with_pages)
    app.connect("build-finished", _with_an_index)


def _with_pages(_app: Sphinx, page: str, source: list[str]) -> None:
    """README becomes the front page, with all others behind it, as docs/README.md lists them."""
    if page == root_doc:
        source[0] += "\n" + "\n".join(_trees())


def _trees() -> Iterator[str]:
    for section in INDEX.read_text("utf-8").split("\n## ")[1:]:
        caption, _, table = section.partition("\n")
        pages = (f"docs/{name}" for name in re.findall(r"^\| \[[^]]+\]\((\S+)\.md\)", table, re.MULTILINE))
        yield "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *map(normpath, pages), "```\n"])


def _with_an_index(app: Sphinx, failed: Exception | None) -> None:
    """Where a browser looks first."""
    if failed is None and app.builder.format == "html":
        front = app.outdir / f"{root_doc}.html"
        (app.outdir / "index.html").write_bytes(front.read_bytes())
