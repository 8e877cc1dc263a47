"""One app's standing: pauses are somebody's to mend and are probed, flow control ends by itself."""

from __future__ import annotations

import pytest

from stream.work.apps import PROBE_FIRST_S, PROBE_LONGEST_S, REFUSED_IN_A_ROW, App, most_of_one_app


def app(held: str | None = None, rate: float = 0.0) -> App:
    return App("app", rate, 0.0, held)


def tokens(count: int) -> list[bytes]:
    """So many different ones."""
    return [b"token-%d" % number for number in range(count)]


def test_an_app_calls_at_once_and_says_nothing() -> None:
    """Nothing is in the way but limits."""
    fresh = app()
    assert (fresh.wait_s(0.0), fresh.waits_for, fresh.largest_call) == (0.0, None, 1_000)


def test_a_paused_app_sends_one_probe_at_a_time_ever_more_slowly() -> None:
    """A pause is somebody's to mend: one probe at a time goes out."""
    paused, now_s, waits = app(), 100.0, []
    assert paused.pause("401: no right", now_s)
    for _ in range(8):
        wait_s = paused.wait_s(now_s)
        assert wait_s is not None
        waits.append(wait_s)
        now_s += wait_s
        paused.leaves(1, now_s)
        assert (paused.wait_s(now_s) or 0) > 0, "no second probe before the next one's time"
        assert not paused.pause("401: no right", now_s)
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert waits[0] == PROBE_FIRST_S
    assert waits[-1] == PROBE_LONGEST_S


def test_an_accepted_call_ends_the_pause() -> None:
    """Goes on after a probe; the next pause begins anew."""
    paused = app()
    paused.pause("why", 0.0)
    paused.leaves(1, 2.0)
    assert paused.accepted()
    assert not paused.accepted()
    assert (paused.wait_s(2.0), paused.waits_for) == (0.0, None)
    assert paused.pause("again", 3.0)
    assert paused.wait_s(3.0) == PROBE_FIRST_S


def test_two_hundred_tokens_refused_in_a_row_are_too_many() -> None:
    """200 distinct tokens in a row, none accepted."""
    refused = app()
    assert not refused.refuse(tokens(REFUSED_IN_A_ROW - 1))
    assert refused.refuse([b"another"])


def test_one_accepted_call_starts_the_row_anew() -> None:
    """… in a row, none accepted."""
    refused = app()
    refused.refuse(tokens(REFUSED_IN_A_ROW - 1))
    refused.accepted()
    assert not refused.refuse(tokens(REFUSED_IN_A_ROW - 1))


def test_cooling_ends_by_itself_and_is_never_shortened() -> None:
    """Flow control: the app waits a little and goes on by itself."""
    cooling = app()
    cooling.cool(10.0)
    cooling.cool(5.0)
    assert [cooling.wait_s(now_s) for now_s in (4.0, 10.0)] == [6.0, 0.0]
    assert cooling.waits_for is None


def test_a_held_app_makes_no_call_whatever_the_time() -> None:
    """Held by settings it makes no call at all."""
    held = app("no key_file")
    assert held.wait_s(1e9) is None
    assert held.waits_for == "no key_file"


def test_limits_and_pauses_add_up_to_the_longest() -> None:
    """Each has to be over."""
    both = app(rate=10.0)
    both.leaves(10, 1.0)
    assert 0.99 < (both.wait_s(1.0) or 0) < 1.01
    both.cool(5.0)
    assert both.wait_s(1.0) == 4.0
    both.pause("why", 4.0)
    assert both.wait_s(4.0) == 2.0


def test_a_smaller_limit_makes_smaller_calls() -> None:
    """The largest call from now on."""
    small = app(rate=500.0)
    assert small.largest_call == 500
    small.token_limit = 100
    assert small.largest_call == 100


def test_one_token_refused_again_and_again_pauses_nobody() -> None:
    """200 *distinct* tokens in a row: a device that is gone, in 200 violated messages, is one."""
    one = app()
    assert not any(one.refuse([b"gone"]) for _ in range(2 * REFUSED_IN_A_ROW))


@pytest.mark.parametrize(
    ("in_flight", "of_one_app"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 3), (8, 6), (9, 7), (64, 48), (10_000, 7_500)]
)
def test_one_app_leaves_a_place_to_the_others_however_few_there_are(in_flight: int, of_one_app: int) -> None:
    """Three quarters, and always one place besides the one that is kept for CRITICAL, from three on."""
    assert most_of_one_app(in_flight, 0) == of_one_app


def test_what_the_settings_say_of_one_app_counts() -> None:
    """But never more than all."""
    assert [most_of_one_app(10, asked) for asked in (1, 9, 10, 11)] == [1, 9, 10, 10]
