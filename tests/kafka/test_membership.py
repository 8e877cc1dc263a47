"""The group member on Apache Kafka itself, which goes away and comes back, and on librdkafka's mock cluster."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import orjson
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from stream.brokers.apache import ApacheKafka
from stream.brokers.mock import MockKafka
from stream.kafka import properties, pulse, reading
from stream.kafka.membership import Membership
from stream.kafka.pulse import SILENT_S, Pulse
from stream.kafka.reading import Place
from stream.model import Topic
from stream.settings import default_settings
from tests.topics import FreshTopics


class Anyone:
    """Takes shards and lets them go."""

    def arrive(self, ends: Mapping[int, Mapping[Topic, int]]) -> None:
        """Nothing to do."""

    def leave(self, shards: list[int]) -> None:
        """Nothing to do."""

    def lost(self, shards: list[int]) -> None:
        """Nothing to do."""

    def returning(self) -> None:
        """Nothing was written."""

    def positions(self) -> Mapping[Place, int]:
        return {}


def statistics(received: int) -> str:
    return orjson.dumps({"rx": received}).decode()


def test_silence_is_said_when_every_look_for_long_saw_it_and_ends_with_the_first_answer() -> None:
    """/readyz: able to act; else the reason."""
    heart = Pulse()
    for at_s in range(0, 100, 5):
        heart.look(statistics(at_s), at_s)
        assert heart.why(at_s) is None
    heart.trouble(KafkaError(KafkaError._TRANSPORT, "b:1/1: refused (after 0ms in state CONNECT)"))
    heart.trouble(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    for at_s in range(100, 145, 5):
        heart.look(statistics(95), at_s)
        assert (heart.why(at_s) is None) == (at_s < 100 + SILENT_S)
    assert heart.why(142) == "no broker has answered for 42 s: b:1/1: refused"
    heart.look(statistics(96), 145)
    assert heart.why(145) is None


def test_a_process_that_was_frozen_does_not_take_it_for_silence() -> None:
    """The first look after a long time sees nothing new: the answers are still on their way."""
    heart = Pulse()
    heart.look(statistics(7), 0)
    heart.look(statistics(7), 1_000)
    assert heart.why(1_000) is None
    heart.look(statistics(7), 1_005)
    assert heart.why(2_000) is None, "nobody looked"
    heart.look(statistics(7), 2_000)
    assert heart.why(2_000) is None, "nor did those follow each other"


def wait_until(true: Callable[[], bool], within_s: float = 40.0) -> None:
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_brokers_that_are_away_for_long_are_said_and_come_back_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not ready while no broker answers, with the reason; ready again without a restart, with and without records."""
    monkeypatch.setattr(pulse, "SILENT_S", 3.0)
    names = {Topic.SENDS: "t.sends", Topic.VIOLATIONS: "t.violations", Topic.RESULTS: "t.results"}
    failed: list[Exception] = []
    with ApacheKafka() as kafka:
        FreshTopics(kafka.bootstrap_servers, "t").create("sends", "violations", "results", partitions=2)
        given = {"bootstrap_servers": kafka.bootstrap_servers, "properties": {"statistics.interval.ms": "300"}}
        member = Membership(
            properties.member(default_settings(kafka=given)),
            names,
            lambda *_: None,
            Anyone(),
            lambda *_: None,
            failed.append,
        )
        member.thread.start()
        wait_until(lambda: member.joined)
        time.sleep(4)
        assert member.silence is None, "a quiet topic is no silence: the coordinator answers"
        kafka.kill_node(1)
        wait_until(lambda: member.silence is not None)
        assert "no broker has answered for" in str(member.silence)
        assert "refused" in str(member.silence)
        kafka.restart_node(1)
        wait_until(lambda: member.silence is None and member.joined)
        member.stop()
    assert failed == []


def join_where_the_client_knows_of_no_partition() -> None:
    """A process of its own: what this is about does not raise, it aborts."""
    known, asked = reading._watermarks, list[str]()

    def forgetful(consumer: Consumer, topic: str, partition: int, timeout_s: float) -> tuple[int, int]:
        asked.append("")
        if len(asked) == 1:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
        return known(consumer, topic, partition, timeout_s)

    reading._watermarks = forgetful
    with MockKafka({"v": 1, "s": 1, "r": 1}) as broker:
        often = {"bootstrap_servers": broker.bootstrap_servers, "properties": {"statistics.interval.ms": "20"}}
        names = {Topic.SENDS: "s", Topic.VIOLATIONS: "v", Topic.RESULTS: "r"}
        settings, failed = default_settings(kafka=often), list[Exception]()
        member = Membership(
            properties.member(settings), names, lambda *_: None, Anyone(), lambda *_: None, failed.append
        )
        member.thread.start()
        wait_until(lambda: member.joined)
        time.sleep(0.5)
        member.stop()
    assert len(asked) > 1
    assert failed == []


def test_whoever_asks_for_partitions_inside_a_rebalance_does_not_end_the_process() -> None:
    """confluent-kafka forgets whose call it is in when its own callback asks it for metadata; the next statistics, or
    the next error, abort the process."""
    script = "from tests.kafka import test_membership as t; t.join_where_the_client_knows_of_no_partition()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=90, check=False)
    assert ended.returncode == 0, ended.stderr[-1_000:]
