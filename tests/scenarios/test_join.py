"""The main job: sends ⋈ violations → revoke calls → results, with real processes on a real Kafka."""

from __future__ import annotations

from stream.model import Outcome, Status
from tests.scenarios.judge import calls_and_fewest, incomplete, repeated
from tests.scenarios.making import now_ms
from tests.scenarios.town import Town


def test_sends_and_violations_meet_in_any_order(town: Town) -> None:
    """Promises 1 and 2: every token of every violated send is covered exactly, and no other is ever called."""
    sends, violations = town.maker.all_kinds(600)
    early, later = sends[::2], sends[1::2]
    third = len(violations) // 3
    instance = town.run().wait_until_it_works()
    town.tell(violations[:third])
    town.tell(town.maker.mixed(early, violations[third : 2 * third]))
    town.tell(town.maker.mixed(later))
    town.wait_until_stored()
    since_ms = now_ms()
    town.tell(violations[2 * third :])
    town.wait_until_settled()
    town.judge()
    calls, fewest = calls_and_fewest(town.story, town.push_kit.book(), since_ms)
    assert fewest > 50
    assert calls <= 1.05 * fewest
    assert instance.stop() == 0


def test_stored_sends_take_the_fewest_calls(town: Town) -> None:
    """Sends of one violation, app and notifyId travel together; the last result of each says that all is done."""
    sends, violations = town.maker.all_kinds(600)
    campaign = town.maker.message_id()
    sends += [town.maker.send(campaign, 1) for _ in range(3_000)]
    instance = town.run()
    town.tell(town.maker.mixed(sends))
    town.wait_until_stored()
    town.tell(violations, town.maker.violation(campaign))
    town.wait_until_settled()
    town.judge()
    book = town.push_kit.book()
    calls, fewest = calls_and_fewest(town.story, book)
    assert fewest > 200
    assert calls <= 1.05 * fewest
    assert not repeated(book)
    assert not incomplete(town.story, town.covered_by_calls())
    assert instance.stop() == 0


def test_what_was_there_before_the_start_is_revoked(town: Town) -> None:
    """Reading comes back to it, newest first; nothing is called twice, and no result says complete too early."""
    sends, violations = town.maker.all_kinds(600)
    town.tell(town.maker.mixed(sends))
    town.tell(violations)
    instance = town.run()
    town.wait_until_settled()
    town.judge()
    assert not repeated(town.push_kit.book())
    assert instance.stop() == 0


def test_two_violations_of_one_message_make_one_call(town: Town) -> None:
    """Contract: a call is reported under the first of them, the others get ALREADY_REVOKED."""
    maker = town.maker
    sends = [maker.send(tokens=tokens) for tokens in (1, 1_000, 2_500) for _ in range(5)]
    names = [send.head.message_id for send in sends]
    first, second = maker.violations(names), maker.violations(names)
    town.tell(sends)
    instance = town.run().wait_until_it_works()
    town.tell(first, second)
    town.wait_until_settled()
    third = maker.violations(names)
    town.tell(third)
    town.wait_until_settled()
    town.judge()
    assert not repeated(town.push_kit.book())
    endings = {seen.result.violation_id: seen.result.outcome for seen in town.story.results}
    assert {endings[each.violation_id] for each in first} == {Outcome.REVOKED}
    assert {endings[each.violation_id] for each in second + third} == {Outcome.ALREADY_REVOKED}
    assert instance.stop() == 0


def test_what_was_withdrawn_before_is_not_called(town: Town) -> None:
    """WITHDRAWN: stop what has not been done yet. Said once per withdrawal; a later CONFIRMED revokes again."""
    maker = town.maker
    sends = [maker.send(tokens=3) for _ in range(60)]
    found = maker.violations(send.head.message_id for send in sends)
    lifted = [each._replace(status=Status.WITHDRAWN) for each in found]
    late = [maker.send(send.head.message_id, 2) for send in sends[:10]]
    town.tell(found[:20], lifted[:20], sends)
    town.tell(found[20:40], lifted[20:])
    town.run().wait_until_it_works()
    town.tell(late)
    town.wait_until_settled()
    town.judge()
    assert town.push_kit.calls == 0
    again = [each._replace(detected_at_ms=each.detected_at_ms + 1) for each in found[10:30]]
    town.tell(found[:10], again)  # the first ten are a detector's repeats
    town.wait_until_settled()
    town.judge()
    assert town.push_kit.calls == len(again)


def test_a_message_without_sends_is_not_found_until_its_send_comes(town: Town) -> None:
    """NOT_FOUND is said once; a send that still comes is revoked and reported as late."""
    maker = town.maker
    names = [maker.message_id() for _ in range(40)]
    town.tell(maker.violations(names))
    town.run().wait_until_it_works()
    town.wait_until_settled()
    assert [seen.result.outcome for seen in town.story.results] == [Outcome.NOT_FOUND] * len(names)
    town.tell([maker.send(name, 3) for name in names[:20]])
    town.tell([maker.send(name, 3) for name in names[:20]])
    town.wait_until_settled()
    town.judge()
    covering = [seen.result for seen in town.story.results if seen.result.sends]
    assert {result.outcome for result in covering} == {Outcome.REVOKED}
    assert all(result.late for result in covering)


def test_results_carry_the_trace_of_their_violation(town: Town) -> None:
    """Results carry the headers of the violation whose names are traceparent and tracestate, and no others."""
    send = town.maker.send(tokens=2)
    known, unknown = town.maker.violations([send.head.message_id, town.maker.message_id()])
    trace = [("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("tracestate", b"a=1")]
    town.run().wait_until_it_works()
    town.tell(send)
    town.tell(known, unknown, headers=[*trace, ("x-other", b"1")])
    town.wait_until_settled()
    town.judge()
    assert [list(seen.headers) for seen in town.story.results] == [trace, trace]
