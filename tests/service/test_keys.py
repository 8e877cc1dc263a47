"""Key files that change on the disk: taken up without a restart, and never worse off for it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import jwt
import pytest
from structlog.testing import capture_logs

from stream.service import keys as keys_module
from stream.service.clock import Clock
from stream.service.keys import Keys
from stream.settings import default_settings
from tests.pushkit.keys import key_fields

APPS_OF = {"shared-1": "shared.json", "shared-2": "shared.json", "alone": "alone.json"}


def _write(file: Path, key_id: str) -> None:
    """As a deployment should: another file in its place, at once."""
    made = file.with_suffix(".new")
    made.write_text(json.dumps(key_fields() | {"key_id": key_id}))
    os.replace(made, file)


def _key_id(keys: Keys, app: str) -> str:
    bearer = keys.of(app)
    assert bearer is not None
    found: str = jwt.get_unverified_header(bearer.header(Clock().now_ms() / 1000).removeprefix("Bearer "))["kid"]
    return found


class _Watched:
    def __init__(self, folder: Path) -> None:
        for file in set(APPS_OF.values()):
            _write(folder / file, "first-key")
        apps = {app: {"key_file": str(folder / file)} for app, file in APPS_OF.items()}
        self.keys = Keys(default_settings(push_kit={"apps": apps}).push_kit, Clock())
        self.mended: list[set[str]] = []

    def taken_up(self, has: Callable[[str], bool]) -> None:
        self.mended.append({app for app in APPS_OF if has(app)})

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not done():  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.005)


@asynccontextmanager
async def watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[_Watched]:
    monkeypatch.setattr(keys_module, "LOOK_EVERY_S", 0.01)
    they = _Watched(folder)
    task = asyncio.create_task(they.keys.keep_current(they.taken_up))
    yield they
    task.cancel()


async def test_a_changed_file_is_taken_up_for_all_its_apps_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a restart; its apps are told, so that one that is paused is probed at once."""
    async with watched(tmp_path, monkeypatch) as they:
        _write(tmp_path / "shared.json", "second-key")
        await they.until(lambda: bool(they.mended))
        assert they.mended == [{"shared-1", "shared-2"}]
        assert [_key_id(they.keys, app) for app in APPS_OF] == ["second-key", "second-key", "first-key"]


def test_each_key_file_tells_how_old_its_jwt_is(tmp_path: Path) -> None:
    """JWT age, by key file and not by app."""
    keys, now_s = _Watched(tmp_path).keys, Clock().now_ms() / 1000
    bearer = keys.of("shared-1")
    assert bearer is not None
    bearer.renew(now_s - 1_000)
    ages_s = keys.ages_s()
    assert ages_s.keys() == {str(tmp_path / file) for file in APPS_OF.values()}
    assert ages_s[str(tmp_path / "shared.json")] == pytest.approx(1_000, abs=5)
    assert ages_s[str(tmp_path / "alone.json")] == pytest.approx(0, abs=5)


async def test_a_secret_mounted_behind_a_link_is_seen_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes puts a link to another folder in its place: same name, same size, perhaps the same second."""
    for version in ("old", "new"):
        (tmp_path / version).mkdir()
        _write(tmp_path / version / "alone.json", f"{version}-key")
        os.utime(tmp_path / version / "alone.json", (1, 1))
    (tmp_path / "data").symlink_to("old")
    keys = Keys(default_settings(push_kit={"key_file": str(tmp_path / "data" / "alone.json")}).push_kit, Clock())
    monkeypatch.setattr(keys_module, "LOOK_EVERY_S", 0.01)
    taken_up = asyncio.Event()
    task = asyncio.create_task(keys.keep_current(lambda has: taken_up.set()))
    assert _key_id(keys, "any") == "old-key"
    (tmp_path / "link").symlink_to("new")
    os.replace(tmp_path / "link", tmp_path / "data")
    await asyncio.wait_for(taken_up.wait(), 10)
    assert _key_id(keys, "any") == "new-key"
    task.cancel()


@pytest.mark.parametrize("trouble", ["{", "", "gone"])
async def test_a_file_that_is_no_key_is_said_once_and_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """One that is being written too: when it is whole it is taken up."""
    file = tmp_path / "alone.json"
    with capture_logs() as said:
        async with watched(tmp_path, monkeypatch) as they:
            file.unlink() if trouble == "gone" else file.write_text(trouble)
            await they.until(lambda: bool(said))
            await asyncio.sleep(0.1)
            assert [line["event"] for line in said] == ["key_not_taken_up"]
            assert str(file) in said[0]["why"]
            assert (_key_id(they.keys, "alone"), they.mended) == ("first-key", [])
            _write(file, "second-key")
            await they.until(lambda: they.mended == [{"alone"}])
            assert _key_id(they.keys, "alone") == "second-key"
    assert "PRIVATE" not in str(said)
