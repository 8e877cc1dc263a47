"""One notifyId for several messages: found in the part of the slots that is looked at, and nowhere else."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from stream.block import turn_of
from stream.work.reuse import Message, Reuse

SPAN_MS = 1_000
TOKENS = tuple(Random(number).randbytes(56).hex().encode() for number in range(4_000))


def message(name: str) -> Message:
    return Message(name.encode(), name)


def look(reuse: Reuse, name: str, token: bytes, app: str = "app", notify_id: int = 7, now_ms: int = 0) -> bool:
    """One send of one token; whether its slot had another message."""
    return reuse.look(app, notify_id, message(name), (token,), now_ms) is not None


slots = st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.sampled_from(TOKENS[:3]))
sent = st.lists(st.tuples(st.sampled_from("mno"), slots), max_size=40)


@given(sent)
def test_while_all_slots_fit_each_that_changes_its_message_is_found(
    sends: list[tuple[str, tuple[str, int, bytes]]],
) -> None:
    """(app, notifyId, token) under two messageIds, and nothing else, is reuse."""
    reuse, shows = Reuse(SPAN_MS, 0), dict[tuple[str, int, bytes], str]()
    for name, slot in sends:
        app, notify_id, token = slot
        assert look(reuse, name, token, app, notify_id) is (shows.get(slot, name) != name)
        shows[slot] = name
    changed = {app for app in "ab" if reuse.reuses(app, 0)}
    assert changed == {app for app, standing in reuse.apps.items() if standing.reused}


def test_one_notify_id_for_other_tokens_or_of_another_app_is_no_reuse() -> None:
    """What matters is the slot: the same notifyId for different messages to different tokens is harmless."""
    reuse = Reuse(SPAN_MS, 0)
    for number, token in enumerate(TOKENS):
        assert not look(reuse, f"m-{number}", token)
        assert not look(reuse, f"n-{number}", token, app="other")
        assert not look(reuse, f"o-{number}", token, notify_id=8)
    assert not reuse.reuses("app", 0)


def test_a_message_in_many_sends_is_no_reuse() -> None:
    """A campaign of one message in many sends, some of them read twice, is not reuse."""
    reuse = Reuse(SPAN_MS, 0)
    for token in 3 * TOKENS:
        assert not look(reuse, "campaign", token)


@given(st.integers(1, 200), st.integers(0, 2**32))
def test_memory_is_bounded_and_both_of_a_pair_are_looked_at_or_neither(most: int, seed: int) -> None:
    """However many come: of the slots that are looked at still, none that was met is forgotten."""
    reuse, random = Reuse(SPAN_MS, 0, most), Random(seed)
    met = random.sample(TOKENS, 600)
    for token in met:
        look(reuse, "first", token)
        assert reuse.slots <= most
    below = reuse.below
    expected = [turn_of(token) < below for token in met]
    assert [look(reuse, "second", token) for token in met] == expected


def test_the_share_is_what_the_docs_say() -> None:
    """As many are looked at as fit, at least half of that; and of an app that reuses all of them as many are found."""
    most, tokens = 2_048, [Random(at).randbytes(20) for at in range(20_000)]
    reuse = Reuse(SPAN_MS, 0, most)
    for start in range(0, len(tokens), 1_000):
        reuse.look("app", 7, message("first"), tokens[start : start + 1_000], 0)
    assert most / 2.5 <= reuse.share * len(tokens) <= 1.1 * most
    for start in range(0, len(tokens), 1_000):
        reuse.look("app", 7, message("second"), tokens[start : start + 1_000], 0)
    assert 0.9 <= reuse.apps["app"].reused / (reuse.share * len(tokens)) <= 1.1


def test_what_is_older_than_the_span_is_forgotten_and_the_share_grows_again() -> None:
    """Sends that have left retention show nothing any more, and an app that was mended is no longer named."""
    reuse = Reuse(SPAN_MS, 0, 100)
    for token in TOKENS:
        look(reuse, "first", token)
    share = reuse.share
    assert share < 0.1
    assert any(look(reuse, "second", token) for token in TOKENS)
    assert reuse.reuses("app", SPAN_MS)
    assert not reuse.reuses("app", SPAN_MS + 1)
    for span in range(1, 4):
        look(reuse, "third", TOKENS[0], now_ms=span * SPAN_MS)
    assert reuse.share > share
    assert not look(reuse, "fourth", TOKENS[1], now_ms=9 * SPAN_MS)


def test_two_within_a_span_are_found_though_a_span_ends_between_them() -> None:
    """Less than a span apart is always found."""
    reuse = Reuse(SPAN_MS, 0)
    assert not look(reuse, "first", TOKENS[0], now_ms=SPAN_MS - 1)
    assert look(reuse, "second", TOKENS[0], now_ms=2 * SPAN_MS - 2)
    assert look(reuse, "third", TOKENS[0], now_ms=3 * SPAN_MS - 3)


def test_apps_are_bounded_too() -> None:
    """Ids that come from records must not fill the memory; who reuses is the last to be forgotten."""
    reuse = Reuse(SPAN_MS, 0)
    look(reuse, "first", TOKENS[0], app="reuses", now_ms=1)
    look(reuse, "second", TOKENS[0], app="reuses", now_ms=1)
    for number in range(1_500):
        look(reuse, "m", TOKENS[0], app=f"app-{number}", now_ms=1)
    assert len(reuse.apps) <= 1_000
    assert reuse.reuses("reuses", 1)
