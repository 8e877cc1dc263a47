"""Which sends are looked at: told by the last token, whatever stands before it and beside it."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from stream.block import turn_of
from stream.model import Send
from stream.wire import Wire
from stream.wire.looks import Records, records_of
from stream.wire.samples import MOST, ONE_IN, chosen
from tests.wire.records import HEAD

wire = Wire()
ALL = 2**32 - 1
TOKENS = [Random(number).randbytes(56).hex().encode() for number in range(400)]


def batch(lists: list[list[bytes]], random: Random) -> Records:
    """Sends of messages with ids of any length."""
    heads = (HEAD._replace(message_id="m" * random.randint(1, 40)) for _ in lists)
    return records_of([wire.encode_send(Send(head, tuple(of))) for head, of in zip(heads, lists, strict=True)])


@given(st.integers(0, 2**32), st.integers(1, 300), st.sampled_from([0, 1, 30, 40]))
def test_a_send_is_chosen_by_its_last_token_alone(seed: int, sends: int, tokens: int) -> None:
    """Both sends of a pair or neither: whether they come one by one, with hundreds, or too large to lie together."""
    random = Random(seed)
    lists = [[*random.choices(TOKENS, k=tokens), random.choice(TOKENS)] for _ in range(sends)]
    below = sorted(turn_of(of[-1]) for of in lists)[min(sends - 1, MOST - 1)]
    expected = [place for place, of in enumerate(lists) if turn_of(of[-1]) < below]
    found = chosen(batch(lists, random), below, 1)
    large = not batch(lists, random).joined
    assert [place for place in found if not (large and (place + 1) % ONE_IN == 0)] == [
        place for place in expected if not (large and (place + 1) % ONE_IN == 0)
    ]


def test_about_the_part_is_chosen_that_was_asked_for() -> None:
    """One in sixteen of random tokens."""
    random, found = Random(1), 0
    for _ in range(200):
        found += len(chosen(batch([[random.randbytes(40).hex().encode()] for _ in range(50)], random), ALL >> 4, 0))
    assert 0.8 <= found / (200 * 50 / 16) <= 1.2


def test_of_large_sends_one_in_many_is_chosen_whatever_it_ends_in() -> None:
    """Their last tokens are few: two large sends to the same people seldom end alike."""
    random, taken, seen = Random(1), 0, 0
    for size in (1, 7, 50, 200, 42):
        records = batch([[*random.sample(TOKENS, 60)] for _ in range(size)], random)
        assert not records.joined
        taken += len(chosen(records, 0, seen))
        seen += size
    assert taken == 3


def test_tokens_that_all_end_alike_cost_no_more_than_a_few_looks() -> None:
    """A bound on what a batch can cost."""
    assert len(chosen(batch([[b"k" * 40]] * 2_000, Random(1)), ALL, 0)) == MOST


def test_sends_without_tokens_and_short_ones_are_no_trouble() -> None:
    """None is legal and covers nothing."""
    odd: list[list[list[bytes]]] = [[[]], [[], [b""]], [[b"k"]] * 40]
    for lists in odd:
        assert isinstance(chosen(batch(lists, Random(1)), ALL, 0), list)
    assert chosen(records_of([]), ALL, 0) == []
