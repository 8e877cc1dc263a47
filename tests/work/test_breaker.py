"""An app's breaker and the silence of all: few calls while nothing is answered, and the way back in steps."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from stream.work.breaker import (
    FAILS_AGAIN_AFTER,
    IN_ALL_PER_S,
    OPENS_AFTER,
    PROBE_FIRST_S,
    PROBE_LONGEST_S,
    SILENT_AFTER,
    SUSPECTS_AFTER,
    WIDE,
    Breaker,
    Silence,
    State,
)


def opened(now_s: float = 10.0) -> Breaker:
    """One whose app gets nowhere."""
    breaker = Breaker()
    assert [breaker.failed(now_s, now_s, OPENS_AFTER) for _ in range(OPENS_AFTER)][-1]
    return breaker


def probes(breaker: Breaker, now_s: float, seconds: float, share: float = 1.0) -> list[float]:
    """The times of its probes, each of which fails at once."""
    random, times, until_s = Random(3), [], now_s + seconds
    while (now_s := max(now_s, breaker.probe_at_s)) < until_s:
        breaker.leaves(now_s, share, random)
        assert not breaker.failed(now_s, now_s, OPENS_AFTER)
        times.append(now_s)
    return times


def test_failures_in_a_row_open_it_and_an_answer_between_begins_the_row_anew() -> None:
    """Where every second call fails, the app goes on."""
    breaker = Breaker()
    for second in range(10 * OPENS_AFTER):
        assert not breaker.failed(second, second + 0.1, OPENS_AFTER)
        assert not breaker.answered(second + 0.5)
    assert breaker.admits(1_000, OPENS_AFTER)


def test_after_a_failure_it_waits_for_what_is_under_way_where_that_is_enough_to_tell() -> None:
    """Fifty that time out at once send none after them; one that fails among few changes nothing."""
    breaker = Breaker()
    assert not breaker.failed(1.0, 1.0, OPENS_AFTER)
    assert (breaker.admits(OPENS_AFTER - 2, OPENS_AFTER), breaker.admits(OPENS_AFTER - 1, OPENS_AFTER)) == (True, False)
    assert breaker.admits(0, 1), "nothing is under way that could tell"
    breaker.answered(2.0)
    assert breaker.admits(50, OPENS_AFTER)


def test_calls_that_left_before_another_was_answered_do_not_open_it() -> None:
    """Fifty that time out at once say nothing where others were answered meanwhile."""
    breaker = Breaker()
    breaker.answered(5.0)
    assert not any(breaker.failed(4.0, 14.0, OPENS_AFTER) for _ in range(50))
    assert breaker.state is State.CLOSED


def test_while_it_is_open_one_call_at_a_time_leaves_at_most_two_a_second_and_ever_more_seldom() -> None:
    """Probes while open."""
    breaker = opened()
    assert (breaker.admits(0, OPENS_AFTER), breaker.admits(1, OPENS_AFTER)) == (True, False)
    times = probes(breaker, 10.0, 60.0)
    gaps = [after - before for before, after in pairwise(times)]
    assert times[0] >= 10.0 + PROBE_FIRST_S
    assert min(gaps) >= PROBE_FIRST_S - 1e-9
    assert max(gaps) <= PROBE_LONGEST_S
    assert 12 <= len(times) <= 30


def test_probes_are_shared_out_over_the_instances() -> None:
    """At most two calls a second of one app, over all of them; each notices an outage's end as soon as one alone."""
    times = probes(opened(), 10.0, 200.0, 0.25)
    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) >= 4 * PROBE_FIRST_S - 1e-9
    assert max(gaps) <= PROBE_LONGEST_S


def test_an_answer_opens_the_way_in_steps() -> None:
    """A probe that succeeds opens the way again, not for all at once."""
    breaker, room = opened(), []
    assert breaker.answered(20.0)
    while breaker.state is not State.CLOSED:
        room.append(breaker.room)
        assert (breaker.admits(breaker.room - 1, OPENS_AFTER), breaker.admits(breaker.room, OPENS_AFTER)) == (
            True,
            False,
        )
        assert not breaker.answered(20.0)
    assert room == list(range(2, WIDE))


def test_single_failures_on_the_way_back_slow_it_and_a_few_in_a_row_end_it() -> None:
    """… halved, not closed: single failures happen."""
    breaker = opened()
    breaker.answered(20.0)
    for _ in range(6):
        breaker.answered(20.0)
    assert not breaker.failed(20.5, 21.0, OPENS_AFTER)
    assert breaker.room == 4
    news = [breaker.failed(20.5, 21.0, OPENS_AFTER) for _ in range(FAILS_AGAIN_AFTER - 1)]
    assert (news[-1], breaker.state) == (True, State.OPEN)


def test_what_the_gateway_asked_for_counts_for_probes_and_good_news_hastens_them() -> None:
    """Retry-After is obeyed, whatever others hear; else who hears that others are answered need not wait on."""
    breaker = opened()
    breaker.probe_at_s = 100.0
    breaker.soon(21.0)
    assert breaker.probe_at_s == 21.0
    breaker.not_before(50.0)
    breaker.soon(22.0)
    assert breaker.probe_at_s == 50.0


def test_nobody_is_answered_when_all_fail_and_then_few_calls_leave() -> None:
    """At most ten a second in all, whatever second one looks at."""
    silence = Silence(0.0)
    assert [silence.failed(1.0, 1.0) for _ in range(SILENT_AFTER)].index(True) == SILENT_AFTER - 1
    now_s, times = 1.0, []
    while now_s < 21.0:
        if not silence.wait_s(now_s):
            silence.leaves(now_s)
            times.append(now_s)
        now_s += 0.01
    assert all(sum(start <= at < start + 1.0 for at in times) <= 10 for start in times)
    assert len(times) > 100
    assert silence.answered(21.0)
    assert silence.wait_s(21.0) == 0.0


def test_before_silence_is_sure_few_calls_leave_until_one_is_answered() -> None:
    """However many apps fail, and each a little: a call a moment, no more."""
    silence = Silence(0.0)
    for _ in range(SUSPECTS_AFTER - 1):
        silence.failed(1.0, 1.0)
        silence.leaves(1.0)
        assert silence.wait_s(1.0) == 0.0
    silence.failed(1.0, 1.0)
    while silence.wait_s(1.0) == 0.0:
        silence.leaves(1.0)
    assert 0.0 < silence.wait_s(1.0) <= 1 / IN_ALL_PER_S
    assert silence.since_s is None
    silence.set_share(0.001, 1.0)
    silence.leaves(10.0)
    assert 0.9 < silence.wait_s(10.0) <= 1.1, "however small its share, one a second: it may be none"
    silence.answered(11.0)
    assert silence.wait_s(11.0) == 0.0
