"""What the documents say is there: links, tests, commands, pip lines, settings, fields, files."""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from stream.command_line import COMMANDS
from stream.model import DeadReason, Outcome, Status
from stream.settings import load_settings

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [README, ROOT / "CHANGELOG.md", *DOCS]


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def rows(path: Path) -> list[list[str]]:
    """The cells of every table row, headings left out."""
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    kept = [line for line, after in pairwise([*lines, ""]) if line.startswith("|") and not ruled(line) | ruled(after)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in kept]


def ruled(line: str) -> bool:
    """Whether this is the line under a table's headings."""
    return line.startswith("|--")


# --- links and tests that are named


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), target
        assert not heading or heading in headings(there), target


def headings(path: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    found = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def names_in(path: Path) -> set[str]:
    """The names of a file's tests, without running it."""
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in names if name.startswith(("test_", "Test"))}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_that_is_named_exists(path: Path) -> None:
    """Each row of the page of guarantees names the test that proves it; a test checks that those tests exist."""
    for file, test in re.findall(r"(tests/[\w/]+\.py)::(\w+)", path.read_text("utf-8")):
        assert test in names_in(ROOT / file), f"{file}::{test}"


def test_every_guarantee_names_its_test() -> None:
    guarantees = rows(ROOT / "docs" / "guarantees.md")
    assert len(guarantees) > 40
    for row in guarantees:
        assert len(row) == 5, row
        assert re.search(r"tests/.+::", row[-1]), row


def test_every_threat_names_its_test_or_says_what_is_left_to_do() -> None:
    """A claim without a test is none; where nothing is done, that is said, and what an operator has to do."""
    threats = [row for row in rows(ROOT / "docs" / "security.md") if len(row) == 4]
    assert len(threats) > 30
    for threat, done, test, left in threats:
        shown = re.search(r"tests/.+::", test) is not None
        assert shown is not done.startswith("Nothing"), threat
        assert shown or len(left) > 20, threat


def test_the_index_lists_every_document() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    assert [path.name for path in DOCS if f"]({path.name})" not in index and path.name != "README.md"] == []


# --- commands


def commands_told() -> list[list[str]]:
    """Every `unpush …` in README's code, split into words."""
    text = README.read_text("utf-8")
    code = "\n".join([*re.findall(r"`([^`\n]+)`", text), *blocks(README, "sh")])
    return [line.split() for line in re.findall(r"(?:^|/)unpush ([^#\n]+)", code, re.MULTILINE)]


def options_of(name: str) -> set[str]:
    parser = argparse.ArgumentParser()
    import_module(f"stream.commands.{name}").add_arguments(parser)
    return set(parser._option_string_actions)


def test_every_command_and_flag_in_the_readme_is_there() -> None:
    told = commands_told()
    assert {words[0] for words in told} >= {"run", "demo", "topics", "simulate"}
    for name, *rest in told:
        assert name in COMMANDS
        if flags := {word for word in rest if word.startswith("-")}:
            assert flags <= options_of(name), name


def test_every_make_target_in_the_readme_is_there() -> None:
    targets = set(re.findall(r"\bmake (\w+)", "\n".join(re.findall(r"`([^`\n]+)`", README.read_text("utf-8")))))
    targets |= set(re.findall(r"^make (\w+)", "\n".join(blocks(README, "sh")), re.MULTILINE))
    assert {"demo", "test", "check", "bench"} <= targets
    assert targets <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def made_by(target: str) -> list[str]:
    """What make would do for a target on a fresh clone, as a person would write it."""
    if (make := shutil.which("make")) is None:
        pytest.skip("no make on this machine")
    clean = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    dry = [make, "-n", "-B", target, "ARGS=", "PYTHON=python3"]
    said = subprocess.run(dry, cwd=ROOT, env=clean, capture_output=True, text=True, check=True).stdout
    said = said.replace(".venv/bin/python -m pip --disable-pip-version-check --quiet", ".venv/bin/pip")
    lines = [line.split("||")[0].strip() for line in said.splitlines()]
    return [line for line in lines if not re.match(r"echo|touch|python3 -c|$", line)]


def written(index: int) -> list[str]:
    """One of README's blocks of plain lines, without remarks."""
    told = [block for block in blocks(README, "sh") if block.startswith("python3 -m venv")][index]
    return [re.sub(r"\s+# .*$", "", line) for line in told.splitlines()]


def test_the_plain_lines_of_the_demo_are_what_make_does() -> None:
    assert written(0) == made_by("demo")


def test_the_plain_lines_of_the_tests_are_what_make_does() -> None:
    """make installs what the demo needs first; dev.txt has all of that too."""
    assert set(made_by("test")) - set(written(1)) == {".venv/bin/pip install --require-hashes -r constraints/run.txt"}
    assert set(written(1)) <= set(made_by("test"))
    assert written(1)[-1] == made_by("test")[-1]


def test_the_settings_in_the_readme_are_accepted(tmp_path: Path) -> None:
    (text,) = blocks(README, "toml")
    file = tmp_path / "unpush.toml"
    file.write_text(text)
    settings = load_settings(file, {})
    assert settings.push_kit.app("104729331").key_file == tmp_path / "keys" / "app.json"


# --- fields and words


@pytest.mark.parametrize(
    ("schema", "document"),
    [("MessageSent", "producers.md"), ("ViolationDetected", "violations.md"), ("RevokeResult", "results.md")],
)
def test_every_field_is_explained_in_the_schemas_order(schema: str, document: str) -> None:
    fields = [field["name"] for field in json.loads((ROOT / "schemas" / f"{schema}.avsc").read_text())["fields"]]
    told = [row[0].strip("`") for row in rows(ROOT / "docs" / document)]
    assert fields in [told[at : at + len(fields)] for at in range(len(told))]


def test_every_outcome_and_every_reason_of_a_dead_letter_is_explained() -> None:
    results = {row[0].strip("`") for row in rows(ROOT / "docs" / "results.md")}
    violations = {row[0].strip("`") for row in rows(ROOT / "docs" / "violations.md")}
    producers = {row[0].strip("`") for row in rows(ROOT / "docs" / "producers.md")}
    assert {outcome.value for outcome in Outcome} <= results
    assert {status.value for status in Status} <= violations
    assert {reason.value for reason in DeadReason} <= producers


def drawn() -> set[str]:
    """The files in the table of rooms; a row without a room goes on with the one above."""
    room, files = "", set[str]()
    for row in rows(ROOT / "docs" / "architecture.md"):
        if len(row) == 3:
            room = row[0].strip("`").removeprefix("stream/") if row[0] else room
            files |= {f"{room}{name}.py" for name in re.findall(r"`(\w+)`", row[1])}
    return files


def test_the_drawing_of_the_house_has_every_file_and_no_other() -> None:
    """Else redraw docs/architecture.md: a reader who opens the rooms in this order follows one record."""
    house = ROOT / "stream"
    files = {path.relative_to(house).as_posix() for path in house.rglob("*.py") if path.name != "__init__.py"}
    assert drawn() == files


def test_the_drawing_in_the_package_has_every_room_and_no_other() -> None:
    """Else redraw stream/__init__.py."""
    rooms = {path.parent.name for path in (ROOT / "stream").glob("*/*.py")}
    drawing = ast.get_docstring(ast.parse((ROOT / "stream" / "__init__.py").read_text("utf-8"))) or ""
    assert set(re.findall(r"^ +(\w+)/ ", drawing, re.MULTILINE)) == rooms
