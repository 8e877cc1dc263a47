"""Records come in: a run is stored whole or not at all, bad records are buried before their range counts, and the loop
hears of a pair whichever half came second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message

from stream.kafka.reading import DeadLettersDown
from stream.model import Fenced, Position, Send, SendHead, StoreStalled, Topic, UnpushError
from stream.service import intake as rooms
from stream.service import letters
from stream.service.letterbox import Letter
from stream.state.store import Store
from stream.wire.partitioners import ENOUGH_KEYS
from tests.service.small_world import NAMES, START_MS, SmallWorld, condemned
from tests.state.stored import walked


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


@pytest.mark.parametrize("steps_ms", [[0] * 300, [0] * 100 + [7] * 150 + [8] * 50, list(range(300)), [9, 1, 5]])
def test_each_send_keeps_its_records_time(world: SmallWorld, steps_ms: list[int]) -> None:
    """Age is the record's timestamp, whether a batch has one time, a few, or one for each; also where they fall."""
    good = written(world, Topic.SENDS, len(steps_ms))
    run = [message(Topic.SENDS, at, m.key(), m.value(), time_ms=START_MS + steps_ms[at]) for at, m in enumerate(good)]
    world.intake.take(Topic.SENDS, 0, run, 0, len(run))
    for at, step_ms in enumerate(steps_ms):
        [send] = walked(world.shard, f"m-{at}")
        assert send.timestamp_ms == START_MS + step_ms


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


def test_a_send_that_is_bad_before_its_tokens_is_found_as_it_comes(world: SmallWorld) -> None:
    """Only what its token list hides waits until a violation needs it: a bad deployment is seen at once."""
    head = SendHead("m-1", "", 7, 0, 1, None)
    bad = message(Topic.SENDS, 1, b"m-1", world.wire.encode_send(Send(head, (b"t",))))
    world.intake.take(Topic.SENDS, 0, [*written(world, Topic.SENDS, 1), bad], 0, 2)
    (letter,) = world.mailbox.letters
    assert dict(letter.headers)["unpush.error.reason"] == b"invalid"
    assert (walked(world.shard, "m-1"), len(walked(world.shard, "m-0"))) == ([], 1)


@pytest.mark.parametrize("runs", [[300], [1] * 30])
def test_few_runs_or_one_tell_the_partitioner_of_their_keys(world: SmallWorld, runs: list[int]) -> None:
    """A systematic disagreement is found at run time, in a burst as well as in a trickle."""
    world.intake._partitions = 4
    records, at = written(world, Topic.SENDS, sum(runs)), 0
    for count in runs:
        world.intake.take(Topic.SENDS, 0, records[at : at + count], at, at + count)
        at += count
    assert world.intake.agreement[Topic.SENDS].keys >= ENOUGH_KEYS


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

    world.mailbox.send = refuse  # type: ignore[method-assign]
    world._begin()
    world.mailbox.send = refuse  # type: ignore[method-assign]
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
    commit, refusals = Store._commit, [True, True]

    def stalls(store: Store, batch: Any) -> None:
        if refusals and refusals.pop():
            raise StoreStalled("busy")
        commit(store, batch)

    monkeypatch.setattr(Store, "_commit", stalls)
    run = written(world, Topic.SENDS, 2)
    world.intake.take(Topic.SENDS, 0, run[:1], 0, 1)
    assert stored(world, Topic.SENDS) == [(0, 1)]
    assert len(walked(world.shard, "m-0")) == 1
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


class Silent:
    """A dead-letter topic that says nothing until the test speaks for it."""

    def __init__(self, world: SmallWorld) -> None:
        self.letters: list[Letter] = []
        self.answers: list[Callable[[KafkaError | None], None]] = []
        world.intake._letters._send = self.take

    def take(self, letter: Letter, done: Callable[[KafkaError | None], None]) -> None:
        self.letters.append(letter)
        self.answers.append(done)

    def answer(self, error: KafkaError | None = None) -> None:
        """To all that wait."""
        answers, self.answers = self.answers, []
        for done in answers:
            done(error)


def junk(topic: Topic, offset: int, time_ms: int = START_MS + 10) -> Message:
    return message(topic, offset, b"k-%d" % offset, b"junk", time_ms=time_ms)


def stands(world: SmallWorld, topic: Topic, run: list[Message]) -> str:
    """Take a run that cannot be taken now; why."""
    start = run[0].offset() or 0
    with pytest.raises(DeadLettersDown) as refused:
        world.intake.take(topic, 0, run, start, start + len(run))
    return str(refused.value)


@pytest.mark.parametrize("topic", [Topic.SENDS, Topic.VIOLATIONS])
def test_a_bad_record_is_written_once_however_often_its_run_is_read(world: SmallWorld, topic: Topic) -> None:
    """While the dead-letter topic is down no copies are queued, and the thread is not held up again and again."""
    silent, run = Silent(world), [junk(topic, 0), junk(topic, 1)]
    assert "no answer yet" in stands(world, topic, run)
    began_s = time.monotonic()
    for _ in range(20):
        stands(world, topic, run)
    stands(world, topic, [junk(topic, 5)])
    assert time.monotonic() - began_s < letters.WAIT_S / 2
    assert len(silent.letters) == 3
    silent.answer()
    world.intake.take(topic, 0, run, 0, 2)
    world.intake.take(topic, 0, [junk(topic, 5)], 5, 6)
    assert len(silent.letters) == 3
    assert stored(world, topic) == [(0, 2), (5, 6)]
    assert world.intake.dead == {(NAMES[topic], "wire_format"): 3}
    assert not world.intake._letters.any


def test_a_letter_that_failed_is_written_again(world: SmallWorld) -> None:
    """Rather than drop it."""
    silent, run = Silent(world), [junk(Topic.SENDS, 0)]
    stands(world, Topic.SENDS, run)
    silent.answer(KafkaError(KafkaError._MSG_TIMED_OUT))
    assert "timed out" in stands(world, Topic.SENDS, run)
    assert len(silent.letters) == 2
    silent.answer()
    world.intake.take(Topic.SENDS, 0, run, 0, 1)
    assert len(silent.letters) == 2


def test_a_letter_is_not_written_again_where_only_the_store_took_nothing(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """StoreStalled: the run is read again; its letters are there already."""

    def stalls(*_: Any) -> int:
        raise StoreStalled("full")

    with monkeypatch.context() as patch:
        patch.setattr(world.shard, "add", stalls)
        for _ in range(3):
            with pytest.raises(StoreStalled):
                world.intake.take(Topic.VIOLATIONS, 0, [junk(Topic.VIOLATIONS, 0)], 0, 1)
    world.intake.take(Topic.VIOLATIONS, 0, [junk(Topic.VIOLATIONS, 0)], 0, 1)
    assert (len(world.mailbox.letters), sum(world.intake.dead.values())) == (1, 1)


def test_a_run_that_is_read_again_is_not_counted_again(world: SmallWorld) -> None:
    """A share of bad records above the bound stops the service; one bad record that waits is one."""
    Silent(world)
    for _ in range(300):
        stands(world, Topic.VIOLATIONS, [junk(Topic.VIOLATIONS, 0)])


def test_another_record_at_the_same_offset_of_a_topic_made_anew_is_buried_too(world: SmallWorld) -> None:
    """The letter that is under way is another record's."""
    silent = Silent(world)
    stands(world, Topic.SENDS, [junk(Topic.SENDS, 0)])
    stands(world, Topic.SENDS, [junk(Topic.SENDS, 0, START_MS + 99)])
    assert len(silent.letters) == 2


def test_letters_of_a_shard_that_left_are_forgotten(world: SmallWorld) -> None:
    """Its next owner reads them again; nothing stays in memory for them here."""
    silent, kept = Silent(world), world.intake._letters
    stands(world, Topic.SENDS, [junk(Topic.SENDS, 0)])
    world.intake.shards[1] = world.intake.shards.pop(0)
    with pytest.raises(DeadLettersDown):
        kept.bury({Position("sends", 1, 7, 1): silent.letters[0]})
    assert [at.partition for at in kept._sent] == [1]


def test_letters_that_were_too_large_together_leave_one_by_one_and_the_cure_is_named(world: SmallWorld) -> None:
    """If that topic cannot be written, reading waits and says why."""
    silent, run = Silent(world), [junk(Topic.SENDS, at) for at in range(3)]
    stands(world, Topic.SENDS, run)
    silent.answer(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    said = []
    for left in (1, 2, 3):
        said.append(stands(world, Topic.SENDS, run))
        assert len(silent.letters) == 3 + left
        silent.answer()
    assert "for its size" in said[0]
    assert "raise its max.message.bytes" in said[0]
    world.intake.take(Topic.SENDS, 0, run, 0, 3)
    assert len(silent.letters) == 6


def test_a_letter_that_is_too_large_by_itself_is_tried_now_and_then_and_others_before_it(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept, whole, until the topic takes it; a megabyte is not sent twice a second for nothing."""
    silent, run = Silent(world), [junk(Topic.SENDS, at) for at in range(2)]
    for _ in range(2):
        stands(world, Topic.SENDS, run)
        silent.answer(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    for _ in range(20):
        stands(world, Topic.SENDS, run)
        silent.answer()
    assert [letter.key for letter in silent.letters] == [b"k-0", b"k-1", b"k-0", b"k-1"]
    monkeypatch.setattr(letters, "LARGE_AGAIN_S", 0.0)
    stands(world, Topic.SENDS, run)
    silent.answer()
    world.intake.take(Topic.SENDS, 0, run, 0, 2)
    assert [letter.key for letter in silent.letters][4:] == [b"k-0"]


def test_an_event_whose_past_is_read_before_the_loop_hears_of_it_is_not_taken_for_the_first(world: SmallWorld) -> None:
    """A send that is known to be revoked is not called again: its mark, from the past, stands in the store by then."""
    world.send("m", ["t"])
    world.violate("m")
    world.until_quiet()
    world.restart(keep=False)
    world.violate("m")
    world.recall()
    world.read_past(Topic.RESULTS, 10)
    world.read(Topic.VIOLATIONS)
    world.read_past(Topic.VIOLATIONS, 10)
    world.until_quiet()
    assert world.covered("m", "v1") == {(0, 0): 1}
