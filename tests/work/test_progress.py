"""How fast something becomes less."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.work.progress import WINDOW_S, Progress


def test_what_becomes_less_evenly_has_that_rate() -> None:
    """So much becomes less a second, of all places together."""
    progress = Progress()
    for second in range(11):
        progress.look({"a": 1_000 - 50 * second, "b": 500 - 10 * second}, float(second))
    assert (progress.remaining, progress.per_s) == (900, 60.0)


def test_nothing_is_known_before_the_second_look_or_while_nothing_moves() -> None:
    """0 then."""
    progress = Progress()
    assert (progress.remaining, progress.per_s) == (0, 0.0)
    progress.look({"a": 7}, 1.0)
    assert progress.per_s == 0.0
    progress.look({"a": 7}, 2.0)
    assert progress.per_s == 0.0


def test_what_comes_on_top_slows_nothing_down_and_what_goes_is_not_done() -> None:
    """A place that begins, or turns out larger; a place that is no longer named."""
    progress = Progress()
    progress.look({"a": 100, "gone": 9_999}, 0.0)
    progress.look({"a": 90, "b": 5_000}, 1.0)
    progress.look({"a": 80, "b": 6_000}, 2.0)
    assert progress.per_s == 10.0


def test_a_change_shows_within_the_window() -> None:
    """By the last half minute."""
    progress = Progress()
    for second in range(200):
        progress.look({"a": 100_000 - (1_000 * min(second, 90))}, float(second))
    assert progress.per_s == 0.0
    assert WINDOW_S < 109


@given(st.lists(st.tuples(st.floats(0.01, 20), st.integers(0, 500)), min_size=2, max_size=60))
def test_the_rate_is_never_more_than_the_quickest_step(steps: list[tuple[float, int]]) -> None:
    """Whatever the steps, it lies between the slowest and the quickest."""
    progress, now_s, left = Progress(), 0.0, 1_000_000
    progress.look({"a": left}, now_s)
    for wait_s, done in steps:
        now_s, left = now_s + wait_s, left - done
        progress.look({"a": left}, now_s)
    rates = [done / wait_s for wait_s, done in steps]
    assert min(rates) * 0.999 - 1e-9 <= progress.per_s <= max(rates) * 1.001 + 1e-9
