"""Trying again: by due time, full jitter, never before the gateway asked for."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from stream.work.retry import SHORTEST_S, Due, backoff_s

FIRST_S, LONGEST_S = 0.5, 60.0
attempts, seeds = st.integers(0, 1_000), st.integers(0, 2**32)


@given(attempts, seeds)
def test_the_wait_stays_below_a_bound_that_doubles_up_to_the_longest(made: int, seed: int) -> None:
    """Uniform up to a bound that begins at ``first_s`` and doubles up to ``longest_s``."""
    wait_s = backoff_s(made, FIRST_S, LONGEST_S, None, Random(seed))
    assert SHORTEST_S <= wait_s <= min(LONGEST_S, FIRST_S * 2 ** max(0, min(made, 40) - 1))


def test_the_jitter_is_full() -> None:
    """Callers that failed together must not come back together."""
    waits = sorted(backoff_s(4, FIRST_S, LONGEST_S, None, Random(seed)) for seed in range(400))
    assert waits[20] < 0.6
    assert waits[-20] > 3.4


@given(attempts, seeds, st.floats(0, 3_600))
def test_retry_after_is_obeyed(made: int, seed: int, asked_s: float) -> None:
    """Never less than the gateway asked for, and little more."""
    assert asked_s <= backoff_s(made, FIRST_S, LONGEST_S, asked_s, Random(seed)) <= asked_s + 1


@given(st.lists(st.integers(0, 20), max_size=20), st.lists(st.integers(0, 20), max_size=6).map(sorted))
def test_each_comes_when_its_time_has_come_soonest_first(times: list[int], moments: list[int]) -> None:
    """Nothing before its time, nothing twice, nothing lost."""
    due: Due[int] = Due()
    for thing, due_s in enumerate(times):
        due.put(thing, due_s)
    came = []
    for now_s in [*moments, 21]:
        ready = due.take(now_s)
        assert all(times[thing] <= now_s for thing in ready)
        assert due.next_s() is None or (due.next_s() or 0) > now_s
        came += ready
    assert sorted(came) == list(range(len(times)))
    assert [times[thing] for thing in came] == sorted(times)


@given(st.lists(st.integers(0, 20), max_size=20))
def test_what_is_not_wanted_any_more_is_dropped(times: list[int]) -> None:
    """Drop what ``wanted`` refuses; the rest keeps its time."""
    due: Due[int] = Due()
    for thing, due_s in enumerate(times):
        due.put(thing, due_s)
    dropped = due.keep(lambda thing: thing % 2 == 0)
    assert sorted(dropped) == [thing for thing in range(len(times)) if thing % 2]
    assert len(due) == len(list(due)) == len(times) - len(dropped)
    assert [times[thing] for thing in due.take(21)] == sorted(times[::2])
