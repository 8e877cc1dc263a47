"""How a message is counted from the store, and which word a violation's standing gets."""

from __future__ import annotations

import asyncio
import threading
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from stream.model import Outcome, Send, SendHead, Severity, Status, ViolationEvent
from stream.service import lookup
from stream.service.lookup import LISTED, Found, Lookup, count
from stream.service.views import Tally, state_of, waits_for
from stream.state.shard import Shard, StoredSend
from stream.wire.wire import Wire
from stream.work.cover import Kind, Mark, kind_of
from stream.work.judgement import Event, Violation, judge
from tests.service.small_world import RETENTION_MS, SmallWorld

HEAD = SendHead("m1", "app", 7, 0, 1_000, None)


def violation(name: str = "v1", status: Status = Status.CONFIRMED, again: bool = False) -> Violation:
    """As its events leave it; ``again``: a later CONFIRMED at 5,000 ms asks to try again."""
    first = ViolationEvent(name, "m1", Severity.LOW, status, "", None, 1_000)
    events = [Event(0, 1_000, first)] + ([Event(1, 5_000, first._replace(detected_at_ms=2_000))] if again else [])
    return judge(events)[name]


def counted(known: list[Violation], places: int | None, marks: list[Mark]) -> Found:
    """One send of so many places (None: unreadable), counted."""
    found = Found({each.violation_id: each for each in known})
    send = None if places is None else Send(HEAD, tuple(b"t%d" % place for place in range(places)))
    count(found, StoredSend(0, 10, 1_000, b""), send, marks)
    return found


def mark(first: int, places: int, name: str = "v1", kind: Kind = Kind.REVOKED) -> Mark:
    """A mark on the send, by a result of 2,000 ms."""
    return Mark(10, first, places, kind, name, 3, 2_000, False)


def test_only_places_with_a_mark_of_the_violation_are_settled() -> None:
    """tokensSettled: counted from sends and marks, per violation."""
    found = counted([violation("v1"), violation("v2")], 10, [mark(0, 4), mark(6, 4), mark(0, 10, "v2")])
    assert (found.sends, found.places, found.settled, found.open) == (1, 10, {"v1": 8, "v2": 10}, {"v1"})


def test_what_was_given_up_is_open_again_after_a_later_confirmed() -> None:
    """A CONFIRMED that counts tries again what was given up."""
    given_up = [mark(0, 2, kind=kind_of(Outcome.FAILED, False))]
    assert counted([violation()], 2, given_up).settled == {"v1": 2}
    assert counted([violation(again=True)], 2, given_up).settled == {"v1": 0}


def test_an_unreadable_send_is_open_until_its_violation_was_told() -> None:
    """The violation gets a FAILED for it: a mark without places."""
    assert counted([violation()], None, []).open == {"v1"}
    assert counted([violation()], None, [mark(0, 0)]).open == set()


def test_a_send_without_tokens_covers_nothing() -> None:
    """None is legal and covers nothing."""
    found = counted([violation()], 0, [])
    assert (found.sends, found.places, found.open) == (1, 0, set())


def test_a_campaign_lists_its_first_sends_only() -> None:
    """Bounded: of a million sends nobody reads a list."""
    found = Found({})
    for offset in range(LISTED + 5):
        count(found, StoredSend(0, offset, 1_000, b""), Send(HEAD, (b"t",)), [])
    assert (found.sends, len(found.listed), found.listed[-1].offset) == (LISTED + 5, LISTED, LISTED - 1)


@pytest.mark.parametrize(
    ("tally", "word"),
    [
        (Tally(found=False, complete=True, matched=0, settled=0, done=True), "waiting"),
        (Tally(found=False, complete=False, matched=1, settled=0, done=True), "waiting"),
        (Tally(found=True, complete=True, matched=5, settled=5, done=True), "settled"),
        (Tally(found=True, complete=True, matched=5, settled=5, done=False), "active"),
        (Tally(found=True, complete=False, matched=6, settled=5, done=True), "active"),
    ],
)
def test_the_state_is_one_word(tally: Tally, word: str) -> None:
    """settled only when all known places are settled and no send is known to be uncounted or unread."""
    assert state_of(violation(), tally) == word
    assert state_of(violation(status=Status.WITHDRAWN), tally) == "withdrawn"


async def test_a_search_that_is_not_wanted_any_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another instance has found it: the next question must not wait for millions of events."""
    monkeypatch.setattr(lookup, "SEARCH_S", 1.0)
    enough, asked = threading.Event(), Lookup(Wire())
    stored = SimpleNamespace(all_events=lambda: repeat(SimpleNamespace(value=b"another")))
    full = SimpleNamespace(stored=stored)
    searching = asyncio.ensure_future(asked.search([cast(Shard, full)], "v1", enough))
    await asyncio.sleep(0.05)
    assert not searching.done()
    enough.set()
    assert await searching is None
    await asked.close()


def test_a_violation_waits_for_those_of_its_apps_that_make_no_calls() -> None:
    """Not for anybody else's, and not for a sentence of a thousand apps."""
    stopped = dict.fromkeys("abcdef", "no key")
    assert waits_for(["x", "y"], stopped) is None
    assert waits_for(["x", "b"], stopped) == "app b makes no calls: no key"
    assert (waits_for("abcde", stopped) or "").endswith("app c makes no calls: no key; and 2 more apps")


async def test_what_was_called_before_its_sends_left_is_told_from_what_was_never_found(tmp_path: Path) -> None:
    """``settled`` stays so when its sends have left retention; a violation that comes then waits."""
    world = SmallWorld(tmp_path)
    world.send("m", ["a"])
    world.clock.ms += RETENTION_MS // 2
    world.violate("m", "v1")
    world.until_quiet()
    world.clock.ms += RETENTION_MS // 2 + RETENTION_MS // 12
    for bucket in world.shard.expired_buckets(world.clock.ms - RETENTION_MS):
        world.shard.drop_bucket(bucket)
    world.violate("m", "v2")
    world.until_quiet()
    asked = Lookup(world.wire)
    found = await asked.message(world.shard, "m")
    assert (found.sends, found.once, found.open) == (0, {"v1"}, set())
    await asked.close()
    world.close()


def test_a_send_that_came_when_its_violation_had_left_leaves_nothing_open() -> None:
    """As the desk counts it."""
    found = Found({"v1": violation()})
    count(found, StoredSend(0, 10, 1_000, b""), Send(HEAD, (b"t",)), [], lambda each, send_ms: True)
    assert (found.settled, found.open) == ({"v1": 1}, set())
