"""Confluent's wire format, end to end, with a registry that is away at first, and with a real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from confluent_kafka import Consumer, TopicPartition

from stream.wire.registry import Registry
from stream.wire.wire import Wire
from tests.scenarios.apicurio import apicurio
from tests.scenarios.conftest import FULL, MakeTown
from tests.scenarios.town import RESULTS, SENDS, Town
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


@pytest.mark.skipif(not FULL, reason="fetches 159 MB; UNPUSH_SCENARIOS=full")
def test_a_real_registry_is_read_and_written_through(make_town: MakeTown, tmp_path: Path) -> None:
    """Apicurio, not our own imitation: senders' and detectors' schemas by their ids, and results by the id that it gave
    to ours; what has no id there is a dead letter, and does not stop anything."""
    with apicurio(tmp_path / "apicurio") as url:
        town = make_town(wire=Wire("confluent", Registry(url, SUBJECTS)))
        ours = Registry(url, {"RevokeResult": town.topics.name(RESULTS)})
        assert not ours.known("RevokeResult")
        instance = town.run(avro={"write_format": "confluent", "registry_url": url}).wait_until_it_works()
        sends, violations = town.maker.all_kinds(300)
        town.tell(town.maker.mixed(sends, violations))
        town.put(SENDS, b"k", b"\x00" + (999_999).to_bytes(4, "big") + b"\x02k")
        town.flush()
        town.wait_until_settled()
        town.wait_until(lambda: bool(town.story.letters), what="a dead letter")
        town.judge()
        assert dict(town.story.letters[0].headers)["unpush.error.reason"] == b"unknown_schema"
        assert len(town.story.letters) == 1
        written = f"{town.topics.name(RESULTS)}-value"
        with urlopen(f"{url}/subjects/{written}/versions/latest") as answer:
            told = json.load(answer)
        assert json.loads(told["schema"])["name"] == "RevokeResult"
        assert first_bytes(town, 5) == {b"\x00" + told["id"].to_bytes(4, "big")}
        assert ours.known("RevokeResult")
        assert instance.stop() == 0


def first_bytes(town: Town, number: int) -> set[bytes]:
    """What the results begin with, as they stand in Kafka."""
    reader = Consumer({"bootstrap.servers": town.topics.bootstrap_servers, "group.id": "unused"})
    reader.assign([TopicPartition(town.topics.name(RESULTS), part, 0) for part in range(town.partitions)])
    read = reader.consume(len(town.story.results), 20)
    reader.close()
    return {(message.value() or b"")[:number] for message in read}
