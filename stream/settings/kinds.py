"""What a value may be: how it is read, and what to say when it is something else.

Promised: ``read`` returns a checked value or raises ValueError; text of ours in it begins ``it must``: the cure.
Not promised: sense between keys; ``sense.py`` looks at that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from stream.settings.duration import duration_s
from stream.settings.secret import Secret
from stream.settings.sections import Address


@dataclass(frozen=True, slots=True)
class Kind:
    """``plain`` turns an environment variable's text into the TOML value that it stands for."""

    name: str
    right: str
    read: Callable[[object], Any]
    plain: Callable[[str], object] = str
    suffix: str = ""
    """What the field of the settings has behind the key's name: the unit."""


def text(what: str = "a text", form: str = r".+") -> Kind:
    """A text without control characters that matches ``form`` whole."""
    pattern = re.compile(form)

    def read(value: object) -> str:
        line = _line(value)
        if pattern.fullmatch(line) is None:
            raise ValueError
        return line

    return Kind("text", f"{what}, in quotes", read)


def choice(*words: str) -> Kind:
    """One of the words, written exactly so."""
    quoted = [f'"{word}"' for word in words]

    def read(value: object) -> str:
        if _line(value) not in words:
            raise ValueError
        return _line(value)

    return Kind(" or ".join(quoted), f"{', '.join(quoted[:-1])} or {quoted[-1]}", read)


def duration(least: str, most: str) -> Kind:
    """Seconds, between two bounds."""
    low_s, high_s = duration_s(least), duration_s(most)

    def read(value: object) -> float:
        seconds = duration_s(_line(value))
        if not low_s <= seconds <= high_s:
            raise ValueError(f"it must lie between {least} and {most}")
        return seconds

    return Kind("duration", 'a duration in quotes, such as "500ms", "10s", "72h" or "3d"', read, suffix="_s")


def whole(least: int, most: int) -> Kind:
    """A whole number, between two bounds; true and false are none."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError
        return value

    return Kind("whole number", f"a whole number from {least:,} to {most:,}, without quotes", read, int)


def share() -> Kind:
    """A number from 0 to 1."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError
        return float(value)

    return Kind("number", "a number from 0 to 1, without quotes", read, float)


def flag() -> Kind:
    """true or false."""

    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    def plain(word: str) -> object:
        return {"true": True, "false": False}.get(word.lower())

    return Kind("true or false", "true or false, without quotes", read, plain)


def path(required: bool = False) -> Kind:
    """A path as written; None for an empty text unless it is required."""

    def read(value: object) -> Path | None:
        line = str(value) if isinstance(value, Path) else _line(value)
        if required and not line:
            raise ValueError
        if "PRIVATE KEY" in line or line.lstrip().startswith("{"):
            raise ValueError("it must be a path in quotes, not what is in the file")
        if required and Path(line).absolute().name in ("", ".."):
            raise ValueError("it must be a directory of its own, not the root of all")
        return Path(line) if line else None

    return Kind("path", "a path in quotes", read)


def base_url(path_allowed: bool, optional: bool) -> Kind:
    """An http(s) address without credentials and without a slash at its end; None for an empty text where optional."""
    example = '"https://host:port/path"' if path_allowed else '"https://host:port", without a path'

    def read(value: object) -> str | None:
        line = _line(value)
        if optional and not line:
            return None
        _check_url(line, path_allowed)
        scheme, colon, rest = line.partition(":")
        return (scheme.lower() + colon + rest).rstrip("/")

    return Kind("address", f"an http or https address in quotes, such as {example}", read)


def _check_url(line: str, path_allowed: bool) -> None:
    parts = urlsplit(line)
    if "@" in parts.netloc:
        raise ValueError("it must be an address without user name and password; those come from the environment")
    sound = parts.scheme in ("http", "https") and parts.hostname and " " not in line and parts.port != 0
    if not sound or parts.query or parts.fragment or (parts.path.strip("/") and not path_allowed):
        raise ValueError


def proxy() -> Kind:
    """An http address with its port, without credentials; None for an empty text."""
    url = base_url(path_allowed=False, optional=True)

    def read(value: object) -> str | None:
        line: str | None = url.read(value)
        if line is not None and (urlsplit(line).scheme != "http" or urlsplit(line).port is None):
            raise ValueError
        return line

    return Kind("address", 'an http address with its port in quotes, such as "http://proxy:3128"', read)


_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]:/]+)):(\d{1,5})", re.ASCII)


_BROKER: Final = re.compile(r"\s*([A-Z_]+://)?(\[[0-9A-Fa-f:.]+\]|[^\s,:/\[\]]+)(?::(\d{1,5}))?\s*", re.ASCII)


def brokers() -> Kind:
    """Addresses with commas between, as librdkafka takes them."""

    def read(value: object) -> str:
        matches = [_BROKER.fullmatch(each) for each in _line(value).split(",")]
        if not all(match and 0 < int(match[3] or 9092) <= 65_535 for match in matches):
            raise ValueError
        return str(value)

    right = 'host:port, several with commas between, all in one pair of quotes, such as "kafka-1:9092,kafka-2:9092"'
    return Kind("text", right, read)


def address() -> Kind:
    """Host and port to listen on."""

    def read(value: object) -> Address:
        match = _ADDRESS.fullmatch(_line(value))
        if match is None or int(match[3]) > 65_535:
            raise ValueError
        return Address(match[1] or match[2], int(match[3]))

    return Kind("address", 'host and port in quotes, such as "127.0.0.1:8070" or "[::1]:8070"', read)


def reachable_at() -> Kind:
    """The address others use, ``host:port`` or a base URL; read as a base URL, None for an empty text."""
    listening, url = address(), base_url(path_allowed=False, optional=True)

    def read(value: object) -> str | None:
        line = _line(value)
        if line and "://" not in line:
            return f"http://{listening.read(line)}"
        result: str | None = url.read(line)
        return result

    return Kind("address", 'host and port or an http(s) address, such as "10.0.0.7:8070"', read)


_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def instant() -> Kind:
    """A moment in ms since 1970, None for an empty text. TOML's own date-times are as good as quoted ones."""

    def read(value: object) -> int | None:
        line = value.isoformat() if isinstance(value, datetime) else _line(value)
        if not line:
            return None
        if _RFC_3339.fullmatch(line) is None:
            raise ValueError
        return int(datetime.fromisoformat(line.upper()).timestamp() * 1_000)

    return Kind("time", 'a time by RFC 3339 with its offset, such as "2026-01-31T08:00:00Z"', read, suffix="_ms")


def optional_text() -> Kind:
    """A text; None for an empty one."""
    return Kind("text", "a text, in quotes", lambda value: _line(value) or None)


def secret() -> Kind:
    """A text that is masked from here on; None for an empty one."""
    return Kind("secret", "a text", lambda value: Secret(_line(value)) if value else None)


def _line(value: object) -> str:
    if not isinstance(value, str) or not (value.isprintable() or value == ""):
        raise ValueError
    return value
