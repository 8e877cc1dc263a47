"""How far the story has come: counted from results, as any reader of them could."""

from __future__ import annotations

from stream.demo.author import write
from stream.demo.plan import Seen
from stream.demo.standing import Standing
from stream.model import Outcome
from tests.demo.perfect import evidence

PLAN = write(7, 100, 40, 5.0)


def test_all_is_settled_with_the_last_result_and_the_last_dead_letter_and_not_before() -> None:
    standing, found = Standing(PLAN), evidence(PLAN)
    for at, result in enumerate(found.results):
        assert standing.settled.total() < standing.total.total() == 40
        standing.result(result, None, at / 10)
    assert standing.settled == standing.total
    for _ in PLAN.bad:
        assert not standing.done
        standing.letter(9.0)
    assert (standing.done, standing.changed_s) == (True, 9.0)


def test_a_repeated_result_is_not_counted_again() -> None:
    """Readers drop repeats by resultId."""
    standing, found = Standing(PLAN), evidence(PLAN)
    for _ in range(2):
        for result in found.results:
            standing.result(result, None, 1.0)
    assert standing.outcomes.total() == len(found.results)
    assert standing.devices == sum(len(tokens) for tokens in found.book.revoked.values())


def test_devices_per_second_are_those_of_the_last_second() -> None:
    standing = Standing(PLAN)
    large, small = sorted(evidence(PLAN).results, key=lambda each: each.tokens_revoked)[-1:-3:-1]
    standing.result(large, None, 1.0)
    standing.result(small, None, 1.9)
    assert standing.devices_per_s(1.9) == large.tokens_revoked + small.tokens_revoked
    assert standing.devices_per_s(2.1) == small.tokens_revoked
    assert standing.devices_per_s(3.0) == 0


def test_waits_are_those_of_calls_by_severity_and_app() -> None:
    """From the later of finding and sending until revoked; None while nothing was."""
    standing = Standing(PLAN)
    assert standing.wait_ms(0.5) is None
    called = [each for each in evidence(PLAN).results if each.outcome is Outcome.REVOKED][:4]
    for wait_ms, result in enumerate(called, start=10):
        standing.result(result._replace(completed_at_ms=1_000 + wait_ms), 1_000, 1.0)
    standing.result(called[0]._replace(result_id="backlog", completed_at_ms=9_000), None, 1.0)
    assert (standing.wait_ms(0.0), standing.wait_ms(0.5), standing.wait_ms(0.99)) == (10, 12, 13)
    assert standing.wait_ms(0.5, client_id="another") is None
    assert standing.wait_ms(1.0, severity=called[3].severity) == 13


def test_what_was_seen_opens_the_gates_of_later_steps() -> None:
    standing = Standing(PLAN)
    gates = {step.after for step in PLAN.live if step.after}
    for result in evidence(PLAN).results:
        standing.result(result, None, 1.0)
    assert gates <= standing.seen
    assert Seen("v-nobody", Outcome.NOT_FOUND) not in standing.seen
