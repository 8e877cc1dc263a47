"""Towns for failures that are caused one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.gateway import PushKit
from tests.scenarios.town import Town
from tests.topics import FreshTopics

APPS = ("101000001", "101000002", "101000003")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key files, made once: RSA takes its time."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def town(topics: FreshTopics, keys: Path, tmp_path: Path) -> Iterator[Town]:
    """Three apps, four partitions."""
    with Town(topics, PushKit(keys, APPS), tmp_path) as made:
        yield made
