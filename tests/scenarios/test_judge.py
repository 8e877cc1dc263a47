"""The judge judged: a story without fault passes, and each single fault in it is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from stream.model import (
    Outcome,
    RejectedToken,
    RevokeResult,
    Send,
    SendHead,
    SendPart,
    Severity,
    Status,
    ViolationEvent,
)
from tests.scenarios.judge import breaches, calls_and_fewest, covered_twice, dry_breaches, incomplete, repeated
from tests.scenarios.story import Book, Call, Overlap, Progress, Said, Seen, Sent, Story

SLOT = ("app", 7)
HEAD = SendHead("m", "app", 7, 0, 1, None)
EVENT = ViolationEvent("v", "m", Severity.HIGH, Status.CONFIRMED, "spam", None, 5_000)


def result(*parts: SendPart, settled: int, result_id: str, **changes: object) -> RevokeResult:
    tokens = sum(part.token_count for part in parts)
    made = RevokeResult(
        result_id, "v", "m", Severity.HIGH, "spam", 5_000, Outcome.REVOKED, "app", 7, 0, parts, tokens, tokens, (), 1,
        200, "80000000", None, "r", 5, settled, False, 1, 2,
    )  # fmt: skip
    return made._replace(**changes)  # type: ignore[arg-type]


@dataclass
class Told:
    """A message with two sends (three and two tokens), one violation, two calls; and an innocent message."""

    story: Story
    book: Book

    def result(self, index: int, **changes: object) -> None:
        seen = self.story.results[index]
        self.story.results[index] = seen._replace(result=seen.result._replace(**changes))  # type: ignore[arg-type]


@pytest.fixture
def told() -> Told:
    sends = [
        Sent(Send(HEAD, (b"a", b"b", b"c")), 0, 10, 1_000),
        Sent(Send(HEAD, (b"d", b"e")), 0, 11, 1_001),
        Sent(Send(HEAD._replace(message_id="other", notify_id=8), (b"z",)), 1, 3, 1_002),
    ]
    first = result(SendPart(0, 10, 0, 2), settled=2, result_id="1")
    second = result(SendPart(0, 10, 2, 1), SendPart(0, 11, 0, 2), settled=5, result_id="2")
    results = [Seen(first, b"m", 0, 0), Seen(second, b"m", 0, 1)]
    story = Story(sends, [Said(EVENT, 0, 4, 9_000)], results)
    return Told(story, Book({SLOT: dict.fromkeys("abcde", 1)}, {}, {}, [Call(SLOT, 2, 200, 1), Call(SLOT, 3, 200, 2)]))


def test_a_story_without_fault_passes(told: Told) -> None:
    assert breaches(told.story, told.book) == []
    assert repeated(told.book) == []
    assert incomplete(told.story, [("m", "v")]) == []
    assert calls_and_fewest(told.story, told.book) == (2, 1)


def test_a_result_repeated_with_its_id_counts_once(told: Told) -> None:
    told.story.results.append(told.story.results[1]._replace(offset=2))
    assert breaches(told.story, told.book) == []


def test_two_owners_may_cover_a_place_twice_in_their_moment_and_at_no_other(told: Told) -> None:
    """Covered once per violation, except where two owners overlapped for a moment."""
    other_id(told)
    at_ms = told.story.results[0].result.completed_at_ms
    told.story.overlaps = [Overlap(0, at_ms + 1, at_ms + 2), Overlap(1, at_ms, at_ms)]
    assert any("is covered twice" in said for said in breaches(told.story, told.book))
    told.story.overlaps = [Overlap(0, at_ms, at_ms)]
    assert not any("is covered twice" in said for said in breaches(told.story, told.book))
    assert covered_twice(told.story) == 2


def test_what_could_not_yet_be_read_may_be_missing_from_a_total_and_be_called_not_found(told: Told) -> None:
    """A send that its brokers acknowledged late, or that stood behind an open transaction."""
    story, late = told.story, told.story.sends[1]
    told.result(0, violation_tokens_matched=2)
    [said] = breaches(story, told.book)
    assert said.startswith("no result says complete too early")
    story.sends[1] = late._replace(acked_ms=9_500)
    assert breaches(story, told.book) == []
    story.sends[1] = late
    story.hidden = [Overlap(0, late.timestamp_ms, 9_500)]
    assert breaches(story, told.book) == []
    story.results.append(Seen(result(settled=0, result_id="3", outcome=Outcome.NOT_FOUND, attempts=0), b"m", 0, 2))
    assert any("a send was there before" in each for each in breaches(story, told.book))
    story.sends[:2] = [each._replace(acked_ms=9_500) for each in story.sends[:2]]
    assert not any("a send was there before" in each for each in breaches(story, told.book))


def test_an_overlap_excuses_no_place_that_is_missing(told: Told) -> None:
    told.story.results.pop(0)
    told.story.overlaps = [Overlap(0, 0, 100_000)]
    assert any("are not covered" in said for said in breaches(told.story, told.book))


def other_id(told: Told) -> None:
    told.story.results.append(Seen(told.story.results[0].result._replace(result_id="3"), b"m", 0, 2))


FAULTS: dict[str, Callable[[Told], object]] = {
    "are not covered": lambda told: told.story.results.pop(0),
    "places 1 to 1 are not covered": lambda told: told.result(1, sends=(SendPart(0, 10, 2, 1), SendPart(0, 11, 0, 1))),
    "is covered twice": other_id,
    "covered up to 3": lambda told: told.result(1, sends=(SendPart(0, 10, 2, 1), SendPart(0, 11, 0, 3))),
    "no send of its message": lambda told: told.result(1, sends=(SendPart(0, 10, 2, 1), SendPart(1, 3, 0, 1))),
    "nobody's violation": lambda told: told.result(0, violation_id="w"),
    "partition 1 instead of 0": lambda told: told.story.results.__setitem__(
        0, told.story.results[0]._replace(partition=1)
    ),
    "repeat what the violation said": lambda told: told.result(0, severity=Severity.LOW),
    "name the sends slot": lambda told: told.result(0, notify_id=8),
    "NOT_REVOCABLE for": lambda told: told.result(0, outcome=Outcome.NOT_REVOCABLE, attempts=0),
    "asked 1": lambda told: told.result(0, tokens_requested=1),
    "revoked 1": lambda told: told.result(0, tokens_revoked=1),
    "rejected 1 tokens instead of 0": lambda told: told.result(0, rejected_tokens=(RejectedToken("a", "x"),)),
    "rejected 0 tokens instead of 1": lambda told: told.story.bad.update({("app", b"a"): None}),
    "FAILED without": lambda told: told.result(0, outcome=Outcome.FAILED, tokens_revoked=0),
    "were not revoked under": lambda told: told.result(
        0, outcome=Outcome.ALREADY_REVOKED, attempts=0, tokens_requested=0, tokens_revoked=0, detail="w"
    ),
    "a send was there before": lambda told: told.story.results.append(
        Seen(result(settled=0, result_id="n", outcome=Outcome.NOT_FOUND, attempts=0), b"m", 0, 2)
    ),
    "withdrawals, said 1": lambda told: told.story.results.append(
        Seen(result(settled=0, result_id="w", outcome=Outcome.WITHDRAWN, attempts=0), b"m", 0, 2)
    ),
    "NOT_FOUND with sends or counts": lambda told: told.result(0, outcome=Outcome.NOT_FOUND),
    "late is True": lambda told: told.result(0, late=True),
    "at the end, with 5 places": lambda told: told.result(1, violation_tokens_settled=6),
    "(2, 2) of 5": lambda told: told.result(0, violation_tokens_matched=2),
    "nobody innocent is called": lambda told: told.book.refused.update({("app", 8): {"z": 1}}),
    "are not in the book": lambda told: told.book.revoked[SLOT].pop("a"),
    "never said": lambda told: told.story.events.append(Said(EVENT._replace(message_id="gone"), 0, 5, 9_001)),
}


@pytest.mark.parametrize("said", FAULTS)
def test_each_fault_is_found(told: Told, said: str) -> None:
    FAULTS[said](told)
    found = breaches(told.story, told.book)
    assert any(said in breach for breach in found), found


def test_a_withdrawn_violation_needs_its_word_and_no_coverage(told: Told) -> None:
    told.story.events.append(Said(EVENT._replace(status=Status.WITHDRAWN), 0, 6, 9_500))
    del told.story.results[1]
    assert any("0 times" in breach for breach in breaches(told.story, told.book))
    word = result(settled=0, result_id="w", outcome=Outcome.WITHDRAWN, attempts=0)
    told.story.results.append(Seen(word._replace(tokens_requested=0, tokens_revoked=0), b"m", 0, 2))
    assert breaches(told.story, told.book) == []


def test_one_withdrawn_before_it_was_confirmed_makes_its_tokens_innocent(told: Told) -> None:
    told.story.events[0] = Said(EVENT._replace(status=Status.WITHDRAWN), 0, 4, 9_000)
    told.story.results.clear()
    assert any("nobody innocent" in breach for breach in breaches(told.story, told.book))


def test_a_dry_run_is_judged_by_itself(told: Told) -> None:
    dry = [
        seen._replace(result=seen.result._replace(outcome=Outcome.DRY_RUN, result_id=f"d{seen.offset}"))
        for seen in told.story.results
    ]
    told.story.results += dry
    assert breaches(told.story, told.book) == dry_breaches(told.story) == []
    told.story.results.pop()
    assert dry_breaches(told.story)


def test_a_token_called_twice_is_repeated(told: Told) -> None:
    told.book.revoked[SLOT]["b"] = 2
    assert repeated(told.book) == [f"{SLOT}: 1 tokens called again"]


def test_progress_waits_for_every_place(told: Told) -> None:
    progress = Progress()
    progress.note(told.story.results[0])
    progress.note(told.story.results[0])
    assert progress.unfinished(told.story) == [("m", "v")]
    progress.note(told.story.results[1])
    assert progress.unfinished(told.story) == []
    told.story.sends.append(told.story.sends[0]._replace(offset=12))
    assert progress.unfinished(replace(told.story)) == [("m", "v")]
