"""The guard at the desk: when a violation may start, who is held, and what is said of it.

Promised: with a limit set no violation is called before its stored sends are counted, no earlier send is unread, and
the hour of each shard here is known; what is held stays held, over restarts too, until an event approves or withdraws
it, though the limits are taken away. Not promised: any order among violations that ask for the same hour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Final, NamedTuple

import structlog

from stream.model import Status, Topic
from stream.service.clock import Clock
from stream.service.hours import Drawn
from stream.state.shard import EVERYTHING, Shard
from stream.work.condemned import Condemned
from stream.work.endings import held_ids
from stream.work.guard import HOUR_S, Guard, Hold, Limits
from stream.work.holding import Holding
from stream.work.judgement import Violation

CLOCKS_MS: Final = 5 * 60_000
"""So much older results are read before an hour counts as known: broker's clock and ours differ."""

log = structlog.get_logger(__name__)

Ask = Callable[[Shard, int, Callable[[list[Drawn] | None], None]], None]
"""Looks up what was called for a shard since a time (ms), in a thread, and tells it on the loop; None: not now."""


class HeldSeen(NamedTuple):
    """A violation that is held, and the places that it would call, by app."""

    violation: Violation
    why: str | None
    would: Mapping[str, int]


class Guarding:
    """See the module's words. On the event loop."""

    def __init__(
        self,
        guard: Guard | None = None,
        clock: Clock | None = None,
        hours: Ask = lambda shard, since_ms, told: told([]),
        ask_end: Callable[[tuple[Topic, int]], None] = lambda place: None,
        *,
        dry: bool = False,
    ) -> None:
        """``ask_end`` has it found out whether all sends of a partition have been read by now."""
        self._guard = guard or Guard(Limits())
        self._clock = clock or Clock()
        self._hours, self._ask_end, self._dry = hours, ask_end, dry
        self._shards: dict[int, Shard] = {}
        self._unknown: dict[int, bool] = {}
        """Shards whose hour is not known, and whether it is being looked up."""
        self._waiting: dict[Condemned, None] = {}
        """Those that may not be decided yet."""
        self._held: dict[Condemned, list[HeldSeen]] = {}
        self.violations: Counter[str] = Counter()
        """Held ones, by app; one that has sends of several counts for each."""
        self.devices: Counter[str] = Counter()
        """Places that these would call, by app."""

    # --- shards come and go

    def shard_came(self, shard: Shard) -> None:
        """Its hour is not known yet."""
        self._shards[shard.number] = shard
        if self._guard.limits.per_hour:
            self._unknown[shard.number] = False

    def shard_went(self, number: int) -> None:
        """Forget all of it."""
        self._shards.pop(number, None)
        self._unknown.pop(number, None)
        self._guard.hour.forget(number)
        for it in [it for it in (*self._waiting, *self._held) if it.shard == number]:
            self._waiting.pop(it, None)
            self._rests(it, [])

    # --- what was said before

    def recall(self, it: Condemned, shard: Shard) -> None:
        """Its violations of which HELD was said, here or by an earlier process, are held still."""
        if it in self._held:
            self._rests(it, list(_held(it)))
        if it.holding is None and not self._guard.on and it.digest not in shard.perhaps_held:
            return
        if it.holding is None:
            it.holding = Holding(self._guard.on)
        if it.digest in shard.perhaps_held:
            for violation in it.standing:
                confirmed = violation.status is Status.CONFIRMED and not it.holds(violation)
                if confirmed and any(shard.stored.said(it.digest, each) for each in held_ids(violation, self._dry)):
                    it.holding.hold(violation, None)
        it.see_who_acts()

    # --- when a pass may begin, and what comes of it

    def wants_pass(self, it: Condemned) -> bool:
        """Whether the sends are to be walked so that the guard can decide."""
        return it.holding is not None and it.undecided and it not in self._waiting and not it.waits_for

    def may_begin(self, it: Condemned, shard: Shard) -> bool:
        """Whether a pass may begin; else it waits here until more has been read."""
        if it.holding is None or not it.undecided:
            return True
        it.holding.whole = self._known(it, shard)
        if it.holding.whole:
            return True
        self._wait(it)
        return it.wanted and bool(it.acting)

    def _wait(self, it: Condemned) -> None:
        if it not in self._waiting:
            self._waiting[it] = None
            self._ask_ends([it])

    def _known(self, it: Condemned, shard: Shard) -> bool:
        """Whether no send from before it is unread, and all hours are known."""
        read_s = max(shard.read_to_end_s, shard.read_past_s)
        return not self._unknown and _restored(shard) and read_s >= it.arrived_s

    def _ask_ends(self, waiting: Iterable[Condemned]) -> None:
        for number in {it.shard for it in waiting}:
            if (shard := self._shards.get(number)) is not None and _restored(shard):
                self._ask_end((Topic.SENDS, number))

    def passed(self, it: Condemned) -> None:
        """A pass has ended: decide what it counted, in the order of the violations' first events."""
        if (holding := it.holding) is None:
            return
        holding.whole = holding.whole and not self._unknown  # a shard may have come meanwhile
        self._take_again(it, holding)
        now_s = self._clock.monotonic_s()
        for violation in holding.counted(it.standing):
            request = holding.request(violation)
            why = self._guard.admit(it.shard, request, now_s)
            if why is not None:
                holding.hold(violation, why)
                continue
            holding.admit(violation, request, now_s)
            it.wanted = it.wanted or it.settled.get(violation.violation_id, 0) < it.matched
            if request.more:
                break  # what it calls the others need not: that shows in the next pass
        it.see_who_acts()
        if it.undecided and not holding.whole:
            self._wait(it)

    def _take_again(self, it: Condemned, holding: Holding) -> None:
        """What was admitted, is not packed and is asked for anew does not count twice in its hour."""
        given_back, holding.given_back = holding.given_back, []
        for each in given_back:
            for app, places in each.left.items():
                self._guard.hour.give_back(it.shard, app, places, each.at_s)

    def draw(self, it: Condemned, violation: Violation, app: str, places: int) -> bool:
        """Whether so many places may be called now; they were admitted, or are, or the violation is held from now
        on."""
        holding = it.holding
        if holding is None or (short := holding.draw(violation, app, places)) is None:
            return True
        if self._unknown:  # a shard has come: nobody can tell before its hour is known
            holding.doubt(violation)
            it.wanted = True
        elif (why := self._guard.admit(it.shard, short, self._clock.monotonic_s())) is None:
            holding.more(violation, short)
            return True
        else:
            holding.hold(violation, why)
            it.wanted = True  # others may call its places
        it.see_who_acts()
        return False

    # --- those that are held

    def news(self, it: Condemned) -> Iterator[tuple[Violation, str]]:
        """Those of its violations that are held since just now, with the reason; each is logged."""
        if it.holding is None:
            return
        news, it.holding.news = it.holding.news, []
        for violation in news:
            why = it.holding.held[violation.violation_id].why if it.holds(violation) else None
            if why is not None:
                _tell(it, violation, why)
                yield violation, str(why)

    def keeps(self, it: Condemned) -> bool:
        """Whether it rests here: held, or not decided."""
        self._rests(it, list(_held(it)) if it.held_back is not None else [])
        return it in self._held or it in self._waiting

    def _rests(self, it: Condemned, seen: list[HeldSeen]) -> None:
        for each in self._held.pop(it, []):
            self.violations.subtract(each.would.keys())
            self.devices.subtract(each.would)
        if seen:
            self._held[it] = seen
        for each in seen:
            self.violations.update(each.would.keys())
            self.devices.update(each.would)

    def overdue(self, before_ms: int) -> list[Condemned]:
        """Those that rest here with places that have left retention."""
        return [it for it in (*self._held, *self._waiting) if it.unplanned_ms < before_ms]

    def seen(self) -> Iterator[HeldSeen]:
        """All that is held here, in the order it came to rest."""
        return chain.from_iterable(self._held.values())

    @property
    def held(self) -> int:
        """Violations that are held."""
        return sum(map(len, self._held.values()))

    @property
    def waiting(self) -> int:
        """Messages that wait to be decided."""
        return len(self._waiting)

    # --- now and then

    def look(self) -> list[Condemned]:
        """Those that waited and can be decided now; asks for what the others wait for."""
        self._look_up_hours()
        if self._unknown or not self._waiting:
            return []
        ready = [it for it in self._waiting if self._known(it, self._shards[it.shard])]
        for it in ready:
            del self._waiting[it]
        self._ask_ends(self._waiting)
        return ready

    def _look_up_hours(self) -> None:
        since_ms = self._clock.now_ms() - int(HOUR_S * 1000)
        for number, asked in list(self._unknown.items()):
            shard = self._shards[number]
            if not asked and (shard.past_is_read or shard.read_back_to(since_ms - CLOCKS_MS)):
                self._unknown[number] = True
                self._hours(shard, since_ms, lambda drawn, shard=shard: self._hour_is(shard, drawn))  # type: ignore[misc]

    def _hour_is(self, shard: Shard, drawn: list[Drawn] | None) -> None:
        if self._shards.get(shard.number) is not shard:
            return
        if drawn is None:
            self._unknown[shard.number] = False
            return
        now_ms, now_s = self._clock.now_ms(), self._clock.monotonic_s()
        for at_ms, app, places in sorted(drawn):
            self._guard.hour.draw(shard.number, app, places, now_s - max(0, now_ms - at_ms) / 1000)
        self._unknown.pop(shard.number, None)

    def hour(self) -> Mapping[str, int]:
        """Places admitted within the last 60 minutes, by app."""
        now_s = self._clock.monotonic_s()
        return {app: self._guard.hour.drawn(app, now_s) for app in self._guard.hour.apps()}


def _held(it: Condemned) -> Iterator[HeldSeen]:
    holding = it.holding
    if holding is None:
        return
    for violation in filter(it.holds, it.standing):
        name = violation.violation_id
        why = holding.held[name].why
        yield HeldSeen(violation, None if why is None else str(why), dict(holding.would.get(name, {})))


def _restored(shard: Shard) -> bool:
    """Whether the past of its sends has been read."""
    return shard.read_back_ms.get(Topic.SENDS) == EVERYTHING


def _tell(it: Condemned, violation: Violation, why: Hold) -> None:
    log.warning(
        "held",
        **it.named(violation),
        devices=why.places,
        allowed=why.allowed,
        client_id=why.app,
        cause=why.cause,
        cure="unpush approve or unpush withdraw",
    )
