"""What the readers share: a batch becomes runs."""

from __future__ import annotations

from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from stream.kafka.reading import Run, sort_batch
from stream.model import Topic

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
