"""From a file and the environment to checked settings.

Promised: a Settings value or a SettingsError of one line that names the key, the value and the cure.
Not promised: that the broker, the topics or the key files exist; the start of each command looks at those.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final

from stream.model import SettingsError
from stream.settings import sections
from stream.settings.given import APPS_PATH, PREFIX, PROPERTIES_PATH, from_environment, from_table
from stream.settings.keys import APP, BY_NAME, KEYS, Key
from stream.settings.refused import why_refused
from stream.settings.secret import Secret
from stream.settings.sections import AppSettings, Settings
from stream.settings.sense import check
from stream.settings.token import read_token
from stream.settings.wrong import Given, Path, secret_name, unknown, wrong

_CLIENT_ID: Final = re.compile(r"[^\s/?#%]+")


def load_settings(path: FilePath, environ: Mapping[str, str]) -> Settings:
    """Reads the file, lets ``UNPUSH__`` variables override it, checks all of it. Raises SettingsError."""
    return settings_of(_toml(path), path.parent, environ)


def default_settings(folder: FilePath = FilePath(), /, **table: Mapping[str, object]) -> Settings:
    """The defaults, changed by what a file would say: ``default_settings(join={"not_found_after": "1s"})``."""
    return settings_of(table, folder, {})


def settings_of(table: Mapping[str, object], folder: FilePath, environ: Mapping[str, str]) -> Settings:
    """The settings that a parsed file in ``folder`` and the environment make. Raises SettingsError."""
    given = from_table(table)
    _refuse_secrets_of_the_environment(given)
    given |= from_environment(environ)
    values = {key.full_name: _default(key, folder) for key in KEYS}
    apps: dict[str, dict[str, Any]] = {}
    for path, one in given.items():
        if path[:2] == PROPERTIES_PATH and len(path) == 3:
            continue
        if path[:2] == APPS_PATH and len(path) > 2:
            _take_app(apps, path, one, folder)
        else:
            values[".".join(path)] = _read(path, one, folder)
    settings = _assemble(values, apps, _properties(given, values["kafka.group_protocol"]))
    check(settings)
    return settings


def _toml(path: FilePath) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(f"there is no settings file {path}; config/unpush.toml is one to start from") from None
    except IsADirectoryError:
        raise SettingsError(f"{path} is a directory; -c names the settings file itself") from None
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"the settings file {path} is not UTF-8 at byte {error.start}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"the settings file {path} is not valid TOML: {error}") from None


def _refuse_secrets_of_the_environment(given: Mapping[Path, Given]) -> None:
    for path, one in given.items():
        key = BY_NAME.get(".".join(path))
        if key is not None and key.environment_only:
            variable = PREFIX + "__".join(path).upper()
            raise wrong(path, one, f"it does not belong in the file; set {variable} in the environment")


def _default(key: Key, folder: FilePath) -> Any:
    return _placed(key.kind.read(key.default), folder)


def _placed(value: Any, folder: FilePath) -> Any:
    return folder / value if isinstance(value, FilePath) else value


def _read(path: Path, given: Given, folder: FilePath, known_as: str | None = None) -> Any:
    key = BY_NAME.get(known_as or ".".join(path))
    if key is None:
        raise unknown(path, given, BY_NAME)
    try:
        plain = key.kind.plain(str(given.value)) if given.variable else given.value
        return _placed(key.kind.read(plain), folder)
    except (ValueError, OverflowError) as error:
        raise wrong(path, given, _cure(key, error)) from None


def _cure(key: Key, error: Exception) -> str:
    own_words = str(error) if str(error).startswith("it must") else ""
    return own_words or f"it must be {key.kind.right}"


def _take_app(apps: dict[str, dict[str, Any]], path: Path, given: Given, folder: FilePath) -> None:
    client_id = path[2]
    if _CLIENT_ID.fullmatch(client_id) is None:
        raise wrong(path, given, "an app's section is named by its Client ID, without blanks or slashes")
    values = apps.setdefault(client_id, {key.field: _default(key, folder) for key in KEYS if key.section == APP})
    if len(path) > 3:
        name = f"{APP}.{path[3]}"
        value = _read(path, given, folder, known_as=name)
        values[BY_NAME[name].field] = value


def _properties(given: Mapping[Path, Given], group_protocol: str) -> dict[str, str | Secret]:
    ours = {path: one for path, one in given.items() if path[:2] == PROPERTIES_PATH and len(path) == 3}
    return {path[2]: _property(path, one, group_protocol) for path, one in ours.items()}


def _property(path: Path, given: Given, group_protocol: str) -> str | Secret:
    refusal = why_refused(path[2], group_protocol)
    if refusal is not None:
        raise wrong(path, given, f"it cannot be set: {refusal}")
    if isinstance(given.value, bool):
        return str(given.value).lower()
    if not isinstance(given.value, str | int | float):
        raise wrong(path, given, "it must be a text, a number, true or false")
    return Secret(str(given.value)) if secret_name(path[2]) else str(given.value)


def _assemble(values: Mapping[str, Any], apps: Mapping[str, Any], properties: Mapping[str, str | Secret]) -> Settings:
    def part(section: str) -> dict[str, Any]:
        return {key.field: values[key.full_name] for key in KEYS if key.section == section}

    return Settings(
        kafka=sections.KafkaSettings(**part("kafka"), properties=properties),
        topics=sections.TopicSettings(**part("topics")),
        avro=sections.AvroSettings(**part("avro")),
        store=sections.StoreSettings(**part("store")),
        join=sections.JoinSettings(**part("join")),
        push_kit=sections.PushKitSettings(
            **part("push_kit"), apps={name: AppSettings(**app) for name, app in apps.items()}
        ),
        dead_letters=sections.DeadLetterSettings(**part("dead_letters")),
        guard=sections.GuardSettings(**part("guard")),
        http=sections.HttpSettings(**part("http"), token=read_token(values["http.token_file"])),
        log=sections.LogSettings(**part("log")),
        shutdown=sections.ShutdownSettings(**part("shutdown")),
    )
