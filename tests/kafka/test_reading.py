"""What the readers share: a batch becomes runs."""

from __future__ import annotations

from contextlib import closing

from confluent_kafka import Consumer, Message
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions
from hypothesis import given
from hypothesis import strategies as st

from stream.kafka import properties
from stream.kafka.reading import Run, sort_batch, watermarks
from stream.model import Topic
from stream.settings import default_settings
from tests.topics import FreshTopics

NAMES = {"sends": Topic.SENDS, "results": Topic.RESULTS}

stretches = st.lists(st.tuples(st.sampled_from(sorted(NAMES)), st.integers(0, 2), st.integers(1, 4)), max_size=6)
of_one_topic = st.lists(st.tuples(st.just("sends"), st.integers(0, 2), st.integers(1, 4)), max_size=6)


@given(stretches | of_one_topic)
def test_a_batch_becomes_one_run_for_each_partition_in_order(stretches: list[tuple[str, int, int]]) -> None:
    """A run is what one batch holds of one partition, in order."""
    places = [(name, partition) for name, partition, count in stretches for _ in range(count)]
    batch = [Message(topic=name, partition=partition, offset=at) for at, (name, partition) in enumerate(places)]
    assert sort_batch(batch, NAMES).runs == [
        Run(NAMES[place[0]], place[1], [message for message, its in zip(batch, places, strict=True) if its == place])
        for place in dict.fromkeys(places)
    ]


def test_a_partition_that_the_client_does_not_know_of_is_asked_for_anew(topics: FreshTopics) -> None:
    """A broker that has just come back may leave partitions out; the client believes it for minutes, and a shard that
    comes waits for it."""
    (topic,) = topics.create("sends", partitions=1)
    settings = default_settings(kafka={"bootstrap_servers": topics.bootstrap_servers})
    with closing(Consumer(properties.past(settings))) as consumer:
        assert watermarks(consumer, topic, 0) == (0, 0)
        admin = AdminClient({"bootstrap.servers": topics.bootstrap_servers})
        admin.create_partitions([NewPartitions(topic, 2)])[topic].result(timeout=20)
        assert watermarks(consumer, topic, 1) == (0, 0)
