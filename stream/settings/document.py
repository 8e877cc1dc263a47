"""``python -m stream.settings.document`` writes ``config/unpush.toml`` and ``docs/settings.md`` from the table of keys.

Promised: the file it writes, loaded, gives exactly the defaults. Not promised: that somebody ran it; a test compares.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Final

from stream.settings.given import PREFIX
from stream.settings.keys import APP, KEYS, PROPERTIES, SECTIONS, Key
from stream.settings.refused import REFUSED, REFUSED_PREFIXES, REFUSED_WITH_CONSUMER

_WIDTH: Final = 112

_TOML_HEAD: Final = f"""\
Every key with its default. Written by `python -m stream.settings.document`; copy it and change what you need.
Environment variables {PREFIX}SECTION__KEY override, relative paths are taken from this file's folder,
durations are texts such as "500ms", "10s", "72h" or "3d". All of it: docs/settings.md.
"""

_PROPERTY_EXAMPLE: Final = f"""\
# "security.protocol" = "SASL_SSL"
# "sasl.mechanism" = "SCRAM-SHA-512"
# "sasl.username" = "unpush"     # and {PREFIX}KAFKA__PROPERTIES__SASL_PASSWORD in the environment
"""

_MARKDOWN_HEAD: Final = f"""\
# Settings

Written by `python -m stream.settings.document` from `stream/settings/keys.py`; change the table there.

One TOML file, `-c FILE`. [`config/unpush.toml`](../config/unpush.toml) holds every key with its default.

- **Durations** are texts, one number and one of `ms`, `s`, `m`, `h`, `d`: `"500ms"`, `"10s"`, `"72h"`, `"3d"`.
- **Relative paths** are taken from the settings file's folder.
- **Environment variables** `{PREFIX}SECTION__KEY` override the file; sections and keys may be in any case. Of an app:
  `{PREFIX}PUSH_KIT__APPS__<Client ID>__KEY_FILE`, the Client ID as it is written. Of a librdkafka property:
  `{PREFIX}KAFKA__PROPERTIES__SASL_PASSWORD`, where `_` stands for `.`; a property with a `_` of its own (`log_level`)
  can be set in the file only. Numbers, `true` and `false` are written as in the file, texts without quotes.
- **A mistake** stops the start with exit 2 and one line: the key, the value, what would be right.
- **Secrets** come from files or the environment, and are never printed.
"""


def toml() -> str:
    """``config/unpush.toml``."""
    return _comment(_TOML_HEAD) + "".join(_toml_section(section) for section in SECTIONS)


def markdown() -> str:
    """``docs/settings.md``."""
    return _MARKDOWN_HEAD + "".join(_markdown_section(section) for section in SECTIONS)


def _toml_section(section: str) -> str:
    optional = section == APP
    head = '# [push_kit.apps."CLIENT_ID"]' if optional else f"[{section}]"
    keys = "".join(_toml_key(key, optional) for key in _keys(section))
    example = _PROPERTY_EXAMPLE if section == PROPERTIES else ""
    return f"\n\n{_comment(SECTIONS[section])}{head}\n{example}{keys}"


def _toml_key(key: Key, optional: bool) -> str:
    if key.environment_only:
        return f"\n{_comment(f'{key.reason} From the environment only: {_variable(key)}.')}"
    line = f"{key.name} = {_value(key)}"
    unit = f" ({key.unit})" if key.unit else ""
    return f"\n{_comment(f'{key.reason}{unit}')}{'# ' if optional else ''}{line}\n"


def _comment(text: str) -> str:
    lines = (line for part in text.splitlines() for line in textwrap.wrap(part, _WIDTH))
    return "".join(f"# {line}\n" for line in lines)


def _markdown_section(section: str) -> str:
    name = 'push_kit.apps."CLIENT_ID"' if section == APP else section
    keys = _keys(section)
    rows = "".join(_row(key) for key in keys)
    table = f"\n| key | default | what it may be | what for |\n|---|---|---|---|\n{rows}" if keys else _refusals()
    return f"\n## `[{name}]`\n\n{SECTIONS[section]}\n{table}"


def _row(key: Key) -> str:
    default = f"environment only: `{_variable(key)}`" if key.environment_only else f"`{_value(key)}`"
    kind = f"{key.kind.name}, {key.unit}" if key.unit not in ("", key.kind.name) else key.kind.name
    return f"| `{key.name}` | {default} | {kind} | {key.reason} |\n"


def _refusals() -> str:
    rows = [*REFUSED.items(), *((f"{prefix}*", why) for prefix, why in REFUSED_PREFIXES.items())]
    rows += [(name, f'with `group_protocol = "consumer"` {why}') for name, why in REFUSED_WITH_CONSUMER.items()]
    rows += [("*_cb", REFUSED["logger"])]
    body = "".join(f"| `{name}` | {why} |\n" for name, why in rows)
    return f"\n| refused property | why |\n|---|---|\n{body}"


def _keys(section: str) -> list[Key]:
    return [key for key in KEYS if key.section == section]


def _value(key: Key) -> str:
    if isinstance(key.default, bool):
        return str(key.default).lower()
    return f'"{key.default}"' if isinstance(key.default, str) else str(key.default)


def _variable(key: Key) -> str:
    return f"{PREFIX}{key.full_name.replace('.', '__')}".upper()


def _write(root: Path) -> None:
    (root / "config" / "unpush.toml").write_text(toml(), "utf-8")
    (root / "docs" / "settings.md").write_text(markdown(), "utf-8")


if __name__ == "__main__":
    _write(Path(__file__).parents[2])
