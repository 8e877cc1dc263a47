"""The service account key, as downloaded from Huawei: one file serves all apps of its project.

Promised: a key that was loaded can sign; what is wrong with a file is one sentence that quotes nothing of it.
Not promised: that Push Kit knows the key. Fields:
https://developer.huawei.com/consumer/cn/doc/harmonyos-guides/push-jwt-token
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stream.model import StartError, masked

_FIELDS: Final = ("project_id", "key_id", "private_key", "sub_account")
ENOUGH_BITS: Final = 2_048
"""What PS256 asks for: https://www.rfc-editor.org/rfc/rfc7518#section-3.5; a shorter key signs all the same."""
_MAX_FILE_BYTES: Final = 2**20
"""A real one has some 4 kB; more is another file."""


@dataclass(frozen=True, slots=True, repr=False)
class ServiceKey:
    """Who signs, and with what; the private key is never shown, not even by repr."""

    project_id: str
    key_id: str
    sub_account: str
    private_key: RSAPrivateKey

    def __repr__(self) -> str:
        return f"ServiceKey({self})"

    def __str__(self) -> str:
        """Which one it is, for people."""
        return f"key {masked(self.key_id)} of project {self.project_id}"


def load_key(path: Path) -> ServiceKey:
    """The key in this file, its private key loaded once and for all (37 ms; per signature it would be dear).

    Raises StartError, with one sentence that names the file and what would be right.
    """
    fields = _fields(path, _read(path))
    return ServiceKey(
        fields["project_id"], fields["key_id"], fields["sub_account"], _private_key(path, fields["private_key"])
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES)
    except FileNotFoundError:
        trouble = "does not exist"
    except IsADirectoryError:
        trouble = "is a directory: name the JSON file in it"
    except PermissionError:
        trouble = "may not be read by this user: check its permissions"
    except OSError as error:
        trouble = f"cannot be read: {error.strerror}"
    raise StartError(f"key file {path} {trouble}")


def _fields(path: Path, raw: bytes) -> dict[str, str]:
    found = _parsed(raw)
    if found is None:
        raise StartError(f"key file {path} is not a JSON object: use the service account key as downloaded from Huawei")
    missing = [name for name in _FIELDS if not isinstance(found.get(name), str) or not found[name]]
    if missing:
        raise StartError(f"key file {path} lacks {', '.join(missing)}: use the service account key as downloaded")
    return {name: str(found[name]) for name in _FIELDS}


def _parsed(raw: bytes) -> dict[str, object] | None:
    """None rather than the parser's error, which would carry the file's text along."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _private_key(path: Path, pem: str) -> RSAPrivateKey:
    key = _loaded(pem)
    if key is None:
        raise StartError(f"private_key in key file {path} is not a readable, unencrypted private key in PEM form")
    if not isinstance(key, RSAPrivateKey):
        raise StartError(f"private_key in key file {path} is not an RSA key, which Push Kit's PS256 signature needs")
    if not _can_sign(key):
        raise StartError(
            f"private_key in key file {path} is an RSA key of {key.key_size} bits: PS256 needs {ENOUGH_BITS:,} or more"
        )
    return key


def _can_sign(key: RSAPrivateKey) -> bool:
    """A small one has no room for the signature (RFC 8017, 9.1.1)."""
    try:
        key.sign(b"", PSS(MGF1(SHA256()), SHA256.digest_size), SHA256())
    except ValueError:
        return False
    return True


def _loaded(pem: str) -> object:
    try:
        return load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
