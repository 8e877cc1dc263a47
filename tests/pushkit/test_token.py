"""The JWT: what Push Kit verifies, made once, renewed before its end."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from pathlib import Path

import jwt
import pytest

from stream.model import SettingsError
from stream.pushkit import token as token_module
from stream.pushkit.key import ServiceKey
from stream.pushkit.token import AUDIENCE, Bearer, keep_renewed, signed_jwt
from stream.service.clock import Clock
from stream.service.keys import Keys
from stream.settings import default_settings
from tests.pushkit.keys import key_fields, rsa_key

NOW_S = 1_795_516_622.75
KEY = ServiceKey("project-1", "key-0123456789", "account-1", rsa_key())


def test_the_jwt_is_signed_as_push_kit_verifies_it() -> None:
    """PS256; kid, typ; iss, aud, iat, exp in whole seconds, exp = iat + 3600."""
    encoded = signed_jwt(KEY, NOW_S)
    claims = jwt.decode(
        encoded,
        rsa_key().public_key(),
        ["PS256"],
        audience=AUDIENCE,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert jwt.get_unverified_header(encoded) == {"alg": "PS256", "typ": "JWT", "kid": "key-0123456789"}
    assert claims == {"iss": "account-1", "aud": AUDIENCE, "iat": 1_795_516_622, "exp": 1_795_520_222}
    assert AUDIENCE == "https://oauth-login.cloud.huawei.com/oauth2/v3/token"


def test_a_header_is_signed_once_and_used_until_its_end() -> None:
    """Reuse within the lifetime is allowed; signing costs milliseconds, so cache."""
    bearer = Bearer(KEY, NOW_S)
    first = bearer.header(NOW_S)
    assert first.startswith("Bearer ey")
    assert bearer.header(NOW_S + 3_599) is first
    assert bearer.header(NOW_S + 3_600) is not first


def test_a_header_is_due_five_minutes_before_its_end() -> None:
    """Renewed before its end, in time."""
    bearer = Bearer(KEY, NOW_S)
    assert [bearer.due(NOW_S + after_s) for after_s in (0, 3_298, 3_300)] == [False, False, True]


def test_a_clock_set_back_makes_a_new_jwt() -> None:
    """iat not in the future: one that was signed by a fast clock would be refused until the clock has caught up."""
    bearer = Bearer(KEY, NOW_S)
    first = bearer.header(NOW_S)
    assert bearer.due(NOW_S - 60)
    assert bearer.header(NOW_S - 60) is not first


def test_many_refusals_of_one_jwt_make_one_new_one() -> None:
    """80200005: at once, new JWT; all calls in flight are refused together."""
    bearer = Bearer(KEY, NOW_S)
    refused = bearer.header(NOW_S)
    bearer.renew(NOW_S, refused)
    second = bearer.header(NOW_S)
    bearer.renew(NOW_S, refused)
    assert second != refused
    assert bearer.header(NOW_S) is second


def test_apps_that_share_a_key_file_share_its_jwt(tmp_path: Path) -> None:
    """One key serves all apps of its project."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(json.dumps(key_fields()))
    of = {"a": "one", "b": "one", "c": "two"}
    apps = {app: {"key_file": str(tmp_path / name)} for app, name in of.items()}
    keys = Keys(default_settings(push_kit={"apps": apps}).push_kit, Clock())
    assert keys.of("a") is keys.of("b") is not None
    assert keys.of("a") is not keys.of("c")


def test_a_bad_key_file_is_told_by_the_setting_that_names_it(tmp_path: Path) -> None:
    """The key's full name, the value, and what would be right."""
    missing = str(tmp_path / "none")
    for push_kit, name in (
        ({"apps": {"a": {"key_file": missing}}}, 'push_kit.apps."a".key_file'),
        ({"key_file": missing}, "push_kit.key_file"),
    ):
        with pytest.raises(SettingsError, match=re.escape(f'{name} = "{missing}": key file {missing} does not exist')):
            Keys(default_settings(push_kit=push_kit).push_kit, Clock())


def test_a_bearer_does_not_show_itself() -> None:
    """Secrets mask themselves."""
    bearer = Bearer(KEY, NOW_S)
    assert bearer.header(NOW_S)[7:30] not in repr(bearer)


async def test_signing_happens_ahead_of_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign ahead of expiry, not in the call: when the call asks, the header is there already."""
    monkeypatch.setattr(token_module, "_LOOK_AGAIN_S", 0.001)
    clock_s = [NOW_S]
    bearer = Bearer(KEY, NOW_S)
    first = bearer.header(NOW_S)
    task = asyncio.create_task(keep_renewed([bearer], lambda: clock_s[0]))
    await asyncio.sleep(0.01)
    assert bearer.header(NOW_S) is first
    clock_s[0] += 3_400
    await asyncio.sleep(0.05)
    assert bearer.header(NOW_S + 3_400) is not first
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
