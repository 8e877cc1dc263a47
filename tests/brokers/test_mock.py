"""The demo's broker: a story's worth of Kafka, with the partitions that the story asks for."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

import stream.brokers.mock as mock
from stream.brokers.mock import PLAIN_PARTITIONS, MockKafka

TOPICS = {"push.message-sent": 6, "push.revoke-dead-letter": 1}


def found_partitions(bootstrap_servers: str) -> dict[str, int]:
    """What any client sees."""
    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    topics = client.list_topics(timeout=5).topics
    return {name: len(topic.partitions) for name, topic in topics.items()}


def produced(bootstrap_servers: str, topic: str, partition: int) -> None:
    """One record, delivered."""
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    producer.produce(topic, b"value", b"key", partition=partition)
    assert producer.flush(10) == 0


def test_topics_have_the_partitions_that_were_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    """Any partition count, for every client, at once; the demo's screen stays clean."""
    with MockKafka(TOPICS) as broker:
        assert broker.partitions == TOPICS
        assert found_partitions(broker.bootstrap_servers) == TOPICS
    assert capfd.readouterr() == ("", "")


def test_a_group_is_assigned_at_once_and_reads_what_was_written() -> None:
    """The initial rebalance delay is small: a first record comes well before librdkafka's default of 3 s."""
    with MockKafka(TOPICS) as broker:
        produced(broker.bootstrap_servers, "push.message-sent", 5)
        settings = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "g", "auto.offset.reset": "earliest"}
        consumer = Consumer({**settings, "partition.assignment.strategy": "cooperative-sticky"})
        consumer.subscribe(["push.message-sent"])
        start_s = time.monotonic()
        (message,) = consumer.consume(1, timeout=10)
        assert (message.key(), message.value(), message.partition()) == (b"key", b"value", 5)
        assert time.monotonic() - start_s < 2.5
        consumer.close()


def test_where_the_library_is_out_of_reach_it_says_which_partitions_it_got(monkeypatch: pytest.MonkeyPatch) -> None:
    """Falls back to ``test.mock.num.brokers``: 4 partitions each, and no secret of it."""
    monkeypatch.setattr(mock, "_library", lambda: None)
    with MockKafka(TOPICS) as broker:
        assert broker.partitions == dict.fromkeys(TOPICS, PLAIN_PARTITIONS)
        assert found_partitions(broker.bootstrap_servers) == broker.partitions
        produced(broker.bootstrap_servers, "push.message-sent", PLAIN_PARTITIONS - 1)


@pytest.mark.parametrize("reachable", [True, False])
def test_stop_ends_the_broker(monkeypatch: pytest.MonkeyPatch, reachable: bool) -> None:
    """Nobody answers at its address any more; a second stop does nothing."""
    if not reachable:
        monkeypatch.setattr(mock, "_library", lambda: None)
    broker = MockKafka(TOPICS)
    broker.start()
    address = broker.bootstrap_servers
    broker.stop()
    broker.stop()
    assert (broker.bootstrap_servers, broker.partitions) == ("", {})
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=0.5)
