"""What is planned next, one step at a time: whose is a message, may it be walked now, a chunk of its pass.

The desk puts messages here; what a step finds out goes back to it. Promised: a step is a few milliseconds at most, so
that the loop stays free; a message waits unplanned while its only app has no room. Not promised: order between
messages beyond severity, turns of apps, and age.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, NamedTuple

from stream.model import RegistryDown
from stream.service.docket import Docket
from stream.service.evidence import by_message, may_act, stored_events
from stream.service.guarding import Guarding
from stream.service.passes import Passes
from stream.service.plans import Plans, Remembered
from stream.service.ways import Ways
from stream.state.shard import Shard
from stream.wire.wire import Wire
from stream.work.condemned import Condemned
from stream.work.judgement import Event

PARCELS_A_MESSAGE: Final = 96
"""A campaign plans no further ahead of its calls than this: half as many again as may be in flight. A thousand sends of
one token take half a megabyte until they are settled."""
MET_AT_ONCE: Final = 8
MET_WHEN_BUSY: Final = 2
"""So many where the loop has hardly time for its calls."""
MEET_EVERY_S: Final = 0.01
"""Looking whose a message is costs a seventh of a call: while a million of them wait, two parts in a hundred of the
loop's time, and more only where it has time to spare."""

LOOK_AGAIN_S: Final = 0.1

NEVER_S: Final = float("-inf")


class ToDesk(NamedTuple):
    """What a step tells the desk."""

    look: Callable[[Condemned, Shard], None]
    """Something has changed for this message: act on it as far as what has been read allows."""
    wait_for_past: Callable[[Condemned], None]
    """It must wait until more of the past has been read."""
    walked: Callable[[Condemned], None]
    """A chunk of its sends has been sorted."""
    loaded: Callable[[Shard, bytes, str, list[Event], float], None]
    """All events that the store has of a message: its digest, its id, and they."""


class Planning:
    """See the module's words."""

    def __init__(
        self,
        wire: Wire,
        shards: Mapping[int, Shard],
        docket: Docket,
        passes: Passes,
        ways: Ways,
        guarding: Guarding,
        to_desk: ToDesk,
    ) -> None:
        """``shards``: those that are here now."""
        self.plans = Plans()
        """What waits."""
        self.is_busy: Callable[[], bool] = lambda: False
        """Whether the loop has no time to spare."""
        self._wire = wire
        self._shards, self._docket, self._passes, self._ways = shards, docket, passes, ways
        self._guarding, self._to_desk = guarding, to_desk
        self._meet_again_s = NEVER_S

    # --- what waits

    @property
    def rests_s(self) -> float:
        """How long to wait after a ``step`` that did nothing, where nothing new is heard of."""
        return MEET_EVERY_S if self.plans.strangers else LOOK_AGAIN_S

    def go_on(self, it: Condemned) -> None:
        """A pass that waited because enough of its parcels were open goes on when they have ended."""
        if it.open_parcels < PARCELS_A_MESSAGE:
            self.plans.put(it)

    def known(self, it: Condemned) -> None:
        """Its app is known from now on: it waits among the app's."""
        if it.apps and it.queued is not None:
            self.plans.move(it)

    def unpark(self) -> None:
        """Plan again what waited for an app's room, for the registry or for the guard, as far as that is over."""
        self.look_again()
        self.plans.go_on(self._ways.has_room)

    def look_again(self) -> None:
        """Plan what waited for the guard, as far as it has what it waited for."""
        for it in self._guarding.look():
            self.plans.put(it)

    # --- one step

    def step(self, now_s: float) -> bool:
        """Plan a little, in turn (``Plans.next``). False: nothing to do, or the lanes are full for it."""
        found = self.plans.next(self._ways)
        if found is None:
            return self._meet_strangers(now_s)
        if isinstance(found, Remembered):
            self._recall(found, now_s)
        else:
            self._plan(found)
        if now_s >= self._meet_again_s and self.plans.strangers > MET_AT_ONCE:  # fewer have their turn soon enough
            self._meet_strangers(now_s)
        return True

    def _meet_strangers(self, now_s: float) -> bool:
        """Whose is what came last? Its app's turn may be near, though very many wait whose app nobody knows."""
        if now_s < self._meet_again_s:
            return False
        self._meet_again_s = now_s + MEET_EVERY_S
        met = list(islice(iter(self.plans.stranger, None), MET_WHEN_BUSY if self.is_busy() else MET_AT_ONCE))
        for it in met:
            if (shard := self._shards.get(it.shard)) is not None:
                self._passes.learn_app(it, shard)
                self.known(it)
        return bool(met)

    def _recall(self, remembered: Remembered, now_s: float) -> None:
        """Look at a message that the store remembers as condemned; later, where a registry is needed and does not
        answer."""
        digest, shard = remembered.digest, self._shards.get(remembered.shard)
        if shard is None:
            return
        try:
            found = by_message(stored_events(self._wire, shard, digest))
        except RegistryDown:
            self.plans.unreadable_now(remembered)
            return
        for message_id, events in found.items():
            self._to_desk.loaded(shard, digest, message_id, events, now_s)

    def _plan(self, it: Condemned) -> None:
        shard = self._shards.get(it.shard)
        if shard is None or shard.leaving:
            return
        if it.open_parcels < PARCELS_A_MESSAGE and self._docket.has_open(it):
            if may_act(it, shard):
                self._walk_if_room(it, shard)
            else:
                self._to_desk.wait_for_past(it)  # it has an older violation since it was planned

    def _walk_if_room(self, it: Condemned, shard: Shard) -> None:
        """An app that is stopped and has enough planned already lets its messages wait unplanned, where they stand;
        those that have sends of other apps too, or may have, are walked for these."""
        if (app := it.only_app) is not None and not self._ways.has_room(app, it.severity):
            self.plans.park(app, it)
        else:
            self.walk(it, shard)

    def walk(self, it: Condemned, shard: Shard, *, overdue: bool = False) -> None:
        """Walk a message's sends a chunk further, if it is to be. ``overdue``: whatever the guard waits for, what has
        left retention is to end now."""
        if not it.standing and it.walking:
            self._passes.stop(it)  # withdrawn meanwhile
        if not it.walking and (it.under_way or not it.standing):
            self._to_desk.look(it, shard)  # withdrawn before its turn came, perhaps: then nothing is left to do
        elif it.walking or self._guarding.may_begin(it, shard) or overdue:
            self._pass(it, shard)

    def _pass(self, it: Condemned, shard: Shard) -> None:
        """Walk further. What the guard does not let act yet is counted, and ended where it has left retention."""
        before = it.packer.to_call
        try:
            all_seen = self._passes.go_on(it, shard)
        except RegistryDown:
            self.plans.later(it)
            return
        if it.packer.to_call == before:
            self.plans.counted(it.severity)
        if all_seen:
            self._guarding.passed(it)
        self._to_desk.walked(it)
        if all_seen:
            self._to_desk.look(it, shard)
        else:
            self.plans.put(it)

    # --- time

    def walk_overdue(self, before_ms: int) -> None:
        """Walk what waits unplanned, or for a person's word, though it was asked for before that time."""
        resting = self._guarding.overdue(before_ms)
        for it in (*self.plans.parked(lambda it: it.unplanned_ms < before_ms), *resting):
            if (shard := self._shards.get(it.shard)) is not None and self._docket.has_open(it):
                self.walk(it, shard, overdue=True)
