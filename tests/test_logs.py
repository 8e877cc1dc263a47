"""Issue 7.5: every event of the log has a documented name, level and meaning; docs/logs.md has them, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
VARIES = "as Kafka's client has it"
ROW = re.compile(r"^\| `([a-z_]+)` \| ([^|]+) \| ([^|]+) \|(?: [^|]*\|)?$", re.MULTILINE)


def said(source: str) -> Iterator[tuple[str, str]]:
    """Event and level of each call of a structlog logger; the standard library's have sentences, not names."""
    tree = ast.parse(source)
    if not any(isinstance(node, ast.Import) and node.names[0].name == "structlog" for node in ast.walk(tree)):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            event, function = str(node.args[0].value), node.func
            if isinstance(function, ast.Attribute) and function.attr in LEVELS:
                yield event, function.attr
            elif isinstance(function, ast.Call) and getattr(function.func, "id", "") == "getattr":
                yield event, VARIES


def in_the_code() -> set[tuple[str, str]]:
    return {found for file in (ROOT / "stream").rglob("*.py") for found in said(file.read_text("utf-8"))}


def in_the_document() -> list[tuple[str, str]]:
    return [(event, level.strip()) for event, level, _ in ROW.findall((ROOT / "docs" / "logs.md").read_text("utf-8"))]


def test_every_event_stands_in_the_list_with_its_level_and_every_one_in_the_list_is_said() -> None:
    listed = in_the_document()
    assert len(listed) == len(set(listed)), "one row an event"
    assert set(listed) == in_the_code()


def test_the_scan_finds_names_however_they_are_said() -> None:
    source = 'import structlog\nlog.info("a", x=1)\nself._log.error("b")\ngetattr(structlog.get_logger(), name)("c")\n'
    assert set(said(source)) == {("a", "info"), ("b", "error"), ("c", VARIES)}
    assert not list(said('import logging\nlog.info("a sentence")\n'))
