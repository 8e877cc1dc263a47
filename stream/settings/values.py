"""From what was given to checked values, key by key.

Promised: each value went through its kind; an unknown key, a wrong value or a refused property is a SettingsError.
Not promised: sense between keys; ``sense.py`` looks at that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final

from stream.settings.given import APPS_PATH, PREFIX, PROPERTIES_PATH
from stream.settings.keys import APP, BY_NAME, KEYS, Key
from stream.settings.refused import why_refused
from stream.settings.secret import Secret
from stream.settings.wrong import Given, Path, secret_name, unknown, wrong

Found = Mapping[Path, Given]

_CLIENT_ID: Final = re.compile(r"[^\s/?#%]+")


def plain_values(found: Found, folder: FilePath) -> dict[str, Any]:
    """Every key but those of apps, by full name: what was given, else the default."""
    values = {key.full_name: _default(key, folder) for key in KEYS if key.section != APP}
    ours = {path: one for path, one in found.items() if not (_is_app(path) or _is_property(path))}
    return values | {".".join(path): _read(path, one, ".".join(path), folder) for path, one in ours.items()}


def app_values(found: Found, folder: FilePath) -> dict[str, dict[str, Any]]:
    """The fields of every app that was named, by Client ID."""
    apps: dict[str, dict[str, Any]] = {}
    for path, one in found.items():
        if _is_app(path):
            _check_client_id(path, one)
            fields = apps.setdefault(path[2], _defaults_of_an_app(folder))
            fields |= _field_of_an_app(path, one, folder)
    return apps


def properties(found: Found, group_protocol: str) -> dict[str, str | Secret]:
    """librdkafka's properties as texts, the secret ones masked."""
    return {path[2]: _property(path, one, group_protocol) for path, one in found.items() if _is_property(path)}


def refuse_secrets_in_the_file(found: Found) -> None:
    """Raises SettingsError for what may come from the environment only."""
    for path, one in found.items():
        key = BY_NAME.get(".".join(path))
        if key is not None and key.environment_only:
            variable = PREFIX + "__".join(path).upper()
            raise wrong(path, one, f"it does not belong in the file; set {variable} in the environment")


def _is_app(path: Path) -> bool:
    return path[:2] == APPS_PATH and len(path) > 2


def _is_property(path: Path) -> bool:
    return path[:2] == PROPERTIES_PATH and len(path) > 2


def _read(path: Path, given: Given, name: str, folder: FilePath) -> Any:
    key = BY_NAME.get(name)
    if key is None:
        raise unknown(path, given, BY_NAME)
    try:
        value = key.kind.plain(str(given.value)) if given.variable else given.value
        return _placed(key.kind.read(value), folder)
    except (ValueError, OverflowError) as error:
        raise wrong(path, given, _cure(key, str(error))) from None


def _cure(key: Key, said: str) -> str:
    """A kind may have words for this very value; what Python itself says is not for people."""
    return said if said.startswith("it must") else f"it must be {key.kind.right}"


def _default(key: Key, folder: FilePath) -> Any:
    return _placed(key.kind.read(key.default), folder)


def _placed(value: Any, folder: FilePath) -> Any:
    return folder / value if isinstance(value, FilePath) else value


def _check_client_id(path: Path, given: Given) -> None:
    if len(path) == 3 and given.variable:
        named = f"{PREFIX}PUSH_KIT__APPS__<Client ID>__KEY_FILE"
        raise wrong(path, given, f"the variable must name one key of the app, such as {named}")
    if _CLIENT_ID.fullmatch(path[2]) is None:
        raise wrong(path, given, "an app's section is named by its Client ID, without blanks or slashes")


def _defaults_of_an_app(folder: FilePath) -> dict[str, Any]:
    return {key.field: _default(key, folder) for key in KEYS if key.section == APP}


def _field_of_an_app(path: Path, given: Given, folder: FilePath) -> dict[str, Any]:
    if len(path) == 3:  # the app's section itself, which may be empty
        return {}
    name = f"{APP}.{path[3]}"
    value = _read(path, given, name, folder)
    return {BY_NAME[name].field: value}


def _property(path: Path, given: Given, group_protocol: str) -> str | Secret:
    name, value = path[2], given.value
    refusal = why_refused(name, group_protocol)
    if refusal is not None:
        raise wrong(path, given, f"it cannot be set: {refusal}")
    if not isinstance(value, str | int | float):
        raise wrong(path, given, "it must be a text, a number, true or false")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Secret(text) if secret_name(name) else text
