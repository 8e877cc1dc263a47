"""What is kept of a run of the points: JSON for programs, and the table that documents show.

Promised: a document's table is made of what the JSON says and nothing else, so that the two can be compared.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from stream.bench.figures import as_json, from_json, markdown
from stream.bench.points.story import Findings
from stream.model import StartError

BEGIN: Final = "<!-- written by unpush bench --calls --markdown FILE -->"
END: Final = "<!-- until here: unpush bench -->"

Kept = Mapping[str, Any]
"""As JSON has it."""


def content(found: Findings) -> Kept:
    """All of a run."""
    return {
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.begun_s)),
        "machine": dict(found.machine),
        "sizes": asdict(found.sizes),
        "tookS": {point: round(took_s, 1) for point, took_s in found.took_s.items()},
        "failures": found.failures,
        "figures": [as_json(figure) for figure in found.figures],
    }


def shown(kept: Kept) -> str:
    """In Markdown: when and where it was, the table, and what could not be measured."""
    where = kept["machine"]
    said = (
        f"{kept['begun']}, {where['cores']} cores, load before {where['loadBefore']}, Python {where['python']}: "
        f"{kept['tookS']['all']:.0f} s."
    )
    failures = "".join(f"\n({point}) could not be measured: {why}\n" for point, why in kept["failures"].items())
    return f"{said}\n\n{markdown(list(map(from_json, kept['figures'])))}{failures}"


def keep(kept: Kept, path: Path) -> None:
    """Raises StartError where that fails."""
    _write(path, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def show(kept: Kept, path: Path) -> None:
    """Into a document: between its two marks, if it has them, else in place of it. Raises StartError."""
    try:
        page = path.read_text("utf-8") if path.exists() else ""
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}") from None
    _write(path, between(page, shown(kept)))


def between(page: str, text: str) -> str:
    """The page with the text between the marks; without marks the text alone."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n\n{text}\n{end}{after}" if end else text


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}") from None
