"""A simulator with two apps of one project and one of another, and a caller of the first app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from stream.pushkit.simulator import App, Simulator, make_key_file
from tests.simulator.calling import Caller, bearer


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key file of app ``app1``'s project."""
    return tmp_path_factory.mktemp("keys") / "app1.json"


@pytest.fixture(scope="session")
def other_key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key file of another project."""
    return tmp_path_factory.mktemp("keys") / "other.json"


@pytest.fixture(scope="session")
def apps(key_file: Path, other_key_file: Path) -> list[App]:
    """``app1`` and ``app2`` of one project, ``other`` of another."""
    app = make_key_file(key_file, "project", "app1")
    return [app, replace(app, client_id="app2"), make_key_file(other_key_file, "other project", "other")]


@pytest.fixture
async def sim(apps: list[App]) -> AsyncIterator[Simulator]:
    """A healthy simulator."""
    async with Simulator(apps, seed=1) as simulator:
        yield simulator


@pytest.fixture
async def caller(sim: Simulator, key_file: Path) -> AsyncIterator[Caller]:
    """Calls as ``app1`` with a good JWT."""
    async with aiohttp.ClientSession() as session:
        yield Caller(session, sim.url, bearer(key_file), "app1")
