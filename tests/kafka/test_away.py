"""Brokers that go away in the moment in which something is asked of them, on librdkafka's mock cluster."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from stream.brokers.mock import MockKafka
from stream.kafka import properties
from stream.kafka.membership import Membership
from stream.kafka.reading import Place, patiently
from stream.model import StartError, Topic
from stream.settings import default_settings

NAMES = {Topic.SENDS: "sends", Topic.VIOLATIONS: "violations", Topic.RESULTS: "results"}
AWAY = KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))


class Shards:
    """Where shards come to; the broker goes away while the first one comes."""

    def __init__(self) -> None:
        self.tries = 0
        self.came = threading.Event()
        self.ends: Mapping[int, Mapping[Topic, int]] = {}

    def arrive(self, ends: Mapping[int, Mapping[Topic, int]]) -> None:
        """The second time."""
        self.tries += 1
        if self.tries == 1:
            raise StartError("no Kafka broker answers")
        self.ends = ends
        self.came.set()

    def leave(self, shards: list[int]) -> None:
        """Nothing to finish."""

    def lost(self, shards: list[int]) -> None:
        """Nothing to fence."""

    def returning(self) -> None:
        """Nothing was written."""

    def positions(self) -> Mapping[Place, int]:
        """Nothing to commit."""
        return {}


def test_a_shard_comes_though_the_brokers_go_away_while_it_comes() -> None:
    """The brokers go away and come back while it runs: reading waits."""
    failed: list[Exception] = []
    shards = Shards()
    with MockKafka(dict.fromkeys(NAMES.values(), 1)) as broker:
        settings = default_settings(kafka={"bootstrap_servers": broker.bootstrap_servers})
        member = Membership(properties.member(settings), NAMES, lambda *_: None, shards, lambda *_: None, failed.append)
        member.thread.start()
        came = shards.came.wait(20)
        member.stop()
    assert failed == []
    assert came


def test_what_was_written_before_the_shards_came_back_lies_below_their_ends() -> None:
    """No call whose result is still on its way is made again by the same process."""
    shards = Shards()
    with MockKafka(dict.fromkeys(NAMES.values(), 1)) as broker:
        settings = default_settings(kafka={"bootstrap_servers": broker.bootstrap_servers})
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})

        def write() -> None:
            producer.produce("results", b"late")
            producer.flush()

        shards.returning = write  # type: ignore[method-assign]
        member = Membership(
            properties.member(settings), NAMES, lambda *_: None, shards, lambda *_: None, lambda _: None
        )
        member.thread.start()
        assert shards.came.wait(20)
        member.stop()
    assert shards.ends[0][Topic.RESULTS] == shards.tries


def test_what_the_brokers_did_not_answer_is_asked_again_until_we_stop() -> None:
    answers = iter([AWAY, AWAY])

    def ask() -> int:
        for error in answers:
            raise error
        return 7

    stopped = threading.Event()
    assert patiently(ask, stopped) == 7
    answers = iter([AWAY])
    stopped.set()
    with pytest.raises(KafkaException):
        patiently(ask, stopped)
