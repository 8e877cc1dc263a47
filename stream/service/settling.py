"""Endings become results, and results that have arrived become settled places."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final
from weakref import WeakKeyDictionary

from stream.model import Outcome, Severity, Topic
from stream.service.clock import Clock
from stream.service.desk import Desk
from stream.service.late_letters import HeadersAgain, LateLetters
from stream.service.letterbox import LetterBox
from stream.service.outbox import Outbox, Written
from stream.state.shard import EVERYTHING, Shard
from stream.work.condemned import Condemned
from stream.work.endings import Ending, bare_result, ending_of, halves, result_id, result_of, words
from stream.work.judgement import Violation
from stream.work.packing import Parcel

_WOULD_BE: Final = frozenset({Outcome.NOT_REVOCABLE, Outcome.ALREADY_REVOKED, Outcome.FAILED})


class Settling:
    """See the module's words. On the event loop."""

    def __init__(
        self,
        desk: Desk,
        outbox: Outbox,
        letterbox: LetterBox,
        clock: Clock,
        sends_topic: str,
        headers_again: HeadersAgain,
        kick: Callable[[], None],
        behind: Callable[[], bool],
        *,
        dry: bool,
    ) -> None:
        self.results: dict[tuple[Outcome, Severity], int] = {}
        """Results delivered so far."""
        self.given_up = dict.fromkeys(Severity, 0)
        """Of them, those that failed through no token's fault: given up, expired, unreadable."""
        self.devices: dict[tuple[str, str], int] = {}
        """Devices revoked, rejected or failed so far, by app and ending."""
        self.late = LateLetters(sends_topic, headers_again, letterbox, self._buried)
        self.watchers: list[Callable[[Written], None]] = []
        """Each is told of each result that is settled."""
        self._saying: WeakKeyDictionary[Shard, set[str]] = WeakKeyDictionary()
        """Of each shard, ids of results without places that are on their way: the store does not know them yet, and a
        message that is loaded from it again not either."""
        self._ending: WeakKeyDictionary[Shard, set[Parcel]] = WeakKeyDictionary()
        """Of each shard, what has ended, until its result is delivered."""
        self._desk, self._outbox, self._clock = desk, outbox, clock
        self._kick = kick
        self._behind = behind
        self._dry = dry

    def end(self, parcel: Parcel, ending: Ending) -> None:
        """A parcel has reached its end: write its result, for an unreadable send when its dead letter is there."""
        it = parcel.owner
        if it is None or (shard := self._desk.shards.get(it.shard)) is None or self.late.holds(shard, parcel, ending):
            return
        it.produced(parcel)
        self._ending.setdefault(shard, set()).add(parcel)
        if self._dry and ending.outcome in _WOULD_BE:
            would = f"would be {ending.outcome.value}" + (f": {ending.detail}" if ending.detail else "")
            ending = ending._replace(outcome=Outcome.DRY_RUN, detail=would)
        totals = it.totals(parcel.violation.violation_id, self.all_read(shard))
        result = result_of(parcel, ending, totals, self._clock.now_ms(), self._dry)
        self._outbox.write(Written(shard, result, parcel, parcel.violation.trace, it))

    def _buried(self, parcel: Parcel, ending: Ending) -> None:
        if self._desk.wants(parcel):  # else it was withdrawn meanwhile
            self.end(parcel, ending)

    def say(self, it: Condemned, violation: Violation, outcome: Outcome, detail: str | None = None) -> None:
        """A result without places, once: NOT_FOUND per violation, WITHDRAWN per withdrawal, HELD until a person's
        word."""
        for word in words(violation, outcome, self._dry):
            self._say(it, violation, outcome, word, detail)

    def _say(self, it: Condemned, violation: Violation, outcome: Outcome, word: str, detail: str | None) -> None:
        shard = self._desk.shards.get(it.shard)
        name = result_id(violation, (), word)
        if shard is None or name in it.said:
            return
        it.said.add(name)
        if name in self._saying.setdefault(shard, set()) or shard.stored.said(it.digest, name):
            return
        self._saying[shard].add(name)
        totals = it.totals(violation.violation_id, self.all_read(shard))
        if self._dry:
            outcome, detail = Outcome.DRY_RUN, f"would be {outcome.value}" + (f": {detail}" if detail else "")
        result = bare_result(violation, outcome, word, totals if it.found else (0, 0), self._clock.now_ms(), detail)
        self._outbox.write(Written(shard, result, None, violation.trace, it))

    def ending_from_ms(self, shard: Shard) -> float:
        """The oldest record time of what has ended and is not delivered yet; infinite: there is none. Its bucket stays,
        or a crash would leave nothing that could be said again; but for what its topic will not take."""
        ending = self._ending.get(shard, set()) - self._outbox.refused_for_good
        return min((parcel.oldest_ms for parcel in ending), default=inf)

    def all_read(self, shard: Shard) -> bool:
        """Whether no send is known to be unread, or read and not yet counted by the desk."""
        return shard.read_back_ms.get(Topic.SENDS) == EVERYTHING and not self._behind()

    def halves(self, written: Written) -> list[Written]:
        """A result that is too large as two, each of half the places; none where there is a single place or none."""
        parcel, result = written.parcel, written.result
        pieces = [] if parcel is None else halves(parcel, ending_of(result))
        if parcel is None or not pieces:
            return []
        self._desk.replaced(parcel, [piece for piece, _ in pieces])
        undelivered = self._ending.setdefault(written.shard, set())
        undelivered.discard(parcel)
        undelivered.update(piece for piece, _ in pieces)
        matched, settled = result.violation_tokens_matched, result.violation_tokens_settled
        found = []
        for piece, ending in reversed(pieces):  # only the last of them may say complete
            said = result_of(piece, ending, (matched, settled), result.completed_at_ms, self._dry)
            found.append(written._replace(result=said, parcel=piece))
            settled -= piece.place_count
        return found[::-1]

    def as_known_now(self, written: Written) -> Written:
        """A result that has waited, with the places that are matched now: what came meanwhile has results to come, and
        none before these may say complete."""
        it, result = written.owner, written.result
        if it is None or written.parcel is None:
            return written
        unknown = it.missed or not it.counted
        now = max(it.matched, result.violation_tokens_settled + unknown)
        matched = max(now, result.violation_tokens_matched)
        return written._replace(result=result._replace(violation_tokens_matched=matched))

    def settled(self, written: Written) -> None:
        """A result is delivered and marked."""
        result = written.result
        key = (result.outcome, result.severity)
        self.results[key] = self.results.get(key, 0) + 1
        self.given_up[result.severity] += result.outcome is Outcome.FAILED and not result.rejected_tokens
        self._count(written)
        for watch in self.watchers:
            watch(written)
        if written.parcel is not None:
            self._ending.get(written.shard, set()).discard(written.parcel)
            self._desk.settled(written.parcel)
            self._kick()
        else:
            self._saying.get(written.shard, set()).discard(result.result_id)

    def _count(self, written: Written) -> None:
        result = written.result
        if result.client_id is None or not result.tokens_requested:
            return
        counts = {
            "revoked": result.tokens_revoked,
            "rejected": len(result.rejected_tokens),
            "failed": result.tokens_requested - result.tokens_revoked - len(result.rejected_tokens),
        }
        for ending, devices in counts.items():
            if devices > 0:
                self.devices[result.client_id, ending] = self.devices.get((result.client_id, ending), 0) + devices
