"""What a person writes: the settings file, the environment, a key file.

Promised of them: settings, or SettingsError (of a key file StartError) in one line; and no secret in that line.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hypothesis import strategies as st

from stream.model import SettingsError, StartError
from stream.pushkit.key import load_key
from stream.settings import load_settings, settings_of
from stream.settings.keys import APP, KEYS
from tests.fuzz.promise import held, must
from tests.pushkit import keys

SECRET: Final = "s3cr3tS3CR3Ts3cr3t"
"""Whatever it is given for: no line may show it."""

ROOT: Final = Path(__file__).parents[2]
FILES: Final = (
    *(path.read_bytes() for path in sorted((ROOT / "config").glob("*.toml"))),
    b'[kafka]\nbootstrap_servers = "a:1"\n[kafka.properties]\n"sasl.password" = "x"\nsasl.username = "y"\n',
    b'[push_kit.apps."1"]\ndevices_per_second = 1\n[join]\nsince = 2026-01-31T08:00:00Z\n[lanes]\nhigh = 0.5\n',
)


@cache
def folder() -> TemporaryDirectory[str]:
    """Where files are written; gone at the end."""
    return TemporaryDirectory(prefix="unpush-fuzz-")


def _one_line(what: str, error: Exception, shown: object, secrets: bool = True) -> None:
    must("\n" not in str(error), f"{what}: more than one line", shown)
    must(not secrets or SECRET not in f"{error}{error!r}", f"{what}: a secret in {error}", shown)
    must(len(str(error)) < 3_000, f"{what}: a sentence of {len(str(error))} characters", shown)


def file(data: bytes) -> None:
    """Bytes in the place of the settings file."""
    path = Path(folder().name) / "unpush.toml"
    path.write_bytes(data)

    def read() -> None:
        try:
            load_settings(path, {})
        except SettingsError as error:
            _one_line("settings file", error, data)

    held("load_settings", read, (), len(data) + _parts(data) ** 2, data)


def _parts(data: bytes) -> int:
    """Of the longest line, by its dots: Python's own reader keeps each beginning of a dotted key. The file is the
    operator's, and nobody writes one that long."""
    return max((line.count(b".") for line in data.splitlines()), default=0)


def key_file(data: bytes) -> None:
    """Bytes in the place of a service account key."""
    path = Path(folder().name) / "key.json"
    path.write_bytes(data)

    def read() -> None:
        try:
            load_key(path)
        except StartError as error:
            must("\n" not in str(error), "key file: more than one line", data)

    held("load_key", read, (), len(data), data)


def key_files() -> tuple[bytes, ...]:
    """One as downloaded, one of another kind of key, and what is in neither."""
    whole = keys.key_fields()
    others = (
        {"private_key": keys.elliptic_pem()},
        {"private_key": "-----BEGIN PRIVATE KEY-----\nAA==\n"},
        {"key_id": 7},
    )
    return tuple(json.dumps(fields).encode() for fields in (whole, *(whole | other for other in others)))


# --- tables and variables that are nearly right

SCALARS: Final = st.one_of(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        [SECRET, f"https://u:{SECRET}@h", "http://[::1", "h:99999", "1s", "72h", "1e400s", "9" * 400 + "h"]
    ),
    st.sampled_from(["0.0.0.0:1", "[::1%eth0]:1", "2026-01-31T08:00:00Z", "0001-01-01T00:00:00+23:59", "\n", "a\x00b"]),
    st.datetimes() | st.dates() | st.times(),
)
VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2)
)
NAMES: Final = st.sampled_from([key.full_name for key in KEYS if key.section != APP])
OF_AN_APP: Final = st.sampled_from([key.name for key in KEYS if key.section == APP])
PROPERTIES: Final = st.sampled_from(
    ["sasl.password", "ssl.key.pem", "debug", "acks", "group.instance.id", "sasl", "client.id", "ssl.key.password"]
)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    """A settings file's table: a few keys with values, most of them known."""
    table: dict[str, Any] = {}
    for name in draw(st.lists(NAMES, max_size=5)):
        section, _, key = name.rpartition(".")
        table.setdefault(section, {})[key] = draw(VALUES)
    kafka, push_kit = table.setdefault("kafka", {}), table.setdefault("push_kit", {})
    kafka["properties"] = draw(st.dictionaries(PROPERTIES | st.text(max_size=4), VALUES, max_size=2) | SCALARS)
    app = st.dictionaries(OF_AN_APP | st.text(max_size=4), VALUES, max_size=3)
    push_kit["apps"] = draw(st.dictionaries(st.text(max_size=6), app | SCALARS, max_size=2) | SCALARS)
    return draw(st.just(table) | st.dictionaries(st.text(max_size=6), VALUES, max_size=2)) | draw(
        st.dictionaries(st.text(max_size=4), VALUES, max_size=1)
    )


VARIABLES: Final = st.one_of(
    NAMES.map(lambda name: f"UNPUSH__{name.replace('.', '__').upper()}"),
    PROPERTIES.map(lambda name: f"UNPUSH__KAFKA__PROPERTIES__{name.replace('.', '_').upper()}"),
    st.builds(lambda app, name: f"UNPUSH__PUSH_KIT__APPS__{app}__{name}", st.text(max_size=5), OF_AN_APP),
    st.text(max_size=12).map(lambda name: f"UNPUSH__{name}"),
)
TEXTS: Final = SCALARS.map(lambda value: value if isinstance(value, str) else str(value))
inputs = st.tuples(tables() | st.just({}), st.dictionaries(VARIABLES, TEXTS, max_size=4))


def settings(given: tuple[dict[str, Any], dict[str, str]]) -> None:
    """A table and an environment."""
    table, environ = given

    def read() -> None:
        try:
            settings_of(table, Path(folder().name), environ)
        except SettingsError as error:
            _one_line("settings", error, given, secrets=_secrets_are_in_their_place(given))

    held("settings_of", read, (), len(repr(given)), given)


def _secrets_are_in_their_place(given: tuple[dict[str, Any], dict[str, str]]) -> bool:
    """Nobody can tell a secret under a harmless name; only where it is what such a key is for, must it be hidden."""
    table, environ = given
    harmless = json.dumps({name: value for name, value in environ.items() if "PASS" not in name.upper()})
    return SECRET not in harmless and SECRET not in json.dumps(table, default=str)
