"""The JWT that opens Push Kit: signed by the service account key, it is itself the bearer token.

Promised: a header that is valid at the time asked for, by our clock; one JWT per key, whatever number of apps share it.
Not promised: that the gateway's clock agrees; see ``Reply.date_skew_s``. Claims:
https://developer.huawei.com/consumer/cn/doc/harmonyos-guides/push-jwt-token
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import jwt

from stream.pushkit.key import ServiceKey

AUDIENCE: Final = "https://oauth-login.cloud.huawei.com/oauth2/v3/token"
LIFETIME_S: Final = 3_600
RENEW_BEFORE_END_S: Final = 300
"""Time enough for many tries to sign, should the machine be busy."""
_LOOK_AGAIN_S: Final = 30.0


def signed_jwt(key: ServiceKey, now_s: float) -> str:
    """A JWT valid from now on for an hour; takes 0.3 ms with a 2048-bit key, 1.7 ms with 4096. Never cached here."""
    issued_s = int(now_s)
    claims = {"iss": key.sub_account, "aud": AUDIENCE, "iat": issued_s, "exp": issued_s + LIFETIME_S}
    return jwt.encode(claims, key.private_key, algorithm="PS256", headers={"kid": key.key_id})


class Bearer:
    """The Authorization header of one key, for all its apps; its repr shows neither. Used by one thread at a time."""

    __slots__ = ("_header", "_issued_s", "_key")

    def __init__(self, key: ServiceKey, now_s: float) -> None:
        self._key = key
        self._header = ""
        self.renew(now_s)

    def __repr__(self) -> str:
        return f"Bearer({self._key!r})"

    def header(self, now_s: float) -> str:
        """``Bearer …``, ready to send; signs only if :func:`keep_renewed` came too late or the clock was set."""
        if not self._issued_s - 1 <= now_s < self._issued_s + LIFETIME_S:
            self.renew(now_s)
        return self._header

    def due(self, now_s: float) -> bool:
        """Whether the JWT ends soon, or was made by a clock that has since been set back."""
        return not self._issued_s - 1 <= now_s < self._issued_s + LIFETIME_S - RENEW_BEFORE_END_S

    def age_s(self, now_s: float) -> float:
        """How long ago the JWT was signed."""
        return now_s - self._issued_s

    def renew(self, now_s: float, refused: str | None = None) -> None:
        """A new JWT, unless the header that was ``refused`` is already another one: many calls are refused at once."""
        if refused is None or refused == self._header:
            self._header = f"Bearer {signed_jwt(self._key, now_s)}"
            self._issued_s = int(now_s)

    def take_up(self, key: ServiceKey, now_s: float) -> None:
        """Sign with another key from now on."""
        self._key = key
        self.renew(now_s)


async def keep_renewed(bearers: Collection[Bearer], clock: Callable[[], float]) -> None:
    """Renews each before it ends, so that no call waits for a signature. Runs until cancelled; ``clock``: Unix s."""
    while True:
        for bearer in bearers:
            if bearer.due(clock()):
                bearer.renew(clock())
        await asyncio.sleep(_LOOK_AGAIN_S)
