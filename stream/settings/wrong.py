"""How a mistake is said: the key's full name, the value, what would be right; never a secret.

Promised: one line; what stands under the name of a secret is hidden, also where the name is mistyped. Not promised:
that a secret written under a harmless name is recognised, beyond keys in PEM or JSON.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from stream.model import SettingsError
from stream.settings.secret import HIDDEN, Secret

Path = tuple[str, ...]
"""A key as its parts; a part may hold dots (an app's id, a property's name)."""

_LONGEST: Final = 80
_LONGEST_NAME: Final = 200
"""Of a key or a variable; ours have fifty characters and an app's id."""
_SECRET_NAME: Final = re.compile(
    r"pass|secret|token$|pem|jaas|credential|private|oauthbearer[._]config|(^|[._])key$", re.IGNORECASE
)
_SECRET_WORDS: Final = ("password", "passwd", "passphrase", "pw", "pwd", "secret", "token", "credentials", "private")
_SECRET_KEYS: Final = ("ssl.key.pem", "sasl.oauthbearer.config", "private_key")
_ALIKE: Final = 0.8
"""Of two words: a letter of five is missing, or two have changed places. Of whole keys nine tenths."""
_SECRET_VALUE: Final = re.compile(
    r"PRIVATE KEY|^\s*\{|bearer |eyJ|(pass\w*|secret|token|credentials?|key)(\s*=|\"\s*:)", re.IGNORECASE
)
_USER_INFO: Final = re.compile(r"^(\w+://)?.*@", re.DOTALL)
"""Also of an address without its scheme, and with a slash in the password: neither is an address to ``urlsplit``."""


class Given(NamedTuple):
    """A value and the environment variable it came from; None: from the file."""

    value: object
    variable: str | None = None


def secret_name(name: str) -> bool:
    """Whether a key of this name holds something that must not be shown, or one that was meant by it does."""
    low = name.lower()
    if _SECRET_NAME.search(low) or difflib.get_close_matches(low, _SECRET_KEYS, n=1, cutoff=0.9):
        return True
    words = set(re.split(r"[\W_]+", low)) - {"token"}  # a token's file, or where to get one
    return any(difflib.get_close_matches(word, _SECRET_WORDS, n=1, cutoff=_ALIKE) for word in words)


def spelled(path: Path) -> str:
    """The key's full name, an app's id in quotes where it needs them."""
    if path[:2] == ("kafka", "properties"):
        return ".".join(part if part.isprintable() else json.dumps(part) for part in path)
    return ".".join(part if re.fullmatch(r"[\w-]+", part) else json.dumps(part) for part in path)


def shown(name: str, value: object) -> str:
    """The value as the file would have it, hidden where it could be a secret, cut where it is long."""
    if isinstance(value, Secret) or secret_name(name):
        return HIDDEN
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        return "a list"
    text = value if isinstance(value, str) else _dumped(value)
    if _SECRET_VALUE.search(text):
        return HIDDEN
    text = _USER_INFO.sub(rf"\1{HIDDEN}@", text)
    text = _cut(text, _LONGEST)
    return json.dumps(text, ensure_ascii=False) if isinstance(value, str) else text


def _dumped(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:  # https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
        return "a number of thousands of digits"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


def wrong(path: Path, given: Given, right: str) -> SettingsError:
    """The error for one value."""
    origin = f" (from {_cut(given.variable, _LONGEST_NAME)})" if given.variable else ""
    value = "" if given.value is None else f" = {shown(path[-1], given.value)}"  # None: it is a section's own name
    return SettingsError(f"{_cut(spelled(path), _LONGEST_NAME)}{value}{origin}: {right}")


def unknown(path: Path, given: Given, known: Iterable[str]) -> SettingsError:
    """The error for a key that does not exist, with the most similar one that does."""
    return wrong(path, given, f"there is no such key{_nearest(spelled(path), tuple(known))}")


def _nearest(name: str, known: tuple[str, ...]) -> str:
    leaf = name.rpartition(".")[2]
    same_leaf = [candidate for candidate in known if candidate.rpartition(".")[2] == leaf]
    close = same_leaf or difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else "; docs/settings.md lists all keys"
