"""The JWT, push-kit.md section 9, point 3: each test breaks one thing in a good one."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from stream.pushkit.simulator import App, Simulator
from stream.pushkit.simulator.authority import Grant, Keyring, Refused
from tests.simulator.calling import Caller, bearer

NOW = 1_800_000_000


def check(apps: list[App], authorization: str | None, now_s: float = NOW, skew_s: float = 0.0) -> Grant | str:
    """The grant, or the code of the refusal."""
    verdict = Keyring(apps).check(None if authorization is None else authorization.encode(), now_s, skew_s)
    return verdict.code if isinstance(verdict, Refused) else verdict


def test_a_good_jwt_names_its_project(apps: list[App], key_file: Path) -> None:
    """3: PS256 with a known kid, signature, iss, aud, and times that hold."""
    assert check(apps, bearer(key_file, now_s=NOW)) == Grant("project", NOW, NOW + 3600)


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Bearer x", "Bearer a.b", "Bearer a.b.c.d"])
def test_no_jwt_is_refused(apps: list[App], authorization: str | None) -> None:
    """3: present, three parts."""
    assert check(apps, authorization) == "80200001"


@pytest.mark.parametrize("prefix", ["", "bearer ", "Basic ", "Bearer  "])
def test_the_scheme_is_bearer_and_one_space(apps: list[App], key_file: Path, prefix: str) -> None:
    """3: ``Bearer``, one space, the JWT."""
    token = bearer(key_file, now_s=NOW).removeprefix("Bearer ")
    assert check(apps, prefix + token) == "80200001"


@pytest.mark.parametrize("algorithm", ["RS256", "PS384"])
def test_another_algorithm_is_refused(apps: list[App], key_file: Path, algorithm: str) -> None:
    """3: RS256 is refused, though its signature is the right key's."""
    assert check(apps, bearer(key_file, now_s=NOW, algorithm=algorithm)) == "80200001"


def test_the_algorithm_none_is_refused(apps: list[App], key_file: Path) -> None:
    """3: none is refused."""
    assert check(apps, bearer(key_file, now_s=NOW, algorithm="none", key="")) == "80200001"


@pytest.mark.parametrize("pad", [padding.PKCS1v15(), padding.PSS(padding.MGF1(hashes.SHA256()), 20)])
def test_another_signature_under_a_ps256_header_is_refused(
    apps: list[App], key_file: Path, pad: padding.AsymmetricPadding
) -> None:
    """3: the signature itself is looked at, not only the header's word; RFC 7518: a salt as long as the hash."""
    signed = bearer(key_file, now_s=NOW).removeprefix("Bearer ").rpartition(".")[0]
    key = serialization.load_pem_private_key(json.loads(key_file.read_text())["private_key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    signature = base64.urlsafe_b64encode(key.sign(signed.encode(), pad, hashes.SHA256())).decode().rstrip("=")
    assert check(apps, f"Bearer {signed}.{signature}") == "80200001"


def test_an_unknown_kid_is_refused(apps: list[App], key_file: Path) -> None:
    """3: kid known."""
    assert check(apps, bearer(key_file, now_s=NOW, headers={"kid": "nobody"})) == "80200001"


def test_anothers_signature_is_refused(apps: list[App], key_file: Path, other_key_file: Path) -> None:
    """3: signed by another key than kid says."""
    other = json.loads(other_key_file.read_text())["private_key"]
    assert check(apps, bearer(key_file, now_s=NOW, key=other)) == "80200001"


def test_changed_claims_are_refused(apps: list[App], key_file: Path) -> None:
    """3: the signature covers the claims."""
    head, _, signature = bearer(key_file, now_s=NOW).split(".")
    _, claims, _ = bearer(key_file, now_s=NOW, exp=NOW + 7200).split(".")
    assert check(apps, f"{head}.{claims}.{signature}") == "80200001"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "somebody"},
        {"iss": None},
        {"aud": "https://example.com"},
        {"aud": None},
        {"iat": None},
        {"exp": None},
        {"exp": float(NOW + 60)},
        {"iat": NOW + 1},
    ],
)
def test_a_wrong_claim_is_refused(apps: list[App], key_file: Path, claims: dict[str, Any]) -> None:
    """3: iss, aud, iat not in the future, whole seconds."""
    assert check(apps, bearer(key_file, now_s=NOW, **claims)) == "80200001"


def test_an_expired_jwt_has_its_own_code(apps: list[App], key_file: Path) -> None:
    """3: exp passed → 80200005, at the very second; a skew may be allowed."""
    authorization = bearer(key_file, now_s=NOW)
    assert check(apps, authorization, NOW + 3599.9) == Grant("project", NOW, NOW + 3600)
    assert check(apps, authorization, NOW + 3600) == "80200005"
    assert check(apps, authorization, NOW + 3600, skew_s=5.0) == Grant("project", NOW, NOW + 3600)


def test_a_jwt_that_was_good_is_refused_once_it_has_expired(apps: list[App], key_file: Path) -> None:
    """3: what is remembered of a JWT does not outlive its exp."""
    keyring, authorization = Keyring(apps), bearer(key_file, now_s=NOW).encode()
    assert isinstance(keyring.check(authorization, NOW, 0.0), Grant)
    later = keyring.check(authorization, NOW + 3600, 0.0)
    assert isinstance(later, Refused)
    assert later.code == "80200005"


def test_a_jwt_of_more_than_a_day_is_refused(apps: list[App], key_file: Path) -> None:
    """3: exp − iat > 86400 → 80300036."""
    assert check(apps, bearer(key_file, now_s=NOW, exp=NOW + 86_400)) == Grant("project", NOW, NOW + 86_400)
    assert check(apps, bearer(key_file, now_s=NOW, exp=NOW + 86_401)) == "80300036"


def test_padding_and_plain_base64_are_refused(apps: list[App], key_file: Path) -> None:
    """3: base64url without padding, as JWTs are."""
    head, claims, signature = bearer(key_file, now_s=NOW).split(".")
    padded = signature + "=" * (-len(signature) % 4)
    plain = base64.b64encode(base64.urlsafe_b64decode(padded)).decode().rstrip("=")
    assert check(apps, f"{head}.{claims}.{padded}") == "80200001"
    assert plain == signature or check(apps, f"{head}.{claims}.{plain}") == "80200001"


async def test_over_the_wire_a_refusal_is_401_and_revokes_nothing(
    sim: Simulator, caller: Caller, key_file: Path
) -> None:
    """3: authentication failures are HTTP 401."""
    old = bearer(key_file, now_s=time.time() - 7200)
    answer = await caller.revoke(headers={"Authorization": old})
    assert (answer.status, answer.code) == (401, "80200005")
    assert not list(sim.book.revoked.slots())


def test_a_key_file_is_as_app_gallery_connect_gives_it(apps: list[App], key_file: Path) -> None:
    """Section 3: the fields of the key file; readable by its owner alone; the private key in no repr."""
    fields = json.loads(key_file.read_text())
    assert set(fields) == {
        "project_id", "key_id", "private_key", "sub_account",
        "auth_uri", "token_uri", "auth_provider_cert_uri", "client_cert_uri",
    }  # fmt: skip
    assert fields["private_key"].startswith("-----BEGIN PRIVATE KEY-----")
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert "public_key" not in repr(apps[0])
