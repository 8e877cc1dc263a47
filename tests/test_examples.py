"""Every example in the documents runs, and what it writes and reads is what Unpush reads and writes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jgo
import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition, murmur2

from stream.brokers.jars import class_path
from stream.brokers.mock import MockKafka
from stream.model import Outcome, RejectedToken, RevokeResult, SendPart, Severity, Status
from stream.wire.registry import Registry
from stream.wire.wire import Wire
from tests.test_documents import README, ROOT, blocks
from tests.topics import FreshTopics
from tests.wire.schema_registry import SchemaRegistry

EXAMPLES = tuple(ROOT / "docs" / name for name in ("producers.md", "violations.md", "results.md"))
SENT, FOUND, RESULT = "push.message-sent", "push.violation-detected", "push.revoke-result"
AVRO = "org.apache.avro:avro:1.12.1"
TOPICS = dict.fromkeys((SENT, FOUND, RESULT, "push.revoke-dead-letter"), 3)


def scripts() -> dict[str, str]:
    """Every Python example by the file name in its first line."""
    found = [block for path in EXAMPLES for block in blocks(path, "python")]
    return {re.match(r"# (\w+)\.py", block).group(1): block for block in found}  # type: ignore[union-attr]


@pytest.fixture
def broker() -> Iterator[MockKafka]:
    """librdkafka's own, with the contract's topics."""
    with MockKafka(TOPICS) as mock:
        yield mock


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where a user would run an example: beside the schemas."""
    (tmp_path / "schemas").symlink_to(ROOT / "schemas")
    return tmp_path


def start(name: str, place: Path, servers: str = "", registry: str = "") -> subprocess.Popen[str]:
    """One of the examples as a script, its addresses replaced."""
    text = scripts()[name].replace("localhost:9092", servers).replace("http://localhost:8081", registry)
    (place / f"{name}.py").write_text(text)
    command = [sys.executable, f"{name}.py"]
    return subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(name: str, place: Path, servers: str, registry: str = "") -> None:
    script = start(name, place, servers, registry)
    said, _ = script.communicate(timeout=30)
    assert (script.returncode, said) == (0, "")


def only_record(servers: str, topic: str) -> Message:
    """The one record of a topic; it has three partitions."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "t", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(3)])
    found = consumer.consume(2, timeout=2.0) + consumer.consume(1, timeout=0.2)
    consumer.close()
    (message,) = found
    return message


def partition_of(key: bytes) -> int:
    """Where Java would put it."""
    return int(murmur2(key, TOPICS[FOUND]))


def must_be_the_send(message: Message) -> None:
    """As it is to be read, and where murmur2 puts it."""
    wire = Wire()
    wire.check_send(message.key(), message.value())
    send = wire.send(message.value() or b"")
    assert send.head[:4] == ("campaign-7", "104729331", 7001, 0)
    assert send.tokens == (b"token-of-device-1", b"token-of-device-2")
    assert abs(send.head.sent_at_ms / 1000 - time.time()) < 60
    assert message.partition() == partition_of(b"campaign-7")


def test_what_the_senders_example_writes_is_a_send(broker: MockKafka, place: Path) -> None:
    run("sender", place, broker.bootstrap_servers)
    must_be_the_send(only_record(broker.bootstrap_servers, SENT))


@pytest.mark.skipif(
    os.environ.get("UNPUSH_SCENARIOS") != "full" or shutil.which("javac") is None,
    reason="with UNPUSH_SCENARIOS=full, where there is javac: the JDK that pip brings has no compiler",
)
@pytest.mark.timeout(300)
def test_what_the_senders_example_in_java_writes_is_the_same_send(topics: FreshTopics, place: Path) -> None:
    """Compiled without a warning against Kafka's and Avro's own jars, and run against Kafka itself."""
    (topic,) = topics.create(SENT, partitions=TOPICS[SENT])
    (source,) = blocks(ROOT / "docs" / "producers.md", "java")
    (place / "Sender.java").write_text(source.replace("localhost:9092", topics.bootstrap_servers).replace(SENT, topic))
    jars = f"{class_path()}:{':'.join(str(jar) for jar in jgo.build(AVRO).all_jars)}"
    for command in (
        ["javac", "-Xlint:all", "-Werror", "-cp", jars, "Sender.java"],
        ["java", "-cp", f"{jars}:.", "Sender"],
    ):
        done = subprocess.run(command, cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "not recorded" not in done.stderr
    must_be_the_send(only_record(topics.bootstrap_servers, topic))


def test_what_the_detectors_example_writes_is_a_violation(broker: MockKafka, place: Path) -> None:
    run("detector", place, broker.bootstrap_servers)
    message = only_record(broker.bootstrap_servers, FOUND)
    event = Wire().violation(message.key(), message.value())
    assert event[:5] == ("finding-1", "campaign-7", Severity.CRITICAL, Status.CONFIRMED, "wrong price")
    assert message.partition() == partition_of(b"campaign-7")


def test_what_the_example_with_a_registry_writes_is_the_same_violation(broker: MockKafka, place: Path) -> None:
    with SchemaRegistry() as registry:
        run("confluent", place, broker.bootstrap_servers, registry.url)
        message = only_record(broker.bootstrap_servers, FOUND)
        subjects = {"MessageSent": SENT, "ViolationDetected": FOUND, "RevokeResult": RESULT}
        event = Wire("single-object", Registry(registry.url, subjects)).violation(message.key(), message.value())
    assert event[:5] == ("finding-1", "campaign-7", Severity.CRITICAL, Status.CONFIRMED, "wrong price")
    assert (message.value() or b"")[:1] == b"\0"


def result(result_id: str, outcome: Outcome, revoked: int) -> RevokeResult:
    """A result of three places."""
    rejected = tuple(RejectedToken(f"token-{at}", "illegalToken") for at in range(3 - revoked))
    parts = (SendPart(0, 5, 0, 3),)
    head = (result_id, "finding-1", "campaign-7", Severity.HIGH, "wrong price", 1_000, outcome, "104729331", 7001, 0)
    return RevokeResult(*head, parts, 3, revoked, rejected, 1, 200, "80000000", None, "r", 3, 3, False, 2_000, 3_000)


def test_the_readers_example_keeps_the_later_of_two_results_with_one_id(broker: MockKafka, place: Path) -> None:
    producer, wire = Producer({"bootstrap.servers": broker.bootstrap_servers}), Wire()
    for each in (
        result("a", Outcome.FAILED, 0),
        result("b", Outcome.DRY_RUN, 3),
        result("a", Outcome.PARTIALLY_REVOKED, 2),
    ):
        producer.produce(RESULT, wire.encode_result(each), b"campaign-7", 1)
    assert producer.flush(20) == 0
    kept = read_by_example(place, broker.bootstrap_servers, "PARTIALLY_REVOKED")
    assert kept == [("a", "campaign-7", "finding-1", "PARTIALLY_REVOKED", 2, 1, 1)]


def wait_for_row(path: Path, outcome: str) -> list[tuple[Any, ...]]:
    """All rows, once one has this outcome."""
    deadline_s = time.monotonic() + 30
    kept: list[tuple[Any, ...]] = []
    while time.monotonic() < deadline_s and outcome not in [row[3] for row in kept]:
        time.sleep(0.1)
        if path.exists():
            with sqlite3.connect(path) as table:
                known = table.execute("SELECT name FROM sqlite_master WHERE name = 'results'").fetchall()
                kept = table.execute("SELECT * FROM results").fetchall() if known else []
    return kept


@contextlib.contextmanager
def process(place: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """One of our own commands beside the examples; asked to end, and then it must have done so well."""
    started = subprocess.Popen([sys.executable, "-m", "stream", *command], cwd=place, stdout=subprocess.PIPE, text=True)
    try:
        yield started
        started.terminate()
        assert started.wait(30) == 0
    finally:
        started.kill()
        started.communicate()


def test_the_readmes_settings_and_examples_revoke_a_message(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first deployment, with the simulator in Push Kit's place: sent, found, revoked, read."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with (
        MockKafka(TOPICS) as broker,
        process(place, "simulate", "--port", "0", "--app", "104729331", "--make-keys", "keys") as gateway,
    ):
        assert gateway.stdout is not None
        url = gateway.stdout.readline().removeprefix("listening on ").strip()
        (place / "keys" / "104729331.json").rename(place / "keys" / "app.json")
        text = blocks(README, "toml")[0].replace("kafka-1:9092,kafka-2:9092", broker.bootstrap_servers)
        (place / "unpush.toml").write_text(text + f'[push_kit]\nurl = "{url}"\n[http]\nlisten = "127.0.0.1:0"\n')
        with process(place, "run", "-c", "unpush.toml"):
            run("sender", place, broker.bootstrap_servers)
            run("detector", place, broker.bootstrap_servers)
            assert read_by_example(place, broker.bootstrap_servers, "REVOKED")[0][1:] == (
                "campaign-7", "finding-1", "REVOKED", 2, 0, 1,
            )  # fmt: skip


def read_by_example(place: Path, servers: str, outcome: str) -> list[tuple[Any, ...]]:
    """What the reader's example keeps, once a row has this outcome."""
    reader = start("reader", place, servers)
    try:
        return wait_for_row(place / "audit.db", outcome)
    finally:
        reader.terminate()
        assert reader.communicate(timeout=20)[0] == ""


def test_the_example_for_versions_reads_what_any_version_wrote(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    names: dict[str, Any] = {}
    exec(compile(scripts()["versions"], "versions.py", "exec"), names)
    record = names["read"](Wire().encode_result(result("a", Outcome.REVOKED, 3)))
    assert (record["resultId"], record["outcome"], record["tokensRevoked"]) == ("a", "REVOKED", 3)
    assert len(names["WRITTEN"]) >= 2
    with pytest.raises(KeyError):
        names["read"](b"\xc3\x01" + bytes(8) + b"x")
