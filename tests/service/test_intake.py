"""Records come in: a run is stored whole or not at all, bad records are buried before their range counts, and the loop
hears of a pair whichever half came second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message

from stream.kafka.reading import DeadLettersDown
from stream.model import Fenced, StoreStalled, Topic, UnpushError
from stream.service import intake as rooms
from stream.service.outbox import Letter
from stream.state.store import Store
from tests.service.small_world import NAMES, START_MS, SmallWorld, condemned


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    small = SmallWorld(tmp_path)
    small.shard.recalled = True
    yield small
    small.close()


def message(topic: Topic, offset: int, key: bytes | None, value: bytes | None, **more: Any) -> Message:
    time = (1, more.pop("time_ms", START_MS + offset))
    return Message(topic=NAMES[topic], partition=0, offset=offset, key=key, value=value, timestamp=time, **more)


def written(world: SmallWorld, topic: Topic, count: int) -> list[Message]:
    """So many good records of a topic, each of its own message."""
    for at in range(count):
        world.send(f"m-{at}", ["t"]) if topic is Topic.SENDS else world.violate(f"m-{at}")
    return [message(topic, at, each.key, each.value) for at, each in enumerate(world.topics[topic])]


def stored(world: SmallWorld, topic: Topic) -> list[tuple[int, int]]:
    return [tuple(span) for span in world.shard.ranges(topic)]  # type: ignore[misc]


@pytest.mark.parametrize("topic", list(Topic))
def test_a_run_without_records_still_counts_as_read(world: SmallWorld, topic: Topic) -> None:
    """Transaction markers and aborted records leave none."""
    world.intake.take(topic, 0, [], 5, 9)
    assert stored(world, topic) == [(5, 9)]


def test_a_shard_that_is_not_here_takes_nothing(world: SmallWorld) -> None:
    """Fenced: leave no trace."""
    with pytest.raises(Fenced):
        world.intake.take(Topic.SENDS, 3, [], 0, 1)


@pytest.mark.parametrize("topic", [Topic.SENDS, Topic.VIOLATIONS])
def test_a_bad_record_harms_nobody_else_and_goes_whole_to_the_dead_letters(world: SmallWorld, topic: Topic) -> None:
    """It goes to the dead-letter topic whole; the record's own headers stay."""
    run = written(world, topic, 3)
    bad = message(topic, 1, b"m-1", b"\xc3\x01garbage", headers=[("own", b"header")])
    world.intake.take(topic, 0, [run[0], bad, run[2]], 0, 3)
    (letter,) = world.mailbox.letters
    headers = dict(letter.headers)
    assert (letter.key, letter.value, headers["own"]) == (b"m-1", b"\xc3\x01garbage", b"header")
    assert headers["unpush.error.topic"] == NAMES[topic].encode()
    assert headers["unpush.error.offset"] == b"1"
    assert stored(world, topic) == [(0, 3)]
    if topic is Topic.VIOLATIONS:
        assert [condemned(world, f"m-{at}") for at in range(3)] == [True, False, True]


def test_a_key_that_contradicts_its_record_is_bad(world: SmallWorld) -> None:
    """``key``: equals the record's messageId."""
    (run,) = written(world, Topic.VIOLATIONS, 1)
    world.intake.take(Topic.VIOLATIONS, 0, [message(Topic.VIOLATIONS, 0, b"other", run.value())], 0, 1)
    assert dict(world.mailbox.letters[0].headers)["unpush.error.reason"] == b"key"
    assert not condemned(world, "m-0")


@pytest.mark.parametrize("topic", [Topic.SENDS, Topic.VIOLATIONS])
def test_while_dead_letters_cannot_be_written_nothing_counts_as_read(world: SmallWorld, topic: Topic) -> None:
    """Reading stops and waits rather than drop it."""

    def refuse(letter: Letter, done: Any) -> None:
        done(KafkaError(KafkaError._ALL_BROKERS_DOWN))

    world.mailbox.dead_letter = refuse  # type: ignore[method-assign]
    world._begin()
    world.mailbox.dead_letter = refuse  # type: ignore[method-assign]
    world.intake = world._new_intake()
    world.intake.shards[0] = world.shard
    run = [*written(world, topic, 2), message(topic, 2, b"k", None)]
    with pytest.raises(DeadLettersDown):
        world.intake.take(topic, 0, run, 0, 3)
    assert stored(world, topic) == []
    assert not world.loop


def test_too_many_bad_records_stop_the_service(world: SmallWorld) -> None:
    """That is a bad deployment, not bad records; none before the first 100."""
    bad = [message(Topic.VIOLATIONS, at, b"k", b"junk", time_ms=START_MS + 10) for at in range(150)]
    world.intake.take(Topic.VIOLATIONS, 0, bad[:99], 0, 99)
    with pytest.raises(UnpushError, match="too many bad records"):
        world.intake.take(Topic.VIOLATIONS, 0, bad[99:], 99, 150)


def test_bad_records_older_than_our_start_do_not_count(world: SmallWorld) -> None:
    """Only records newer than the start count."""
    bad = [message(Topic.VIOLATIONS, at, b"k", b"junk", time_ms=START_MS - 1) for at in range(150)]
    world.intake.take(Topic.VIOLATIONS, 0, bad, 0, 150)
    assert len(world.mailbox.letters) == 150


def test_a_short_stall_is_waited_out_and_a_long_one_takes_nothing(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """StoreStalled: nothing was taken, do it again."""
    monkeypatch.setattr(rooms, "STALL_WAIT_S", 0.0)
    monkeypatch.setattr(rooms, "STALL_TRIES", 3)
    write, refusals = Store.write, [True, True]

    def stalls(store: Store, puts: Any) -> None:
        if refusals and refusals.pop():
            raise StoreStalled("busy")
        write(store, puts)

    monkeypatch.setattr(Store, "write", stalls)
    run = written(world, Topic.SENDS, 2)
    world.intake.take(Topic.SENDS, 0, run[:1], 0, 1)
    assert stored(world, Topic.SENDS) == [(0, 1)]
    refusals += [True] * 10
    with pytest.raises(StoreStalled):
        world.intake.take(Topic.SENDS, 0, run[1:], 1, 2)
    assert stored(world, Topic.SENDS) == [(0, 1)]


def test_an_event_is_stored_before_its_message_is_condemned_and_the_loop_hears_last(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Condemn, then walk; the order that neither a crash nor two threads can break."""
    run, order = written(world, Topic.VIOLATIONS, 1), []
    add = world.shard.add

    def noted(*given: Any, **named: Any) -> int:
        order.append(("stored", condemned(world, "m-0"), len(world.loop)))
        return add(*given, **named)

    monkeypatch.setattr(world.shard, "add", noted)
    world.intake.take(Topic.VIOLATIONS, 0, run, 0, 1)
    assert order == [("stored", False, 0)]
    assert (condemned(world, "m-0"), len(world.loop)) == (True, 1)


def test_a_send_is_asked_about_after_it_is_stored(world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store, then ask: a violation that comes between the two finds it stored."""
    run, add = written(world, Topic.SENDS, 1), world.shard.add

    def condemning(*given: Any, **named: Any) -> int:
        batch = add(*given, **named)
        world.violate("m-0")
        monkeypatch.undo()
        world.read(Topic.VIOLATIONS)
        return batch

    monkeypatch.setattr(world.shard, "add", condemning)
    world.intake.take(Topic.SENDS, 0, run, 0, 1)
    assert len(world.loop) == 2, "the event, and the send: the desk sorts out who knows what"
    world.at[Topic.SENDS] = 1
    world.until_quiet()
    assert world.covered("m-0", "v1") == {(0, 0): 1}


@pytest.mark.parametrize("time_ms", [-1, 0, 2**62])
def test_a_record_with_an_odd_time_stops_no_reader(world: SmallWorld, time_ms: int) -> None:
    """Producers' clocks are not trusted."""
    for topic in (Topic.SENDS, Topic.VIOLATIONS):
        run = written(world, topic, 2)
        odd = message(topic, 0, run[0].key(), run[0].value(), time_ms=time_ms)
        world.intake.take(topic, 0, [odd, run[1]], 0, 2)
        assert stored(world, topic) == [(0, 2)]


def test_our_own_deliveries_are_not_decoded_again(world: SmallWorld) -> None:
    """A record whose offset is one of our own deliveries is not decoded, only its range advances."""
    world.send("m", ["t"])
    world.violate("m")
    world.until_quiet()
    junk = message(Topic.RESULTS, 0, b"m", b"not even a result")
    world.intake.take(Topic.RESULTS, 0, [junk], 0, 1)
    assert stored(world, Topic.RESULTS) == [(0, 1)]


def test_garbage_among_the_results_marks_nothing_and_stops_nothing(world: SmallWorld) -> None:
    """Not ours, or garbage: nobody waits for it."""
    run = [message(Topic.RESULTS, at, b"m", value) for at, value in enumerate([b"junk", b"", None])]
    world.intake.take(Topic.RESULTS, 0, run, 0, 3)
    assert stored(world, Topic.RESULTS) == [(0, 3)]
