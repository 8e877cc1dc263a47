"""One call for several findings: who comes second waits for calls that are under way, and is told of them without one
of its own; what a withdrawal leaves undone is handed on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.model import Outcome, Severity, Status, Topic
from tests.service.small_world import SmallWorld, Waiting

TOKENS = [f"token-{letter}" for letter in "abcdef"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    small = ready(tmp_path)
    yield small
    small.close()


def ready(folder: Path) -> SmallWorld:
    """A shard that has read its empty past; calls of two tokens."""
    small = SmallWorld(folder)
    small.largest = 2
    small.recall()
    for topic in Topic:
        small.read_past(topic, 1)
    small.tell()
    return small


def heard(world: SmallWorld) -> None:
    """All that was written has been read, and planned as far as it may be."""
    for topic in (Topic.SENDS, Topic.VIOLATIONS):
        world.read(topic)
    world.tell()
    while world.desk.planning.plans.any and world.step():
        pass


def again(world: SmallWorld, chosen: Waiting) -> None:
    """The gateway says: try again. As ``Calls.again`` does it."""
    world.in_flight.remove(chosen)
    if world.desk.wants(chosen.parcel):
        world.waiting.append(chosen)


def test_a_second_finding_waits_for_the_calls_that_are_under_way(world: SmallWorld) -> None:
    """No call of its own, and nothing said, until they have ended; then ALREADY_REVOKED for all that they cover."""
    world.send("m", TOKENS)
    world.violate("m", "v1")
    heard(world)
    flying = world.call()
    world.violate("m", "v2", severity=Severity.CRITICAL)
    heard(world)
    assert {each.parcel.violation.violation_id for each in [*world.waiting, *world.in_flight]} == {"v1"}
    assert {each.severity for each in world.waiting} == {Severity.CRITICAL}, "what is left is lifted to its lane"
    assert not world.mailbox.written
    world.answer(flying, "revoked")
    world.until_quiet()
    assert len(world.called) == 3
    assert set(world.outcomes("m", "v2")) == {Outcome.ALREADY_REVOKED}
    assert {r.detail for r in world.results if r.violation_id == "v2"} == {"v1"}
    assert world.covered("m", "v2") == dict.fromkeys(world.places("m"), 1)


def test_the_withdrawal_of_the_first_hands_what_is_left_to_the_second(world: SmallWorld) -> None:
    """What was called under the first is ALREADY_REVOKED, what was not is called under the second, each token once."""
    world.send("m", TOKENS)
    world.violate("m", "v1")
    world.violate("m", "v2")
    heard(world)
    done, flying = world.call(), world.call()
    world.answer(done, "revoked")
    world.settle_one()
    world.violate("m", "v1", Status.WITHDRAWN)
    heard(world)
    assert not world.waiting, "the second waits for what is in flight under the first"
    world.answer(flying, "revoked")
    world.until_quiet()
    assert sorted(world.called_tokens("m")) == sorted(token.encode() for token in TOKENS)
    assert len(world.called_tokens("m", "v2")) == 2
    assert Counter(world.outcomes("m", "v2"))[Outcome.REVOKED] == 1
    assert world.covered("m", "v2") == dict.fromkeys(world.places("m"), 1)


def test_a_call_in_flight_that_fails_after_the_withdrawal_is_made_under_the_second(world: SmallWorld) -> None:
    """Its retry belongs to the finding that stands."""
    world.send("m", TOKENS[:2])
    world.violate("m", "v1")
    world.violate("m", "v2")
    heard(world)
    flying = world.call()
    world.violate("m", "v1", Status.WITHDRAWN)
    heard(world)
    again(world, flying)
    world.until_quiet()
    assert [each.violation.violation_id for each in world.called] == ["v1", "v2"]
    assert world.outcomes("m", "v2") == [Outcome.REVOKED]


@pytest.mark.parametrize(
    ("how", "outcomes"),
    [
        ("partial", {Outcome.ALREADY_REVOKED, Outcome.FAILED}),
        ("refused", {Outcome.FAILED}),
        ("given up", {Outcome.REVOKED}),
    ],
)
def test_what_the_calls_come_to_is_the_seconds_too(world: SmallWorld, how: str, outcomes: set[Outcome]) -> None:
    """Refused for good: the reason copied, without a call. Only given up: called under the second."""
    world.send("m", TOKENS[:2])
    world.violate("m", "v1")
    world.violate("m", "v2")
    heard(world)
    world.answer(world.call(), how)
    world.until_quiet()
    assert set(world.outcomes("m", "v2")) == outcomes
    assert len(world.called) == (2 if how == "given up" else 1)


MOVES = ("find", "withdraw", "confirm", "send", "hear", "call", "revoked", "partial", "given up", "again", "settle")
moves = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 5)), max_size=40)


@settings(deadline=None, max_examples=60)
@given(moves)
def test_in_any_order_each_token_is_called_once_and_each_finding_is_told_of_it(steps: list[tuple[str, int]]) -> None:
    """Findings, withdrawals, late sends and answers as they like: no token is called that is in flight or revoked, and
    in the end each place of each finding that stands is covered, once."""
    with TemporaryDirectory() as folder:
        world = ready(Path(folder))
        play(world, steps)
        standing = [name for name, status in statuses(world).items() if status is not Status.WITHDRAWN]
        for name in standing:
            assert world.covered("m", name) == dict.fromkeys(world.places("m"), 1)
        world.close()


def statuses(world: SmallWorld) -> dict[str, Status]:
    """What was said last of each finding."""
    return {record.said.violation_id: record.said.status for record in world.topics[Topic.VIOLATIONS]}


def play(world: SmallWorld, steps: list[tuple[str, int]]) -> None:
    revoked: set[bytes] = set()
    world.send("m", TOKENS)
    world.violate("m", "v0")
    for move, number in steps:
        take(world, move, number, revoked)
        in_flight = [token for each in world.in_flight for token in each.parcel.tokens]
        assert len(in_flight) == len(set(in_flight)), "two calls for one token at once"
    while world.waiting or world.in_flight or world.move("revoked"):
        take(world, "revoked" if world.in_flight else "call", 0, revoked)
    world.until_quiet()


def take(world: SmallWorld, move: str, number: int, revoked: set[bytes]) -> None:
    name = f"v{number % 3}"
    if move == "find" or (move == "confirm" and name in statuses(world)):
        world.violate("m", name, severity=Severity(number % 4))
    elif move == "withdraw" and name in statuses(world):
        world.violate("m", name, Status.WITHDRAWN)
    elif move == "send":
        world.send("m", [f"late-{len(world.topics[Topic.SENDS])}-{at}" for at in range(3)])
    elif move == "hear":
        heard(world)
    elif move == "settle" and world.mailbox.written:
        world.settle_one()
    elif move == "call" and world.waiting:
        called = world.call()
        assert revoked.isdisjoint(called.parcel.tokens), "called though it is revoked"
    elif world.in_flight:
        answer(world, world.in_flight[number % len(world.in_flight)], move, revoked)


def answer(world: SmallWorld, flying: Waiting, how: str, revoked: set[bytes]) -> None:
    if how == "again":
        again(world, flying)
    elif how in ("revoked", "partial", "given up"):
        tokens = flying.parcel.tokens
        refused_first = how == "partial" and len(tokens) > 1
        revoked.update({"given up": (), "revoked": tokens}.get(how, tokens[refused_first:]))
        world.answer(flying, how)
