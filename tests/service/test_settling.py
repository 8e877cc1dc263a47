"""What a result says, and what a dry run says instead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from stream.model import MAX_TOKEN_BYTES, Outcome, Position, Status, Topic
from stream.service import passes
from stream.service.letterbox import Letter
from stream.service.outbox import Written
from stream.state import keys
from stream.state.shard import Shard
from tests.service.small_world import MINUTE_MS, RETENTION_MS, SmallWorld


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    small = SmallWorld(tmp_path)
    yield small
    small.close()


def test_a_dry_run_calls_nobody_and_covers_only_for_itself(tmp_path: Path) -> None:
    """DRY_RUN lists what it would have called and never counts as done in a real run."""
    dry = SmallWorld(tmp_path, dry=True)
    dry.send("m", ["a", "b"])
    dry.send("m", ["c"], notify_id=None)
    dry.violate("m")
    dry.until_quiet("refused")
    assert dry.outcomes("m") == [Outcome.DRY_RUN] * 2
    parts = {tuple(part) for r in dry.results for part in r.sends}
    assert parts == {(0, 0, 0, 2), (0, 1, 0, 1)}
    before = len(dry.results)
    dry.restart(keep=True)
    dry.until_quiet()
    assert len(dry.results) == before, "done for itself"
    dry.close()
    real = SmallWorld(tmp_path / "real")
    real.topics, real.clock.ms = dry.topics, dry.clock.ms
    real.restart(keep=False)
    real.until_quiet()
    assert real.covered("m", "v1") == dict.fromkeys(real.places("m"), 1)
    real.close()


def test_a_dry_run_never_says_the_real_ones_words(tmp_path: Path) -> None:
    """… also where nothing was found, or was withdrawn."""
    dry = SmallWorld(tmp_path, dry=True)
    dry.violate("m")
    dry.violate("n", status=Status.WITHDRAWN)
    dry.until_quiet()
    assert {r.outcome for r in dry.results} == {Outcome.DRY_RUN}
    dry.close()


@pytest.mark.parametrize("dry", [False, True])
def test_what_had_its_sends_called_is_never_said_to_be_not_found(tmp_path: Path, dry: bool) -> None:
    """NOT_FOUND is said where no send was ever read: not after a restart because its sends have left retention, and
    not after their topic was made anew; a violation of its own that comes then is not found."""
    world = SmallWorld(tmp_path, dry=dry)
    called, how = (Outcome.DRY_RUN, "refused") if dry else (Outcome.REVOKED, "revoked")
    world.send("m", ["a", "b"])
    world.clock.ms += RETENTION_MS // 2
    world.violate("m")
    world.until_quiet(how)
    world.clock.ms += RETENTION_MS // 2 + RETENTION_MS // 12
    [bucket] = world.shard.expired_buckets(world.clock.ms - RETENTION_MS)
    world.shard.drop_bucket(bucket)
    world.restart(keep=True)
    world.until_quiet()
    assert world.outcomes("m") == [called]
    world.topics[Topic.SENDS].clear()
    world.restart(keep=False)
    world.violate("m", "v2")
    world.until_quiet()
    assert world.outcomes("m") == [called]
    assert world.outcomes("m", "v2") == [Outcome.DRY_RUN if dry else Outcome.NOT_FOUND]
    world.close()


def test_a_repeat_after_the_first_finding_has_left_retention_is_not_said_to_be_not_found(tmp_path: Path) -> None:
    """Nor where the results have left with the sends, and only what a detector repeats is left."""
    world = SmallWorld(tmp_path)
    world.send("m", ["a"])
    world.violate("m")
    world.until_quiet()
    world.clock.ms += RETENTION_MS // 2
    world.violate("m")
    world.until_quiet()
    world.clock.ms += RETENTION_MS // 2 + RETENTION_MS // 12
    for bucket in world.shard.expired_buckets(world.clock.ms - RETENTION_MS):
        world.shard.drop_bucket(bucket)
    world.restart(keep=True)
    world.until_quiet()
    assert world.outcomes("m") == [Outcome.REVOKED]
    world.close()


def revoked_and_waiting(world: SmallWorld) -> Written:
    """A message of one send, revoked; its result has not left."""
    world.send("m", ["a"])
    world.violate("m")
    until_planned(world)
    world.answer(world.call(), "revoked")
    [waited] = world.mailbox.written
    return waited


def test_a_result_that_waited_says_complete_no_more_where_a_send_came_meanwhile(tmp_path: Path) -> None:
    """Totals: equal means complete as known now, when it is written at last, not when it was made."""
    world = SmallWorld(tmp_path)
    waited = revoked_and_waiting(world)
    assert (waited.result.violation_tokens_matched, waited.result.violation_tokens_settled) == (1, 1)
    assert world.settling.as_known_now(waited) == waited
    world.send("m", ["b", "c"])
    world.read(Topic.SENDS)
    world.tell()
    renewed = world.settling.as_known_now(waited).result
    assert renewed == waited.result._replace(violation_tokens_matched=3)
    world.close()


def test_a_result_that_waited_goes_on_saying_complete_while_no_broker_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether more could be read is not known then; it would be the last word of its violation."""
    world = SmallWorld(tmp_path)
    waited = revoked_and_waiting(world)
    monkeypatch.setattr(world.settling, "_behind", lambda: True)
    assert world.settling.as_known_now(waited) == waited
    world.close()


def test_what_is_on_its_way_is_not_said_again_though_its_message_was_forgotten(tmp_path: Path) -> None:
    """WITHDRAWN once per withdrawal: also where its result still waits for Kafka when NOT_FOUND ends the message, and
    another finding brings it back."""
    world = SmallWorld(tmp_path)
    world.violate("m", "v1")
    world.violate("m", "v2", Status.WITHDRAWN)
    until_planned(world)
    world.clock.ms += MINUTE_MS
    world.desk.missing(world.clock.monotonic_s(), lambda shard, arrived_s: True)
    assert not world.desk.docket.open
    world.violate("m", "v3")
    until_planned(world)
    assert [written.result.outcome for written in world.mailbox.written] == [Outcome.WITHDRAWN, Outcome.NOT_FOUND]
    world.close()


def test_tokens_that_no_call_can_carry_are_refused_without_one(tmp_path: Path) -> None:
    """A token above 4,096 bytes is rejected without a call."""
    world = SmallWorld(tmp_path)
    longest = "x" * (MAX_TOKEN_BYTES + 1)
    world.send("m", ["a", longest, "", "b"])
    world.violate("m")
    world.until_quiet()
    assert world.called_tokens("m") == [b"a", b"b"]
    assert world.covered("m", "v1") == dict.fromkeys(world.places("m"), 1)
    reasons = {reject.reason for r in world.results for reject in r.rejected_tokens}
    assert reasons == {"tokenTooLong", "tokenEmpty"}
    assert Outcome.FAILED in {r.outcome for r in world.results}
    assert sum(world.settling.given_up.values()) == 0  # the tokens' own fault
    assert {reject.token for r in world.results for reject in r.rejected_tokens} == {longest, ""}, "whole"
    world.close()


def test_work_that_leaves_retention_ends_expired(tmp_path: Path) -> None:
    """Work still open when its send or violation leaves retention ends FAILED, detail ``expired``."""
    world = SmallWorld(tmp_path)
    world.send("m", ["a"])
    world.violate("m")
    world.read(Topic.SENDS)
    world.recall()
    for topic in Topic:
        world.read_past(topic, 1)
    world.read(Topic.VIOLATIONS)
    world.tell()
    world.step()
    assert len(world.waiting) == 1
    world.clock.ms += RETENTION_MS + 10
    world.desk.expire(world.clock.ms)
    world.until_quiet()
    assert [(r.outcome, r.detail, r.attempts) for r in world.results] == [(Outcome.FAILED, "expired", 0)]
    assert sum(world.settling.given_up.values()) == 1
    world.close()


def test_a_message_never_planned_ends_expired_before_its_bucket_is_dropped(tmp_path: Path) -> None:
    """Work still open ends FAILED, ``expired``, before anything is dropped: also what no call was planned for."""
    world = SmallWorld(tmp_path)
    world.send("m", ["a"], app="stopped")
    world.clock.ms += RETENTION_MS // 2
    world.violate("m")
    world.read(Topic.SENDS)
    world.recall()
    for topic in Topic:
        world.read_past(topic, 1)
    world.crowd.add("stopped")
    world.read(Topic.VIOLATIONS)
    world.tell()
    world.step()
    assert not world.waiting, "the app stands still and has enough planned: the message is parked"
    world.clock.ms += RETENTION_MS // 2 + RETENTION_MS // 12 + 10
    [bucket] = world.shard.expired_buckets(world.clock.ms - RETENTION_MS)
    world.desk.expire(world.clock.ms)
    assert not world.desk.done_with(0, bucket), "the bucket is needed until its places have ended"
    world.until_quiet()
    assert [(r.outcome, r.detail) for r in world.results] == [(Outcome.FAILED, "expired")]
    assert world.desk.done_with(0, bucket)
    world.close()


def test_a_parked_message_whose_shard_left_and_came_back_ends_expired_once(tmp_path: Path) -> None:
    """Work still open ends FAILED, ``expired``: once, whoever held it before."""
    world = SmallWorld(tmp_path)
    world.send("m", ["a"], app="stopped")
    world.violate("m")
    world.crowd.add("stopped")
    until_planned(world)
    world.desk.shard_came(world.shard)
    world.recall()
    until_planned(world)
    world.clock.ms += RETENTION_MS + MINUTE_MS
    world.desk.expire(world.clock.ms)
    assert [written.result.detail for written in world.mailbox.written] == ["expired"]
    world.close()


def test_an_app_that_stands_still_holds_up_no_other_of_the_same_message(tmp_path: Path) -> None:
    """No app starves another, also where one message went out under both; the rest goes on when there is room."""
    world = SmallWorld(tmp_path)
    world.crowd.add("stopped")
    world.send("m", ["a", "b"], app="stopped")
    world.send("m", ["c"], app="healthy")
    world.violate("m", "v1")
    world.violate("m", "v2")
    world.until_quiet()
    assert world.called_tokens("m") == [b"c"]
    assert world.outcomes("m", "v2") == [Outcome.ALREADY_REVOKED]
    world.send("m", ["d"], app="stopped")
    world.send("m", ["e"], app="healthy")
    world.until_quiet()
    assert world.called_tokens("m") == [b"c", b"e"]
    assert not any(r.violation_tokens_matched == r.violation_tokens_settled for r in world.results)
    world.crowd.clear()
    world.until_quiet()
    for violation in ("v1", "v2"):
        assert world.covered("m", violation) == dict.fromkeys(world.places("m"), 1)
    assert sorted(world.called_tokens("m")) == [b"a", b"b", b"c", b"d", b"e"]
    assert not world.desk.docket.open
    world.close()


def test_what_an_app_that_stands_still_has_left_ends_expired_place_by_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work still open when its send leaves retention ends ``expired`` before its bucket is dropped, and no sooner."""
    monkeypatch.setattr(passes, "CHUNK_SENDS", 1)
    world = SmallWorld(tmp_path)
    world.crowd.add("stopped")
    world.send("m", ["a"], app="stopped")
    world.send("m", ["b"], app="healthy")
    world.clock.ms += RETENTION_MS // 2
    world.send("m", ["c"], app="stopped")
    world.violate("m")
    world.until_quiet()
    world.clock.ms += RETENTION_MS // 2 + RETENTION_MS // 12
    [bucket] = world.shard.expired_buckets(world.clock.ms - RETENTION_MS)
    for _ in range(2):
        world.desk.expire(world.clock.ms)
        assert not world.desk.done_with(0, bucket), "its result is still to be written"
        world.until_quiet()
        world.desk.expire(world.clock.ms)
        if world.desk.done_with(0, bucket):
            break
    world.until_quiet()
    assert [(r.client_id, r.detail) for r in world.results[1:]] == [("stopped", "expired")]
    world.crowd.clear()
    world.until_quiet()
    assert world.called_tokens("m") == [b"b", b"c"]
    world.close()


def test_a_send_of_another_app_does_not_wait_for_the_one_that_a_long_pass_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """... also where it comes while a pass waits halfway, which is to meet it."""
    monkeypatch.setattr(passes, "CHUNK_SENDS", 1)
    world = SmallWorld(tmp_path)
    for token in "abc":
        world.send("m", [token], app="stopped")
    world.violate("m", "v1")
    world.until_quiet("given up")
    world.violate("m", "v2")
    for topic in Topic:
        world.read(topic)
    world.tell()
    world.step()
    world.crowd.add("stopped")
    until_planned(world)
    world.send("m", ["d"], app="healthy")
    world.until_quiet()
    assert b"d" in world.called_tokens("m", "v1")
    world.close()


def until_planned(world: SmallWorld) -> None:
    """Read everything and plan what can be planned; nothing is called."""
    if world.recall_due:
        world.recall()
    for topic in Topic:
        world.read(topic)
        world.read_past(topic, 1_000)
    world.tell()
    while world.step():
        pass


def test_a_stored_send_that_turns_out_unreadable_is_buried_once_and_each_violation_told(tmp_path: Path) -> None:
    """It goes to the dead letters then, and the violation gets a FAILED for it (SendPart with no tokens)."""
    world = SmallWorld(tmp_path)
    world.send("m", ["good"])
    world.read(Topic.SENDS)  # the next of its kind passes by its looks
    world.send("m", ["a", "b"])
    broken = world.topics[Topic.SENDS][1]
    world.topics[Topic.SENDS][1] = broken._replace(value=broken.value.replace(b"\x02b\0", b"\x7fb\0"))
    world.violate("m", "v1")
    world.violate("m", "v2")
    world.until_quiet()
    assert len(world.mailbox.letters) == 1
    world.violate("m", "v3")
    world.restart(keep=True)
    world.until_quiet()
    unreadable = [r for r in world.results if r.detail == "unreadable"]
    assert [(r.violation_id, r.outcome, [tuple(p) for p in r.sends]) for r in unreadable] == [
        (name, Outcome.FAILED, [(0, 1, 0, 0)]) for name in ("v1", "v2", "v3")
    ]
    assert len(world.mailbox.letters) == 0, "after the restart it is known"
    world.close()


def unreadable_send(world: SmallWorld) -> Iterator[Callable[[KafkaError | None], None]]:
    """A message whose only send turns out unreadable when its violation needs it; how to answer each letter."""
    world.send("other", ["good"])
    world.read(Topic.SENDS)  # the next of its kind passes by its looks
    world.send("m", ["a", "b"])
    broken = world.topics[Topic.SENDS][1]
    world.topics[Topic.SENDS][1] = broken._replace(value=broken.value.replace(b"\x02b\0", b"\x7fb\0"))
    return deaf(world)


def deaf(world: SmallWorld) -> Iterator[Callable[[KafkaError | None], None]]:
    """The dead-letter topic answers when the test does."""
    answers: deque[Callable[[KafkaError | None], None]] = deque()

    def take(letter: Letter, done: Callable[[KafkaError | None], None]) -> None:
        world.mailbox.letters.append(letter)
        answers.append(done)

    world.mailbox.send = take  # type: ignore[method-assign]
    world.mailbox.later = lambda wait_s, call: world.loop.append(call)  # type: ignore[method-assign]
    return iter(answers.popleft, None)


def test_a_place_of_an_unreadable_send_settles_only_when_its_letter_is_there(world: SmallWorld) -> None:
    """It goes to the dead letters whole, with its own headers, and the violation gets a FAILED for it: in this order,
    so that a crash between the two writes the letter again."""
    answers = unreadable_send(world)
    world.violate("m", "v1")
    world.violate("m", "v2")
    world.until_quiet()
    assert (world.results, len(world.mailbox.letters)) == ([], 1)
    assert dict(world.mailbox.letters[0].headers)["own"] == b"header"
    world.restart(keep=True)
    answers = deaf(world)
    world.until_quiet()
    assert (world.results, len(world.mailbox.letters)) == ([], 1), "written again: nobody knew that it had arrived"
    next(answers)(KafkaError(KafkaError._MSG_TIMED_OUT))
    assert list(world.settling.late.unburied.values()) == [str(KafkaError(KafkaError._MSG_TIMED_OUT))]
    world.until_quiet()
    assert (world.results, len(world.mailbox.letters)) == ([], 2)
    next(answers)(None)
    world.until_quiet()
    assert [(r.violation_id, r.detail) for r in world.results] == [("v1", "unreadable"), ("v2", "unreadable")]
    assert (world.settling.late.unburied, world.settling.late.dead) == ({}, {"decode": 1})


def test_a_withdrawal_while_the_letter_is_on_its_way_leaves_nothing_to_say(world: SmallWorld) -> None:
    """WITHDRAWN: stop what has not been done yet; the letter goes all the same."""
    answers = unreadable_send(world)
    world.violate("m", "v1")
    world.until_quiet()
    world.violate("m", "v1", Status.WITHDRAWN)
    world.until_quiet()
    next(answers)(None)
    world.until_quiet()
    assert world.outcomes("m", "v1") == [Outcome.WITHDRAWN]
    assert not world.desk.docket.open


def test_a_letter_that_arrives_when_its_shard_has_gone_settles_nothing(world: SmallWorld) -> None:
    """The fence: whatever was under way must leave no trace."""
    answers = unreadable_send(world)
    world.violate("m", "v1")
    world.until_quiet()
    world.shard.fence()
    world.desk.shard_came(Shard(0, world.store, RETENTION_MS // 12))
    next(answers)(None)
    assert not world.mailbox.written


def test_headers_that_kafka_does_not_tell_now_are_asked_for_again(world: SmallWorld) -> None:
    """The record's own headers stay; until they are known its letter waits, visibly."""
    asked: list[Callable[[dict[Position, list[tuple[str, bytes | None]]]], None]] = []
    world.settling.late._headers_again = lambda positions, told: asked.append(told)
    unreadable_send(world)
    world.violate("m", "v1")
    world.until_quiet()
    asked.pop()({})
    assert list(world.settling.late.unburied.values()) == [
        "Kafka does not tell the headers of the record that goes there"
    ]
    assert not world.mailbox.letters
    world.until_quiet()
    (at,) = world.settling.late.unburied
    asked.pop()({at: []})
    assert len(world.mailbox.letters) == 1
    assert world.settling.late.unburied == {}


def test_a_result_of_a_shard_that_has_gone_leaves_no_trace(tmp_path: Path) -> None:
    """The fence: whatever was under way must leave no trace."""
    world = SmallWorld(tmp_path)
    world.send("m", ["a"])
    world.violate("m")
    world.recall()
    for topic in Topic:
        world.read_past(topic, 5)
    for topic in (Topic.SENDS, Topic.VIOLATIONS):
        world.read(topic)
    world.tell()
    world.step()
    flying = world.call()
    world.shard.fence()
    world.desk.shard_went(0)
    world.answer(flying, "revoked")
    assert not world.mailbox.written
    world.close()


@pytest.mark.parametrize("keep", [True, False])
def test_the_same_work_after_a_crash_has_the_same_result_id(tmp_path: Path, keep: bool) -> None:
    """A crash may repeat a call and at worst a result, with the same resultId."""
    world = SmallWorld(tmp_path)
    for at in range(3):
        world.send("m", [f"t-{at}", f"u-{at}"])
    world.violate("m")
    world.recall()
    for topic in Topic:
        world.read_past(topic, 5)
    for topic in (Topic.SENDS, Topic.VIOLATIONS):
        world.read(topic)
    world.tell()
    world.step()
    world.answer(world.call(), "revoked")
    lost = world.mailbox.written[0].result
    world.restart(keep=keep)
    world.until_quiet()
    assert [r.result_id for r in world.results] == [lost.result_id]
    world.close()


def test_two_messages_with_one_digest_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two messages with one digest are told apart by the value."""
    from tests.service import small_world

    def same(_: bytes) -> bytes:
        return b"samesame"

    monkeypatch.setattr(keys, "digest_of", same)
    monkeypatch.setattr(small_world, "digest_of", same)
    world = SmallWorld(tmp_path)
    assert isinstance(world.shard, Shard)
    world.send("guilty", ["a"])
    world.send("innocent", ["b"])
    world.violate("guilty")
    world.send("innocent", ["c"])
    world.send("guilty", ["d"])
    world.until_quiet()
    assert sorted(world.called_tokens("guilty")) == [b"a", b"d"]
    assert world.called_tokens("innocent") == []
    world.violate("innocent", "v9")
    world.until_quiet()
    assert world.covered("innocent", "v9") == dict.fromkeys(world.places("innocent"), 1)
    world.close()
