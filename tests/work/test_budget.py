"""Retries: no more than a share of all calls while many fail, the most severe first."""

from __future__ import annotations

from stream.model import Severity
from stream.work.budget import FLOOR_PER_S, LOOK_S, SAVED, Budget, Retries
from stream.work.packing import Parcel
from tests.work.making import parcel

SHARE = 0.2


def tight() -> Budget:
    """Every call fails."""
    budget = Budget(SHARE, 0.0)
    for _ in range(100):
        budget.heard(answered=False)
    return budget


def test_no_retry_is_held_back_while_fewer_than_the_share_fail() -> None:
    """They are no more than that by nature."""
    budget = Budget(SHARE, 0.0)
    for number in range(1_000):
        budget.heard(answered=number % 8 != 0)
        assert number < 200 or budget.grants(0.0)


def test_while_many_fail_retries_are_a_share_of_the_calls() -> None:
    """… but for what was saved up, and a few a second."""
    budget, calls, retries, seconds = tight(), 0, 0, 50.0
    for step in range(10_000):
        now_s = step * seconds / 10_000
        retry = budget.grants(now_s)
        retries += retry
        calls += 1
        budget.leaves()
    assert retries <= SHARE * calls + SAVED + FLOOR_PER_S * seconds
    assert retries >= 0.9 * SHARE * calls


def test_when_nothing_else_is_left_a_few_a_second_go_on() -> None:
    """Else nobody would notice that it is mended."""
    budget = tight()
    granted = sum(budget.grants(step / 100) for step in range(1_000))
    assert SAVED <= granted <= SAVED + FLOOR_PER_S * 10


def waiting(budget: Budget) -> tuple[Retries, dict[Parcel, Severity]]:
    severities = {parcel([b"%d" % n]): Severity.CRITICAL if n % 10 == 0 else Severity.LOW for n in range(40)}
    retries = Retries(lambda _: budget, lambda each: severities[each])
    for place, each in enumerate(severities):
        retries.put(each, 1.0 + place / 1_000)
    return retries, severities


def test_each_comes_by_its_due_time() -> None:
    """By due time, blocking nobody."""
    retries, severities = waiting(Budget(SHARE, 0.0))
    assert retries.take(0.9) == []
    assert (len(retries.take(1.0195)), retries.next_s()) == (20, 1.02)
    assert retries.take(2.0) == list(severities)[20:]
    assert (len(retries), retries.next_s()) == (0, None)


def test_what_is_held_back_comes_most_severe_first() -> None:
    """… and one that became more severe meanwhile as what it is now."""
    budget = tight()
    for _ in range(int(SAVED)):
        assert budget.grants(0.0)
    retries, severities = waiting(budget)
    came, now_s = retries.take(1.1), 1.1
    at_once = len(came)
    lifted = next(each for each in reversed(severities) if severities[each] is Severity.LOW)
    severities[lifted] = Severity.CRITICAL
    retries.reorder()
    while len(retries):
        now_s += LOOK_S
        came += retries.take(now_s)
    assert set(came) == set(severities)
    assert [severities[each] for each in came[at_once : at_once + 5]] == [Severity.CRITICAL] * 4 + [Severity.LOW]
    assert lifted in came[at_once : at_once + 4]


def test_what_waits_only_for_an_answer_is_due_when_there_is_one_and_what_was_asked_for_is_not() -> None:
    """Retry-After is obeyed also then."""
    retries = Retries(lambda _: Budget(SHARE, 0.0), lambda _: Severity.LOW)
    ours, asked, other = parcel([b"a"]), parcel([b"b"]), parcel([b"c"], app="other")
    retries.put(ours, 50.0)
    retries.put(asked, 50.0, asked=True)
    retries.put(other, 50.0)
    retries.release("app", 10.0)
    assert retries.take(10.0) == [ours]
    assert len(retries) == 2


def test_what_is_not_wanted_any_more_is_dropped_wherever_it_waits() -> None:
    """WITHDRAWN: stop what has not been done yet."""
    budget = tight()
    retries, severities = waiting(budget)
    came = retries.take(1.02)
    dropped = retries.keep(lambda each: severities[each] is not Severity.LOW)
    assert all(severities[each] is Severity.LOW for each in dropped)
    assert len(retries) == 40 - len(came) - len(dropped)
    assert {severities[each] for each in retries.take(1e6)} == {Severity.CRITICAL}
