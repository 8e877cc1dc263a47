"""A partition that nobody answers for is noticed, as librdkafka's statistics have it."""

from __future__ import annotations

import json
from typing import Any

from stream.kafka.leaders import TRUSTED_AFTER_S, Leaders

UP = {"state": "UP", "rxidle": 40_000}
GONE = {"state": "TRY_CONNECT", "rxidle": -1}
STUCK = {"state": "UP", "rxidle": 3_000_000}


def said(brokers: dict[int, dict[str, Any]], *read: int, state: str = "active") -> str:
    """Partition n is fetched from broker ``read[n]``; another one is read by nobody here."""
    partitions = {
        str(number): {"partition": number, "broker": broker, "fetch_state": state, "desired": True}
        for number, broker in enumerate(read)
    }
    partitions["-1"] = {"partition": -1, "broker": -1, "fetch_state": "none", "desired": False}
    partitions["9"] = {"partition": 9, "broker": 3, "fetch_state": "none", "desired": False}
    nodes = {f"b{number}": {"nodeid": number, **broker} for number, broker in brokers.items()}
    nodes["bootstrap"] = {"nodeid": -1, **GONE}
    return json.dumps({"brokers": nodes, "topics": {"sends": {"partitions": partitions}}})


def test_while_all_leaders_answer_nothing_is_doubted() -> None:
    """Brokers that lead nothing of what is read may be away."""
    leaders = Leaders("sends")
    for number in range(10):
        leaders.look(said({1: UP, 2: UP, 3: GONE}, 1, 2, 1), number / 2)
        assert not leaders.silent(number / 2)


def test_a_leader_that_is_gone_or_stuck_and_none_at_all_are_silence_until_a_moment_after() -> None:
    """Its partitions' records are not heard of; the next leader has been asked a second later."""
    for lost in (said({1: GONE, 2: UP}, 1, 2), said({1: STUCK, 2: UP}, 1, 2), said({2: UP}, -1, 2)):
        leaders = Leaders("sends")
        leaders.look(said({1: UP, 2: UP}, 1, 2), 0.0)
        leaders.look(lost, 0.5)
        assert leaders.silent(0.5)
        leaders.look(said({2: UP}, -1, 2, state="validate-epoch-wait"), 1.0)
        leaders.look(said({2: UP}, 2, 2), 1.5)
        assert leaders.silent(1.9)
        assert not leaders.silent(1.0 + TRUSTED_AFTER_S)


def test_one_that_has_just_come_and_one_that_has_gone_are_no_silence() -> None:
    """A shard that comes is not answered for at once; of one that was let go nobody asks."""
    leaders = Leaders("sends")
    leaders.look(said({1: UP}, 1), 0.0)
    leaders.look(said({1: UP}, 1, -1), 0.5)
    assert not leaders.silent(0.5)
    leaders.look(said({1: GONE}), 1.0)
    assert not leaders.silent(1.0)


def test_statistics_without_the_topic_say_nothing() -> None:
    """As before anything is assigned."""
    leaders = Leaders("sends")
    leaders.look(json.dumps({"brokers": {}, "topics": {}}), 0.0)
    assert not leaders.silent(0.0)
