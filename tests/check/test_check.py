"""Contract, Commands: `unpush check` on Apache Kafka, as a person and a program run it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from stream.__main__ import main
from stream.brokers.apache import ApacheKafka
from stream.kafka import cluster
from stream.wire.wire import Wire
from tests.scenarios.making import Maker
from tests.topics import FreshTopics

NAMES = ("sent", "found", "results", "dead")


def written(folder: Path, servers: str, topics: FreshTopics | None = None, more: str = "") -> Path:
    """A settings file."""
    sent, found, results, dead = (topics.name(name) if topics else name for name in NAMES)
    file = folder / "unpush.toml"
    file.write_text(
        f"""
        kafka.bootstrap_servers = "{servers}"
        push_kit.url = "http://127.0.0.1:9"
        {more}
        [topics]
        message_sent = "{sent}"
        violation_detected = "{found}"
        revoke_result = "{results}"
        dead_letter = "{dead}"
        """
    )
    return file


def checked(file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """The exit code, and by what was looked at each verdict with its words."""
    code = main(["check", "-c", str(file), "--json"])
    rows: dict[str, list[tuple[str, str]]] = {}
    for row in json.loads(capsys.readouterr().out)["verdicts"]:
        rows.setdefault(row["about"], []).append((row["verdict"], f"{row['found']} | {row['todo']}"))
    return code, rows


def test_topics_that_do_not_do_fail_with_numbers_and_the_cure(
    kafka: ApacheKafka, topics: FreshTopics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Contract: counts that differ, retention that is too short, compaction fail; CreateTime warns."""
    topics.create("sent", partitions=3, config={"retention.ms": "3600000", "retention.bytes": "1000000"})
    topics.create("found", partitions=2, config={"message.timestamp.type": "CreateTime"})
    topics.create("results", partitions=3, config={"cleanup.policy": "compact"})
    code, rows = checked(written(tmp_path, kafka.bootstrap_servers, topics), capsys)
    assert code == 1
    verdicts = {about: [verdict for verdict, _ in found] for about, found in rows.items()}
    assert verdicts["topics"] == verdicts["co-partitioning"] == verdicts["compaction"] == ["failed"]
    assert verdicts["retention"] == verdicts["gateway"] == ["failed"]
    assert verdicts["retention.bytes"] == verdicts["timestamp type"] == ["warning"]
    assert f"{topics.name('sent')} has 3, {topics.name('found')} has 2" in rows["co-partitioning"][0][1]
    assert all(words in rows["retention"][0][1] for words in ("1h", "72h", topics.name("sent")))
    assert topics.name("dead") in rows["topics"][0][1]


def test_what_stands_in_the_topics_is_counted_and_its_partitioners_compared_without_a_trace(
    kafka: ApacheKafka, topics: FreshTopics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Contract: a systematic disagreement is said by `check`; issue 7: what a first start would act on."""
    topics.create(*NAMES)
    maker, wire = Maker(["app"]), Wire()
    for topic, partitioner in (("sent", "murmur2_random"), ("found", "consistent_random")):
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "partitioner": partitioner})
        for number in range(60):
            name = f"m-{number}"
            value = (
                wire.encode_send(maker.send(name))
                if topic == "sent"
                else wire.encode_violation(maker.violation(name, detected_at_ms=1_000_000 + number))
            )
            producer.produce(topics.name(topic), value, name.encode())
        assert producer.flush(10) == 0
    groups = f'kafka.group_id = "{topics.group_id}"'
    code, rows = checked(written(tmp_path, kafka.bootstrap_servers, topics, groups), capsys)
    assert code == 1
    assert [verdict for verdict, _ in rows["rights"]] == ["ok"]
    [(verdict, said)] = rows["partitioners"]
    assert verdict == "failed"
    assert "CRC32" in said
    [(verdict, said)] = rows["first start"]
    assert verdict == "warning"
    assert "60 violations of 60 messages" in said
    assert "join.since" in said
    since = groups + '\njoin.since = "1970-01-01T00:16:40.030Z"'
    [(verdict, said)] = checked(written(tmp_path, kafka.bootstrap_servers, topics, since), capsys)[1]["first start"]
    assert (verdict, said.split(" violations")[0]) == ("ok", "30")
    listed = AdminClient({"bootstrap.servers": kafka.bootstrap_servers}).list_consumer_groups().result(timeout=20)
    assert not [group.group_id for group in listed.valid if group.group_id.startswith(topics.group_id)]
    assert not (tmp_path / "state").exists()


def test_nothing_reachable_is_a_row_each_within_bounded_time_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_WITHIN_S", 1.0)
    monkeypatch.setattr(cluster, "_SLICE_S", 0.5)
    more = 'push_kit.key_file = "gone.json"\navro.registry_url = "http://127.0.0.1:9"'
    start_s = time.monotonic()
    code, rows = checked(written(tmp_path, "127.0.0.1:9", None, more), capsys)
    assert code == 1
    verdicts = {about: found[0][0] for about, found in rows.items()}
    assert {about for about, verdict in verdicts.items() if verdict == "failed"} == {
        "broker", "key files", "registry", "gateway",
    }  # fmt: skip
    assert {"co-partitioning", "retention", "partitioners", "first start"} <= {
        about for about, verdict in verdicts.items() if verdict == "unknown"
    }
    assert time.monotonic() - start_s < 20


def test_a_property_that_librdkafka_refuses_is_the_brokers_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = 'kafka.properties."fetch.wait.max.ms" = "-5"'
    code, rows = checked(written(tmp_path, "127.0.0.1:9", None, more), capsys)
    [(verdict, said)] = rows["broker"]
    assert (code, verdict) == (1, "failed")
    assert "kafka.properties.fetch.wait.max.ms" in said
    assert "mend it in the settings" in said
    assert "\n" not in said


def test_wrong_settings_are_exit_2_and_a_row_for_programs_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "unpush.toml"
    file.write_text("kafka.nope = 1")
    assert main(["check", "-c", str(file), "--json"]) == 2
    said = capsys.readouterr()
    assert "kafka.nope" in json.loads(said.out)["verdicts"][0]["found"]
    assert said.err.count("\n") == 1


def test_for_people_it_is_a_table_with_the_acls_that_are_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_WITHIN_S", 0.5)
    monkeypatch.setattr(cluster, "_SLICE_S", 0.5)
    assert main(["check", "-c", str(written(tmp_path, "127.0.0.1:9"))]) == 1
    said = capsys.readouterr().out
    [row] = [line for line in said.splitlines() if line.startswith(" broker")]
    assert "failed" in row
    assert "127.0.0.1:9" in row
    [group] = [line for line in said.splitlines() if line.startswith(" Group")]
    assert group.split()[:4] == ["Group", "unpush", "(prefixed)", "Read"]
