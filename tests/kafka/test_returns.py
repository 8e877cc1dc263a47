"""Contract, Commands and Dead letters: `unpush replay` sends each original record back once, as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from stream.__main__ import main
from stream.brokers.apache import ApacheKafka
from stream.commands import replay
from stream.kafka.returns import Choice, Sender, Sorter, Tally
from stream.model import BadRecord, DeadReason, Position, StartError
from stream.settings import default_settings, load_settings
from stream.wire.dead_letters import headers
from stream.wire.wire import Wire
from tests.check.test_check import NAMES, written
from tests.scenarios.making import Maker
from tests.topics import FreshTopics

SENT, FOUND = "push.message-sent", "push.violation-detected"
OWN: list[tuple[str, bytes | None]] = [("traceparent", b"00-1"), ("twice", b"1"), ("twice", None)]
MAKER, WIRE = Maker(["app"]), Wire()


def letter(
    offset: int = 0,
    *,
    topic: str = SENT,
    partition: int = 1,
    reason: DeadReason = DeadReason.DECODE,
    timestamp_ms: int = 1_000,
) -> list[tuple[str, bytes | None]]:
    """The headers of a dead letter."""
    return headers(OWN, BadRecord(reason, "why"), Position(topic, partition, offset, timestamp_ms))


def sorter(choice: Choice | None = None) -> Sorter:
    """For the default topics, with two partitions."""
    return Sorter(default_settings().topics, {SENT: 2, FOUND: 2}, choice or Choice(), WIRE)


def taken(choice: Choice, *letters: list[tuple[str, bytes | None]]) -> list[int]:
    """The original offsets of those that are sent back."""
    each = sorter(choice)
    found = [each.take(b"k", b"v", found, 5_000) for found in letters]
    return [record.origin.offset for record in found if record is not None]


def test_a_record_goes_back_as_it_came_without_our_headers() -> None:
    record = sorter().take(b"k", b"v", letter(7), 5_000)
    assert record is not None
    assert (record.key, record.value, record.headers) == (b"k", b"v", OWN)
    assert record.origin == ("decode", SENT, 1, 7, 1_000)


def test_each_original_record_once_however_often_it_stands_there() -> None:
    """A past that is read again may write a dead letter again; what came back from a replay has another offset."""
    again = letter(7, reason=DeadReason.KEY)
    assert taken(Choice(), letter(7), again, letter(8), letter(7, topic=FOUND), letter(7, partition=0)) == [7, 8, 7, 7]


def test_reason_topic_and_time_choose() -> None:
    """Times are the original record's, so that two dead letters of one record are chosen alike."""
    letters = (letter(1, reason=DeadReason.KEY), letter(2, topic=FOUND), letter(3, timestamp_ms=2_000))
    assert taken(Choice(reasons=frozenset({"key"})), *letters) == [1]
    assert taken(Choice(topics=frozenset({FOUND})), *letters) == [2]
    assert taken(Choice(since_ms=2_000), *letters) == [3]
    assert taken(Choice(until_ms=2_000), *letters) == [1, 2]
    assert taken(Choice(since_ms=1_000, until_ms=2_001), *letters) == [1, 2, 3]


def test_where_the_original_time_is_not_told_the_letters_own_counts() -> None:
    silent = [header for header in letter(1) if header[0] != "unpush.error.timestamp"]
    assert taken(Choice(since_ms=5_000), silent) == [1]
    assert taken(Choice(since_ms=5_001), silent) == []


def test_what_has_nowhere_to_go_is_counted_and_stays() -> None:
    each = sorter()
    nothing = [
        each.take(b"k", b"v", OWN, 1),
        each.take(b"k", b"v", letter(topic="another"), 1),
        each.take(b"k", b"v", letter(partition=2), 1),
        each.take(b"k", b"v", [*letter()[:-2], ("unpush.error.offset", b"-1")], 1),
        each.take(b"k", b"v", [*letter()[:-2], ("unpush.error.offset", "\u00b2".encode())], 1),
    ]
    assert nothing == [None] * 5
    assert (each.tally.foreign, dict(each.tally.elsewhere), each.tally.gone) == (3, {"another": 1}, 1)


def test_it_says_how_many_would_only_come_back() -> None:
    each = sorter()
    send, event = MAKER.send(tokens=2), MAKER.violation("m")
    good, name = WIRE.encode_send(send), send.head.message_id.encode()
    each.take(name, good, letter(1), 1)
    each.take(name, good.replace(b"kkkk", b"\xff" * 4, 1), letter(2), 1)  # all right but a token
    each.take(b"other", good, letter(3), 1)
    each.take(name, None, letter(4), 1)
    each.take(b"m", WIRE.encode_violation(event), letter(5, topic=FOUND), 1)
    assert each.tally.bad_still == {"decode": 1, "key": 1, "invalid": 1}
    told = "\n".join(replay.told(each.tally, 0.0, dry=True))
    assert "would send back 5 of 5" in told
    assert "decode 1, invalid 1, key 1" in told


def test_the_lines_for_people_name_what_was_not_sent_and_how_to_go_on() -> None:
    tally = Tally(read=9, sent=3, repeats=2, left_out=1, foreign=1, gone=1)
    tally.chosen[SENT, "key"] += 3
    told = list(replay.told(tally, 1_764_000_000.9, dry=False))
    assert told[0] == "sent back 3 of 9 dead letters"
    assert told[-1] == "to leave these out the next time: --since 2025-11-24T16:00:00Z"
    assert len(told) == 7


def test_a_record_that_librdkafka_does_not_take_is_one_sentence(tmp_path: Path) -> None:
    """A person's message.max.bytes wins; the service wrote the letter with another."""
    smaller = 'kafka.properties."message.max.bytes" = "1000"'
    sender = Sender(load_settings(written(tmp_path, "127.0.0.1:9", None, smaller), {}), None, Tally())
    record = sorter().take(b"k", b"v" * 2_000, letter(), 5_000)
    assert record is not None
    with pytest.raises(StartError, match=r"^0 records were sent back, then no more: .*too large"):
        sender.send(record)


def test_the_rate_is_kept_also_where_long_nothing_was_sent(tmp_path: Path) -> None:
    """Violations wait until all is read, and are not made up for in a burst then."""
    sender = Sender(load_settings(written(tmp_path, "127.0.0.1:9", None), {}), 100.0, Tally())
    record = sorter().take(b"k", b"v", letter(), 5_000)
    assert record is not None
    sender._due_s -= 3_600
    begun_s = time.monotonic()
    for _ in range(50):
        sender.send(record)
    assert 0.25 < time.monotonic() - begun_s < 5


@pytest.mark.parametrize("wrong", [["--since", "soon"], ["--rate", "0"], ["--rate", "x"], ["--reason", "bad"]])
def test_wrong_usage_is_exit_2(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["replay", "-c", "x", *wrong])
    assert caught.value.code == 2


def test_a_span_without_a_moment_in_it_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else "0 of 40" looks as if there were nothing to send back. No broker is asked."""
    file = written(tmp_path, "127.0.0.1:9", None)
    assert main(["replay", "-c", str(file), "--since", "1h", "--until", "3h"]) == 2
    assert capsys.readouterr().err == "unpush: --since is not before --until: no record lies between them\n"


# --- on Apache Kafka


def put_letters(kafka: ApacheKafka, topics: FreshTopics) -> None:
    """Forty sends; a violation whose later event was written first; each twice."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    sent, found = topics.name("sent"), topics.name("found")
    for _ in range(2):
        for offset in range(40):
            each = letter(offset, topic=sent, partition=offset % 4)
            producer.produce(topics.name("dead"), b"v%d" % offset, b"k%d" % offset, headers=[*each])
        for offset in (9, 3):
            each = letter(offset, topic=found, partition=2)
            producer.produce(topics.name("dead"), b"e%d" % offset, b"same", headers=[*each])
    assert producer.flush(10) == 0


def everything(kafka: ApacheKafka, topic: str) -> list[Message]:
    """All that stands in a topic of four partitions."""
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": "look", "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(4)])
    found, ends, until_s = list[Message](), 0, time.monotonic() + 20
    while ends < 4 and time.monotonic() < until_s:
        for message in consumer.consume(100, 0.5):
            if message.error() is None:
                found.append(message)
            else:
                ends += 1
    consumer.close()
    return found


def test_dead_letters_go_back_once_to_their_own_partitions_and_violations_in_their_order(
    kafka: ApacheKafka, topics: FreshTopics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topics.create(*NAMES)
    put_letters(kafka, topics)
    file = written(tmp_path, kafka.bootstrap_servers, topics)
    assert main(["replay", "-c", str(file), "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("would send back 42 of 84 dead letters")
    assert not everything(kafka, topics.name("sent"))
    assert main(["replay", "-c", str(file)]) == 0
    assert "sent back 42 of 84" in capsys.readouterr().out
    sends = everything(kafka, topics.name("sent"))
    assert sorted(message.value() or b"" for message in sends) == sorted(b"v%d" % number for number in range(40))
    for message in sends:
        number = int((message.value() or b"")[1:])
        assert (message.key(), message.partition(), message.headers()) == (b"k%d" % number, number % 4, OWN)
    events = everything(kafka, topics.name("found"))
    assert [(event.value(), event.partition()) for event in events] == [(b"e3", 2), (b"e9", 2)]


def test_ctrl_c_says_how_far_it_came_and_the_rate_is_kept(
    kafka: ApacheKafka, topics: FreshTopics, tmp_path: Path
) -> None:
    topics.create(*NAMES)
    put_letters(kafka, topics)
    file = written(tmp_path, kafka.bootstrap_servers, topics)
    command = [sys.executable, "-m", "stream", "replay", "-c", str(file), "--rate", "4"]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    until_s = time.monotonic() + 30
    while len(everything(kafka, topics.name("sent"))) < 3:
        assert time.monotonic() < until_s
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (1, ""), err[-800:]
    assert out.startswith("interrupted: ")
    number = len(everything(kafka, topics.name("sent")))
    assert out.startswith(f"interrupted: {number} records")
    assert number < 40


def test_a_missing_topic_is_one_sentence(
    kafka: ApacheKafka, topics: FreshTopics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "-c", str(written(tmp_path, kafka.bootstrap_servers, topics))]) == 1
    assert "unpush topics -c FILE" in capsys.readouterr().err
