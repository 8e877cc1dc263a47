"""What came of a schedule: the scenarios' judge, and what only failures can break.

Promised: a place that two results cover is excused only where its partition was lost by an owner that did not know, as
that owner's own log says; an end by itself only where its cause was injected. Not promised: that what is excused was
harmless in any other way; it is counted and shown.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from stream.model import Outcome
from tests.failures.deaths import UNREACHABLE
from tests.failures.faults import MAX_POLL_S, Struck, Target
from tests.failures.fleet import Ended, Freeze
from tests.failures.plan import Plan
from tests.failures.table import FAULTS
from tests.failures.waits import Wait
from tests.scenarios.judge import SHOWN, Case, owned_twice
from tests.scenarios.service import Instance
from tests.scenarios.story import Book, Overlap, Seen, Story

UNKNOWING_MS = int(1_000 * (MAX_POLL_S + 6.0))
"""How long before its log says so a member that was not frozen may have lost its shards: the longest poll, and the
longest session (six seconds by the broker's default)."""

KNOWN_WITHIN_MS = 1_000
"""From a result's arrival in its topic until no call of its tokens may come any more."""

FAILOVER_MS = 15_000
"""After a broker is back, results may arrive that had been on their way before."""

PARTITIONS = 4
"""Of each topic of a town."""

ANSWER_MS = 2_000
"""A call under way when it learns of the loss, and its result."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One schedule, judged."""

    plan: Plan
    took_s: float
    settled_s: float
    """From the last fault's end until the results added up."""
    sends: int
    violations: int
    results: int
    calls: int
    devices: int
    repeats: int
    """Tokens that more than one call revoked."""
    twice: int
    """Places that two owners' results cover."""
    ended: tuple[str, ...]
    """Instances that ended by themselves, with a cause that was injected."""
    notes: tuple[str, ...]
    breaches: tuple[str, ...]
    waits: tuple[Wait, ...] = ()
    """What each strike cost in time."""


def overlaps(instances: Iterable[Instance], freezes: Iterable[Freeze], struck: Iterable[Struck]) -> list[Overlap]:
    """When a partition may have had two owners, as those say that lost one; and when a former owner's results were
    still on their way."""
    frozen = list(freezes)
    held = [each for each in struck if each.strike.fault == UNREACHABLE]
    found = [Overlap(part, each.from_ms, each.to_ms + ANSWER_MS) for each in held for part in range(PARTITIONS)]
    for instance in instances:
        for said in instance.said("shards_lost"):
            lost_ms = int(datetime.fromisoformat(said["timestamp"]).timestamp() * 1_000)
            from_ms = _unknowing_since(lost_ms, instance, frozen)
            found += [Overlap(partition, from_ms, lost_ms + ANSWER_MS) for partition in said["partitions"]]
    return found


def _unknowing_since(lost_ms: int, instance: Instance, freezes: Iterable[Freeze]) -> int:
    seat = instance.settings.stem
    began = [each.from_ms for each in freezes if each.seat == seat and each.from_ms <= lost_ms <= each.to_ms + 10_000]
    return min([lost_ms - UNKNOWING_MS, *(each - ANSWER_MS for each in began)])


def limited(found: Iterator[str]) -> Iterator[str]:
    """A few of them; the rest is counted."""
    yield from islice(found, SHOWN)
    if more := sum(1 for _ in found):
        yield f"and {more} more"


def repeats(book: Book) -> int:
    """Tokens that more than one call revoked."""
    return sum(calls > 1 for tokens in book.revoked.values() for calls in tokens.values())


def explained(ended: Ended, plan: Plan) -> bool:
    """Whether an instance's end by itself follows from a fault that was injected."""
    if ended.code == -signal.SIGTERM and not ended.started:
        return True  # told to stop while Python was still loading: nobody listens to signals yet
    if ended.code != 1:
        return False
    if "store" in ended.last_words and ended.spoiled:
        return True
    return not ended.started and plan.strikes_kafka


def unexplained(every: Iterable[Ended], plan: Plan) -> Iterator[str]:
    """Breaches: ends that nothing injected explains."""
    for ended in every:
        if not explained(ended, plan):
            yield f"instance {ended.seat} ended by itself, exit {ended.code}: {ended.last_words}"


def called_though_known(story: Story, book: Book) -> Iterator[str]:
    """Breaches: tokens called again a while after the topic of results said that they are revoked.

    Contract: a send that is known to be revoked is not called again. The result of a crash's call is not known.
    """
    case = Case(story, book)
    for seen in story.results:
        if seen.result.outcome in (Outcome.REVOKED, Outcome.PARTIALLY_REVOKED):
            last_ms = book.last_ms.get((seen.result.client_id or "", seen.result.notify_id or 0), {})
            called = [last_ms.get(token.decode(), 0) for token in case.tokens(seen.result.sends)]
            again = [at_ms for at_ms in called if at_ms > seen.timestamp_ms + KNOWN_WITHIN_MS]
            if again and not owned_twice(story, seen.partition, max(again)):
                after_ms = max(again) - seen.timestamp_ms
                yield f"{seen.name}: {len(again)} tokens called {after_ms} ms after result {seen.result.result_id}"


def written_by_two(story: Story, struck: Iterable[Struck]) -> Iterator[str]:
    """Breaches: a result that stands in its topic twice, though nobody who had lost a shard unknowingly can have
    written one of them, and no broker was away.

    Its own former self does not repeat it either: whoever owns a shard has read what stood there when it came.
    """
    kafka = [each for each in struck if FAULTS[each.strike.fault].target is Target.BROKER]
    first: dict[str, Seen] = {}
    for seen in sorted(story.results, key=lambda each: (each.partition, each.offset)):
        before = first.setdefault(seen.result.result_id, seen)
        times = before.timestamp_ms, seen.timestamp_ms
        if before is seen or any(owned_twice(story, seen.partition, at_ms) for at_ms in times):
            continue
        if not any(each.from_ms <= times[1] <= each.to_ms + FAILOVER_MS for each in kafka):
            yield f"{seen.name}: result {seen.result.result_id} again after {times[1] - times[0]} ms"


def unallowed_repeats(book: Book, plan: Plan) -> Iterator[str]:
    """Breaches: calls repeated though nothing happened that may repeat one."""
    if not plan.may_repeat and (number := repeats(book)):
        yield f"{number} tokens were called again, though no fault of this schedule may repeat a call"
