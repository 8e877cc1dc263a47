"""Towns for scenarios. ``UNPUSH_SCENARIOS=full`` makes the big ones as big as the promise says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stream.brokers.apache import ApacheKafka
from tests.authority import Authority
from tests.scenarios.gateway import PushKit
from tests.scenarios.town import Town
from tests.topics import FreshTopics

APPS = ("101000001", "101000002", "101000003")
FULL = os.environ.get("UNPUSH_SCENARIOS") == "full"

MakeTown = Callable[..., Town]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key files, made once: RSA takes its time."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def make_town(kafka: ApacheKafka, topics: FreshTopics, keys: Path, tmp_path: Path) -> Iterator[MakeTown]:
    """One town a test; it may choose apps, partitions, seed and wire, and who vouches for its Push Kit."""
    with ExitStack() as open_towns:

        def make(apps: tuple[str, ...] = APPS, vouched: Authority | None = None, **rest: Any) -> Town:
            return open_towns.enter_context(Town(topics, PushKit(keys, apps, vouched), tmp_path, **rest))

        yield make


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    """The usual one: three apps, four partitions."""
    return make_town()
