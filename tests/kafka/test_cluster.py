"""What only an administrator is told."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer, TopicPartition

from stream.brokers.apache import ApacheKafka
from stream.kafka import properties
from stream.kafka.cluster import Cluster
from stream.settings import default_settings
from tests.topics import FreshTopics


def test_the_end_includes_what_stands_in_an_open_transaction(kafka: ApacheKafka, topics: FreshTopics) -> None:
    """A reader of committed records takes the beginning of an open transaction for the end."""
    (topic,) = topics.create("sends", partitions=1)
    settings = default_settings(kafka={"bootstrap_servers": kafka.bootstrap_servers})
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(20)
    producer.begin_transaction()
    for _ in range(3):
        producer.produce(topic, b"x")
    assert producer.flush(20) == 0
    reader = Consumer(properties.sends(settings))
    assert reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=20) == (0, 0)
    assert Cluster(settings).end(topic, 0) == 3
    producer.abort_transaction(20)
    reader.close()
