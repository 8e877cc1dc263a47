"""Confluent's wire format, end to end, with a registry that is away at first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream.wire.registry import Registry
from stream.wire.wire import Wire
from tests.scenarios.conftest import MakeTown
from tests.scenarios.town import RESULTS, Town
from tests.wire.schema_registry import SchemaRegistry

SUBJECTS = {"MessageSent": "s", "ViolationDetected": "v", "RevokeResult": "r"}


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    """Our own small one."""
    with SchemaRegistry() as server:
        yield server


@pytest.fixture
def town(make_town: MakeTown, registry: SchemaRegistry) -> Town:
    """A town whose producers write Confluent's format."""
    return make_town(wire=Wire("confluent", Registry(registry.url, SUBJECTS)))


def test_a_registry_that_is_away_drops_nothing(town: Town, registry: SchemaRegistry) -> None:
    """Unknown ids wait and reading of that partition pauses; nothing is dropped; then all is done."""
    sends, violations = town.maker.all_kinds(300)
    half = len(sends) // 2
    town.tell(town.maker.mixed(sends[:half]), violations[::2])
    registry.stop()
    avro = {"write_format": "confluent", "registry_url": registry.url}
    instance = town.run(avro=avro).wait_until_it_works()
    town.tell(sends[half:], violations[1::2])
    instance.wait_for("reading_waits")
    town.pass_time(3)
    assert not town.story.results
    assert town.push_kit.calls == 0
    registry.start()
    town.wait_until_settled()
    assert not town.story.letters
    town.judge()
    assert f"{town.topics.name(RESULTS)}-value" in registry.subjects
    registry.stop()
    more, found = town.maker.all_kinds(100)
    town.tell(more, found)
    town.wait_until_settled()
    town.judge()
    assert instance.stop() == 0
    registry.start()
