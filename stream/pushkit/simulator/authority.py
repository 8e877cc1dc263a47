"""Who may call: the JWT of a service account, checked as a strict Push Kit would.

Promised: a JWT passes only with PS256 (salt as long as the hash, RFC 7518 section 3.5), a known ``kid``, a good
signature, that key's ``iss``, the fixed ``aud``, ``iat`` not in the future, ``exp`` not passed and at most a day after
``iat``; the times are looked at in every call. Not promised: the order of the checks, which no page documents.
Sources: harmonyos-guides/push-jwt-token, harmonyos-references/push-scenariozed-api-response (80300036).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Final, NamedTuple

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from stream.pushkit.simulator.apps import AUDIENCE, App
from stream.pushkit.simulator.replies import AUTH_FAILED, JWT_EXPIRED, JWT_TOO_LONG

MAX_LIFETIME_S: Final = 86_400
_REMEMBERED: Final = 4_096
_NOT_URL_SAFE: Final = frozenset(b"=+/")
_PSS: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


class Grant(NamedTuple):
    """A JWT whose signature and fixed claims are right; times in UTC seconds."""

    project_id: str
    issued_at_s: int
    expires_at_s: int


class Refused(NamedTuple):
    """Why a call is refused: Push Kit's code, and a message for people."""

    code: str
    message: str


class Keyring:
    """The known service-account keys, and the JWTs already verified, by their bytes."""

    __slots__ = ("_keys", "_verified")

    def __init__(self, apps: Iterable[App]) -> None:
        self._keys = {app.key_id: app for app in apps}
        self._verified: dict[bytes, Grant] = {}

    def check(self, authorization: bytes | None, now_s: float, skew_s: float) -> Grant | Refused:
        """The grant behind an ``Authorization`` header at ``now_s`` (UTC), or why there is none."""
        if not authorization:
            return Refused(AUTH_FAILED, "Authorization is missing or empty.")
        grant = self._verified.get(authorization) or self._remember(authorization)
        return grant if isinstance(grant, Refused) else _in_time(grant, now_s, skew_s)

    def _remember(self, authorization: bytes) -> Grant | Refused:
        grant = self._verify(authorization)
        if isinstance(grant, Grant):
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            self._verified[authorization] = grant
        return grant

    def _verify(self, authorization: bytes) -> Grant | Refused:
        try:
            return self._grant(_bearer(authorization))
        except _Bad as bad:
            return Refused(AUTH_FAILED, f"Authentication failed: {bad}.")

    def _grant(self, token: bytes) -> Grant:
        parts = token.split(b".")
        if len(parts) != 3:
            raise _Bad("not a JWT of three parts")
        app = self._key_of(_object(parts[0]))
        try:
            signed = parts[0] + b"." + parts[1]
            app.public_key.verify(_decoded(parts[2]), signed, _PSS, hashes.SHA256())
        except InvalidSignature:
            raise _Bad("wrong signature") from None
        return _claimed(_object(parts[1]), app)

    def _key_of(self, header: dict[str, object]) -> App:
        if header.get("alg") != "PS256":
            raise _Bad("alg is not PS256")
        app = self._keys.get(str(header.get("kid")))
        if app is None:
            raise _Bad("unknown kid")
        return app


class _Bad(Exception):
    """This Authorization header is refused; never leaves this module."""


def _bearer(authorization: bytes) -> bytes:
    scheme, _, token = authorization.partition(b" ")
    if scheme != b"Bearer" or not token or token.startswith(b" "):
        raise _Bad("not 'Bearer', one space and a JWT")
    return token


def _claimed(claims: dict[str, object], app: App) -> Grant:
    if claims.get("iss") != app.sub_account:
        raise _Bad("iss is not the key's sub_account")
    if claims.get("aud") != AUDIENCE:
        raise _Bad("wrong aud")
    issued_at_s, expires_at_s = claims.get("iat"), claims.get("exp")
    if type(issued_at_s) is not int or type(expires_at_s) is not int:
        raise _Bad("iat and exp must be whole seconds")
    return Grant(app.project_id, issued_at_s, expires_at_s)


def _in_time(grant: Grant, now_s: float, skew_s: float) -> Grant | Refused:
    if grant.issued_at_s > now_s + skew_s:
        return Refused(AUTH_FAILED, "Authentication failed: iat is in the future.")
    if grant.expires_at_s <= now_s - skew_s:
        return Refused(JWT_EXPIRED, "JWT has expired.")
    if grant.expires_at_s - grant.issued_at_s > MAX_LIFETIME_S:
        return Refused(JWT_TOO_LONG, "JWT is valid for more than 1 day.")
    return grant


def _object(part: bytes) -> dict[str, object]:
    try:
        value = orjson.loads(_decoded(part))
    except orjson.JSONDecodeError:
        raise _Bad("a part is no JSON") from None
    if not isinstance(value, dict):
        raise _Bad("a part is no JSON object")
    return value


def _decoded(part: bytes) -> bytes:
    if set(part) & _NOT_URL_SAFE:
        raise _Bad("base64url must be without padding, + and /")
    try:
        return base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise _Bad("a part is no base64url") from None
