"""Headers read once more from Kafka itself."""

from __future__ import annotations

import time

from confluent_kafka import Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.brokers.apache import ApacheKafka
from stream.kafka import originals, properties
from stream.kafka.originals import headers_again
from stream.model import Position
from stream.settings import default_settings
from tests.topics import FreshTopics

OWN: list[tuple[str, bytes | None]] = [("own", b"\x00\xff"), ("own", b"2"), ("none", None)]


def written(servers: str, topic: str, count: int) -> list[Position]:
    """So many records with headers, and where they stand."""
    places: list[Position] = []

    def note(_: object, message: Message) -> None:
        place = message.topic() or "", message.partition() or 0, message.offset() or 0, message.timestamp()[1]
        places.append(Position(*place))

    producer = Producer({"bootstrap.servers": servers})
    for at in range(count):
        producer.produce(topic, b"x", partition=at % 2, headers=[*OWN, ("at", b"%d" % at)], on_delivery=note)
    assert producer.flush(10) == 0
    return places


def test_each_record_has_its_own_headers_and_one_that_is_gone_has_none(kafka: ApacheKafka, topics: FreshTopics) -> None:
    """A dead letter keeps the record's own headers; no other record's are taken for them."""
    (topic,) = topics.create("sends", partitions=2)
    places = written(kafka.bootstrap_servers, topic, 40)
    first = min((at for at in places if at.partition == 0), key=lambda at: at.offset)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    gone = TopicPartition(topic, 0, first.offset + 1)
    admin.delete_records([gone])[gone].result(timeout=20)
    beyond, another = Position(topic, 1, 999, 1), Position(topic, 1, 3, 17)
    consumer = properties.past(default_settings(kafka={"bootstrap_servers": kafka.bootstrap_servers}))
    found = headers_again(consumer, [*places, beyond, another])
    assert (found.pop(first), found.pop(beyond), found.pop(another)) == ([], [], [])
    assert set(found) == set(places) - {first}
    assert all(headers[:3] == OWN for headers in found.values())
    assert len({headers[3] for headers in found.values()}) == 39


def test_a_broker_that_does_not_answer_costs_a_bounded_time() -> None:
    """One that Kafka did not give in time is left out, to be asked for again."""
    consumer = properties.past(default_settings(kafka={"bootstrap_servers": "127.0.0.1:1"}))
    began_s = time.monotonic()
    assert headers_again(consumer, [Position("sends", 0, at, 1) for at in range(3)]) == {}
    assert time.monotonic() - began_s < originals.WITHIN_S + 3
