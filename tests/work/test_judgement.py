"""What the events of a violation add up to: the contract's paragraph "Later events of the same violation", sentence by
sentence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.model import Severity, Status
from stream.work.judgement import Event, judge, judgement_of, needless
from tests.work.making import event

CONFIRMED, WITHDRAWN, APPROVED = Status.CONFIRMED, Status.WITHDRAWN, Status.APPROVED


def status_of(*events: Event) -> Status:
    return judge(events)["v"].status


def test_later_events_change_the_status_only() -> None:
    """Later events of the same violation change its status only."""
    first = event(1, severity=Severity.HIGH, reason="first", detected_ms=5)
    later = event(2, WITHDRAWN, severity=Severity.LOW, reason="later", detected_ms=9)
    found = judge([first, later])["v"]
    assert (found.severity, found.reason, found.detected_at_ms) == (Severity.HIGH, "first", 5)
    assert (found.first_offset, found.first_timestamp_ms) == (1, 10)


def test_the_later_by_offset_counts_over_the_earlier() -> None:
    """… the later by offset over the earlier."""
    assert status_of(event(1), event(2, WITHDRAWN)) is WITHDRAWN
    assert status_of(event(1), event(2, WITHDRAWN), event(3, APPROVED)) is APPROVED
    assert status_of(event(1), event(2, APPROVED), event(3, WITHDRAWN)) is WITHDRAWN


def test_a_confirmed_counts_only_if_detected_later_than_every_earlier_event() -> None:
    """… except that a CONFIRMED counts only if its detectedAt is later than that of every earlier event."""
    withdrawn = event(1, detected_ms=10), event(2, WITHDRAWN, detected_ms=20)
    for detected_ms, expected in [(9, WITHDRAWN), (10, WITHDRAWN), (20, WITHDRAWN), (21, CONFIRMED)]:
        assert status_of(*withdrawn, event(3, detected_ms=detected_ms)) is expected


def test_a_repeat_does_not_hide_a_later_one_that_counts() -> None:
    """A repeat changes nothing: what comes after it is judged as if it had not been, but for its detectedAt."""
    events = event(1, detected_ms=10), event(2, WITHDRAWN, detected_ms=10), event(3, detected_ms=10)
    assert status_of(*events) is WITHDRAWN
    assert status_of(*events, event(4, detected_ms=11)) is CONFIRMED


def test_a_repeat_asks_for_nothing_again() -> None:
    """… and changes nothing."""
    assert judge([event(1, detected_ms=10), event(2, detected_ms=10)]) == judge([event(1, detected_ms=10)])


def test_a_confirmed_that_counts_tries_again_what_was_given_up() -> None:
    """A CONFIRMED that counts … tries again what was given up."""
    assert judge([event(1, detected_ms=10), event(2, detected_ms=11, time_ms=77)])["v"].again_ms == 77


def test_a_confirmed_does_not_undo_an_approval() -> None:
    """It does not undo APPROVED, only WITHDRAWN does; it does try again."""
    found = judge([event(1), event(2, APPROVED), event(3, detected_ms=2_000, time_ms=77)])["v"]
    assert (found.status, found.again_ms) == (APPROVED, 77)


def test_approved_without_a_confirmed_confirms() -> None:
    """APPROVED without a CONFIRMED before it confirms."""
    assert judge([event(1, APPROVED)])["v"].stands
    assert judge([event(1, WITHDRAWN), event(2, APPROVED)])["v"].stands


def test_each_withdrawal_has_its_own_name_and_a_repeat_of_it_none() -> None:
    """WITHDRAWN once per withdrawal."""
    first = event(1), event(2, WITHDRAWN)
    assert judge(first)["v"].withdrawals == (2,)
    assert judge([*first, event(3, WITHDRAWN)])["v"].withdrawals == (2,)
    again = [*first, event(3, detected_ms=2_000), event(4, WITHDRAWN)]
    assert judge(again)["v"].withdrawals == (2, 4)
    assert judge([*first, event(3, detected_ms=2_000)])["v"].withdrawals == (2,)


def test_violations_come_in_the_order_of_their_first_offsets() -> None:
    """A call is reported under the first of them by offset."""
    events = [event(5, violation="a"), event(3, violation="b"), event(4, violation="c"), event(9, violation="b")]
    assert list(judge(events)) == ["b", "c", "a"]


def test_what_was_detected_too_early_begins_no_violation_and_may_still_change_one() -> None:
    """Violations detected earlier are ignored; a false positive that carries the time of an ignored event is none."""
    counts = event(2, detected_ms=11)
    assert judge([event(2, WITHDRAWN, detected_ms=5), event(3, APPROVED, detected_ms=9)], 10) == {}
    assert judge([counts, event(3, WITHDRAWN, detected_ms=5)], 10)["v"].withdrawals == (3,)
    assert judge([event(1, detected_ms=5)], 10)["v"].stands, "it was let in before the setting, and goes on"
    assert judge([counts, event(3, APPROVED, detected_ms=5)], 10)["v"].status is APPROVED
    assert judge([event(1, APPROVED, detected_ms=5), counts], 10) == judge([counts])
    assert judge([event(1, detected_ms=10)], 10)["v"].stands


some_events = st.lists(
    st.tuples(st.sampled_from(Status), st.integers(0, 4), st.sampled_from("vw"), st.integers(0, 50)), max_size=8
).map(lambda rows: [event(at, s, d, v, time_ms=t) for at, (s, d, v, t) in enumerate(rows)])


@given(some_events, st.randoms())
def test_the_order_of_reading_never_matters(events: list[Event], random: object) -> None:
    """Order among events of one violation is their offset, never the order of reading."""
    mixed = list(events)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert judge(mixed) == judge(events)
    assert list(judge(mixed)) == list(judge(events))


@given(some_events, st.lists(st.integers(0, 3), max_size=8), st.randoms(), st.sampled_from([None, 2]))
def test_what_is_added_batch_by_batch_is_what_all_of_them_say(
    events: list[Event], sizes: list[int], random: object, not_before_ms: int | None
) -> None:
    """Whoever is told that it takes all judges anew; else the batch was enough, in whatever order batches come."""
    mixed = list(events)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    known, heard = judgement_of([], not_before_ms), list[Event]()
    for size in [*sizes, len(mixed)]:
        batch, mixed = mixed[:size], mixed[size:]
        heard += batch
        known = known.after(batch) or judgement_of(heard, not_before_ms)
        assert known.violations == judge(heard, not_before_ms)
        assert list(known.violations) == list(judge(heard, not_before_ms))


@given(some_events, st.randoms(), st.sampled_from([None, 2]))
def test_what_is_needless_is_not_missed_in_any_order(
    events: list[Event], random: object, not_before_ms: int | None
) -> None:
    """A repeat changes nothing: who leaves it out, in whatever order events come, comes to the same judgement."""
    mixed, kept = list(events), list[Event]()
    random.shuffle(mixed)  # type: ignore[attr-defined]
    for each in mixed:
        if not needless(each, kept):
            kept.append(each)
    assert judge(kept, not_before_ms) == judge(events, not_before_ms)
    assert list(judge(kept, not_before_ms)) == list(judge(events, not_before_ms))


def test_only_what_stands_before_a_known_event_takes_all_of_them() -> None:
    """A repeat needs none, wherever it stands; nor does what stands behind all that is known."""
    known = judgement_of([event(3, detected_ms=10), event(6, WITHDRAWN)])
    assert known.after([event(4, detected_ms=10), event(9, detected_ms=9)]) is known
    assert known.after([event(7, detected_ms=2_000)]) is not None
    assert known.after([event(5, WITHDRAWN)]) is None
    assert known.after([event(2, detected_ms=10)]) is None
    assert known.after([event(4, detected_ms=11)]) is None


@given(some_events)
def test_the_standing_is_what_the_paragraph_says(events: list[Event]) -> None:
    """The whole paragraph once more, as a person would carry it out with a pencil."""
    status: dict[str, Status] = {}
    latest: dict[str, int] = {}
    for each in events:
        name, said = each.event.violation_id, each.event
        repeat = name in status and said.status is CONFIRMED and said.detected_at_ms <= latest[name]
        kept = status.get(name) is APPROVED and said.status is CONFIRMED
        if not repeat and not kept:
            status[name] = said.status
        latest[name] = max(latest.get(name, 0), said.detected_at_ms)
    assert {name: each.status for name, each in judge(events).items()} == status
