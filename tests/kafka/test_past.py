"""The reader of the past, on librdkafka's mock cluster."""

from __future__ import annotations

import time
from typing import Any, cast

from confluent_kafka import Message, Producer, TopicPartition

from stream.brokers.mock import MockKafka
from stream.kafka import properties
from stream.kafka.past import Arrived, Past
from stream.kafka.reading import Place
from stream.model import Topic
from stream.settings import default_settings
from stream.work.ranges import Ranges
from tests.kafka.test_tail import FullSpeed, wait_until

NAMES = {Topic.SENDS: "sends", Topic.VIOLATIONS: "violations", Topic.RESULTS: "results"}


YESTERDAY_MS = int(time.time() * 1_000) - 86_400_000


class Timed:
    """A consumer whose brokers know of times: retention begins at ``floor``, in every partition."""

    def __init__(self, consumer: Any, floor: int) -> None:
        self._consumer, self._floor = consumer, floor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def offsets_for_times(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """The floor."""
        return [TopicPartition(place.topic, place.partition, self._floor) for place in places]


def read_past(known: Ranges, floor: int | None = None) -> list[list[tuple[int, int]]]:
    """What is read of twenty records of each topic, of which ``known`` were read before."""
    read: dict[Place, Ranges] = {(topic, 0): Ranges(tuple(known)) for topic in NAMES}
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
        if floor is not None:
            past._consumer = cast(Any, Timed(past._consumer, floor))
        past.thread.start()
        past.add(Arrived(0, dict.fromkeys(Topic, 20), YESTERDAY_MS, dict.fromkeys(Topic, True)))
        wait_until(lambda: list(told.values()).count(float("-inf")) == len(NAMES))
        past.stop()
    assert failed == []
    return [[(start, end) for start, end in ranges] for ranges in read.values()]


def test_a_broker_that_knows_no_record_so_new_is_not_believed() -> None:
    """Nothing is lost through broker loss: brokers that have just come back have answered so of partitions full of new
    records, as this mock always does, and what is not read then is never read."""
    assert read_past(Ranges()) == [[(0, 20)]] * len(NAMES)


def test_what_others_said_of_what_is_stored_here_is_read_though_it_has_left_retention() -> None:
    """A shard that comes back with its old store after more than retention: what its owner of then revoked would else
    end expired, or be called not found."""
    known = Ranges()
    known.add(0, 5)
    assert read_past(known, floor=15) == [[(0, 5), (15, 20)], [(0, 20)], [(0, 20)]]
    assert read_past(Ranges(), floor=15) == [[(15, 20)]] * len(NAMES)
