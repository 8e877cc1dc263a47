"""What excuses a place that two results cover, a repeated call, or an end by itself: exactly what was injected."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from stream.model import Outcome, RevokeResult, Send, SendHead, SendPart, Severity
from tests.failures import report
from tests.failures.faults import Strike, Struck
from tests.failures.fleet import Ended, Freeze
from tests.failures.plan import Plan
from tests.failures.verdict import (
    ANSWER_MS,
    FAILOVER_MS,
    KNOWN_WITHIN_MS,
    UNKNOWING_MS,
    Verdict,
    called_though_known,
    overlaps,
    unallowed_repeats,
    unexplained,
    written_by_two,
)
from tests.scenarios.service import Instance
from tests.scenarios.story import Book, Overlap, Seen, Sent, Story

LOST = {"event": "shards_lost", "partitions": [2], "timestamp": "1970-01-01T00:01:40Z"}
LOST_MS = 100_000


@dataclass
class Log:
    """An instance as far as the verdict looks at it."""

    settings: Path = Path("a.toml")
    lines: list[dict[str, Any]] = field(default_factory=lambda: [LOST])

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


def told(log: Log, *freezes: Freeze) -> list[Overlap]:
    return overlaps([cast(Instance, log)], freezes, ())


def plan(*faults: str) -> Plan:
    strikes = tuple(Strike(name, "a", 1.0, 1.0, 1) for name in faults)
    return Plan(1, 10.0, "classic", ("a",), 300, strikes)


def test_only_a_member_that_lost_a_shard_unknowingly_overlapped() -> None:
    """Contract: except where two owners overlapped for a moment (a frozen process, a broker's failover)."""
    assert told(Log()) == [Overlap(2, LOST_MS - UNKNOWING_MS, LOST_MS + ANSWER_MS)]
    assert told(Log(lines=[{**LOST, "event": "shards_went"}])) == []


def test_a_frozen_member_overlapped_from_the_moment_it_froze() -> None:
    frozen = Freeze("a", LOST_MS - 30_000, LOST_MS - 100)
    assert told(Log(), frozen) == [Overlap(2, LOST_MS - 30_000 - ANSWER_MS, LOST_MS + ANSWER_MS)]
    assert told(Log(), frozen._replace(seat="b")) == told(Log())


CORRUPT = Ended("a", 1, True, "unpush: a scan of the store met corruption", True)


@pytest.mark.parametrize(
    ("ended", "faults", "right"),
    [
        (CORRUPT, ("data spoiled",), True),
        (CORRUPT._replace(spoiled=False), ("kill",), False),
        (CORRUPT._replace(code=-11), ("data spoiled",), False),
        (Ended("a", 1, False, "unpush: Kafka does not answer", False), ("broker killed",), True),
        (Ended("a", 1, True, "unpush: Kafka cannot go on", False), ("broker killed",), False),
        (Ended("a", 1, False, "unpush: Kafka does not answer", False), ("kill",), False),
        (Ended("a", -15, False, "", False), ("kill",), True),
        (Ended("a", -15, True, "", False), ("kill",), False),
    ],
)
def test_an_end_by_itself_must_follow_from_a_fault(ended: Ended, faults: tuple[str, ...], right: bool) -> None:
    assert (not list(unexplained([ended], plan(*faults)))) == right


def test_calls_may_be_repeated_only_where_a_fault_allows_it() -> None:
    """Promise 3: no repeat where it can be avoided."""
    book = Book({("app", 1): {"a": 2, "b": 1}})
    assert not list(unallowed_repeats(book, plan("kill")))
    [said] = unallowed_repeats(book, plan("gateway slow", "store owned"))
    assert said.startswith("1 tokens were called again")


def test_no_token_is_called_again_once_its_result_is_known() -> None:
    """Promise 3: a send that is known to be revoked is not called again."""
    send = Send(SendHead("m", "app", 7, 0, 1, None), (b"a", b"b"))
    result = RevokeResult(
        "1", "v", "m", Severity.HIGH, "spam", 1, Outcome.REVOKED, "app", 7, 0, (SendPart(2, 10, 0, 2),), 2, 2, (), 1,
        200, None, None, None, 2, 2, False, 1, 2,
    )  # fmt: skip
    story = Story([Sent(send, 2, 10, 1_000)], [], [Seen(result, b"m", 2, 0, (), 5_000)])
    book = Book(last_ms={("app", 7): {"a": 4_900, "b": 5_000 + KNOWN_WITHIN_MS}})
    assert not list(called_though_known(story, book))
    book.last_ms["app", 7]["b"] += 1
    assert list(called_though_known(story, book)) == ["('m', 'v'): 1 tokens called 1001 ms after result 1"]
    story.overlaps = [Overlap(2, 6_000, 7_000)]
    assert not list(called_though_known(story, book))


def twice(*times_ms: int) -> Story:
    """One result, written at these times."""
    result = RevokeResult(
        "1", "v", "m", Severity.HIGH, "spam", 1, Outcome.NOT_FOUND, None, None, None, (), 0, 0, (), 0, None, None, None,
        None, 0, 0, False, 1, 2,
    )  # fmt: skip
    return Story([], [], [Seen(result, b"m", 2, offset, (), at_ms) for offset, at_ms in enumerate(times_ms)])


def test_a_result_stands_twice_only_where_two_owners_did_not_know_of_each_other() -> None:
    """Promise 3: a crash may repeat a call. A shard that was let go is written for by its next owner alone."""
    assert not list(written_by_two(twice(5_000), ()))
    assert list(written_by_two(twice(5_000, 7_000), ())) == ["('m', 'v'): result 1 again after 2000 ms"]
    story = twice(5_000, 7_000)
    story.overlaps = [Overlap(2, 6_900, 7_100)]
    assert not list(written_by_two(story, ()))
    struck = [Struck(Strike(name, "", 0.0, 1.0, 1), 6_000, 6_500) for name in ("kill", "broker killed")]
    assert list(written_by_two(twice(5_000, 7_000), struck[:1]))
    assert not list(written_by_two(twice(5_000, 7_000), struck))
    assert list(written_by_two(twice(5_000, 7_000 + FAILOVER_MS), struck))


def test_results_that_were_on_their_way_when_a_shard_left_may_overlap() -> None:
    struck = Struck(Strike("results unreachable", "a", 0.0, 1.0, 1), 6_000, 7_000)
    assert {each.partition for each in overlaps((), (), [struck])} == {0, 1, 2, 3}
    assert overlaps((), (), [struck])[0] == Overlap(0, 6_000, 7_000 + ANSWER_MS)


def test_the_report_names_counts_and_breaches(tmp_path: Path) -> None:
    verdict = Verdict(plan("kill"), 21.0, 2.0, 300, 100, 120, 110, 9_000, 7, 0, (), (), ("place 3 is not covered",))
    report.write(tmp_path / "found", [verdict])
    text = (tmp_path / "found.md").read_text("utf-8")
    assert (
        "| 1 | 10 | 1 | 1 | classic | single-object | 1 | 300 | 100 | 120 | 110 | 9000 | 7 | 0 | 0 | 2.0 | 1 |" in text
    )
    assert "Schedules with a breach: 1." in text
    assert "- place 3 is not covered" in text
    assert '"seed": 1' in (tmp_path / "found.json").read_text("utf-8")
