"""Topics change under a running service: made anew, with more partitions, emptied, partitioned by two rules."""

from __future__ import annotations

import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from stream.model import Outcome
from stream.wire.partitioners import Partitioner
from stream.wire.wire import Wire
from tests.scenarios.judge import breaches
from tests.scenarios.service import Instance
from tests.scenarios.story import Book, Progress, Story
from tests.scenarios.test_bad_records import limit_letters
from tests.scenarios.town import RESULTS, SENDS, VIOLATIONS, Town

NOTICED_WITHIN_S = 20.0
"""The topics are looked at every five seconds."""


def admin(town: Town) -> AdminClient:
    """The broker's."""
    return AdminClient({"bootstrap.servers": town.topics.bootstrap_servers})


def make_anew(town: Town, topic: str) -> None:
    """Delete it and create it again, with no records and another id."""
    name = town.topics.name(topic)
    client = admin(town)
    client.delete_topics([name], operation_timeout=20)[name].result(timeout=30)
    town.topics.create(topic, partitions=town.partitions)


def add_a_partition(town: Town, *topics: str) -> None:
    """One more."""
    client = admin(town)
    more = [NewPartitions(town.topics.name(topic), town.partitions + 1) for topic in topics]
    for done in client.create_partitions(more).values():
        done.result(timeout=20)


def last_sentence(instance: Instance) -> str:
    """What it said when it ended by itself, with exit 1 and without a traceback."""
    instance.dismissed = True
    assert instance.ended(NOTICED_WITHIN_S) == 1
    assert "Traceback" not in instance.text
    return instance.text.strip().splitlines()[-1]


def tell_some(town: Town, messages: int) -> None:
    """Sends, and a violation of each."""
    sends = [town.maker.send(tokens=2) for _ in range(messages)]
    town.tell(sends, town.maker.violations(send.head.message_id for send in sends))


def judge_what_came_since(town: Town) -> None:
    """Of Push Kit's book only what the new story may answer for."""
    ours = {(sent.send.head.client_id, sent.send.head.notify_id) for sent in town.story.sends}
    book = town.push_kit.book()
    of_ours = {slot: tokens for slot, tokens in book.revoked.items() if slot in ours}
    assert not breaches(town.story, Book(of_ours, book.refused, book.last_ms, book.calls))


@pytest.mark.parametrize(("topic", "grown"), [(SENDS, True), (VIOLATIONS, False)])
def test_a_topic_made_anew_under_a_running_service_ends_it_and_the_next_start_reads_it(
    town: Town, topic: str, grown: bool
) -> None:
    """Contract: a topic that was deleted and created again (another topic id) makes its shards start anew, also where
    it has grown past the old position."""
    instance = town.run(join={"not_found_after": "10s"}).wait_until_it_works()  # longer than until it is noticed
    tell_some(town, 40)
    town.wait_until_settled()
    make_anew(town, topic)
    town.story, town.progress = Story(), Progress()
    if grown:
        tell_some(town, 200)
    assert "was deleted and created again" in last_sentence(instance)
    again = town.run().wait_until_it_works()
    again.wait_for("shard_starts_anew")
    tell_some(town, 20)
    town.wait_until_settled()
    judge_what_came_since(town)
    assert again.stop() == 0


def test_a_topic_made_anew_while_nobody_ran_is_read_from_its_start(town: Town) -> None:
    """The same, found by the next start, though the topic has grown past the old position."""
    instance = town.run().wait_until_it_works()
    tell_some(town, 40)
    town.wait_until_settled()
    assert instance.stop() == 0
    make_anew(town, SENDS)
    town.story, town.progress = Story(), Progress()
    tell_some(town, 200)
    again = town.run().wait_until_it_works()
    again.wait_for("shard_starts_anew")
    town.wait_until_settled()
    judge_what_came_since(town)
    assert again.stop() == 0


def test_partitions_added_under_a_running_service_end_it_and_the_next_start_says_what_to_do(town: Town) -> None:
    """Contract: a partition count that has changed stops `run` with exit 1 and says what to do."""
    instance = town.run().wait_until_it_works()
    tell_some(town, 40)
    town.wait_until_settled()
    add_a_partition(town, SENDS)
    said = last_sentence(instance)
    assert f"had {town.partitions} partitions and has {town.partitions + 1} now: keys have moved" in said
    assert "the partition counts differ" in last_sentence(town.run())
    add_a_partition(town, VIOLATIONS, RESULTS)
    said = last_sentence(town.run())
    assert f"was written when the topics had {town.partitions} partitions, now they have {town.partitions + 1}" in said
    town.judge()


@pytest.mark.parametrize(("topic", "past"), [(SENDS, False), (VIOLATIONS, False), (SENDS, True)])
def test_what_retention_took_while_reading_stood_still_is_said_with_its_number(
    town: Town, topic: str, past: bool
) -> None:
    """A running service: below the log's start, say how many; never a silent jump, and all else goes on."""
    limit_letters(town, 100)
    instance = None if past else town.run().wait_until_it_works()
    for _ in range(100):
        town.put(topic, b"k", b"junk" * 500, partition=0)
    town.flush()
    instance = instance or town.run()
    instance.wait_for("reading_waits", topic=town.topics.name(topic), partition=0)
    client, place = admin(town), TopicPartition(town.topics.name(topic), 0, OFFSET_END)
    client.delete_records([place])[place].result(timeout=20)
    gone = instance.wait_for("records_gone", topic=town.topics.name(topic), partition=0)
    assert gone["count"] == 100
    tell_some(town, 100)
    town.wait_until_settled()
    town.judge()
    assert {seen.partition for seen in town.story.results} == set(range(town.partitions))
    assert instance.stop() == 0


def test_senders_and_detectors_with_two_partitioners_are_noticed_and_nothing_is_called_not_found(town: Town) -> None:
    """Contract: a systematic disagreement is found at run time and said loudly; no NOT_FOUND meanwhile."""
    instance = town.run().wait_until_it_works()
    maker, wire = town.maker, Wire()
    sends = [maker.send() for _ in range(200)]
    for send in sends:
        key = send.head.message_id.encode()
        place = Partitioner.CRC32.place(key, town.partitions)
        town.put(SENDS, key, wire.encode_send(send), partition=place)
    town.tell(maker.violations(send.head.message_id for send in sends))
    instance.wait_for("partitioners_differ")
    town.pass_time(3)
    met = {seen.result.message_id for seen in town.story.results}
    assert {seen.result.outcome for seen in town.story.results} == {Outcome.REVOKED}
    assert 10 < len(met) < 100, "a quarter of them, by chance"

    def mended() -> bool:
        town.tell(maker.send())  # of each run one key is looked at
        return len(town.story.results) == len(sends)

    town.wait_until(mended, what="the end of the disagreement")
    late = {seen.result.message_id for seen in town.story.results if seen.result.outcome is Outcome.NOT_FOUND}
    assert late == {send.head.message_id for send in sends} - met
    assert instance.stop() == 0
