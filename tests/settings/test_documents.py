"""Contract, Settings: ``config/unpush.toml`` documents every key with unit, default and reason."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from stream.settings import default_settings, load_settings
from stream.settings.document import markdown, toml
from stream.settings.keys import KEYS

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config" / "unpush.toml"


def test_the_shipped_file_gives_exactly_the_defaults() -> None:
    assert load_settings(SHIPPED, {}) == default_settings(SHIPPED.parent)


def test_the_shipped_file_loads_with_every_line_of_a_key_uncommented() -> None:
    """So that what is commented out is no trap either."""
    text = re.sub(
        r"^# (\[push_kit\.apps|key_file|devices_per_second|paused)", r"\1", SHIPPED.read_text(), flags=re.MULTILINE
    )
    assert list(tomllib.loads(text)["push_kit"]["apps"]["CLIENT_ID"]) == ["key_file", "devices_per_second", "paused"]


def test_the_documents_are_those_that_the_table_makes() -> None:
    """Else: python -m stream.settings.document."""
    assert SHIPPED.read_text("utf-8") == toml()
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == markdown()


def test_every_key_is_documented_with_its_reason() -> None:
    for key in KEYS:
        assert key.reason.endswith(".")
        assert f"`{key.name}`" in markdown()
        assert re.search(rf"^(# )?{key.name} = |UNPUSH__\w+__{key.name.upper()}\.", toml(), re.MULTILINE)
