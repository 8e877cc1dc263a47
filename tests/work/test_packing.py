"""Places become parcels: bounds, order, every place once, few calls; and parcels are cut without losing a place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from stream.block import block_of
from stream.model import MAX_CALL_TOKENS, MAX_TOKEN_BYTES, Outcome, RejectedToken, SendHead
from stream.pushkit.client import encode_body
from stream.work.packing import (
    CALL,
    MAX_PARTS,
    MAX_REJECTS_BYTES,
    MOST_AGAIN,
    Fate,
    LastReply,
    Packer,
    Parcel,
    choose,
    cut,
    split,
)
from tests.work.making import HEAD, parcel, violation

tokens = st.integers(0, 30).map(lambda n: f"token-{n}".encode())
heads = st.builds(
    SendHead,
    st.just("m"),
    st.sampled_from(["app", "other"]),
    st.sampled_from([7, 8]),
    st.just(0),
    st.just(0),
    st.none(),
)
put_sends = st.lists(st.tuples(heads, st.sampled_from("vw"), st.lists(tokens, min_size=1, max_size=9)), max_size=12)
most = st.integers(1, 7)
FINDINGS = {"v": violation("v"), "w": violation("w")}

Place = tuple[str, int, int, bytes]


def packed(sends: list[tuple[SendHead, str, list[bytes]]], max_tokens: int) -> list[Parcel]:
    packer = Packer()
    for offset, (head, name, own) in enumerate(sends):
        packer.put(FINDINGS[name], CALL, head, (0, len(own)), (0, offset, 1_000), own, max_tokens)
    return packer.take() + packer.flush()


def places(made: Parcel) -> Iterator[Place]:
    """Violation, offset, position and token of each place of a parcel, in its order."""
    at = 0
    for part in made.parts:
        for inside in range(part.token_count):
            yield made.violation.violation_id, part.offset, part.first_token + inside, made.places[at]
            at += 1
    assert at == len(made.places) == made.place_count


@given(put_sends, most)
def test_each_place_comes_out_once_with_its_token(
    sends: list[tuple[SendHead, str, list[bytes]]], max_tokens: int
) -> None:
    """Each place that was put in comes out in exactly one parcel."""
    given_in = [(v, offset, at, token) for offset, (_, v, own) in enumerate(sends) for at, token in enumerate(own)]
    came_out = [place for made in packed(sends, max_tokens) for place in places(made)]
    assert Counter(came_out) == Counter(given_in)


@given(put_sends, most)
def test_parcels_keep_their_bounds_and_order(sends: list[tuple[SendHead, str, list[bytes]]], max_tokens: int) -> None:
    """One violation, app, push type and notifyId; distinct tokens within the bound; in the order put in."""
    for made in packed(sends, max_tokens):
        assert len(set(made.tokens)) == len(made.tokens) <= max_tokens
        assert list(dict.fromkeys(made.places)) == list(made.tokens)
        assert [place[1:3] for place in places(made)] == sorted(place[1:3] for place in places(made))
        for part in made.parts:
            assert sends[part.offset][0][1:4] == (made.client_id, made.notify_id, made.push_type)
            assert sends[part.offset][1] == made.violation.violation_id


@given(st.lists(st.lists(tokens, min_size=1, max_size=9, unique=True), max_size=12), most)
def test_calls_are_the_fewest_possible_where_no_token_comes_twice(own: list[list[bytes]], max_tokens: int) -> None:
    """Tokens travel together, also when they come from a thousand sends of one token."""
    distinct = [[b"%d-%s" % (i, token) for token in each] for i, each in enumerate(own)]
    made = packed([(HEAD, "v", each) for each in distinct], max_tokens)
    total = sum(map(len, distinct))
    whole = [parcel for parcel in made if len(parcel.parts) == 1 and len(parcel.tokens) == max_tokens]
    assert len(made) <= len(whole) + -(-(total - len(whole) * max_tokens) // max_tokens)
    assert len(made) == -(-total // max_tokens)


def test_ten_thousand_sends_of_one_token_make_ten_calls() -> None:
    """A stored campaign of 10,000 one-token sends with one notifyId takes ten calls."""
    made = packed([(HEAD, "v", [b"token-%d" % i]) for i in range(10_000)], MAX_CALL_TOKENS)
    assert [len(each.tokens) for each in made] == [1_000] * 10


def test_a_send_of_thousands_fills_calls_in_its_order() -> None:
    """Distinct tokens: full calls and a rest. With one repeated: never twice in a call, and no place lost."""
    own = tuple(b"%040d" % number for number in range(2_500))
    made = packed([(HEAD, "v", list(own))], MAX_CALL_TOKENS)
    assert [place[2:] for each in made for place in places(each)] == list(enumerate(own))
    assert [len(each.tokens) for each in made] == [1_000, 1_000, 500]
    repeated = (*own[:1_200], own[1_100], *own[1_200:])
    made = packed([(HEAD, "v", list(repeated))], MAX_CALL_TOKENS)
    assert [place[2:] for each in made for place in places(each)] == list(enumerate(repeated))
    assert [len(each.tokens) for each in made] == [1_000, 1_000, 500]


def test_tokens_in_one_piece_of_memory_are_packed_and_cut_as_single_ones_are() -> None:
    """A block is no other case than a tuple, but for its price."""
    own = tuple(b"%040d" % (number % 1_900) for number in range(2_500))
    block = block_of(b"".join(b"P" + token for token in own), 0, len(own), 1, 40)
    assert block is not None
    for sent in (own, block):
        packer = Packer()
        packer.put(FINDINGS["v"], CALL, HEAD, (10, 2_400), (0, 5, 1_000), sent)
        whole = packer.flush()
        assert [p for made in whole for p in places(made)] == [("v", 5, n, own[n]) for n in range(10, 2_400)]
        pieces = [piece for made in whole for piece in cut(made, 300)]
        assert Counter(p for made in pieces for p in places(made)) == Counter(p for made in whole for p in places(made))
        assert all(len(piece.tokens) <= 300 for piece in pieces)


def test_a_parcel_has_at_most_a_thousand_parts() -> None:
    """A result has at most 1,000 SendParts, also where all sends hold the same token."""
    made = packed([(HEAD, "v", [b"same"]) for _ in range(2_500)], MAX_CALL_TOKENS)
    assert [len(each.parts) for each in made] == [1_000, 1_000, 500]


def test_a_call_has_at_most_512_kb() -> None:
    """A call has at most 1,000 distinct tokens and 512 kB; what needs escapes is cut smaller when it is called."""
    for filling in ("x", "é"):
        size = MAX_TOKEN_BYTES // len(filling.encode()) - 8
        long = [f"{i:04}".encode() + (filling * size).encode() for i in range(1_000)]
        made = packed([(HEAD, "v", long), (HEAD, "v", long[:150])], MAX_CALL_TOKENS)
        assert max(len(encode_body(2**31 - 1, each.tokens)) for each in made) <= 512_000, filling


def test_rejected_places_stay_below_what_a_result_may_hold() -> None:
    """A result has at most 900 kB."""
    packer, token = Packer(), "x" * MAX_TOKEN_BYTES
    for at in range(1_500):
        packer.refuse(violation(), Fate(Outcome.FAILED, "no"), HEAD, (0, 1, 5), at, RejectedToken(token, "no"))
    made = packer.flush()
    assert sum(each.place_count for each in made) == 1_500
    assert max(sum(len(r.token) + len(r.reason) for r in each.rejects) for each in made) < 900_000


def test_a_send_that_cannot_be_read_is_a_part_without_places() -> None:
    """SendPart with no tokens."""
    packer = Packer()
    packer.unread(violation(), Fate(Outcome.FAILED, "unreadable"), (0, 9, 5))
    (made,) = packer.take()
    assert [tuple(part) for part in made.parts] == [(0, 9, 0, 0)]
    assert made.place_count == 0


def test_late_is_said_where_any_send_is_later_than_its_violation() -> None:
    """A send's record timestamp is later than the violation's (any, if several)."""
    for times, late in [((400, 500), False), ((400, 501), True)]:
        packer = Packer()
        for offset, time_ms in enumerate(times):
            packer.put(violation(time_ms=500), CALL, HEAD, (0, 1), (0, offset, time_ms), [b"%d" % offset])
        (made,) = packer.flush()
        assert (made.late, made.oldest_ms, made.newest_ms) == (late, 400, max(times))


repeated = st.lists(tokens, min_size=1, max_size=40)


@given(repeated, st.integers(1, 9))
def test_cutting_keeps_every_place_with_its_token(own: list[bytes], size: int) -> None:
    """Halved until they stand alone: all places, and only those, repeats included."""
    whole = parcel(own)
    pieces = cut(whole, size)
    assert sorted(place for piece in pieces for place in places(piece)) == sorted(places(whole))
    assert all(len(piece.tokens) <= size and set(piece.places) == set(piece.tokens) for piece in pieces)
    assert [token for piece in pieces for token in piece.tokens] == list(whole.tokens)


@given(repeated, st.sets(tokens, min_size=1))
def test_choosing_takes_all_places_of_the_chosen_tokens(own: list[bytes], wanted: set[bytes]) -> None:
    """All places, and only those, whose token is among them."""
    piece = choose(parcel(own), sorted(wanted))
    assert [place[2:] for place in places(piece)] == [(at, t) for at, t in enumerate(own) if t in wanted]


def test_pieces_remember_what_was_tried() -> None:
    """Attempts and times are handed on."""
    whole = parcel([b"a", b"b"])
    whole.attempts, whole.started_at_ms, whole.last_reply = 3, 77, LastReply("why")
    for piece in cut(whole, 1):
        assert (piece.attempts, piece.started_at_ms, piece.last_reply) == (3, 77, LastReply("why"))


def test_a_piece_is_late_where_a_send_of_its_own_is() -> None:
    """A call that was cut says of each piece what is true of its sends, not of those that travelled with them."""
    packer = Packer()
    for offset, time_ms in enumerate((500, 501)):
        tokens_of = [b"%d" % offset, b"both"]
        packer.put(violation(time_ms=500), CALL, HEAD, (0, 2), (0, offset, time_ms), tokens_of)
    (whole,) = packer.flush()
    assert whole.late
    assert {tuple(piece.tokens): piece.late for piece in cut(whole, 1)} == {
        (b"0",): False,
        (b"1",): True,
        (b"both",): True,
    }
    assert [piece.late for piece in split(whole, 1)] == [False, True]


def test_pieces_of_repeated_tokens_have_at_most_a_thousand_parts() -> None:
    """A result has at most 1,000 SendParts, also for half of a list in which two tokens take turns."""
    whole = parcel([b"a", b"b"] * 3_000)
    pieces = cut(whole, 1)
    assert max(len(piece.parts) for piece in pieces) <= MAX_PARTS
    assert sorted(place for piece in pieces for place in places(piece)) == sorted(places(whole))
    assert {tuple(piece.tokens) for piece in pieces} == {(b"a",), (b"b",)}


def test_refused_tokens_of_any_length_fill_no_result_beyond_its_bound() -> None:
    """A result has at most 900 kB: whole tokens that no call can carry share it as long as they fit."""
    packer, fate = Packer(), Fate(Outcome.FAILED, "tokenTooLong")
    for place, size in enumerate([300_000, 300_000, 300_000, 5_000, 400_000, 799_000, 10]):
        packer.refuse(violation(), fate, HEAD, (0, 1, 1_000), place, RejectedToken("x" * size, "tokenTooLong"))
    sizes = [sum(len(each.token) for each in made.rejects) for made in packer.flush()]
    assert max(sizes) <= MAX_REJECTS_BYTES
    assert sum(sizes) == 2_104_010
    assert len(sizes) == 4


def test_what_is_tried_again_travels_as_it_did_and_no_campaign_is_in_memory_whole() -> None:
    """Places of one result that gave them up stay together, mixed as they may come; so many are filled at once."""
    packer = Packer()
    finding = violation()
    for offset in range(3 * MOST_AGAIN):
        for at in range(2):
            packer.put(finding, CALL, HEAD, (at, at + 1), (0, offset, 1_000), [b"a", b"b"], again=offset)
    kept = 3 * MOST_AGAIN - len(packer.full)
    made = packer.take() + packer.flush()
    assert [[tuple(part)[1:] for part in each.parts] for each in made] == [
        [(offset, 0, 1), (offset, 1, 1)] for offset in range(3 * MOST_AGAIN)
    ]
    assert kept == MOST_AGAIN
    for again in (5, 6, 5, None):
        packer.put(finding, CALL, HEAD, (0, 1), (0, 1, 1_000), [b"%d" % (again or 0)], again=again)
    assert sorted(len(each.places) for each in packer.flush()) == [1, 1, 2]
