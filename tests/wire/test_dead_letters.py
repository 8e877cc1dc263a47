"""What is written on a dead letter, and when bad records are too many."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from stream.model import BadRecord, DeadReason, Position
from stream.wire.dead_letters import MAX_MESSAGE_CHARACTERS, BadShare, headers

POSITION = Position("push.message-sent", 3, 2**40, 1_764_000_000_000)


def test_a_dead_letter_says_why_and_where_it_came_from() -> None:
    """Dead letters: the headers, UTF-8, the record's own before them and untouched."""
    own: list[tuple[str, bytes | None]] = [("traceparent", b"00-1"), ("twice", b"\xff"), ("twice", None)]
    assert headers(own, BadRecord(DeadReason.KEY, "the key is not é"), POSITION) == [
        *own,
        ("unpush.error.reason", b"key"),
        ("unpush.error.message", "the key is not é".encode()),
        ("unpush.error.topic", b"push.message-sent"),
        ("unpush.error.partition", b"3"),
        ("unpush.error.offset", b"1099511627776"),
        ("unpush.error.timestamp", b"1764000000000"),
    ]


def test_a_record_that_failed_before_has_each_header_once() -> None:
    """A replayed dead letter that is still bad names its latest place."""
    first = headers([("own", b"1")], BadRecord(DeadReason.KEY, "old"), POSITION)
    again = headers(first, BadRecord(DeadReason.DECODE, "new"), POSITION)
    assert [name for name, _ in again] == [name for name, _ in first]
    assert dict(again)["unpush.error.message"] == b"new"


def test_a_long_message_is_one_line_of_bounded_length() -> None:
    """Text truncated: a broker's record limit must not depend on a stranger's schema."""
    bad = BadRecord(DeadReason.DECODE, "line\n  two " + "é" * 10_000 + "\ud800")
    text = (dict(headers([], bad, POSITION))["unpush.error.message"] or b"").decode()
    assert len(text) == MAX_MESSAGE_CHARACTERS
    assert text.startswith("line two éé")
    assert text.endswith("é…")


def test_half_bad_is_not_too_many_and_more_is() -> None:
    """Dead letters: a share above the bound, default 50 %."""
    share = BadShare()
    share.good(500)
    share.bad(500)
    assert (share.share, share.too_many) == (0.5, False)
    share.bad()
    assert share.too_many
    assert str(share) == "501 of the last 1000 records"


def test_nothing_is_too_many_before_a_hundred_records() -> None:
    """Dead letters: none before the first 100."""
    share = BadShare()
    share.bad(99)
    assert not share.too_many
    share.bad()
    assert share.too_many


def test_a_share_of_no_records_is_nothing() -> None:
    """A topic that was never read."""
    assert (BadShare().share, BadShare(at_least=0).too_many) == (0.0, False)


def test_a_bound_of_its_own_is_kept() -> None:
    """The bound is a setting."""
    share = BadShare(bound=0.1)
    share.good(90)
    share.bad(10)
    assert not share.too_many
    share.bad()
    assert share.too_many


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=60))
def test_the_window_holds_the_last_records_and_no_others(batches: list[tuple[int, bool]]) -> None:
    """Counted in runs, it says what a list of the last hundred records says."""
    share, plain = BadShare(window=100), deque[bool](maxlen=100)
    for records, bad in batches:
        (share.bad if bad else share.good)(records)
        plain.extend([bad] * records)
        assert share.share == (sum(plain) / len(plain) if plain else 0)
