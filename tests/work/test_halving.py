"""A batch refused without names is halved until its bad tokens stand alone, in few calls, and what is known to be bad
is not asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from stream.model import RejectedToken
from stream.work.packing import Parcel, apart, cut
from stream.work.refused import Refused
from tests.work.making import parcel, violation

batches = st.integers(1, 1_000).flatmap(
    lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1), max_size=12))
)


def token(number: int) -> bytes:
    return b"token-%d" % number


def halved(whole: Parcel, bad: set[bytes]) -> tuple[list[Parcel], list[Parcel]]:
    """As ``Replies`` and ``Calls`` do it: all calls that were made, and the parcels that were refused alone."""
    waiting, called, alone = [whole], list[Parcel](), list[Parcel]()
    while waiting:
        called.append(piece := waiting.pop())
        if bad.isdisjoint(piece.tokens):
            continue
        if len(piece.tokens) == 1:
            alone.append(piece)
        else:
            waiting += cut(piece, (len(piece.tokens) + 1) // 2)
    return called, alone


@given(batches)
def test_k_bad_of_n_are_found_in_few_calls(batch: tuple[int, set[int]]) -> None:
    """At most 1 + 2·k·⌈log2 n⌉ calls, whichever are bad; each bad one stands alone in the end, once."""
    size, places = batch
    bad = {token(place) for place in places}
    called, alone = halved(parcel([token(number) for number in range(size)]), bad)
    assert len(called) <= 1 + 2 * len(bad) * (ceil(log2(size)) if size > 1 else 0)
    assert sorted(each.tokens[0] for each in alone) == sorted(bad)


def reject(*tokens: bytes) -> list[RejectedToken]:
    return [RejectedToken(each.decode(), f"why-{each.decode()}") for each in tokens]


lists = st.lists(st.integers(0, 30).map(token), min_size=1, max_size=60)


@given(lists, st.sets(st.integers(0, 40).map(token)))
def test_what_was_refused_is_told_with_its_reason_and_the_rest_is_called(own: Sequence[bytes], bad: set[bytes]) -> None:
    """Reasons kept per token; every place comes out once."""
    refused, whole = Refused(), parcel(list(own))
    refused.add(whole, reject(*bad))
    again = parcel(list(own), offset=5)
    known = refused.of(again)
    assert [each.token.encode() for each in known] == [each for each in again.tokens if each in bad]
    assert all(each.reason == f"why-{each.token}" for each in known)
    if known:
        ended, rest = apart(again, [each.token.encode() for each in known])
        assert {each for piece in ended for each in piece.tokens} == bad & set(own)
        assert not any(refused.of(piece) for piece in rest)
        assert sum(piece.place_count for piece in ended + rest) == again.place_count


def test_a_token_refused_under_another_violation_or_app_is_asked_for() -> None:
    """Only in this violation; what another had refused is the marks' to know."""
    refused = Refused()
    refused.add(parcel([b"a"]), reject(b"a"))
    assert refused.of(parcel([b"a", b"b"]))
    assert not refused.of(parcel([b"a"], app="other"))
    assert not refused.of(parcel([b"a"], finding=violation("w")))


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    """A campaign with a million bad tokens must not fill it."""
    refused = Refused(most=100)
    findings = [violation(f"v-{number}") for number in range(30)]
    for number, finding in enumerate(findings):
        made = parcel([token(number * 10 + at) for at in range(10)], finding=finding)
        refused.add(made, reject(*made.tokens))
    known = [bool(refused.of(parcel([token(number * 10)], finding=each))) for number, each in enumerate(findings)]
    assert known == [False] * 20 + [True] * 10
