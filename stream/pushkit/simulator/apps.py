"""The apps that the simulator knows, and service-account key files as AppGallery Connect hands them out.

Promised: a file written here has the fields of a real one and signs JWTs that the simulator accepts.
Not promised: the key length of a real one (4096 bits); 2048 keep tests quick.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from stream.model import SettingsError

AUDIENCE: Final = "https://oauth-login.cloud.huawei.com/oauth2/v3/token"
"""``token_uri`` of a key file and the JWT's fixed ``aud``. Source: harmonyos-guides/push-jwt-token."""

_URIS: Final = {
    "auth_uri": "https://oauth-login.cloud.huawei.com/oauth2/v3/authorize",
    "token_uri": AUDIENCE,
    "auth_provider_cert_uri": "https://oauth-login.cloud.huawei.com/oauth2/v3/certs",
    "client_cert_uri": "https://oauth-login.cloud.huawei.com/oauth2/v3/x509?client_id=",
}


@dataclass(frozen=True, slots=True)
class App:
    """One app (its Client ID) and the service-account key of its project; several apps may share a key."""

    client_id: str
    project_id: str
    key_id: str
    sub_account: str
    public_key: rsa.RSAPublicKey = field(repr=False, compare=False)


def make_key_file(path: Path, project_id: str, client_id: str, *, bits: int = 2048) -> App:
    """Write a fresh key file (mode 0600, an existing one is replaced) and return the app that it belongs to.

    For a second app of the same project use ``app_of_key_file`` with the same path. Raises OSError.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    fields = {
        "project_id": project_id,
        "key_id": secrets.token_hex(16),
        "private_key": pem,
        "sub_account": str(secrets.randbelow(9 * 10**8) + 10**8),
        **_URIS,
    }
    _write_private(path, json.dumps(fields, indent=2))
    return _app(client_id, fields, key.public_key())


def app_of_key_file(client_id: str, path: Path) -> App:
    """The app ``client_id`` with the key in ``path``; raises SettingsError, which never quotes the file's content."""
    try:
        fields = json.loads(path.read_text("utf-8"))
        key = serialization.load_pem_private_key(fields["private_key"].encode(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("not an RSA key")
        return _app(client_id, fields, key.public_key())
    except OSError as error:
        raise SettingsError(f"key file {path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SettingsError(f"{path} is no service-account key file of AppGallery Connect with an RSA key") from None


def _app(client_id: str, fields: Mapping[str, str], public_key: rsa.RSAPublicKey) -> App:
    return App(client_id, fields["project_id"], fields["key_id"], fields["sub_account"], public_key)


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
