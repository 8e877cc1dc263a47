"""From a file and the environment to checked settings.

Promised: a Settings value or a SettingsError of one line that names the key, the value and the cure.
Not promised: that the broker, the topics or the key files exist; the start of each command looks at those.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stream.model import SettingsError
from stream.settings import sections
from stream.settings.given import from_environment, from_table
from stream.settings.keys import KEYS
from stream.settings.sections import Settings
from stream.settings.sense import check
from stream.settings.token import read_token
from stream.settings.values import app_values, plain_values, properties, refuse_secrets_in_the_file


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Reads the file, lets ``UNPUSH__`` variables override it, checks all of it. Raises SettingsError."""
    try:
        return settings_of(_toml(path), path.parent, environ)
    except RecursionError:  # of a value that is shown: dotted tables nest without end, showing them does not
        raise SettingsError(f"the settings file {path} nests tables too deeply; no key is deeper than four") from None


def default_settings(folder: Path = Path(), /, **table: Mapping[str, object]) -> Settings:
    """The defaults, changed by what a file would say: ``default_settings(join={"not_found_after": "1s"})``."""
    return settings_of(table, folder, {})


def settings_of(table: Mapping[str, object], folder: Path, environ: Mapping[str, str]) -> Settings:
    """The settings that a parsed file in ``folder`` and the environment make. Raises SettingsError."""
    found = from_table(table)
    refuse_secrets_in_the_file(found)
    found |= from_environment(environ)
    values = plain_values(found, folder)
    if ("push_kit", "give_up_after") not in found:
        values["push_kit.give_up_after"] = min(values["push_kit.give_up_after"], values["store.retention"])
    settings = Settings(
        kafka=sections.KafkaSettings(
            **_fields("kafka", values), properties=properties(found, values["kafka.group_protocol"])
        ),
        topics=sections.TopicSettings(**_fields("topics", values)),
        avro=sections.AvroSettings(**_fields("avro", values)),
        store=sections.StoreSettings(**_fields("store", values)),
        join=sections.JoinSettings(**_fields("join", values)),
        push_kit=sections.PushKitSettings(
            **_fields("push_kit", values),
            apps={name: sections.AppSettings(**fields) for name, fields in app_values(found, folder).items()},
        ),
        lanes=sections.LaneSettings(**_fields("lanes", values)),
        dead_letters=sections.DeadLetterSettings(**_fields("dead_letters", values)),
        guard=sections.GuardSettings(**_fields("guard", values)),
        http=sections.HttpSettings(**_fields("http", values), token=read_token(values["http.token_file"])),
        log=sections.LogSettings(**_fields("log", values)),
        shutdown=sections.ShutdownSettings(**_fields("shutdown", values)),
    )
    check(settings)
    return settings


def _fields(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {key.field: values[key.full_name] for key in KEYS if key.section == section}


def _toml(path: Path) -> dict[str, Any]:
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
    except (ValueError, RecursionError) as error:  # ValueError also of a number of thousands of digits
        raise SettingsError(f"the settings file {path} is not valid TOML: {error}") from None
