"""The book and the slots, push-kit.md section 9, points 11 and 13."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.pushkit.simulator import AppFaults, Faults, Ledger, Message, Rules, Simulator, Slots, State
from stream.pushkit.simulator.book import Book, Mark, Moment
from stream.pushkit.simulator.named import named
from tests.simulator.calling import Caller


async def test_the_book_says_when_first_when_last_and_by_how_many_calls(sim: Simulator, caller: Caller) -> None:
    """13: which (clientId, notifyId, token) was revoked when, and by how many calls."""
    before_ms = int(time.time() * 1_000)
    await caller.revoke(7, ("a", "b"))
    await asyncio.sleep(0.01)
    await caller.revoke(7, ("b", "c"))
    marks = sim.book.revoked.tokens("app1", 7)
    assert {token: mark.calls for token, mark in marks.items()} == {"a": 1, "b": 2, "c": 1}
    assert before_ms <= marks["a"].first_ms == marks["a"].last_ms < marks["b"].last_ms == marks["c"].first_ms
    assert marks["b"].first_ms == marks["a"].first_ms


async def test_counts_are_exact(sim: Simulator, caller: Caller) -> None:
    """13: per app calls, devices, duplicates, refused, peak."""
    await caller.revoke(7, ("a", "b", "b"))
    await caller.revoke(7, ("b", "c"))
    await caller.revoke(8, ("a",))
    await caller.revoke(-1, ("a", "b", "c", "d"))
    await caller.revoke(7, ("x",), client_id="app2")
    counts = await caller.control("GET", "counts")
    assert counts["app1"] == {
        "calls": 4, "refused": 1, "devices": 5, "duplicates": 2, "rejected": 0,
        "codes": {"80000000": 3, "80100003": 1}, "peakDevicesPerS": 5, "peakAskedPerS": 10,
    }  # fmt: skip
    assert counts["app2"]["calls"] == 1


async def test_the_book_is_read_and_emptied_over_http(sim: Simulator, caller: Caller) -> None:
    """13: tests, demo and benchmark can ask."""
    await caller.revoke(7, ("a",))
    await caller.revoke(8, ("b",))
    await caller.revoke(7, ("c",), client_id="app2")
    await caller.revoke(9, ("d",), headers={"push-type": "6"})
    book = await caller.control("GET", "book?clientId=app1&notifyId=7")
    assert [(entry["notifyId"], entry["token"], entry["calls"]) for entry in book["revoked"]] == [(7, "a", 1)]
    assert len((await caller.control("GET", "book?clientId=app1"))["revoked"]) == 2
    whole = await caller.control("GET", "book")
    assert len(whole["revoked"]) == 3
    assert [entry["token"] for entry in whole["refused"]] == ["d"]
    await caller.control("DELETE", "book")
    assert await caller.control("GET", "book") == {"revoked": [], "refused": [], "innocents": {}}
    assert await caller.control("GET", "counts") == {}


async def test_the_timeline_has_every_call_in_order_on_both_clocks(sim: Simulator, caller: Caller) -> None:
    """The bench measures violation → request received from it; refused calls are in it too."""
    started = time.monotonic_ns(), time.time_ns()
    await caller.revoke(7, ("a", "b"))
    await caller.revoke("x", ("c",))
    first, second = await caller.control("GET", "calls?since=0")
    assert (first["number"], first["clientId"], first["notifyId"], first["tokens"]) == (1, "app1", 7, 2)
    assert (second["number"], second["notifyId"], second["status"], second["code"]) == (2, None, 400, "80100003")
    assert started[0] < first["monotonicNs"] < second["monotonicNs"] < time.monotonic_ns()
    assert started[1] <= first["wallNs"] <= time.time_ns()
    assert [call["number"] for call in await caller.control("GET", "calls?since=1")] == [2]


def test_the_timeline_is_bounded_and_keeps_the_newest() -> None:
    """A ring: numbers go on, the oldest leave."""
    book = Book(ring_calls=3)
    for number in range(5):
        book.seen(Moment(number, number), "app", 1, 1, 200, "80000000")
    assert [call.number for call in book.calls()] == [3, 4, 5]
    assert [call.number for call in book.calls(since=4)] == [5]
    assert list(book.calls(since=5)) == []


@given(st.lists(st.tuples(st.integers(0, 2), st.sets(st.sampled_from("abcd"), min_size=1)), max_size=20))
def test_a_ledger_agrees_with_plain_counting(calls: list[tuple[int, set[str]]]) -> None:
    """13: exact, whether a slot is still packed or not."""
    ledger, plain = Ledger(), dict[tuple[int, str], Mark]()
    for at_ms, (slot, tokens) in enumerate(calls):
        repeated = sum((slot, token) in plain for token in tokens)
        for token in tokens:
            before = plain.get((slot, token), Mark(at_ms, at_ms, 0))
            plain[slot, token] = Mark(before.first_ms, at_ms, before.calls + 1)
        assert ledger.add("app", slot, named(list(tokens)), at_ms) == repeated
    assert {(slot, token): mark for _, slot, marks in ledger.slots() for token, mark in marks.items()} == plain


def test_a_long_list_is_kept_once_and_marked_in_every_slot() -> None:
    """13: exact, though memory is shared; a second call on one slot leaves the others as they were."""
    ledger, tokens = Ledger(), [f"{number:0100d}" for number in range(100)]
    for notify_id in (7, 8):
        assert ledger.add("app", notify_id, named(list(tokens)), notify_id) == 0
    assert ledger.add("app", 9, named(tokens[1:]), 9) == 0
    first, second, _ = ledger._apps["app"].values()
    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    assert first.tokens_json is second.tokens_json
    assert ledger.add("app", 7, named(tokens[:60]), 10) == 60
    assert ledger.tokens("app", 8) == dict.fromkeys(tokens, Mark(8, 8, 1))
    assert ledger.tokens("app", 9) == dict.fromkeys(tokens[1:], Mark(9, 9, 1))
    assert ledger.tokens("app", 7) == {
        token: Mark(7, 10, 2) if token in tokens[:60] else Mark(7, 7, 1) for token in tokens
    }


@pytest.mark.parametrize(
    ("state", "revoked"),
    [(State.UNDELIVERED, 1), (State.DELIVERED, 1), (State.DISPLAYED, 1), (State.CLICKED, 0)],
)
def test_what_was_clicked_is_out_of_reach(state: State, revoked: int) -> None:
    """11: not delivered, displayed, clicked: only the last does not change."""
    slots = Slots()
    slots.register(Message("app", 7, "m", ["a"], state))
    slots.revoke("app", 7, named(["a"]))
    tally = slots.tallies()["m"]
    assert (tally.revoked, tally.clicked) == (revoked, 1 - revoked)


async def test_a_later_message_under_the_same_notify_id_is_the_one_that_is_hit(sim: Simulator, caller: Caller) -> None:
    """11: innocent messages that shared a slot are named."""
    sends = [
        {"clientId": "app1", "notifyId": 7, "messageId": "condemned", "tokens": ["a", "b"]},
        {"clientId": "app1", "notifyId": 7, "messageId": "innocent", "tokens": ["b"], "state": "displayed"},
        {"clientId": "app1", "notifyId": 8, "messageId": "apart", "tokens": ["a", "b"]},
    ]
    await caller.control("POST", "sends", sends)
    await caller.revoke(7, ("a", "b"))
    assert (await caller.control("GET", "book"))["innocents"] == {"innocent": 1}
    tallies = await caller.control("GET", "messages")
    assert tallies["condemned"] == {"sent": 2, "revoked": 1, "replaced": 1, "clicked": 0, "shared": 0}
    assert tallies["innocent"]["revoked"] == 1
    assert tallies["apart"]["revoked"] == 0


def test_the_same_message_sent_again_replaces_nobody() -> None:
    """11: a repeat of a message is no other message."""
    slots = Slots()
    for _ in range(2):
        slots.register(Message("app", 7, "m", ["a"]))
    slots.revoke("app", 7, named(["a"]))
    assert (slots.tallies()["m"].replaced, slots.innocents()) == (0, {})


async def test_repeats_and_unknown_ids_are_accepted_unless_set_otherwise(sim: Simulator, caller: Caller) -> None:
    """11: repeats and unknown ids → 80000000 (settable)."""
    sim.register(Message("app1", 7, "m", ["a"]))
    assert (await caller.revoke(99, ("a",))).code == "80000000"
    assert [(await caller.revoke(7, ("a",))).code for _ in range(2)] == ["80000000"] * 2
    await sim.set_faults(Faults(rules=Rules(unknown_slot_code="80300099", repeat_code="80300098")))
    assert (await caller.revoke(100, ("a",))).code == "80300099"
    assert (await caller.revoke(7, ("a",))).code == "80300098"


async def test_tokens_are_marked_over_http(sim: Simulator, caller: Caller) -> None:
    """9: ``POST /_sim/tokens``."""
    await caller.control("POST", "tokens", {"clientId": "app1", "tokens": ["f"], "app": "app2"})
    assert (await caller.revoke(7, ("f",))).code == "80300028"
    await caller.control("POST", "tokens", {"clientId": "app1", "tokens": ["f"], "reason": "noRight"})
    assert (await caller.revoke(7, ("f", "a"))).message["illegalTokens"] == {"noRight": ["f"]}
    await caller.control("POST", "tokens", {"clientId": "app1", "tokens": ["f"]})
    assert (await caller.revoke(7, ("f",))).code == "80000000"


async def test_calls_over_the_rate_stay_out_of_the_revoked(sim: Simulator, caller: Caller) -> None:
    """13: calls that were received but refused are told apart, their tokens too."""
    await sim.set_faults(Faults(all=AppFaults(devices_per_s=1)))
    await caller.revoke(7, ("a", "b"))
    assert not sim.book.revoked.tokens("app1", 7)
    assert set(sim.book.refused.tokens("app1", 7)) == {"a", "b"}
    counts = sim.book.counts("app1")
    assert (counts.calls, counts.refused, counts.devices, counts.codes) == (1, 1, 0, {"503": 1})


@pytest.mark.parametrize(
    ("method", "path", "value", "status"),
    [
        ("GET", "nope", None, 404),
        ("POST", "book", None, 405),
        ("GET", "book?notifyId=x", None, 400),
        ("GET", "calls?since=x", None, 400),
        ("POST", "sends", {"clientId": "app1"}, 400),
        ("POST", "sends", {"clientId": "a", "notifyId": 1, "messageId": "m", "tokens": [], "state": "x"}, 400),
        ("POST", "tokens", {"clientId": "app1", "tokens": "x"}, 400),
        ("POST", "tokens", {"clientId": "app1", "tokens": [], "apps": "x"}, 400),
        ("PUT", "faults", None, 400),
    ],
)
async def test_a_wrong_control_request_is_refused(
    caller: Caller, method: str, path: str, value: Any, status: int
) -> None:
    """Wrong requests to ``/_sim`` change nothing and say why."""
    async with caller.session.request(method, f"{caller.url}/_sim/{path}", json=value) as response:
        assert response.status == status
