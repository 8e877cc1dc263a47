"""Arbitrary interleavings of all that may happen to two instances, for hypothesis to try (its stateful testing)."""

from __future__ import annotations

import random
import sys
from typing import Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stream.model import Severity, Status, Topic
from stream.service import calls, passes, planning
from stream.state import shard
from stream.work import pending
from tests.model.log import PARTITIONS, TOO_LONG
from tests.model.town import INSTANCES, MINOR_MOVES, REPLIES, Town
from tests.service.small_world import MINUTE_MS, START_MS

MESSAGES: Final = st.sampled_from(["m-1", "m-1", "m-1", "m-2", "m-3", "innocent"])
CONDEMNED: Final = st.sampled_from(["m-1", "m-1", "m-1", "m-2", "m-3"])
VIOLATIONS: Final = st.sampled_from(["v-1", "v-1", "v-2", "v-3"])
STATUSES: Final = st.sampled_from([Status.CONFIRMED] * 4 + [Status.WITHDRAWN, Status.APPROVED])
TOKENS: Final = st.lists(st.sampled_from([f"token-{i}" for i in range(6)] * 2 + ["", TOO_LONG]), max_size=7)
NOTIFY_IDS: Final = st.sampled_from([7, 7, 7, 8, None])
APPS: Final = st.sampled_from(["app", "app", "app", "other"])
SENDS: Final = st.tuples(MESSAGES, TOKENS, APPS, NOTIFY_IDS)
DETECTED_BEFORE_MS: Final = st.sampled_from([0, 0, 3_000, 20 * MINUTE_MS])
EVENTS: Final = st.tuples(CONDEMNED, VIOLATIONS, STATUSES, st.sampled_from(Severity), DETECTED_BEFORE_MS)
AT: Final = st.integers(0, INSTANCES - 1)
SHARDS: Final = st.sampled_from([0, 0, 0, 1])
FEW, SOME = st.integers(0, 3), st.integers(1, 4)
TOPICS: Final = st.sampled_from(list(Topic))
ANSWERS: Final = st.lists(st.sampled_from(["revoked", "revoked", *REPLIES]), min_size=1, max_size=3)
MOVES: Final = ["all", "all", "turn", "turn", "answer", "deliver", "plan", "read", "past", "hear", *MINOR_MOVES]
WORK: Final = st.lists(st.tuples(st.sampled_from(MOVES), AT, SOME), max_size=5)
"""What goes on by itself, a little after each thing that happens: a move, who makes it, and how far."""
PAUSES_MS: Final = st.sampled_from([0, 1_000, 1_000, MINUTE_MS, 7 * MINUTE_MS, 5 * 60 * MINUTE_MS])
MOST_MS: Final = 48 * 60 * MINUTE_MS
"""All stays within retention: what leaves it is shown elsewhere."""
KINDS: Final = st.sets(st.sampled_from(["deaths", "moves", "overlaps", "refusals"]))


Work = list[tuple[str, int, int]]


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Passes have middles, apps have no room soon, and a retry waits as long whenever an example is run again."""
    patch.setattr(passes, "CHUNK_SENDS", 2)
    patch.setattr(shard, "RUN_SENDS", 2)
    patch.setattr(shard, "WORTH_PUTTING_OFF", 1)
    patch.setattr(planning, "PARCELS_A_MESSAGE", 3)
    patch.setattr(pending, "CROWDED", 1)
    patch.setattr(calls, "Random", lambda: random.Random(1))


class Model(RuleBasedStateMachine):
    """The test's hands in the town."""

    made = 0
    """Examples so far."""

    def __init__(self) -> None:
        super().__init__()
        type(self).made += 1
        self.town = Town()
        self.kinds: set[str] = set()

    @initialize(
        kinds=KINDS,
        sends=st.lists(SENDS, min_size=1, max_size=4),
        events=st.lists(EVENTS, min_size=1, max_size=2),
        then=WORK,
    )
    def some_kinds_of_trouble_are_chosen(self, kinds: set[str], sends: list, events: list, then: Work) -> None:
        """Not all in each example: what one kind allows must not hide what another breaks."""
        self.kinds = kinds
        for instance in self.town.instances:
            self.town.read_all(instance)
        for send in sends:
            self.town.log.send(*send)
        for event in events:
            self._event(*event)
        self._work(then)

    # --- who writes

    @rule(sends=st.lists(SENDS, min_size=1, max_size=3), then=WORK)
    def sends_are_written(self, sends: list, then: Work) -> None:
        for send in sends:
            self.town.log.send(*send)
        self._work(then)

    @rule(event=EVENTS, then=WORK)
    def an_event_is_written(self, event: tuple, then: Work) -> None:
        self._event(*event)
        self._work(then)

    def _event(self, message: str, name: str, status: Status, severity: Severity, before_ms: int) -> None:
        self.town.log.violate(message, name, status, severity, self.town.log.clock.ms - before_ms)

    @precondition(lambda self: self._events())
    @rule(at=st.integers(0, 50), then=WORK)
    def a_detector_repeats_itself(self, at: int, then: Work) -> None:
        events = self._events()
        self.town.log.again(events[-1 - at % len(events)])
        self._work(then)

    def _events(self) -> list:
        topics = self.town.log.topics
        return [record.said for p in range(PARTITIONS) for record in topics[Topic.VIOLATIONS, p]]

    @precondition(lambda self: self.town.log.clock.ms < START_MS + MOST_MS)
    @rule(pause_ms=PAUSES_MS, then=WORK)
    def time_passes(self, pause_ms: int, then: Work) -> None:
        self.town.log.clock.ms += pause_ms
        self._work(then)

    # --- who works

    @rule(then=WORK)
    def work_goes_on(self, then: Work) -> None:
        self._work(then)

    @rule(at=AT, how=ANSWERS, which=FEW, then=WORK)
    def calls_are_answered(self, at: int, how: list[str], which: int, then: Work) -> None:
        instance = self.town.instances[at]
        for said in how[: len(instance.flights)]:
            instance.answer(which, REPLIES[said])
        self._work(then)

    @rule(at=AT, topics=st.lists(TOPICS, min_size=1, max_size=4), newness=FEW, most=SOME, then=WORK)
    def the_past_is_read_further(self, at: int, topics: list[Topic], newness: int, most: int, then: Work) -> None:
        instance = self.town.instances[at]
        for number in instance.here:
            for topic in topics:
                instance.read_past(number, topic, newness, most)
        self._work(then)

    def _work(self, then: Work) -> None:
        for move, at, most in then:
            self.town.move(move, self.town.instances[at], most)

    @precondition(lambda self: "refusals" in self.kinds)
    @rule(at=AT, most=SOME, then=WORK)
    def results_are_refused_for_now(self, at: int, most: int, then: Work) -> None:
        self.town.refuse(self.town.instances[at], most)
        self._work(then)

    # --- what befalls them

    @precondition(lambda self: "deaths" in self.kinds)
    @rule(
        at=AT,
        delivered=FEW,
        flushed=st.integers(0, 8),
        lost=st.sampled_from([False] * 4 + [True]),
        back=st.booleans(),
        then=WORK,
    )
    def a_process_dies(self, at: int, delivered: int, flushed: int, lost: bool, back: bool, then: Work) -> None:
        gone = [number for number, owner in self.town.owner.items() if owner is self.town.instances[at]]
        self.town.dies(at, delivered, flushed, lost=lost)
        for number in gone:
            self._comes(number, at if back else 1 - at)
        self._work(then)

    @precondition(lambda self: "moves" in self.kinds)
    @rule(
        number=SHARDS,
        answers=st.lists(st.sampled_from(["revoked", "retry", "split"]), max_size=2),
        delivered=FEW,
        late=st.sets(TOPICS, max_size=2),
        flushed=st.booleans(),
        onward=st.booleans(),
        at=AT,
        then=WORK,
    )
    def a_shard_leaves(
        self,
        number: int,
        answers: list[str],
        delivered: int,
        late: set[Topic],
        flushed: bool,
        onward: bool,
        at: int,
        then: Work,
    ) -> None:
        if self.town.owner[number] is None:
            return
        self.town.leaves(number, answers, delivered, late, flushed=flushed)
        if onward:
            self._comes(number, at)
        self._work(then)

    @precondition(lambda self: self.town.free())
    @rule(which=FEW, at=AT, then=WORK)
    def a_shard_comes(self, which: int, at: int, then: Work) -> None:
        free = self.town.free()
        self._comes(free[which % len(free)], at)
        self._work(then)

    def _comes(self, number: int, at: int) -> None:
        if number not in self.town.instances[at].here:
            self.town.comes(number, self.town.instances[at])

    @precondition(lambda self: "overlaps" in self.kinds)
    @rule(number=SHARDS, then=WORK)
    def an_owner_freezes(self, number: int, then: Work) -> None:
        if self.town.owner[number] is not None and not self.town.frozen():
            self.town.freezes(number)
        self._work(then)

    @precondition(lambda self: self.town.frozen())
    @rule(late=st.sets(TOPICS, max_size=2), then=WORK)
    def a_frozen_owner_wakes_up(self, late: set[Topic], then: Work) -> None:
        [(number, instance)] = self.town.frozen()
        self.town.fence(number, instance, late)
        self._work(then)

    # --- what must hold

    @invariant()
    def no_task_has_failed(self) -> None:
        for instance in self.town.instances:
            instance.check()

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # else a step has failed, and that is to be heard
                self.town.rest()
                self.town.judge.judge()
        finally:
            self.town.close()
