"""The desk: where sends and violations meet. It lives on the event loop and decides what is to be done for a
condemned message.

A violation's events come in by ``events_came``, a condemned message's sends by ``sends_came``; parcels go out by
``call`` (they need a revoke call) or ``end`` (they end without one). Promised: each place of each standing violation
is planned once, as soon as all earlier events and results that could speak of it have been read. Not promised: order
between messages beyond severity and age.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from stream.model import BadRecord, Outcome, RegistryDown, Severity, Topic
from stream.service.absent import Absent
from stream.service.docket import Docket
from stream.service.evidence import events_of, may_act, news
from stream.service.guarding import Guarding
from stream.service.passes import Passes
from stream.service.planning import NEVER_S, Planning, ToDesk
from stream.service.sorting import Sorter
from stream.service.ways import ArrivedSend, Ways
from stream.state.shard import EVERYTHING, Shard, StoredSend
from stream.wire.wire import Wire
from stream.work.condemned import Condemned
from stream.work.endings import EXPIRED, unended
from stream.work.judgement import Event, Judgement, Violation, judgement_of
from stream.work.packing import CALL, Parcel


class Desk:
    """See the module's words."""

    def __init__(
        self,
        wire: Wire,
        sorter: Sorter,
        ways: Ways,
        not_found_after_s: float,
        retention_ms: int,
        guarding: Guarding | None = None,
        not_before_ms: int | None = None,
    ) -> None:
        """``not_before_ms``: as of ``Judgement``."""
        self._judgement_of = partial(judgement_of, not_before_ms=not_before_ms)
        self.shards: dict[int, Shard] = {}
        self.docket = Docket()
        self.waits_for_past: dict[int, dict[Condemned, None]] = {}
        self._unsaid: dict[int, dict[str, tuple[int, int, bytes]]] = {}
        """By shard and messageId: withdrawn, and to be said when all of the past is read; for ``remembered``."""
        self._wire = wire
        self._sorter = sorter
        sorter.retention_ms = retention_ms
        self._ways = ways
        self._passes = Passes(sorter, ways)
        self.guarding = guarding or Guarding()
        sorter.draw = self.guarding.draw
        self._retention_ms = retention_ms
        to_desk = ToDesk(self._look, self._wait_for_past, self._say_held, self._loaded)
        self.planning = Planning(wire, self.shards, self.docket, self._passes, ways, self.guarding, to_desk)
        self._absent = Absent(not_found_after_s)
        self.rested: Callable[[Condemned], None] = lambda _: None
        """Told of a message of which nothing is left to do for what acts; what is held of it may still be to come."""

    # --- shards come and go

    def shard_came(self, shard: Shard) -> None:
        """From now on this shard's records may come."""
        self.shard_went(shard.number)  # it may be back before its going was heard of
        self.shards[shard.number] = shard
        self.guarding.shard_came(shard)
        self.waits_for_past[shard.number], self._unsaid[shard.number] = {}, {}

    def shard_went(self, number: int) -> None:
        """Forget all of the shard; its parcels under way leave no trace here."""
        self.shards.pop(number, None)
        self.waits_for_past.pop(number, None)
        self._unsaid.pop(number, None)
        self.docket.forget(number)
        self.planning.plans.forget(number)
        self._absent.forget(number)
        self.guarding.shard_went(number)
        self._ways.take_back(lambda parcel: parcel.owner is not None and parcel.owner.shard == number)

    def remembered(self, number: int, found: Iterable[tuple[int, int, bytes]]) -> None:
        """Messages that the store knows to be condemned: (severity, record time, digest). Each is looked at in the
        background."""
        self.planning.plans.remember(number, found)

    def past_read(self, number: int) -> None:
        """The past of the shard's violations or results has been read a little further back."""
        shard, waiting = self.shards.get(number), self.waits_for_past.get(number, {})
        if shard is None:
            return
        self.waits_for_past[number] = {}
        for it in waiting:
            self._look(it, shard)
        if shard.past_is_read and (unsaid := self._unsaid[number]):
            self._unsaid[number] = {}
            self._say_unsaid(unsaid, shard)

    def _say_unsaid(self, unsaid: dict[str, tuple[int, int, bytes]], shard: Shard) -> None:
        """Those in memory at once; the others, of which there may be very many, when they are loaded in their turn."""
        known = {message_id: self.docket.get(shard.number, message_id) for message_id in unsaid}
        self.remembered(shard.number, [found for name, found in unsaid.items() if known[name] is None])
        for it in filter(None, known.values()):
            self._look(it, shard)

    # --- records come

    def events_came(self, number: int, came: list[tuple[bytes, Event, bool]], now_s: float) -> None:
        """Violation events just stored: digest, event, and whether the message was condemned before."""
        shard = self.shards.get(number)
        if shard is None:
            return
        for (digest, message_id), (events, known) in news(came).items():
            try:
                self._heard(shard, digest, message_id, events, known, now_s)
            except RegistryDown:  # an older event of the message cannot be read now: all of it is looked at later
                self.remembered(number, [(events[0].event.severity, events[0].timestamp_ms, digest)])

    def _heard(
        self, shard: Shard, digest: bytes, message_id: str, events: list[Event], known: bool, now_s: float
    ) -> None:
        it, judgement = self.docket.get(shard.number, message_id), None
        if it is None and not known:
            judgement = self._judgement_of(events)
        elif it is not None and known:  # where nobody knew it, what is in memory has left retention meanwhile
            judgement = it.judgement.after(events)
        if judgement is None:
            judgement = self._judgement_of(events_of(self._wire, shard, digest, message_id))
        self._judge(it or Condemned(shard.number, message_id, digest, now_s), shard, judgement, now_s)

    def _judge(self, it: Condemned, shard: Shard, judgement: Judgement, now_s: float) -> None:
        """Act on what has changed: of a detector's repeats, nothing has."""
        if judgement.violations == it.violations:
            it.judgement = judgement  # which says, too, how late anything was detected: what comes is held against it
            return
        if not judgement.violations.keys() <= it.violations.keys():
            it.arrived_s = now_s  # a repeat must not put NOT_FOUND off
        before = it.severity
        it.judged(judgement)
        it.wanted = True
        self.docket.reopen(it)
        self._take_back_withdrawn(it)
        if it.severity != before:
            self._change_lane(it)
        self._look(it, shard)

    def _take_back_withdrawn(self, it: Condemned) -> None:
        if it.open_parcels and len(it.standing) < len(it.violations):
            for parcel in self._ways.take_back(lambda p: p.owner is it and not it.stands(p.violation)):
                it.release(parcel)

    def _change_lane(self, it: Condemned) -> None:
        """What is left of its work goes where the gravest violation that stands now belongs."""
        self.planning.plans.move(it)
        if it.open_parcels:
            self._ways.lift(lambda p: p.owner is it, it.severity)

    def sends_came(self, number: int, came: list[ArrivedSend], now_s: float) -> None:
        """Sends just stored whose message may be condemned."""
        shard = self.shards.get(number)
        if shard is None:
            return
        touched: dict[Condemned, None] = {}
        for digest, batch, stored in came:
            try:
                touched.update(dict.fromkeys(self._send(shard, digest, batch, stored, now_s)))
            except RegistryDown:  # its message's events cannot be read now: all of it is looked at later
                self.remembered(number, [(Severity.MEDIUM, stored.timestamp_ms, digest)])
        for it in touched:  # only now: they travel together, and no result is written before all of them are counted
            self._passes.issue(it)
            self._say_held(it)
            if it.idle:  # all of its places were settled already: no parcel will come to its end
                self._look(it, shard)

    def _send(self, shard: Shard, digest: bytes, batch: int, stored: StoredSend, now_s: float) -> Iterator[Condemned]:
        """The messages into whose packers it has put the send's open places."""
        for it in self._of(shard, digest, stored, now_s):
            if shard.leaving:
                it.missed = True  # nobody counts it here any more, and a call under way must not say complete
                continue
            if it.seen(stored.bucket, batch):
                self._meets(it, stored)
                continue
            if not it.standing:
                it.missed = True  # confirmed again, a call still under way must not say that it is complete
                continue
            self.docket.reopen(it)
            if it.walk is None or not may_act(it, shard):
                it.miss()
                self._look(it, shard)
                continue
            try:
                self._passes.late(it, shard, stored)
            except RegistryDown:
                it.miss()
                self.planning.plans.later(it)
                continue
            yield it

    def _of(self, shard: Shard, digest: bytes, stored: StoredSend, now_s: float) -> Iterator[Condemned]:
        """The condemned message that a send belongs to; loaded from the store where it is not in memory."""
        try:
            head = self._wire.send_head(stored.held, stored.at)
        except (BadRecord, RegistryDown):
            yield from self._headless(shard, digest, stored.timestamp_ms)
            return
        message_id = head.message_id
        it = self.docket.get(shard.number, message_id)
        if it is None:
            it = Condemned(shard.number, message_id, digest, now_s)
            self._judge(it, shard, self._judgement_of(events_of(self._wire, shard, digest, message_id)), now_s)
        if it.violations:  # else it is another message with this digest
            if not it.apps:
                it.apps.add(head.client_id)
                self.planning.known(it)
            yield it

    def _headless(self, shard: Shard, digest: bytes, timestamp_ms: int) -> list[Condemned]:
        """What a send may belong to that does not say it; looked at later, with its sends, where it is not in
        memory."""
        found = [it for it in self.docket if it.shard == shard.number and it.digest == digest]
        if not found:
            self.remembered(shard.number, [(Severity.MEDIUM, timestamp_ms, digest)])
        return found

    def _meets(self, it: Condemned, stored: StoredSend) -> None:
        """The pass that is running will meet the send; if it waits for the one app that was known, the send may be of
        another."""
        if it.walking:
            with contextlib.suppress(BadRecord, RegistryDown):
                it.apps.add(self._wire.send_head(stored.held, stored.at).client_id)
                self.planning.go_on(it)

    # --- when a message may be acted on

    def _look(self, it: Condemned, shard: Shard) -> None:
        """Act on a message as far as what has been read allows."""
        if shard.leaving:
            return
        if not may_act(it, shard):
            self._wait_for_past(it)
            return
        if shard.past_is_read:
            self._say_withdrawn(it)
        elif any(each.withdrawals for each in it.violations.values()):
            # An earlier event may make it a repeat; and to say it is not urgent.
            self._unsaid[it.shard][it.message_id] = (it.severity, it.first_timestamp_ms, it.digest)
        self.guarding.recall(it, shard)
        if it.walking:
            self.planning.go_on(it)
        elif it.standing and not it.under_way and (it.wanted or self.guarding.wants_pass(it)):
            self.planning.plans.put(it)
        elif it.idle:
            self._rest(it)

    def _wait_for_past(self, it: Condemned) -> None:
        self.waits_for_past[it.shard][it] = None

    def _loaded(self, shard: Shard, digest: bytes, message_id: str, events: list[Event], now_s: float) -> None:
        """The store remembers a message as condemned, by these events."""
        it = self.docket.get(shard.number, message_id) or Condemned(shard.number, message_id, digest, now_s)
        self._judge(it, shard, self._judgement_of(events), now_s)

    # --- parcels come to their end

    def wants(self, parcel: Parcel) -> bool:
        """Whether a parcel that its call did not end is to be called again; not when its violation has been withdrawn
        meanwhile or its shard is leaving: then its places are given back here."""
        it = parcel.owner
        if it is None:
            return True
        shard = self.shards.get(it.shard)
        held = parcel.fate is CALL and it.holds(parcel.violation)
        if it.stands(parcel.violation) and not held and shard is not None and not shard.leaving:
            return True
        self._ended(parcel)
        return False

    def settled(self, parcel: Parcel) -> None:
        """The parcel's result is delivered and its marks are written."""
        self._ended(parcel)

    def _ended(self, parcel: Parcel) -> None:
        it = parcel.owner
        if it is None or (shard := self.shards.get(it.shard)) is None or not self.docket.has_open(it):
            return
        it.release(parcel)
        if it.walking:
            self.planning.go_on(it)
        elif not it.under_way:
            self._look(it, shard)

    def replaced(self, parcel: Parcel, pieces: list[Parcel]) -> None:
        """The parcel was cut into pieces; they stand for it from now on."""
        if (it := parcel.owner) is not None:
            it.open_parcels += len(pieces) - 1
            for piece in pieces:
                piece.owner = it

    # --- nothing left to do for now

    def _rest(self, it: Condemned) -> None:
        kept = self.guarding.keeps(it)
        if it.standing and it.waits_for:
            for app in it.waits_for:
                self.planning.plans.park(app, it)
        elif it.standing and it.counted and not it.found:
            self._absent.wait(it)
        else:
            self.rested(it)
            if not kept:
                self.docket.close(it)

    def _say_withdrawn(self, it: Condemned) -> None:
        for violation in it.violations.values():
            if violation.withdrawals:
                self._ways.say(it, violation, Outcome.WITHDRAWN, None)

    def _say_held(self, it: Condemned) -> None:
        """What the guard holds since just now is said, and what waits for a call of it is given back."""
        news = list(self.guarding.news(it))
        if news and it.open_parcels:  # most that is held has none, and all that waits is gone through for it
            for parcel in self._ways.take_back(lambda p: p.owner is it and p.fate is CALL and it.holds(p.violation)):
                it.release(parcel)
        for violation, why in news:
            self._ways.say(it, violation, Outcome.HELD, why)

    def missing(self, now_s: float, can_tell: Callable[[Shard, float], bool]) -> None:
        """Report NOT_FOUND for what is due: the wait is over, and reading has passed the end that there was when it
        came."""
        for shard in self.shards.values():
            # Of a shard that leaves, sends are no longer looked at. Where nothing can be told none is gone through:
            # during a restore these may be very many.
            if not shard.leaving and can_tell(shard, NEVER_S):
                self._missing(shard, now_s, can_tell)

    def _missing(self, shard: Shard, now_s: float, can_tell: Callable[[Shard, float], bool]) -> None:
        for it in self._absent.due(shard.number, now_s):
            if it.found or not it.standing or not self.docket.has_open(it):
                continue
            if it.digest not in shard.condemned:
                self.docket.drop(it)  # its events have left retention, and what was said of them too
                continue
            if not it.idle or not can_tell(shard, it.arrived_s):
                self._absent.again(it, now_s)
                continue
            for violation in it.standing:
                self._ways.say(it, violation, Outcome.NOT_FOUND, None)
            self.docket.drop(it)

    def had_left(self, violation: Violation, send_ms: int) -> bool:
        """Whether a violation has left retention, and had when a send of that time came."""
        return self._sorter.had_left(violation, send_ms)

    def expire(self, now_ms: int) -> None:
        """End what waits for a call though its send or violation has left retention."""
        before_ms = self._sorter.before_ms = now_ms - self._retention_ms
        self.planning.walk_overdue(before_ms)
        for parcel in self._ways.take_back(lambda p: p.oldest_ms < before_ms):
            self._ways.end(parcel, unended(parcel, EXPIRED))

    def done_with(self, number: int, bucket: int) -> bool:
        """Whether no open message needs sends of this bucket any more. Those that do are walked now, whatever room
        there is: what has left retention ends so, and nothing is dropped before it has."""
        shard = self.shards.get(number)
        if shard is None or not shard.recalled or self.planning.plans.remembers(number):
            return False
        if shard.read_back_ms.get(Topic.SENDS) != EVERYTHING:
            return False  # what is unread may be of a violation that stands there
        needing = [it for it in self.docket.open.values() if it.shard == number and it.needs(bucket)]
        for it in needing:
            if may_act(it, shard):
                self.planning.walk(it, shard, overdue=True)
        return not needing
