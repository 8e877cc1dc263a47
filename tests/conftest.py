"""What every test may ask for: one real Kafka for the whole session, and topics of its own on it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from stream.brokers.apache import ApacheKafka
from tests.disk import mounted
from tests.topics import FreshTopics

settings.register_profile("unhurried", deadline=None)  # the machine may be busy with something else
settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs the real broker, so that ``-m 'not kafka'`` leaves it out."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kafka)


@pytest.fixture(scope="session")
def kafka() -> Iterator[ApacheKafka]:
    """One real node, started by the first test that asks; killing it is for tests with a broker of their own."""
    with ApacheKafka() as broker:
        yield broker


@pytest.fixture
def topics(kafka: ApacheKafka) -> FreshTopics:
    """Names and topics that no other test sees."""
    return FreshTopics(kafka.bootstrap_servers, prefix=f"t{uuid.uuid4().hex[:8]}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of this test's own, which it may fill."""
    with mounted(tmp_path / "disk") as place:
        yield place


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command under test may send all logs to the stream that pytest shows it; that stream is gone with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
