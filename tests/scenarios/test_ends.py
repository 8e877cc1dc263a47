"""Kill -9, SIGTERM, a lost store, a second instance: whatever ends a process, the work is done and no place twice."""

from __future__ import annotations

import signal
import time

import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.pushkit.simulator import AppFaults, End, Failure, Latency, Shape
from tests.scenarios.conftest import FULL, MakeTown
from tests.scenarios.judge import repeated
from tests.scenarios.town import SENDS, Town

SLOW = AppFaults(latency=Latency(Shape.UNIFORM, low_ms=5, high_ms=80))
"""Slow enough that something is in flight at any moment."""


@pytest.mark.parametrize("seed", range(1, 11) if FULL else [2])
def test_kill_9_at_any_moment_loses_nothing_and_covers_nothing_twice(make_town: MakeTown, seed: int) -> None:
    """Promise 1, through kill -9: every place covered exactly once, two results of one resultId counting once."""
    town = make_town(seed=seed)
    town.push_kit.fail(SLOW)
    sends, violations = town.maker.all_kinds(1_500)
    told = town.maker.mixed(sends, violations)
    rounds = 5
    for number in range(rounds):
        instance = town.run()
        town.tell(told[number::rounds])
        instance.wait_until_it_works()
        town.pass_time(town.maker.random.uniform(0.0, 1.2))
        instance.kill()
    town.run()
    town.wait_until_settled(90)
    town.judge()
    assert town.push_kit.calls > 300


def test_a_lost_store_costs_time_and_not_one_call(town: Town) -> None:
    """The topics are the only truth: what is in the results topic is not called again, all else is done."""
    sends, violations = town.maker.all_kinds(600)
    half = len(violations) // 2
    instance = town.run()
    town.tell(sends, violations[:half])
    instance.wait_until_it_works()
    town.wait_until_settled()
    calls = town.push_kit.calls
    assert instance.stop() == 0
    town.lose_store()
    town.run().wait_until_it_works()
    town.pass_time(2)
    assert town.push_kit.calls == calls
    town.tell(violations[half:])
    town.wait_until_settled()
    town.judge()
    assert not repeated(town.push_kit.book())


def test_a_store_lost_in_the_middle_of_the_work_repeats_none_of_it(town: Town) -> None:
    """After a drain all that was called is in the results topic, and is read back from there."""
    town.push_kit.fail(SLOW)
    sends, violations = town.maker.all_kinds(1_000)
    town.tell(sends, violations)
    for _ in range(3):
        town.pass_time(0.3)
        instance = town.run(push_kit={"max_in_flight": 4})
        town.wait_until_results(len(town.story.results) + 20)
        assert instance.stop() == 0
        town.lose_store()
    assert town.progress.unfinished(town.story)
    town.run()
    town.wait_until_settled()
    town.judge()
    assert not repeated(town.push_kit.book())


def test_sigterm_drains_and_the_next_start_finishes(town: Town) -> None:
    """SIGTERM: exit 0 within shutdown.drain, calls in flight ended and reported, nothing called again."""
    town.push_kit.fail(AppFaults(latency=Latency(Shape.FIXED, low_ms=700)))
    sends = [town.maker.send(tokens=2) for _ in range(400)]
    town.tell(sends, town.maker.violations(send.head.message_id for send in sends))
    instance = town.run(shutdown={"drain": "5s"})
    town.wait_until(lambda: town.push_kit.calls > 70, what="calls in flight")
    began_s = time.monotonic()
    assert instance.stop() == 0
    assert time.monotonic() - began_s < 4
    town.read()
    assert town.push_kit.calls == len(town.story.results)
    assert town.progress.unfinished(town.story)
    town.push_kit.heal()
    town.run()
    town.wait_until_settled()
    town.judge()
    assert not repeated(town.push_kit.book())


def test_a_drain_ends_at_its_deadline_with_calls_open(town: Town) -> None:
    """Exit 0 also when the deadline passes with calls open; the next start makes them again."""
    town.push_kit.fail(AppFaults(failures=(Failure(End.HANG_BEFORE),)))
    sends = [town.maker.send(tokens=2) for _ in range(100)]
    town.tell(sends, town.maker.violations(send.head.message_id for send in sends))
    instance = town.run(shutdown={"drain": "1s"}, push_kit={"timeout": "20s"})
    town.wait_until(lambda: town.push_kit.calls >= 64, what="calls in flight")
    began_s = time.monotonic()
    assert instance.stop() == 0
    assert 0.9 < time.monotonic() - began_s < 4
    town.push_kit.heal()
    town.run()
    town.wait_until_settled()
    town.judge()


def test_a_second_signal_stops_at_once(town: Town) -> None:
    """A second SIGTERM or SIGINT: exit 1 at once, and nothing is lost."""
    town.push_kit.fail(AppFaults(failures=(Failure(End.HANG_BEFORE),)))
    sends = [town.maker.send(tokens=2) for _ in range(100)]
    town.tell(sends, town.maker.violations(send.head.message_id for send in sends))
    instance = town.run(push_kit={"timeout": "20s"})
    town.wait_until(lambda: town.push_kit.calls >= 64, what="calls in flight")
    instance.signal(signal.SIGTERM)
    instance.wait_for("draining")
    instance.signal(signal.SIGINT)
    assert instance.ended(2) == 1
    town.push_kit.heal()
    town.run()
    town.wait_until_settled()
    town.judge()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_instances_join_and_die_and_all_is_done(town: Town, protocol: str) -> None:
    """One group: a second instance joins in the middle, the first is killed; all work is done."""
    kafka = {"group_protocol": protocol}
    town.push_kit.fail(SLOW)
    sends, violations = town.maker.all_kinds(1_500)
    told = town.maker.mixed(sends, violations)
    third = len(told) // 3
    first = town.run("a", kafka=kafka)
    first.wait_until_it_works()
    town.tell(told[:third])
    second = town.run("b", kafka=kafka)
    town.tell(told[third : 2 * third])
    second.wait_until_it_works()
    town.pass_time(0.5)
    first.kill()
    town.tell(told[2 * third :])
    town.wait_until_settled(90)
    town.judge()
    assert second.stop() == 0


def test_what_retention_took_while_nobody_read_is_said_with_its_number(town: Town) -> None:
    """A send whose record was removed by retention is gone: never a silent jump."""
    instance = town.run().wait_until_it_works()
    town.tell(town.maker.send() for _ in range(300))
    town.wait_until_stored()
    assert instance.stop() == 0
    town.tell(town.maker.send() for _ in range(300))
    retention_takes_all(town, SENDS)
    again = town.run().wait_until_it_works()
    town.tell(town.maker.send() for _ in range(30))
    town.wait_until_stored()
    gone = [said for said in again.said("records_gone") if said["topic"] == town.topics.name(SENDS)]
    assert sum(int(str(said["count"])) for said in gone) == 300
    sends, violations = town.maker.all_kinds(60)
    town.tell(sends, violations)
    town.wait_until_settled()


def retention_takes_all(town: Town, topic: str) -> None:
    """All records that are there now."""
    admin = AdminClient({"bootstrap.servers": town.topics.bootstrap_servers})
    gone = [TopicPartition(town.topics.name(topic), part, OFFSET_END) for part in range(town.partitions)]
    for done in admin.delete_records(gone).values():
        done.result(timeout=20)
