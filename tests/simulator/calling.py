"""A plain caller of the simulator, with no rule of its own: tests say what each call holds."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt

from stream.pushkit.simulator import AUDIENCE


def bearer(
    key_file: Path,
    *,
    algorithm: str = "PS256",
    key: str | None = None,
    headers: Mapping[str, Any] | None = None,
    now_s: float | None = None,
    **claims: Any,
) -> str:
    """An Authorization header signed with the key file; ``claims``, ``headers`` and ``key`` replace what is right."""
    fields = json.loads(key_file.read_text())
    issued_at_s = int(time.time() if now_s is None else now_s)
    right = {"iss": fields["sub_account"], "aud": AUDIENCE, "iat": issued_at_s, "exp": issued_at_s + 3600}
    return "Bearer " + jwt.encode(
        {name: value for name, value in {**right, **claims}.items() if value is not None},
        fields["private_key"] if key is None else key,
        algorithm=algorithm,
        headers={"kid": fields["key_id"], **(headers or {})},
    )


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Push Kit's code."""
        code = self.json["code"]
        assert isinstance(code, str)
        return code

    @property
    def message(self) -> Any:
        """``msg``, itself JSON."""
        return json.loads(self.json["msg"])


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls as one app; every argument of a call is its default unless a test says otherwise."""

    session: aiohttp.ClientSession
    url: str
    authorization: str
    client_id: str

    async def revoke(
        self,
        notify_id: Any = 7,
        tokens: Any = ("t1",),
        *,
        body: bytes | None = None,
        path: str | None = None,
        method: str = "POST",
        client_id: str | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Answered:
        """One call; a header with the value None is left out."""
        listed = list(tokens) if isinstance(tokens, tuple | range) else tokens
        content = json.dumps({"notifyId": notify_id, "token": listed}).encode() if body is None else body
        right = {"Authorization": self.authorization, "push-type": "0", "Content-Type": "application/json"}
        sent = {name: value for name, value in {**right, **(headers or {})}.items() if value is not None}
        where = path or f"/v1/{client_id or self.client_id}/messages:revoke"
        async with self.session.request(
            method, self.url + where, data=content, headers=sent, skip_auto_headers=["Content-Type"]
        ) as response:
            return Answered(response.status, response.headers, await response.read())

    async def control(self, method: str, path: str, value: Any = None) -> Any:
        """One request to ``/_sim``; must succeed."""
        async with self.session.request(method, f"{self.url}/_sim/{path}", json=value) as response:
            assert response.status == 200, await response.text()
            return await response.json()
