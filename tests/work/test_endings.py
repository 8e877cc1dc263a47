"""Results: their ids are the work's own, and their totals never say complete too early."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stream.model import Outcome, RejectedToken, SendPart
from stream.work.condemned import Condemned
from stream.work.endings import MAX_TEXT_CHARACTERS, Ending, bare_result, ending_of, halves, result_id
from stream.work.packing import Fate, Packer, cut
from tests.work.making import HEAD, parcel, result, violation

parts = st.lists(
    st.builds(SendPart, st.integers(0, 9), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)), max_size=3
).map(tuple)
works = st.tuples(
    st.sampled_from(["v", "w", "v\0", "v;0/1/2+3"]), parts, st.sampled_from(["", "dry", "NOT_FOUND", "WITHDRAWN@3"])
)


@given(works, works)
def test_an_id_is_the_works_own(
    one: tuple[str, tuple[SendPart, ...], str], other: tuple[str, tuple[SendPart, ...], str]
) -> None:
    """Deterministic: the same work done again after a crash gives the same id; other work another."""
    ids = [result_id(violation(name), own, word) for name, own, word in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)
    assert all(len(each) == 32 for each in ids)


def test_the_id_does_not_depend_on_the_outcome_nor_on_the_attempts() -> None:
    """So that a second try of what was given up takes the first one's place."""
    first, second = parcel([b"a"]), parcel([b"a"])
    second.attempts = 7
    given_up, revoked = result(first, Ending(Outcome.FAILED)), result(second, Ending(Outcome.REVOKED, 1))
    assert given_up.result_id == revoked.result_id


def test_pieces_have_ids_of_their_own() -> None:
    """A call that is halved has not reached its end: its parts have their own results."""
    whole = parcel([b"a", b"b", b"c"])
    ids = {result(each, Ending(Outcome.REVOKED)).result_id for each in (whole, *cut(whole, 2))}
    assert len(ids) == 3


def test_two_messages_with_the_same_violation_id_have_different_ids() -> None:
    """A violation is named by messageId and violationId together, and so is its resultId."""
    here = violation()
    assert result_id(here, (), "") != result_id(here._replace(message_id="other"), (), "")


def test_without_a_call_no_tokens_were_asked_for() -> None:
    """Both 0 without a call; attempts 0: none."""
    made = parcel([b"a", b"b", b"a"])
    assert result(made, Ending(Outcome.FAILED, detail="expired")).tokens_requested == 0
    assert result(made, Ending(Outcome.DRY_RUN)).tokens_requested == 0
    made.attempts = 1
    called = result(made, Ending(Outcome.REVOKED, 2))
    assert (called.tokens_requested, called.tokens_revoked, called.attempts) == (2, 2, 1)
    assert called.sends == (SendPart(0, 0, 0, 3),)


def test_a_result_without_places_has_none() -> None:
    """NOT_FOUND, HELD and WITHDRAWN have empty ``sends`` and zero counts; clientId null where no send was found."""
    bare = bare_result(violation(), Outcome.NOT_FOUND, "NOT_FOUND", (0, 0), 5)
    assert (bare.sends, bare.client_id, bare.tokens_requested, bare.attempts) == ((), None, 0, 0)
    assert (bare.violation_tokens_matched, bare.violation_tokens_settled) == (0, 0)


@given(st.integers(0, 20), st.integers(0, 20), st.booleans(), st.booleans())
def test_totals_are_equal_only_when_all_is_counted_and_read(
    matched: int, settled: int, counted: bool, all_read: bool
) -> None:
    """While stored sends are still being counted or earlier sends unread, matched is at least settled + 1."""
    it = Condemned(0, "m", b"digest00", 0.0)
    it.matched, it.settled, it.counted = matched, {"v": settled}, counted
    said = it.totals("v", all_read)
    assert said[1] == settled
    assert said[0] >= max(matched, settled + (0 if counted and all_read else 1))


def test_texts_without_end_are_cut_and_say_so_and_ids_are_not() -> None:
    """A result has at most 900 kB, whatever a detector writes into its reason."""
    huge = violation("v" * 5_000)._replace(reason="r" * 400_000)
    made = parcel([b"a"], app="c" * 70_000, finding=huge)
    whole = result(made, Ending(Outcome.FAILED, detail="d" * 70_000))
    bare = bare_result(huge, Outcome.NOT_FOUND, "", (0, 0), 1)
    for text in (whole.reason, whole.detail, whole.client_id, bare.reason):
        assert text is not None
        assert len(text) == MAX_TEXT_CHARACTERS
    assert whole.reason.endswith("… (cut, 400000 characters)")
    assert (whole.violation_id, bare.violation_id) == ("v" * 5_000, "v" * 5_000)


tokens_of_a_call = st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"e"]), min_size=1, max_size=9)


@given(tokens_of_a_call, st.sets(st.sampled_from("abcde")), st.booleans())
def test_halves_of_a_result_say_together_what_it_said(tokens: list[bytes], refused: set[str], accepted: bool) -> None:
    """The work is cut smaller: each place is in one half, each token keeps its ending."""
    made = parcel(tokens)
    made.attempts = 3
    rejected = tuple(RejectedToken(t.decode(), "noRight") for t in made.tokens if t.decode() in refused)
    revoked = len(made.tokens) - len(rejected) if accepted else 0
    outcome = Outcome.PARTIALLY_REVOKED if revoked and rejected else Outcome.REVOKED if revoked else Outcome.FAILED
    named = rejected if revoked or len(rejected) == len(made.tokens) else ()
    ending = Ending(outcome, revoked, named, 200, "code", "x")
    both = halves(made, ending_of(result(made, ending)))
    assert len(both) == (2 if len(tokens) > 1 else 0)
    spans = [(part.first_token, part.token_count) for piece, _ in both for part in piece.parts]
    assert sum(count for _, count in spans) == (len(tokens) if both else 0)
    assert all(here[0] + here[1] == there[0] for here, there in pairwise(spans))
    for piece, said in both:
        names = {token.decode() for token in piece.tokens}
        assert {each.token for each in said.rejected} == names & {each.token for each in ending.rejected}
        assert said.tokens_revoked == (len(names) - len(said.rejected) if revoked else 0)
        assert (said.outcome is Outcome.PARTIALLY_REVOKED) == bool(said.tokens_revoked and said.rejected)
        assert (said.outcome is Outcome.REVOKED) == bool(said.tokens_revoked and not said.rejected)
        assert (piece.attempts, said.code, said.detail) == (3, "code", "x")


def test_halves_of_what_was_refused_without_a_call_keep_each_reason_at_its_place() -> None:
    """Tokens that no call can carry: one part and one reason for each."""
    packer, fate = Packer(), Fate(Outcome.FAILED, "tokenTooLong")
    for place in (0, 2, 5):
        packer.refuse(violation(), fate, HEAD, (0, 7, 1_000), place, RejectedToken(f"token-{place}", "tokenTooLong"))
    (made,) = packer.flush()
    both = halves(made, Ending(Outcome.FAILED, rejected=tuple(made.rejects)))
    assert [[part.first_token for part in piece.parts] for piece, _ in both] == [[0], [2, 5]]
    assert [[each.token for each in said.rejected] for _, said in both] == [["token-0"], ["token-2", "token-5"]]


def test_ids_with_a_nul_are_told_apart_too() -> None:
    """Both ids together name a violation, and so its results."""
    here, there = (violation("x")._replace(message_id=m, violation_id=v) for m, v in (("a\0b", "c"), ("a", "b\0c")))
    assert result_id(here, (), "") != result_id(there, (), "")


def test_the_id_does_not_depend_on_the_order_in_which_sends_were_read() -> None:
    """Nor which came first of sends that were read back, newest first."""
    parts = [SendPart(0, offset, first, 2) for offset in (3, 1, 2) for first in (0, 5)]
    assert len({result_id(violation(), order, "") for order in (parts, parts[::-1], sorted(parts))}) == 1
    assert result_id(violation(), parts[:1], "") != result_id(violation(), parts[1:2], "")
