"""The judge: all well is no breach, and each kind of breach is noticed by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stream.demo.author import write
from stream.demo.judge import Breach, DeadLetter, Evidence, Kind, judge
from stream.demo.plan import Ending, Expected, Plan
from stream.model import Outcome, RejectedToken, RevokeResult, SendPart
from tests.demo.perfect import PARTITION, evidence, letter, result

PLAN = write(7, 100, 40, 5.0)

Spoil = Callable[[Evidence], Evidence]


def kinds(spoiled: Evidence, plan: Plan = PLAN) -> set[Kind]:
    return {breach.kind for breach in judge(plan, spoiled)}


def one(ending: Ending, *, sends: bool = True) -> Expected:
    """Some violation with that ending."""
    return next(each for each in PLAN.expected.values() if each.ending is ending and bool(each.sends) == sends)


def saying(outcome: Outcome) -> Expected:
    return next(each for each in PLAN.expected.values() if outcome in each.says)


def of(expected: Expected, results: list[RevokeResult]) -> RevokeResult:
    return next(each for each in results if each.violation_id == expected.violation_id)


def replaced(found: Evidence, old: RevokeResult, *new: RevokeResult) -> Evidence:
    return found._replace(results=[each for each in found.results if each is not old] + list(new))


@pytest.fixture
def found() -> Evidence:
    return evidence(PLAN)


def test_a_faultless_pipeline_has_no_breach(found: Evidence) -> None:
    assert judge(PLAN, found) == []


def test_a_result_that_is_missing_leaves_places_uncovered(found: Evidence) -> None:
    """Every token of every violated send is covered."""
    lost = of(one(Ending.REVOKED), list(found.results))
    (breach,) = judge(PLAN, replaced(found, lost))
    assert breach.kind is Kind.UNCOVERED
    assert lost.violation_id in breach.sentence


def test_a_single_place_that_is_missing_is_noticed(found: Evidence) -> None:
    large = next(each for each in found.results if each.tokens_revoked > 500)
    (part,) = large.sends
    shorter = part._replace(token_count=part.token_count - 1)
    less = large._replace(sends=(shorter,), tokens_revoked=large.tokens_revoked - 1)
    (breach,) = judge(PLAN, replaced(found, large, less))
    assert breach.kind is Kind.UNCOVERED
    assert breach.sentence.split(": ")[1].startswith("1 of ")


def test_places_with_two_results_are_covered_twice(found: Evidence) -> None:
    """A place is covered once per violation."""
    again = of(one(Ending.REVOKED), list(found.results))._replace(result_id="another")
    assert kinds(found._replace(results=[*found.results, again])) == {Kind.COVERED_TWICE}


def test_the_same_result_twice_counts_once_and_the_later_counts(found: Evidence) -> None:
    """Contract: of two records with one id the later by offset counts."""
    right = of(one(Ending.REVOKED), list(found.results))
    wrong = right._replace(outcome=Outcome.FAILED)
    assert kinds(found._replace(results=[wrong, *found.results])) == set()
    assert kinds(found._replace(results=[*found.results, wrong])) == {Kind.STRANGE}


@pytest.mark.parametrize("outcome", [Outcome.NOT_FOUND, Outcome.WITHDRAWN])
def test_a_word_that_is_missing_is_noticed(found: Evidence, outcome: Outcome) -> None:
    said = next(each for each in found.results if each.outcome is outcome)
    assert kinds(replaced(found, said)) == {Kind.UNSAID}


def test_a_word_that_is_said_twice_or_uncalled_for_is_strange(found: Evidence) -> None:
    """NOT_FOUND is said once per violation, and never of what was sent before it was found."""
    said = next(each for each in found.results if each.outcome is Outcome.NOT_FOUND)
    twice = found._replace(results=[*found.results, said._replace(result_id="another")])
    assert kinds(twice) == {Kind.STRANGE}
    uncalled = result(one(Ending.NOT_REVOCABLE), "another", Outcome.NOT_FOUND)
    assert kinds(found._replace(results=[*found.results, uncalled])) == {Kind.STRANGE}


def test_a_word_that_depends_on_who_was_quicker_may_be_said(found: Evidence) -> None:
    late = next(each for each in PLAN.expected.values() if each.may_say and each.sends)
    may = result(late, "another", Outcome.NOT_FOUND)
    assert kinds(found._replace(results=[*found.results, may])) == set()


@pytest.mark.parametrize(
    ("ending", "wrong"),
    [
        (Ending.REVOKED, Outcome.PARTIALLY_REVOKED),
        (Ending.REVOKED, Outcome.FAILED),
        (Ending.ALREADY, Outcome.REVOKED),
        (Ending.NOT_REVOCABLE, Outcome.FAILED),
    ],
)
def test_a_wrong_outcome_is_strange(found: Evidence, ending: Ending, wrong: Outcome) -> None:
    right = of(one(ending), list(found.results))
    assert Kind.STRANGE in kinds(replaced(found, right, right._replace(outcome=wrong)))


def test_a_result_must_name_the_refused_tokens_and_the_other_violation_and_the_right_number(found: Evidence) -> None:
    failed = next(each for each in found.results if each.outcome is Outcome.FAILED)
    assert kinds(replaced(found, failed, failed._replace(rejected_tokens=()))) == {Kind.STRANGE}
    stranger = failed._replace(rejected_tokens=(RejectedToken("0" * 112, "why"),))
    assert kinds(replaced(found, failed, stranger)) == {Kind.STRANGE}
    already = next(each for each in found.results if each.outcome is Outcome.ALREADY_REVOKED)
    assert kinds(replaced(found, already, already._replace(detail="v-other"))) == {Kind.STRANGE}
    revoked = of(one(Ending.REVOKED), list(found.results))
    assert kinds(replaced(found, revoked, revoked._replace(tokens_revoked=0))) == {Kind.STRANGE}


def test_totals_that_never_reach_the_last_place_are_noticed(found: Evidence) -> None:
    """Contract, RevokeResult: settled including this result."""
    own = of(one(Ending.NOT_REVOCABLE), list(found.results))
    assert kinds(replaced(found, own, own._replace(violation_tokens_settled=0))) == {Kind.STRANGE}


def test_a_result_for_a_send_of_another_message_or_none_at_all_is_strange(found: Evidence) -> None:
    own = of(one(Ending.REVOKED), list(found.results))
    other = of(one(Ending.NOT_REVOCABLE), list(found.results)).sends
    for sends in (other, (), (SendPart(PARTITION, 10_000, 0, 1),)):
        wrong = own._replace(sends=sends, tokens_revoked=sum(part.token_count for part in sends))
        assert kinds(replaced(found, own, wrong)) == {Kind.STRANGE, Kind.UNCOVERED}


def test_more_places_than_a_send_has_are_strange(found: Evidence) -> None:
    own = of(one(Ending.NOT_REVOCABLE), list(found.results))
    (part,) = own.sends
    assert kinds(replaced(found, own, own._replace(sends=(part._replace(token_count=2),)))) == {Kind.STRANGE}


def test_a_result_of_a_violation_that_nobody_found_is_strange(found: Evidence) -> None:
    nobody = found.results[0]._replace(violation_id="v-nobody", result_id="nobody")
    assert kinds(found._replace(results=[*found.results, nobody])) == {Kind.STRANGE}


def test_a_withdrawn_violation_must_cover_nothing(found: Evidence) -> None:
    """WITHDRAWN: stop what has not been done yet."""
    withdrawn = saying(Outcome.WITHDRAWN)
    send = next(each for each in PLAN.sends if each.head.message_id == withdrawn.message_id)
    part = SendPart(PARTITION, send.number, 0, 1)
    called = result(withdrawn, "another", Outcome.REVOKED, (part,), 1)
    assert kinds(found._replace(results=[*found.results, called])) == {Kind.STRANGE}


# --- the gateway's book


def with_book(found: Evidence, *, innocent: bool = False, missing: bool = False, calls: int = 1) -> Evidence:
    """The book with one slot spoiled."""
    revoked = {slot: dict(tokens) for slot, tokens in found.book.revoked.items()}
    slot = next(iter(revoked))
    token = next(iter(revoked[slot]))
    if missing:
        del revoked[slot][token]
    else:
        revoked[slot]["innocent" * 14 if innocent else token] = calls
    return found._replace(book=found.book._replace(revoked=revoked))


def test_a_token_that_the_gateway_never_revoked_is_noticed(found: Evidence) -> None:
    """Whatever the results say: the book decides."""
    (breach,) = judge(PLAN, with_book(found, missing=True))
    assert breach.kind is Kind.NOT_REVOKED


def test_an_innocent_token_is_noticed_and_not_shown_whole(found: Evidence) -> None:
    """Promise 2: no token leaves that a confirmed violation does not cover."""
    (breach,) = judge(PLAN, with_book(found, innocent=True))
    assert breach.kind is Kind.INNOCENT
    assert "innocent" not in breach.sentence
    assert "inno…(112)" in breach.sentence


def test_a_token_of_a_slot_that_nobody_found_is_innocent_even_where_the_call_was_refused(found: Evidence) -> None:
    refused = {**found.book.refused, ("an app", 5): {"t" * 112: 1}}
    assert kinds(found._replace(book=found.book._replace(refused=refused))) == {Kind.INNOCENT}


def test_a_token_revoked_by_two_calls_is_noticed(found: Evidence) -> None:
    """Promise 3: a send that is known to be revoked is not called again."""
    assert kinds(with_book(found, calls=2)) == {Kind.REPEATED}


def test_a_bad_token_must_have_been_called_and_refused(found: Evidence) -> None:
    none = found._replace(book=found.book._replace(refused={}))
    breaches = judge(PLAN, none)
    assert {breach.kind for breach in breaches} == {Kind.NOT_REVOKED}
    assert len(breaches) == sum(len(send.bad_places) for send in PLAN.called())


def test_a_bad_token_that_was_revoked_all_the_same_is_noticed(found: Evidence) -> None:
    """Push Kit refuses it: if its book says otherwise, one of the two is wrong."""
    revoked = dict(found.book.revoked)
    for slot, tokens in found.book.refused.items():
        revoked[slot] = {**revoked[slot], **tokens}
    assert kinds(found._replace(book=found.book._replace(revoked=revoked))) == {Kind.INNOCENT}


# --- dead letters


@pytest.mark.parametrize(
    "altered",
    [
        lambda own: own._replace(value=b"altered"),
        lambda own: own._replace(key=b"altered"),
        lambda own: own._replace(headers=own.headers[1:]),
        lambda own: own._replace(headers=tuple((n, b"key" if n.endswith("reason") else v) for n, v in own.headers)),
    ],
    ids=["value", "key", "own headers", "reason"],
)
def test_an_altered_dead_letter_is_noticed(found: Evidence, altered: Callable[[DeadLetter], DeadLetter]) -> None:
    """Promise 4: it goes to the dead-letter topic whole."""
    spoiled = [altered(found.letters[0]), *found.letters[1:]]
    (breach,) = judge(PLAN, found._replace(letters=spoiled))
    assert breach.kind is Kind.LETTER


def test_a_dead_letter_too_few_or_too_many_is_noticed(found: Evidence) -> None:
    for letters in (
        found.letters[1:],
        [*found.letters, found.letters[0]],
        [*found.letters, DeadLetter(None, None, ())],
    ):
        (breach,) = judge(PLAN, found._replace(letters=letters))
        assert breach.kind is Kind.LETTER


def test_a_dead_letter_of_a_good_record_is_noticed(found: Evidence) -> None:
    good = letter(PLAN.bad[0]._replace(number=5_000))
    assert judge(PLAN, found._replace(letters=[*found.letters, good])) == [
        Breach(Kind.LETTER, "a dead letter says it comes from ('push.message-sent', 3, 5000), where nothing is bad")
    ]
