"""The frame: what is pinned, what the wheel carries, and that the compose file's settings are ones we accept."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from stream.settings import load_settings

ROOT = Path(__file__).parent.parent
PINS = sorted((ROOT / "constraints").glob("*.txt"))
ADDED = {"audit", "fuzz"}
"""Groups that a make target of the same name installs beside all else."""


def pinned(path: Path) -> dict[str, str]:
    """Each requirement of a constraints file with all that belongs to it."""
    entries = re.split(r"\n(?=[A-Za-z])", path.read_text())
    return {entry.split("==")[0].lower(): entry for entry in entries}


def bounds() -> list[str]:
    """Every requirement that pyproject.toml states, its own extras left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    return [requirement for requirement in project["dependencies"] + extras if not requirement.startswith("unpush[")]


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_every_pin_has_a_version_and_hashes_and_no_address(path: Path) -> None:
    """Pinned with hashes in constraints files that name no index address."""
    assert len(pinned(path)) > (0 if path.stem in ADDED else 40)
    for entry in pinned(path).values():
        assert re.match(r"[\w.\[\],-]+==\S+", entry)
        assert "--hash=sha256:" in entry
    assert not re.search(r"://|--(extra-)?index-url|--find-links", path.read_text())


def test_what_is_stated_is_pinned() -> None:
    """A dependency that is added without `make constraints` is found here, not on a user's machine."""
    everything = pinned(ROOT / "constraints" / "dev.txt")
    names = {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in bounds()}
    assert names - set(everything) == set()
    assert pinned(ROOT / "constraints" / "run.txt").keys() < everything.keys()


@pytest.mark.parametrize("group", sorted(ADDED))
def test_what_a_group_states_is_pinned(group: str) -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"][group]
    names = {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in stated}
    assert names - set(pinned(ROOT / "constraints" / f"{group}.txt")) == set()
    assert [requirement for requirement in stated if not (">=" in requirement and "<" in requirement)] == []


def test_every_dependency_is_bounded() -> None:
    """Bounded on both sides: a new major version is tried before it is allowed."""
    assert [requirement for requirement in bounds() if not (">=" in requirement and "<" in requirement)] == []


def test_the_wheel_carries_schemas_sample_settings_and_the_page(tmp_path: Path) -> None:
    """An installed unpush needs no checkout beside it."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    schemas = {f"stream/_schemas/{path.name}" for path in (ROOT / "schemas").glob("*.avsc")}
    assert len(schemas) == 3
    page = {f"stream/operate/page/{path.name}" for path in (ROOT / "stream/operate/page").iterdir()}
    assert "stream/operate/page/index.html" in page
    assert {*schemas, *page, "stream/_config/unpush.toml", "stream/py.typed"} <= names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_compose_files_settings_are_accepted(tmp_path: Path) -> None:
    """What `docker compose up` starts is not refused for its settings."""
    token = tmp_path / "http-token"
    token.write_text("0123456789abcdef0123456789abcdef")
    token.chmod(0o600)
    settings = load_settings(ROOT / "config" / "compose.toml", {"UNPUSH__HTTP__TOKEN_FILE": str(token)})
    assert settings.push_kit.app("101000001").key_file is not None
