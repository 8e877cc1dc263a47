"""What is pinned, by the names under which packages are compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

CONSTRAINTS: Final = Path(__file__).parents[2] / "constraints"


def plain(name: str) -> str:
    """As packages are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(path: Path) -> dict[str, str]:
    """Version by plain name; of a package that is pinned twice for two kinds of machine, the last."""
    found = re.findall(r"^([A-Za-z][\w.-]*)(?:\[[\w,-]+\])?==([^\s;\\]+)", path.read_text("utf-8"), re.MULTILINE)
    return {plain(name): version for name, version in found}
