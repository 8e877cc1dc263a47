"""What only an administrator is told."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from stream.brokers.apache import ApacheKafka
from stream.kafka import cluster, properties
from stream.kafka.cluster import Cluster
from stream.kafka.unowned import assigned
from stream.model import StartError
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


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_tells_its_members_and_what_each_was_given_and_a_newer_one_nothing(
    topics: FreshTopics, protocol: str
) -> None:
    """Kafka describes a group by KIP-848 in no way that does not endanger the process."""
    (topic,) = topics.create("violations", partitions=2)
    given = {"bootstrap_servers": topics.bootstrap_servers, "group_id": topics.group_id, "group_protocol": protocol}
    settings = default_settings(kafka=given)
    member = Consumer(properties.member(settings))
    try:
        member.subscribe([topic])
        while len(member.assignment()) < 2:
            member.poll(0.1)
        group = Cluster(settings).group(topics.group_id)
        if protocol == "consumer":
            assert group is None
        else:
            assert group is not None
            [seen] = group.members
            assert (group.at_rest, seen.member_id, seen.client_id, seen.host) == (
                True,
                member.memberid(),
                properties.member(settings)["client.id"],
                "/127.0.0.1",
            )
            assert assigned(seen.assignment, topic) == [0, 1]
    finally:
        member.close()


def test_a_question_that_is_never_answered_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, whatever becomes of an answer on its way."""
    monkeypatch.setattr(cluster, "ANSWER_WITHIN_S", 0.01)
    asked = Cluster(default_settings(kafka={"bootstrap_servers": "127.0.0.1:1"}))
    with pytest.raises(StartError, match=r"Kafka at 127\.0\.0\.1:1 .* left a question unanswered for"):
        asked._answer(Future())


@pytest.mark.parametrize(
    "aside", ["after 0ms in state CONNECT", "after 1ms in state CONNECT, 1 identical error(s) suppressed"]
)
def test_what_librdkafka_adds_in_brackets_is_left_out_whole(aside: str) -> None:
    error = KafkaError(KafkaError._TRANSPORT, f"127.0.0.1:9/bootstrap: Connection refused ({aside})")
    assert cluster._said(error) == "127.0.0.1:9: Connection refused"
