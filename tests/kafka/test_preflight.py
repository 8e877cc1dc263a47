"""Contract, Topics: what `run` and `topics` find out about the broker, and in which words they say it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from stream.__main__ import main
from stream.brokers.apache import ApacheKafka
from stream.brokers.mock import MockKafka
from stream.kafka import cluster
from stream.kafka.preflight import World, look
from stream.model import SettingsError, StartError
from stream.settings import Settings, default_settings
from tests.topics import FreshTopics

NAMES = ("sent", "violations", "results", "dead")


def settings_for(servers: str, name: FreshTopics | None = None, **properties: object) -> Settings:
    called = [name.name(topic) if name else topic for topic in NAMES]
    keys = ("message_sent", "violation_detected", "revoke_result", "dead_letter")
    return default_settings(
        kafka={"bootstrap_servers": servers, "properties": properties}, topics=dict(zip(keys, called, strict=True))
    )


# Without a broker, and with one that tells little.


@pytest.fixture
def mock() -> Iterator[MockKafka]:
    with MockKafka(dict.fromkeys(NAMES, 3)) as broker:
        yield broker


def test_a_broker_that_does_not_tell_gives_a_world_with_gaps_and_no_long_wait(mock: MockKafka) -> None:
    """Pitfalls, H: the mock cluster describes no topic; its request would only time out."""
    start_s = time.monotonic()
    world = look(settings_for(mock.bootstrap_servers))
    assert world == World(mock.partitions["sent"], dict.fromkeys(NAMES[:3]), dict.fromkeys(NAMES[:3]), None)
    assert time.monotonic() - start_s < 4


def test_missing_topics_are_all_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_KNOWN_WITHIN_S", 0.2)
    with MockKafka({"sent": 3, "results": 3}) as broker, pytest.raises(StartError) as caught:
        look(settings_for(broker.bootstrap_servers))
    assert "violations, dead; unpush topics -c FILE" in str(caught.value)


def test_partition_counts_that_differ_are_said_with_the_numbers() -> None:
    with MockKafka({"sent": 3, "violations": 2, "results": 3, "dead": 1}) as broker:
        if broker.partitions["violations"] != 2:
            pytest.skip("librdkafka is only reached without its C interface: all topics have 4 partitions")
        with pytest.raises(StartError) as caught:
            look(settings_for(broker.bootstrap_servers))
    assert "sent has 3, violations has 2, results has 3" in str(caught.value)


def test_an_unreachable_broker_is_said_once_with_address_and_reason(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_WITHIN_S", 1.0)
    monkeypatch.setattr(cluster, "_SLICE_S", 0.5)
    with structlog.testing.capture_logs() as logged, pytest.raises(StartError) as caught:
        look(settings_for("127.0.0.1:9"))
    assert "127.0.0.1:9" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert (logged, capfd.readouterr()) == ([], ("", ""))


def test_a_name_that_does_not_resolve_is_the_reason_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWER_WITHIN_S", 1.0)
    with pytest.raises(StartError, match="resolve"):
        look(settings_for("no-such-host.invalid:9092"))


def test_a_server_that_speaks_something_else_does_not_hold_the_start_up_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_WITHIN_S", 0.5)
    monkeypatch.setattr(cluster, "_SLICE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(StartError, match="no Kafka broker answers"):
        look(settings_for(f"127.0.0.1:{silent.getsockname()[1]}"))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("no.such.property", "1", "No such configuration property"),
        ("security.protocol", "tls", "Invalid value"),
        ("ssl.ca.location", "/no/such/file", "ssl.ca.location"),
        ("linger.ms", "soon", "linger.ms"),
        ("fetch.wait.max.ms", "-5", "fetch.wait.max.ms"),
    ],
)
def test_a_property_that_librdkafka_refuses_is_a_wrong_setting(name: str, value: str, reason: str) -> None:
    more = {"security.protocol": "ssl"} if name == "ssl.ca.location" else {}
    with pytest.raises(SettingsError) as caught:
        look(settings_for("127.0.0.1:9", None, **{name: value}, **more))
    assert str(caught.value).startswith(f'kafka.properties.{name} = "{value}": librdkafka refuses it: ')
    assert reason in str(caught.value)


def test_a_refusal_does_not_repeat_a_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        look(settings_for("127.0.0.1:9", None, **{"sasl.password": "hunter2", "security.protocol": "hunter2x"}))
    assert "hunter2" not in str(caught.value).partition("librdkafka")[2]


# Against Apache Kafka.


def described(kafka: ApacheKafka, topic: str) -> dict[str, str]:
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    entries = client.describe_configs([resource])[resource].result(timeout=20)
    return {name: entry.value for name, entry in entries.items()}


@pytest.fixture
def file(kafka: ApacheKafka, topics: FreshTopics, tmp_path: Path) -> Path:
    path = tmp_path / "unpush.toml"
    sent, violations, results, dead = map(topics.name, NAMES)
    path.write_text(
        f"""
        [kafka]
        bootstrap_servers = "{kafka.bootstrap_servers}"
        [topics]
        message_sent = "{sent}"
        violation_detected = "{violations}"
        revoke_result = "{results}"
        dead_letter = "{dead}"
        """
    )
    return path


def test_a_world_knows_counts_ids_and_clocks(kafka: ApacheKafka, topics: FreshTopics) -> None:
    topics.create("sent", "results", "dead", partitions=3)
    topics.create("violations", partitions=3, config={"message.timestamp.type": "CreateTime"})
    world = look(settings_for(kafka.bootstrap_servers, topics))
    sent, violations, results = map(topics.name, NAMES[:3])
    assert world.partitions == 3
    assert world.log_append_time == {sent: True, violations: False, results: True}
    assert len({world.topic_ids[name] for name in (sent, violations, results)} - {None}) == 3


def test_a_topic_made_anew_has_another_id(kafka: ApacheKafka, topics: FreshTopics) -> None:
    """Contract, Topics: a topic that was deleted and created again (another topic id) makes its shards start anew."""
    topics.create(*NAMES)
    settings = settings_for(kafka.bootstrap_servers, topics)
    sent = topics.name("sent")
    before = _told_id(settings, sent)
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    client.delete_topics([sent])[sent].result(timeout=20)
    topics.create("sent")
    assert _told_id(settings, sent) != before


def _told_id(settings: Settings, name: str) -> str:
    """A topic's id, once the broker tells: of one that was just made a busy one may not know it yet."""
    until_s = time.monotonic() + 20
    while (found := look(settings).topic_ids[name]) is None:
        assert time.monotonic() < until_s
    return found


def test_a_compacted_topic_is_refused(kafka: ApacheKafka, topics: FreshTopics) -> None:
    topics.create("sent", "violations", "dead")
    topics.create("results", config={"cleanup.policy": "compact,delete"})
    with pytest.raises(StartError, match=r"results has cleanup\.policy compact,delete"):
        look(settings_for(kafka.bootstrap_servers, topics))


def test_a_topic_that_forgets_too_early_is_a_warning(kafka: ApacheKafka, topics: FreshTopics) -> None:
    topics.create("violations", "results")
    topics.create("dead", config={"max.message.bytes": "2000000"})
    topics.create("sent", config={"retention.ms": "3600000"})
    with structlog.testing.capture_logs() as logged:
        look(settings_for(kafka.bootstrap_servers, topics))
    assert [(event["event"], event["topic_retention"], event["store_retention"]) for event in logged] == [
        ("topic_retention_shorter_than_store", "1h", "72h")
    ]


@pytest.mark.parametrize(("bound", "warns"), [("1048588", True), ("2000000", False)])
def test_a_dead_letter_topic_that_takes_less_than_its_sources_is_a_warning(
    kafka: ApacheKafka, topics: FreshTopics, bound: str, warns: bool
) -> None:
    """A dead letter is its source and our headers: with the same bound the largest would stop its partition."""
    topics.create("sent", "violations", "results")
    topics.create("dead", config={"max.message.bytes": bound})
    with structlog.testing.capture_logs() as logged:
        look(settings_for(kafka.bootstrap_servers, topics))
    assert ("dead_letters_may_not_fit" in [event["event"] for event in logged]) == warns


def test_a_tls_client_at_a_plain_listener_is_told_so(kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWER_WITHIN_S", 1.0)
    with pytest.raises(StartError, match="SSL"):
        look(settings_for(kafka.bootstrap_servers, None, **{"security.protocol": "ssl"}))


def test_brokers_that_call_themselves_by_an_unknown_name_are_the_reason_given(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best-known trap of Kafka in containers: the first answer comes, nothing after it."""
    monkeypatch.setattr(cluster, "ANSWER_WITHIN_S", 5.0)
    with ApacheKafka(properties={"advertised.listeners": "PLAINTEXT://kafka.invalid:9092"}) as strange:
        monkeypatch.setenv("UNPUSH__KAFKA__BOOTSTRAP_SERVERS", strange.bootstrap_servers)
        assert main(["topics", "-c", str(file)]) == 1
    said = capsys.readouterr().err
    assert "advertised.listeners" in said
    assert "kafka.invalid" in said


def test_topics_creates_what_is_missing_once_and_as_the_contract_says(
    kafka: ApacheKafka, topics: FreshTopics, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Contract, Topics: LogAppendTime, cleanup delete, with room for dead letters and results above their source."""
    assert main(["topics", "-c", str(file), "--partitions", "5", "--replication-factor", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{topics.name(name)}: created, 5 partitions" for name in NAMES]
    assert main(["topics", "-c", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{topics.name(name)}: exists, 5 partitions" for name in NAMES]
    found = [described(kafka, topics.name(name)) for name in NAMES]
    assert {config["message.timestamp.type"] for config in found} == {"LogAppendTime"}
    assert {config["cleanup.policy"] for config in found} == {"delete"}
    assert all(int(config["retention.ms"]) > 72 * 3_600_000 for config in found)
    limits = [int(config["max.message.bytes"]) for config in found]
    assert min(limits[2:]) >= max(limits[:2]) + 100_000
    assert look(settings_for(kafka.bootstrap_servers, topics)).partitions == 5


def test_topics_makes_the_missing_ones_like_those_that_exist(
    kafka: ApacheKafka, topics: FreshTopics, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topics.create("violations", partitions=2, config={"message.timestamp.type": "CreateTime"})
    assert main(["topics", "-c", str(file)]) == 0
    assert capsys.readouterr().out.count("created, 2 partitions") == 3
    assert described(kafka, topics.name("violations"))["message.timestamp.type"] == "CreateTime"


def test_topics_creates_nothing_that_would_contradict_what_exists(
    kafka: ApacheKafka, topics: FreshTopics, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topics.create("sent", partitions=2)
    assert main(["topics", "-c", str(file), "--partitions", "6"]) == 1
    assert "2 partitions, not 6" in capsys.readouterr().err
    topics.create("violations", partitions=3)
    assert main(["topics", "-c", str(file)]) == 1
    assert "sent has 2" in capsys.readouterr().err
    with pytest.raises(StartError, match="results"):
        look(settings_for(kafka.bootstrap_servers, topics))


def test_topics_says_why_the_broker_refuses(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topics", "-c", str(file), "--replication-factor", "3"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "cannot be created" in lines[0]
    assert "replication factor" in lines[0]
