"""The live reader, on librdkafka's mock cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise

from confluent_kafka import Message, Producer

from stream.brokers.mock import MockKafka
from stream.kafka import properties
from stream.kafka.leaders import EVERY_MS
from stream.kafka.reading import Place, Take
from stream.kafka.tail import Tail
from stream.model import Fenced, StoreStalled, Topic
from stream.settings import Settings, default_settings

NAMES = {Topic.SENDS: "sends", Topic.RESULTS: "results"}
PLACE = (Topic.SENDS, 0)


class FullSpeed:
    """A pace that never gives way."""

    def most(self) -> int:
        """Records in the next batch."""
        return 100

    def rest(self, worked_s: float) -> None:
        """No rest."""


def wait_until(true: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait for another thread."""
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def written(broker: MockKafka, records: int) -> Settings:
    """So many sends in the one partition; the settings of who reads them."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for number in range(records):
        producer.produce("sends", str(number))
    producer.flush()
    return default_settings(kafka={"bootstrap_servers": broker.bootstrap_servers})


def tail_of_twenty(broker: MockKafka, take: Take, failed: list[Exception]) -> Tail:
    """The reader of a partition with twenty sends; not started."""
    settings = written(broker, 20)
    return Tail(
        properties.sends(settings),
        NAMES,
        take,
        FullSpeed(),
        lambda *_: 20,
        lambda *_: None,
        lambda *_: None,
        failed.append,
    )


def test_a_shard_that_was_fenced_while_it_was_read_may_come_back() -> None:
    """A shard leaves under load and returns: the reader reads it again, it does not fall over what it still held."""
    taken: list[int] = []
    failed: list[Exception] = []
    fenced, refused = [True], [False]

    def take(topic: Topic, partition: int, messages: list[Message], start: int, end: int) -> None:
        if fenced[0]:
            refused[0] = True
            raise Fenced("the shard has left")
        taken.extend(message.offset() or 0 for message in messages)

    with MockKafka({"sends": 1, "results": 1}) as broker:
        tail = tail_of_twenty(broker, take, failed)
        tail.thread.start()
        tail.add({PLACE: 0})
        wait_until(lambda: refused[0])
        tail.remove([PLACE])
        fenced[0] = False
        tail.add({PLACE: 0})
        wait_until(lambda: len(taken) == 20 or bool(failed))
        tail.stop()
    assert failed == []
    assert taken == list(range(20))


def test_a_broker_that_goes_away_leaves_its_partitions_silent() -> None:
    """What was written to them just before has not been heard of; while it answers nothing is doubted."""
    taken, failed = list[int](), list[Exception]()

    def take(topic: Topic, partition: int, messages: list[Message], start: int, end: int) -> None:
        taken.extend(message.offset() or 0 for message in messages)

    with MockKafka({"sends": 1, "results": 1}) as broker:
        tail = tail_of_twenty(broker, take, failed)
        tail.thread.start()
        tail.add({PLACE: 0})
        wait_until(lambda: len(taken) == 20)
        time.sleep(3 * EVERY_MS / 1000)  # statistics have told of it by then
        assert not tail.silent(time.monotonic())
        broker.stop()
        wait_until(lambda: tail.silent(time.monotonic()))
        tail.stop()
    assert failed == []


def test_what_stands_in_an_open_transaction_is_not_read_yet() -> None:
    """NOT_FOUND: reading had caught up; behind an open transaction it has not, whatever a reader of committed records
    takes for the end, nor where a broker that has just come back knows no end, or an old one."""
    said: list[Place] = []
    ends = iter([21, -1, 19, 20])
    with MockKafka({"sends": 1, "results": 1}) as broker:
        settings = written(broker, 20)
        taken, asked, failed = list[int](), list[int](), list[Exception]()

        def end(topic: str, partition: int) -> int:
            asked.append(found := next(ends))
            return found

        tail = Tail(
            properties.sends(settings),
            NAMES,
            lambda topic, partition, messages, start, end: taken.extend(range(start, end)),
            FullSpeed(),
            end,
            lambda place, since_s: said.append(place),
            lambda *_: None,
            failed.append,
        )
        tail.thread.start()
        tail.add({PLACE: 0})
        wait_until(lambda: len(taken) == 20)
        for unread in ([21], [21, -1], [21, -1, 19]):
            tail.ask_end(PLACE)
            wait_until(lambda so_far=unread: asked == so_far)  # type: ignore[misc]
            time.sleep(0.1)
        assert said == []
        tail.ask_end(PLACE)
        wait_until(lambda: said == [PLACE])
        tail.stop()
    assert failed == []


def test_an_end_that_lay_ahead_is_passed_though_more_keeps_coming() -> None:
    """Under load the end itself is hardly ever where the reader is; whoever waits for what was there need not."""
    taken, said, passed, failed = list[int](), list[Place](), list[Place](), list[Exception]()
    with MockKafka({"sends": 1, "results": 1}) as broker:
        settings = written(broker, 20)
        tail = Tail(
            properties.sends(settings),
            NAMES,
            lambda topic, partition, messages, start, end: taken.extend(range(start, end)),
            FullSpeed(),
            lambda *_: 25,
            lambda place, since_s: said.append(place),
            lambda *_: None,
            failed.append,
        )
        tail.passed = lambda place, since_s: passed.append(place)
        tail.thread.start()
        tail.add({PLACE: 0})
        wait_until(lambda: len(taken) == 20)
        tail.ask_end(PLACE)
        time.sleep(0.2)
        assert (said, passed) == ([], [])
        written(broker, 10)
        wait_until(lambda: passed == [PLACE])
        tail.stop()
    assert (said, failed) == ([], [])


def test_a_shard_that_stood_still_when_it_left_is_read_when_it_is_back() -> None:
    """A frozen owner wakes up, cannot bury a bad record, loses the shard and has it again: the client remembers over
    all that that it was told to pause."""
    busy, taken, failed = threading.Event(), list[int](), list[Exception]()
    with MockKafka({"sends": 1, "results": 1}) as broker:
        settings = written(broker, 5)

        def take(topic: Topic, partition: int, messages: list[Message], start: int, end: int) -> None:
            if not busy.is_set():
                busy.set()
                raise StoreStalled("nothing can be written now")
            taken.extend(range(start, end))

        tail = Tail(
            properties.sends(settings), NAMES, take, FullSpeed(), lambda *_: 0, lambda *_: None, lambda *_: None,
            failed.append,
        )  # fmt: skip
        tail.add({PLACE: 0})
        tail.thread.start()
        assert busy.wait(10)
        wait_until(lambda: bool(tail.waiting))
        tail.remove([PLACE])
        tail.add({PLACE: 2})
        wait_until(lambda: taken == [2, 3, 4])
        tail.stop()
        assert failed == []


RESULTS = (Topic.RESULTS, 0)


def results_tail(broker: MockKafka, take: Take, failed: list[Exception]) -> Tail:
    """The reader of a partition of results; not started."""
    settings = default_settings(kafka={"bootstrap_servers": broker.bootstrap_servers})
    return Tail(
        properties.sends(settings),
        NAMES,
        take,
        FullSpeed(),
        lambda *_: 0,
        lambda *_: None,
        lambda *_: None,
        failed.append,
    )


def test_results_that_keep_coming_are_read_now_and_then_and_none_is_missed() -> None:
    """They are our own, marked before they are read: fetching each as it comes would cost as much as writing it."""
    taken, times_s, failed = list[int](), list[float](), list[Exception]()

    def take(topic: Topic, partition: int, messages: list[Message], start: int, end: int) -> None:
        taken.extend(range(start, end))
        times_s.append(time.monotonic())

    with MockKafka({"sends": 1, "results": 1}) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 0})
        tail = results_tail(broker, take, failed)
        tail.thread.start()
        tail.add({RESULTS: 0})
        for number in range(200):
            producer.produce("results", str(number))
            producer.flush()
            time.sleep(0.01)
        wait_until(lambda: len(taken) == 200 or bool(failed))
        tail.stop()
    assert failed == []
    assert taken == list(range(200)), "each once, in order"
    rests = sum(later_s - sooner_s > 0.3 for sooner_s, later_s in pairwise(times_s))
    assert rests >= 2, "in two seconds of writing"


def test_results_that_rest_when_their_shard_leaves_are_read_when_it_is_back() -> None:
    """The client remembers over all that a partition was paused; who has it next would wait for ever."""
    taken, failed = list[int](), list[Exception]()
    with MockKafka({"sends": 1, "results": 1}) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        producer.produce("results", "0")
        producer.flush()
        tail = results_tail(broker, lambda t, p, messages, start, end: taken.extend(range(start, end)), failed)
        tail.thread.start()
        tail.add({RESULTS: 0})
        wait_until(lambda: RESULTS in tail._standing)
        tail.remove([RESULTS])
        tail.add({RESULTS: 1})
        producer.produce("results", "1")
        producer.flush()
        wait_until(lambda: taken == [0, 1] or bool(failed))
        tail.stop()
    assert failed == []
