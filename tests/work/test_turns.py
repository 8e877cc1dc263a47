"""Messages that wait to be planned: apps in turn, the oldest finding of each first; strangers are asked about."""

from __future__ import annotations

from itertools import count

from stream.work.condemned import Condemned
from stream.work.turns import STRANGER, Turns

_numbers = count()


def message(name: str, app: str | None = None, first_ms: int = 0) -> Condemned:
    """One whose app is known, or not."""
    it = Condemned(0, name, name.encode(), 0.0)
    it.first_timestamp_ms = first_ms
    if app is not None:
        it.apps.add(app)
    return it


def wait(turns: Turns, *messages: Condemned) -> None:
    """Let them wait, under numbers that have not been used."""
    for it in messages:
        it.queued = next(_numbers)
        turns.push(it, it.queued)


def order(turns: Turns, *full: str) -> list[str]:
    """In which they are taken, while these apps have no room."""
    found = []
    while (it := turns.first(lambda app: app not in full)) is not None:
        it.queued = None
        turns.taken(it)
        found.append(it.message_id)
    return found


def test_apps_take_turns_and_in_each_the_oldest_finding_goes_first() -> None:
    """A million messages of one put nobody else's off by more than a turn."""
    turns = Turns()
    wait(turns, *(message(f"a{number}", "a", 9 - number) for number in range(3)), message("b", "b"), message("c", "c"))
    assert order(turns) == ["a2", "b", "c", "a1", "a0"]
    assert not turns


def test_an_app_without_room_is_passed_over_and_waits() -> None:
    """It holds up no other, nor does it lose its place."""
    turns = Turns()
    wait(turns, message("a", "a"), message("b", "b"), message("x"))
    assert order(turns, "a", STRANGER) == ["b"]
    assert turns
    assert sorted(order(turns)) == ["a", "x"]


def test_the_newest_stranger_is_asked_about_first_and_once() -> None:
    """One that comes behind a million of another app is known at once, and waits among its app's from then on."""
    turns, old, new, gone = Turns(), message("old"), message("new"), message("gone")
    wait(turns, old, new, gone)
    gone.queued = None  # taken elsewhere
    assert turns.stranger() is new
    new.apps.add("b")
    wait(turns, new)
    assert (turns.stranger(), turns.stranger()) == (old, None)
    assert order(turns) == ["old", "new"]
    assert not turns, "where it waited as a stranger it is passed over"
