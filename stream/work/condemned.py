"""A condemned message: its violations, and what of its work is under way here. Pure state; the desk moves it.

What is known of a place is in exactly one of three states: not planned, *under way* (here, in memory), or settled (a
mark in the store). Marks are written before places leave ``under_way``, so a look at both never plans a place twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from stream.model import SendPart, Severity
from stream.work.cover import Span, without
from stream.work.holding import Holding
from stream.work.judgement import CLOCKS_DIFFER_MS, NOTHING, Judgement, Violation
from stream.work.packing import Packer, Parcel
from stream.work.tally import Tally

RESULTS_SLACK_MS: Final = CLOCKS_DIFFER_MS
"""Results and events this much older than a violation are read before it is acted on: clocks of brokers and detectors
differ."""

NEVER_MS: Final = float("inf")


class Stretch(NamedTuple):
    """A message's sends in one run of the index, so many after the first ``skip``."""

    bucket: int
    run: int
    skip: int
    sends: int


@dataclass(slots=True)
class Walk:
    """How far a pass over the stored sends of a message has come: bucket by bucket, in each in the order they were
    stored."""

    todo: list[int]
    """The buckets still to be walked, the first of them perhaps in part."""
    finished: dict[int, int] = field(default_factory=dict)
    """Of each bucket that is done: the number of the last batch of sends that the walk saw there."""
    run: int = 0
    """In ``todo[0]``: runs of the index before this one are done."""
    skip: int = 0
    """Of the first run not done (or, where there is none, of the tail): so many sends of the message are done."""
    ahead: Sequence[int] = ()
    """Offsets of that run that come next: a campaign fills a megabyte of each, not to be searched for every chunk."""
    puts_off: bool = False
    """Whether it comes back to what seems to be settled, so that what is open need not wait for it."""
    put_off: list[Stretch] = field(default_factory=list)
    """Sends that seem to be settled, to be counted in turn with those that are not."""
    behind: Sequence[int] = ()
    """Offsets of the first of these that come next."""
    counts: bool = False
    """Whether the last chunk was of those."""
    mean_bytes: int = 4_096
    """Of the sends seen so far."""

    def copy(self) -> Walk:
        """Another that goes on by itself."""
        return replace(self, todo=list(self.todo), finished=dict(self.finished), put_off=list(self.put_off))

    @property
    def over(self) -> bool:
        """Whether all is seen."""
        return not (self.todo or self.put_off)

    def counts_next(self) -> bool:
        """Whether the next chunk is of what was put off: every other, and all at the end."""
        self.counts = bool(self.put_off) and not (self.counts and self.todo)
        return self.counts

    def leave(self, sends: int) -> None:
        """Put off the next so many of the run."""
        self.put_off.append(Stretch(self.todo[0], self.run, self.skip, sends))
        self.skip += sends

    def take_back(self, offsets: Sequence[int], most: int) -> list[int]:
        """The next of the first stretch that was put off."""
        taken, self.behind = list(offsets[:most]), offsets[most:]
        if not self.behind:
            self.put_off.pop(0)
        return taken

    def awaits(self, bucket: int) -> bool:
        """Whether some of a bucket is not seen yet."""
        return bucket in self.todo or any(each.bucket == bucket for each in self.put_off)

    def take(self, offsets: Sequence[int], most: int) -> list[int]:
        """The first of a run's next offsets; the others are kept ahead."""
        taken, self.ahead = list(offsets[:most]), offsets[most:]
        self.skip += len(taken)
        return taken

    def finish(self, batch: int) -> None:
        """The first bucket is done: all that was stored by ``batch`` has been seen."""
        self.finished[self.todo.pop(0)] = batch
        self.run = self.skip = 0

    def sees(self, bucket: int, batch: int) -> bool:
        """Whether the walk saw, or will see, a send that ``batch`` stored in ``bucket``."""
        return batch <= self.finished[bucket] if bucket in self.finished else bucket in self.todo


class Condemned:
    """One message with at least one violation."""

    __slots__ = (
        "acting",
        "apps",
        "apps_known",
        "arrived_s",
        "counted",
        "digest",
        "first_offset",
        "first_timestamp_ms",
        "found",
        "held_back",
        "holding",
        "judgement",
        "matched",
        "message_id",
        "missed",
        "open_parcels",
        "packer",
        "postponed_ms",
        "queued",
        "said",
        "settled",
        "severity",
        "shard",
        "since_ms",
        "standing",
        "tallies",
        "under_way",
        "waits_for",
        "walk",
        "wanted",
    )

    def __init__(self, shard: int, message_id: str, digest: bytes, arrived_s: float) -> None:
        self.shard = shard
        self.message_id = message_id
        self.digest = digest
        self.arrived_s = arrived_s
        self.judgement = NOTHING
        self.standing: list[Violation] = []
        """The violations that stand, by first offset: a place is called under the first that still has it open."""
        self.acting: list[Violation] = self.standing
        """Those of them that the guard lets act."""
        self.holding: Holding | None = None
        """What the guard has said; None: it is off, and holds nothing of this message."""
        self.severity = Severity.LOW
        self.since_ms = 0
        """All violations and results from this time on must have been read before it may be acted on."""
        self.first_timestamp_ms = 0
        self.first_offset = 0
        """Where its first event stands."""
        self.said: set[str] = set()
        """Ids of results without places (NOT_FOUND, WITHDRAWN) that are on their way or known to be delivered."""
        self.under_way: dict[int, list[Span]] = {}
        self.open_parcels = 0
        self.matched = 0
        self.settled: dict[str, int] = {}
        self.found = False
        self.wanted = False
        """Another pass over the stored sends is due, once nothing is under way."""
        self.missed = False
        """A stored send is known and not counted: the pass to come sees it."""
        self.queued: int | None = None
        """Its turn among the plans, while it waits there."""
        self.apps: set[str] = set()
        """Those of its sends that have been seen; most messages have one only."""
        self.apps_known = False
        """Whether a pass has seen all of its sends that there were."""
        self.waits_for: dict[str, int] = {}
        """Apps that had no room, so that places of theirs are left to a pass to come, and the oldest time bucket of
        those."""
        self.postponed_ms = NEVER_MS
        """When the oldest violation that has such places was asked for last."""
        self.held_back: int | None = None
        """The oldest time bucket in which the guard keeps places from being called."""
        self.counted = False
        self.walk: Walk | None = None
        """The last pass, or the one that is running."""
        self.packer = Packer()
        self.tallies: dict[str, Tally] | None = None
        """Of each violation, what was settled since its end was said; None: nothing, or nobody is told."""

    def __repr__(self) -> str:
        return f"Condemned({self.message_id!r}, shard {self.shard}, {self.severity.name})"

    def named(self, violation: Violation) -> dict[str, str | int]:
        """What each line of the log about one of its violations is found by: ids, and where its first event stands."""
        return {
            "violation_id": violation.violation_id,
            "message_id": violation.message_id,
            "partition": self.shard,
            "offset": violation.first_offset,
            "severity": violation.severity.name,
        }

    # --- its violations

    @property
    def violations(self) -> Mapping[str, Violation]:
        """By violationId, in the order of their first offsets."""
        return self.judgement.violations

    def judged(self, judgement: Judgement) -> None:
        """Its violations, one at least, as all known events leave them."""
        self.judgement, violations = judgement, judgement.violations
        self.standing = [each for each in violations.values() if each.stands]
        self.severity = max((each.severity for each in self.standing), default=Severity.LOW)
        self.since_ms = min(each.since_ms for each in violations.values()) - RESULTS_SLACK_MS
        self.first_timestamp_ms = min(each.first_timestamp_ms for each in violations.values())
        self.first_offset = min(each.first_offset for each in violations.values())
        if self.holding is not None:
            self.holding.judged(violations.values())
        self.see_who_acts()

    def see_who_acts(self) -> None:
        """The guard has said something."""
        holding = self.holding
        self.acting = self.standing if holding is None else [each for each in self.standing if holding.acts(each)]

    def holds(self, violation: Violation) -> bool:
        """Whether the guard holds this violation."""
        return self.holding is not None and violation.violation_id in self.holding.held

    @property
    def undecided(self) -> bool:
        """Whether the guard is still to say something of one that stands."""
        return self.holding is not None and bool(self.holding.undecided(self.standing))

    def stands(self, violation: Violation) -> bool:
        """Whether this violation, as it is now, still is one to act on."""
        return violation.violation_id in self.violations and self.violations[violation.violation_id].stands

    @property
    def idle(self) -> bool:
        """Nothing is planned, walked or under way."""
        return not self.walking and not self.under_way and self.queued is None

    # --- passes over the stored sends

    @property
    def app(self) -> str | None:
        """One of its apps, nearly always the only one; None: nobody has seen a send of it yet."""
        return next(iter(self.apps), None)

    @property
    def only_app(self) -> str | None:
        """The app of all of its sends; None: it has several, or nobody has seen all of them yet."""
        return next(iter(self.apps)) if self.apps_known and len(self.apps) == 1 else None

    @property
    def walking(self) -> bool:
        """Whether a pass has begun and not ended."""
        return self.walk is not None and not self.counted

    def begin_pass(self, walk: Walk) -> None:
        """Start counting from nothing; only while nothing is under way."""
        self.walk, self.wanted = walk, False
        self.waits_for, self.postponed_ms, self.held_back = {}, NEVER_MS, None
        if self.holding is not None:
            self.holding.begin_pass(self.standing)
        self.matched, self.found, self.counted, self.missed = 0, False, False, False
        self.settled = dict.fromkeys(self.violations, 0)

    def miss(self) -> None:
        """A send of it was stored and cannot be looked at now."""
        self.wanted = self.missed = True
        self.apps_known = False

    def leave_pass(self) -> None:
        """Nothing stands any more: what the pass has not seen is seen by another, should there be one."""
        self.walk = None

    def end_pass(self) -> None:
        """All stored sends have been seen."""
        self.counted = self.apps_known = True

    def postpone(self, app: str, bucket: int, violation: Violation) -> None:
        """Places of this app's are left to a pass to come, when it has room."""
        self.waits_for[app] = min(bucket, self.waits_for.get(app, bucket))
        self.postponed_ms = min(self.postponed_ms, violation.latest_ms)

    def hold_back(self, bucket: int, violation: Violation) -> None:
        """Places of this violation's wait for the guard's word, or a person's."""
        self.held_back = bucket if self.held_back is None else min(bucket, self.held_back)
        self.postponed_ms = min(self.postponed_ms, violation.latest_ms)

    @property
    def unplanned_ms(self) -> float:
        """When the oldest violation that has places which are not planned was asked for last, or before that."""
        return self.first_timestamp_ms if self.wanted or not self.counted else self.postponed_ms

    def needs(self, bucket: int) -> bool:
        """Whether sends of this bucket are still to be looked at."""
        if not self.standing or self.wanted or self.walk is None or self.walk.awaits(bucket):
            return bool(self.standing)
        held = self.held_back is not None and self.held_back <= bucket
        return held or any(oldest <= bucket for oldest in self.waits_for.values())

    def seen(self, bucket: int, batch: int) -> bool:
        """Whether the last pass saw, or will see, the send that ``batch`` stored in ``bucket``."""
        return self.walk is not None and self.walk.sees(bucket, batch)

    # --- what is under way

    def take(self, offset: int, spans: Iterable[Span]) -> None:
        """These places are under way."""
        self.under_way.setdefault(offset, []).extend(spans)

    def issue(self, parcels: list[Parcel]) -> None:
        """These parcels are under way."""
        self.open_parcels += len(parcels)
        for parcel in parcels:
            parcel.owner = self

    def release(self, parcel: Parcel) -> None:
        """A parcel's places are settled, or given back."""
        self.open_parcels -= 1
        for part in parcel.parts:
            self._release(part)

    def _release(self, part: SendPart) -> None:
        spans, span = self.under_way.pop(part.offset, []), (part.first_token, part.first_token + part.token_count)
        if spans == [span]:
            return
        if span in spans:
            spans.remove(span)
        else:
            spans = without(spans, [span])
        if spans:
            self.under_way[part.offset] = spans

    def tally(self, violation_id: str) -> Tally:
        """Of a violation, what was settled since its end was said."""
        if self.tallies is None:
            self.tallies = {}
        if violation_id not in self.tallies:
            self.tallies[violation_id] = Tally()
        return self.tallies[violation_id]

    def produced(self, parcel: Parcel) -> None:
        """A result for the parcel is on its way: its places count as settled in that result's totals."""
        name = parcel.violation.violation_id
        self.settled[name] = self.settled.get(name, 0) + parcel.place_count

    def totals(self, violation_id: str, all_read: bool) -> tuple[int, int]:
        """Places matched and settled of a violation; matched is at least one more while not all sends are known."""
        settled = self.settled.get(violation_id, 0)
        if self.counted and all_read and not self.missed:
            return max(self.matched, settled), settled
        return max(self.matched, settled + 1), settled
