"""The planner: a seed and two numbers make the whole cast, and what must come of it."""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import chain

import pytest

from stream.commands import demo
from stream.demo.author import MIN_SENDS, MIN_VIOLATIONS, write
from stream.demo.plan import APPS, Ending, Plan, PlannedEvent, PlannedSend, fullest_bytes
from stream.demo.stage import MOCK_KEEPS_BYTES, PARTITIONS
from stream.model import Outcome, SettingsError, Status

SIZES = [(MIN_SENDS, MIN_VIOLATIONS), (100, 50), (500, 200), (2_000, 400), (4_000, 2_000)]


def sent(plan: Plan, part: str) -> list[PlannedSend]:
    return [step.record for step in getattr(plan, part) if isinstance(step.record, PlannedSend)]


def events(plan: Plan) -> list[PlannedEvent]:
    return [step.record for step in plan.past + plan.live if isinstance(step.record, PlannedEvent)]


@pytest.mark.parametrize(("sends", "violations"), SIZES)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_size_has_just_so_many_sends_and_violations_and_each_kind_of_scene(
    seed: int, sends: int, violations: int
) -> None:
    """``--sends`` and ``--violations`` set the size; whatever it is, nothing of the story is left out."""
    plan = write(seed, sends, violations, 12.0)
    assert (len(plan.sends), len(plan.expected)) == (sends, violations)
    assert {each.ending for each in plan.expected.values()} == set(Ending)
    assert {outcome for each in plan.expected.values() for outcome in each.says} == {
        Outcome.NOT_FOUND,
        Outcome.WITHDRAWN,
    }
    assert any(send.refused for send in plan.called())
    assert any(send.foreign for send in plan.called())
    assert {send.head.client_id for send in plan.called()} == {app.client_id for app in APPS}
    assert len({step.after.outcome for step in plan.live if step.after}) == 2


def test_the_same_seed_tells_the_same_story_to_the_last_token() -> None:
    """``--seed``."""
    one, again, other = write(3, 200, 40, 5.0), write(3, 200, 40, 5.0), write(4, 200, 40, 5.0)
    assert one == again
    assert one.tokens(5) == again.tokens(5)
    assert one.tokens(5) != other.tokens(5)


def test_everything_is_written_once_and_in_order_of_time() -> None:
    """The past has no gate and no time; a violation's second event comes after its first."""
    plan = write(1, 500, 200, 12.0)
    everything = sent(plan, "past") + sent(plan, "live")
    assert sorted(send.number for send in everything) == list(range(500))
    times = [step.at_s for step in plan.live]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] < 13.0
    assert not any(step.after for step in plan.past)
    first: dict[str, PlannedEvent] = {}
    for event in events(plan):
        assert event.violation_id in first or event.status is Status.CONFIRMED
        first.setdefault(event.violation_id, event)


def test_no_token_is_in_two_sends_and_no_two_messages_share_a_notify_id() -> None:
    """Promise 2 holds only where a notifyId is given to one message."""
    plan = write(1, 200, 40, 5.0)
    tokens = list(chain.from_iterable(plan.tokens(send.number) for send in plan.sends))
    assert len(tokens) == len(set(tokens)) == sum(send.token_count for send in plan.sends)
    assert {len(token) for token in tokens} == {112}
    slots = {(send.head.client_id, send.head.notify_id, send.head.message_id) for send in plan.sends}
    given = [(client_id, notify_id) for client_id, notify_id, _ in slots if notify_id is not None]
    assert len(given) == len(set(given))


def test_what_a_violation_must_cover_is_all_sends_of_its_message_unless_it_was_withdrawn() -> None:
    """Promise 1, told from the plan alone."""
    plan = write(1, 500, 200, 12.0)
    by_message: dict[str, set[int]] = {}
    for send in plan.sends:
        by_message.setdefault(send.head.message_id, set()).add(send.number)
    withdrawn = {event.violation_id for event in events(plan) if event.status is Status.WITHDRAWN}
    assert withdrawn
    for name, expected in plan.expected.items():
        right = set() if name in withdrawn else by_message.get(expected.message_id, set())
        assert set(expected.sends) == right
        assert (Outcome.WITHDRAWN in expected.says) == (name in withdrawn)
    assert len(by_message) > len({each.message_id for each in plan.expected.values()})


def test_a_message_found_twice_is_called_under_its_first_finding() -> None:
    """Contract, Promise 5: reported under the first of them by offset, the others get ALREADY_REVOKED."""
    plan = write(1, 500, 200, 12.0)
    order = [event.violation_id for event in events(plan)]
    twice = [each for each in plan.expected.values() if each.ending is Ending.ALREADY]
    assert twice
    for each in twice:
        assert each.first is not None
        first = plan.expected[each.first]
        assert (first.message_id, first.sends, first.ending) == (each.message_id, each.sends, Ending.REVOKED)
        assert order.index(first.violation_id) < order.index(each.violation_id)
    assert Counter(send.number for send in plan.called()).most_common(1)[0][1] == 1


@pytest.mark.parametrize(("sends", "violations"), [(60, 19), (59, 20), (399, 200)])
def test_a_size_that_makes_no_story_is_refused_with_the_flag_that_is_wrong(sends: int, violations: int) -> None:
    """Exit 2, one sentence."""
    with pytest.raises(SettingsError, match=r"--(sends|violations) \d+: "):
        write(1, sends, violations, 12.0)


def test_what_is_played_by_default_fits_into_the_embedded_broker_for_any_seed() -> None:
    """``unpush demo --seed``: no other number has to be changed with it."""
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    default = parser.parse_args([])
    plans = (write(seed, default.sends, default.violations, demo.SPAN_S) for seed in range(100))
    assert max(fullest_bytes(plan, PARTITIONS) for plan in plans) < MOCK_KEEPS_BYTES


def test_the_fullest_partition_grows_with_the_story_and_shrinks_with_partitions() -> None:
    """The embedded broker keeps 5 MB a partition: the size is known before anything is written."""
    small, large = write(1, 200, 40, 5.0), write(1, 2_000, 400, 12.0)
    assert fullest_bytes(small, 12) < fullest_bytes(large, 12) < fullest_bytes(large, 1)
    assert fullest_bytes(large, 1) > sum(send.token_count for send in large.sends) * 112
