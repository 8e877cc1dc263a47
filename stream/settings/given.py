"""What was given: the file's table and the environment's variables as one flat map from key to value.

Promised: sections have the shape they must have. Not promised: that the keys exist; ``reading.py`` asks the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from stream.settings.keys import APP, PROPERTIES, SECTIONS
from stream.settings.wrong import Given, Path, unknown, wrong

PREFIX: Final = "UNPUSH__"

PROPERTIES_PATH: Final = tuple(PROPERTIES.split("."))
APPS_PATH: Final = tuple(APP.split("."))[:-1]

DEEPEST: Final = 16
"""Dots in a property's name; librdkafka's have five at most. TOML has no bound, and Python's is a traceback."""


def from_table(table: Mapping[str, object]) -> dict[Path, Given]:
    """Raises SettingsError where a section is unknown or is no section."""
    return {path: Given(value) for section in table for path, value in _section((section,), table[section])}


def _section(path: Path, content: object) -> Iterator[tuple[Path, object]]:
    if path[0] not in SECTIONS:
        raise unknown(path, Given(content), SECTIONS)
    for name, value in _table(path, content).items():
        here = (*path, name)
        if here == PROPERTIES_PATH:
            yield from _properties("", _table(here, value))
        elif here == APPS_PATH:
            yield from _apps(_table(here, value))
        else:
            yield here, value


def _apps(apps: Mapping[str, object]) -> Iterator[tuple[Path, object]]:
    for client_id, content in apps.items():
        app = (*APPS_PATH, client_id)
        yield app, None  # so that an app with an empty section exists
        for name, value in _table(app, content).items():
            yield (*app, name), value


def _properties(prefix: str, content: Mapping[str, object]) -> Iterator[tuple[Path, object]]:
    """``sasl.password = …`` without quotes around the name is a table within a table: TOML reads the dot so."""
    if prefix.count(".") > DEEPEST:
        raise wrong((*PROPERTIES_PATH, prefix), Given(content), "no property's name has so many parts")
    for name, value in content.items():
        if not name.isprintable():  # librdkafka reads a name up to its first NUL
            raise wrong((*PROPERTIES_PATH, prefix + name), Given(value), "a property's name has no control characters")
        if isinstance(value, dict):
            yield from _properties(f"{prefix}{name}.", value)
        else:
            yield (*PROPERTIES_PATH, prefix + name), value


def _table(path: Path, content: object) -> Mapping[str, object]:
    if not isinstance(content, dict):
        raise wrong(path, Given(content), f"it is a section and begins with a line [{'.'.join(path)}]")
    return content


def from_environment(environ: Mapping[str, str]) -> dict[Path, Given]:
    """The keys that ``UNPUSH__…`` variables name; sections and keys in any case, app ids as they are written."""
    return {_path(name): Given(text, name) for name, text in environ.items() if name.startswith(PREFIX)}


def _path(variable: str) -> Path:
    parts = tuple(variable.removeprefix(PREFIX).split("__"))
    lower = tuple(part.lower() for part in parts)
    if lower[:2] == PROPERTIES_PATH and len(parts) > 2:
        return (*PROPERTIES_PATH, "__".join(lower[2:]).replace("_", "."))
    if lower[:2] == APPS_PATH and len(parts) > 3:
        return (*APPS_PATH, "__".join(parts[2:-1]), lower[-1])
    return lower
