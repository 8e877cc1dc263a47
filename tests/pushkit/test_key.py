"""The key file: loaded once, and each mistake one sentence that quotes nothing of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stream.model import StartError
from stream.pushkit.key import load_key
from tests.pushkit.keys import elliptic_pem, key_fields, pem, rsa_key

SECRET = "MIIsecret-secret-secret"


def written(path: Path, content: bytes | dict[str, object]) -> Path:
    file = path / "key.json"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return file


def test_a_key_file_as_downloaded_is_loaded(tmp_path: Path) -> None:
    """Key file (JSON): project_id, key_id, private_key (PEM, PKCS#8), sub_account, and more that is not needed."""
    key = load_key(written(tmp_path, key_fields()))
    assert (key.project_id, key.key_id, key.sub_account) == ("project-1", "key-0123456789", "account-1")
    assert key.private_key.private_numbers() == rsa_key().private_numbers()


def test_a_key_does_not_show_itself(tmp_path: Path) -> None:
    """Secrets mask themselves."""
    key = load_key(written(tmp_path, key_fields()))
    for shown in (str(key), repr(key)):
        assert "key-0123456789" not in shown
        assert "RSA" not in shown
    assert str(key).startswith("key key-…"), "for people: a check, a line of the log"
    assert str(key).endswith(" of project project-1")


def test_a_key_file_with_a_byte_order_mark_is_loaded(tmp_path: Path) -> None:
    """Some editors put one there when the file is only looked at."""
    content = b"\xef\xbb\xbf" + json.dumps(key_fields()).encode()
    assert load_key(written(tmp_path, content)).project_id == "project-1"


def without(*names: str) -> dict[str, object]:
    return {name: value for name, value in key_fields().items() if name not in names}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a JSON object"),
        (SECRET.encode(), "is not a JSON object"),
        (f'{{"private_key": "{SECRET}"'.encode(), "is not a JSON object"),
        (b"[1, 2]", "is not a JSON object"),
        (b"\xff\xfe\xfd", "is not a JSON object"),
        (b"[" * 200_000, "is not a JSON object"),
        ({"private_key": SECRET}, "lacks project_id, key_id, sub_account"),
        (without("private_key"), "lacks private_key"),
        (key_fields() | {"sub_account": ""}, "lacks sub_account"),
        (key_fields() | {"key_id": 7}, "lacks key_id"),
        (key_fields() | {"private_key": SECRET}, "is not a readable, unencrypted private key in PEM form"),
        (key_fields() | {"private_key": f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"}, "PEM"),
        (key_fields() | {"private_key": pem(rsa_key(), b"locked")}, "unencrypted"),
        (key_fields() | {"private_key": elliptic_pem()}, "is not an RSA key"),
    ],
)
def test_a_bad_key_file_is_one_sentence(tmp_path: Path, content: bytes | dict[str, object], said: str) -> None:
    """Bad key file: one sentence, exit 1, no secret; not even in the error that led to it."""
    file = written(tmp_path, content)
    with pytest.raises(StartError) as caught:
        load_key(file)
    text = str(caught.value)
    assert said in text
    assert str(file) in text
    assert "\n" not in text
    assert "secret" not in text.replace(str(file), "")
    assert caught.value.__context__ is None


def test_a_key_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    """Missing, a directory, a path through a file: each says which."""
    for path, said in [
        (tmp_path / "none.json", "does not exist"),
        (tmp_path, "is a directory"),
        (written(tmp_path, b"{}") / "key.json", "cannot be read: Not a directory"),
    ]:
        with pytest.raises(StartError, match=said):
            load_key(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_key_file_without_permission_says_so(tmp_path: Path) -> None:
    """Not readable: check its permissions."""
    file = written(tmp_path, key_fields())
    file.chmod(0)
    with pytest.raises(StartError, match="check its permissions"):
        load_key(file)
