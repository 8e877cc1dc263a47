"""The reader of the past, on librdkafka's mock cluster."""

from __future__ import annotations

import time

from confluent_kafka import Message, Producer

from stream.brokers.mock import MockKafka
from stream.kafka import properties
from stream.kafka.past import Arrived, Past
from stream.kafka.reading import Place
from stream.model import Topic
from stream.settings import default_settings
from stream.work.ranges import Ranges
from tests.kafka.test_tail import FullSpeed, wait_until

NAMES = {Topic.SENDS: "sends", Topic.VIOLATIONS: "violations", Topic.RESULTS: "results"}


def test_a_broker_that_knows_no_record_so_new_is_not_believed() -> None:
    """Nothing is lost through broker loss: brokers that have just come back have answered so of partitions full of new
    records, as this mock always does, and what is not read then is never read."""
    read: dict[Place, Ranges] = {(topic, 0): Ranges() for topic in NAMES}
    told: dict[Place, float] = {}
    failed: list[Exception] = []

    def take(topic: Topic, partition: int, messages: list[Message], start: int, end: int) -> None:
        read[topic, partition].add(start, end)

    with MockKafka(dict.fromkeys(NAMES.values(), 1)) as broker:
        settings = default_settings(kafka={"bootstrap_servers": broker.bootstrap_servers})
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        for name in NAMES.values():
            for number in range(20):
                producer.produce(name, str(number))
        producer.flush()
        past = Past(
            properties.past(settings),
            NAMES,
            take,
            FullSpeed(),
            read.get,
            lambda *_: None,
            told.__setitem__,
            lambda *_: None,
            failed.append,
        )
        past.thread.start()
        yesterday_ms = int(time.time() * 1_000) - 86_400_000
        past.add(Arrived(0, dict.fromkeys(Topic, 20), yesterday_ms, dict.fromkeys(Topic, True)))
        wait_until(lambda: list(told.values()).count(float("-inf")) == len(NAMES))
        past.stop()
    assert failed == []
    assert [list(ranges) for ranges in read.values()] == [[(0, 20)]] * len(NAMES)
