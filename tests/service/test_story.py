"""The service as a whole: what it has opened it closes, also where it cannot be made."""

from __future__ import annotations

import asyncio
import gc
import warnings
from pathlib import Path
from typing import Any, cast

import pytest

from stream.brokers.mock import MockKafka
from stream.kafka.preflight import look
from stream.model import RegistryDown
from stream.pushkit.simulator import make_key_file
from stream.service import asides, story
from stream.service.story import Service
from stream.settings import load_settings
from stream.state.shard import Shard
from tests.operate.running import APP, TOPICS, written_settings


async def test_a_service_that_cannot_be_made_whole_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence and exit 1; no connection is left to the garbage collector, and the store is free."""

    def fail(*_: Any) -> None:
        raise RuntimeError("no more threads")

    make_key_file(tmp_path / "key.json", "project", APP)
    with MockKafka(TOPICS) as kafka, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        settings = load_settings(written_settings(tmp_path, kafka.bootstrap_servers, "http://127.0.0.1:1"), {})
        world = await asyncio.to_thread(look, settings)
        with monkeypatch.context() as patch:
            patch.setattr(story, "Membership", fail)
            with pytest.raises(RuntimeError, match="no more threads"):
                async with Service(settings, world):
                    pass
        gc.collect()
        assert not [str(each.message) for each in said if issubclass(each.category, ResourceWarning)]
        async with Service(settings, world) as second:
            assert second.store.bytes_on_disk() >= 0


async def test_an_hour_that_cannot_be_looked_up_is_asked_for_again_or_ends_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the guard would let nothing begin, for good, and nobody would hear why."""
    errors: list[Exception] = [RegistryDown("away"), ValueError("wrong")]

    def fail(*_: Any) -> None:
        raise errors[0]

    monkeypatch.setattr(asides, "drawn_since", fail)
    make_key_file(tmp_path / "key.json", "project", APP)
    with MockKafka(TOPICS) as kafka:
        settings = load_settings(written_settings(tmp_path, kafka.bootstrap_servers, "http://127.0.0.1:1"), {})
        async with Service(settings, await asyncio.to_thread(look, settings)) as service, asyncio.timeout(10):
            told: list[Any] = []
            service.asides.hours(cast(Shard, None), 0, told.append)
            await service._kick.wait()
            assert (told, service.failure) == ([None], None)
            errors.pop(0)
            service.asides.hours(cast(Shard, None), 0, told.append)
            await service._stop.wait()
            assert (told, service.failure) == ([None], errors[0])
