"""One send against the violations of its message: what is covered counts, what another had done ends, the rest is to
be called.

Called by the desk for each stored send of a condemned message; fills the message's packer. It reads marks and
rejected tokens from the shard's store and decides nothing about when.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from stream.block import lengths
from stream.model import MAX_TOKEN_BYTES, BadRecord, Outcome, RegistryDown, RejectedToken, Send, SendHead, Severity
from stream.state.records import unpack_rejects
from stream.state.shard import Shard, StoredSend
from stream.wire.wire import Wire
from stream.work.condemned import Condemned
from stream.work.cover import Kind, Mark, Span, called, given_up, known_elsewhere, size, still_open, without
from stream.work.endings import EXPIRED
from stream.work.holding import Holding
from stream.work.judgement import Violation
from stream.work.packing import CALL, Fate

_NOT_REVOCABLE: Final = Fate(Outcome.NOT_REVOCABLE)
_EXPIRED: Final = Fate(Outcome.FAILED, EXPIRED)
UNREADABLE: Final = Fate(Outcome.FAILED, "unreadable")

LONGEST_TOLD_BYTES: Final = 400_000
"""Of a token that no call can carry; a result has room for more, but for its ids too."""

Where = tuple[int, int, int]
"""Partition, offset and record time (ms) of a send."""


class Sorter:
    """See the module's words."""

    def __init__(
        self,
        wire: Wire,
        largest_call: Callable[[str], int],
        has_room: Callable[[str, Severity], bool],
        unreadable: Callable[[Shard, str, StoredSend, BadRecord], None],
    ) -> None:
        self._wire = wire
        self._largest_call = largest_call
        self._has_room = has_room
        self._unreadable = unreadable
        self.draw: Callable[[Condemned, Violation, str, int], bool] = lambda *_: True
        """Asks the guard whether an app's places, so many, may be called for a violation; where it may act at all."""
        self.before_ms = 0
        """Sends older than this have left retention."""
        self.retention_ms = 0
        """How long that is; set beside it."""

    def read(self, stored: StoredSend) -> Send | BadRecord:
        """The send, or what is wrong with it. Raises RegistryDown."""
        try:
            return self._wire.send(stored.held, stored.at)
        except BadRecord as error:
            return error

    def head(self, stored: StoredSend) -> SendHead:
        """What precedes its tokens. Raises BadRecord, RegistryDown."""
        return self._wire.send_head(stored.held, stored.at)

    def consider(
        self, it: Condemned, shard: Shard, stored: StoredSend, send: Send | BadRecord, marks: list[Mark]
    ) -> None:
        """Put the send's open places, for each standing violation, into the message's packer; those of an app without
        room wait for another pass, unless they have left retention."""
        if isinstance(send, BadRecord):
            self._bad(it, shard, stored, marks, send)
            return
        if send.head.message_id != it.message_id:
            return  # another message with the same digest
        it.found = True
        it.apps.add(send.head.client_id)
        it.matched += len(send.tokens)
        self._count_withdrawn(it, len(send.tokens), marks)
        where, room = (it.shard, stored.offset, stored.timestamp_ms), self._has_room(send.head.client_id, it.severity)
        for violation in it.standing:
            if self.had_left(violation, stored.timestamp_ms):
                _tell_settled(it, violation, len(send.tokens), [])
                continue
            spans = still_open(len(send.tokens), marks, violation.violation_id, violation.tries_ms)
            _tell_settled(it, violation, len(send.tokens), spans)
            if it.holding is not None and not it.holding.acts(violation):
                self._count(it, it.holding, violation, send, where, spans, marks)
            doubtful = spans and (it.holding is not None or not room)
            if doubtful and self._stays(it, violation, send, stored, spans, marks, room):
                continue
            if spans := self._taken(it, where, spans):
                self._divide(it, shard, violation, send, where, marks, spans)

    def _stays(
        self,
        it: Condemned,
        violation: Violation,
        send: Send,
        stored: StoredSend,
        spans: list[Span],
        marks: list[Mark],
        room: bool,
    ) -> bool:
        """Whether open places are left to a pass to come: their app has no room, or the guard does not let them be
        called now."""
        app, bucket = send.head.client_id, stored.bucket
        if self._expired(violation, (it.shard, stored.offset, stored.timestamp_ms)):
            return False
        if it.holding is None or it.holding.acts(violation):
            if not room:
                it.postpone(app, bucket, violation)
                return True
            if self._drawn(it, violation, send, stored.offset, spans, marks):
                return False
        it.hold_back(bucket, violation)
        return True

    def _count(
        self,
        it: Condemned,
        holding: Holding,
        violation: Violation,
        send: Send,
        where: Where,
        spans: list[Span],
        marks: list[Mark],
    ) -> None:
        """Count what a violation that may not act would call beside those that may, and what it has called."""
        name, places = violation.violation_id, len(send.tokens)
        spent = size(without(called(marks, name), spans))
        callable_ = send.head.revocable and not self._expired(violation, where)
        mine = known_elsewhere(spans, marks, name)[1] if callable_ else []
        acting = [each for each in it.acting if not self.had_left(each, where[2])]
        theirs = [span for each in acting for span in still_open(places, marks, each.violation_id, each.tries_ms)]
        left = without(mine, theirs)
        if left != mine:
            holding.beside.add(name)
        holding.count(name, send.head.client_id, size(left), spent)

    def _drawn(
        self, it: Condemned, violation: Violation, send: Send, offset: int, spans: list[Span], marks: list[Mark]
    ) -> bool:
        """Whether the places that are to be called now were admitted, or are now."""
        if it.holding is None or not send.head.revocable:
            return True
        left = known_elsewhere(spans, marks, violation.violation_id)[1]
        places = size(without(left, it.under_way.get(offset, ())))
        return not places or self.draw(it, violation, send.head.client_id, places)

    @staticmethod
    def _count_withdrawn(it: Condemned, places: int, marks: list[Mark]) -> None:
        """What was done before a withdrawal stays done, whoever asks."""
        if len(it.standing) < len(it.violations):
            for each in it.violations.values():
                if not each.stands:
                    _tell_settled(it, each, places, still_open(places, marks, each.violation_id, each.tries_ms))

    @staticmethod
    def _taken(it: Condemned, where: Where, spans: list[Span]) -> list[Span]:
        """Those that are not under way; they are from now on."""
        if (taken := it.under_way.get(where[1])) and spans:
            kept = without(spans, taken)
            it.wanted = it.wanted or kept != spans  # called under an earlier violation: look again when that has ended
            spans = kept
        if spans:
            it.take(where[1], spans)
        return spans

    def _divide(
        self,
        it: Condemned,
        shard: Shard,
        violation: Violation,
        send: Send,
        where: Where,
        marks: list[Mark],
        spans: list[Span],
    ) -> None:
        known, left = known_elsewhere(spans, marks, violation.violation_id) if marks else ((), spans)
        for span, mark in known:
            self._known(it, shard, violation, send, where, span, mark)
        for span, again in given_up(left, marks, violation.violation_id):
            self._fresh(it, violation, send, where, span, again)

    def _fresh(
        self, it: Condemned, violation: Violation, send: Send, where: Where, span: Span, again: int | None
    ) -> None:
        if not send.head.revocable:
            it.packer.put(violation, _NOT_REVOCABLE, send.head, span, where, ())
        elif self._expired(violation, where):
            it.packer.put(violation, _EXPIRED, send.head, span, where, ())
        else:
            most = self._largest_call(send.head.client_id)
            for piece in self._callable(it, violation, send, where, span):
                it.packer.put(violation, CALL, send.head, piece, where, send.tokens, most, again)

    def had_left(self, violation: Violation, send_ms: int) -> bool:
        """Whether it has left retention, and had when the send came: then nothing of that was ever open for it."""
        return violation.latest_ms < self.before_ms and violation.latest_ms + self.retention_ms < send_ms

    def _expired(self, violation: Violation, where: Where) -> bool:
        return min(where[2], violation.latest_ms) < self.before_ms

    def _callable(self, it: Condemned, violation: Violation, send: Send, where: Where, span: Span) -> Iterable[Span]:
        """The span without the tokens that no call can carry; those are refused here."""
        seen = lengths(send.tokens[span[0] : span[1]])
        if max(seen) <= MAX_TOKEN_BYTES and min(seen) > 0:
            return (span,)
        wrong = [place for place in range(*span) if not 0 < len(send.tokens[place]) <= MAX_TOKEN_BYTES]
        for place in wrong:
            reason = "tokenTooLong" if send.tokens[place] else "tokenEmpty"
            fate = Fate(Outcome.FAILED, reason)
            it.packer.refuse(violation, fate, send.head, where, place, _refused(send.tokens[place], reason))
        return without([span], [(place, place + 1) for place in wrong])

    def _known(
        self, it: Condemned, shard: Shard, violation: Violation, send: Send, where: Where, span: Span, mark: Mark
    ) -> None:
        """Places that another violation had revoked, or refused for good: no call, the same ending."""
        revoked = Fate(Outcome.ALREADY_REVOKED, mark.violation_id)
        if not mark.rejects:
            it.packer.put(violation, revoked, send.head, span, where, ())
            return
        refused = Fate(Outcome.FAILED, f"refused under {mark.violation_id}")
        stored = shard.stored.rejects(it.digest, mark.result_offset)
        reasons = unpack_rejects(stored) if stored else {}
        for place in range(*span):
            token = send.tokens[place]
            if token in reasons or mark.kind is Kind.REFUSED:
                said = _refused(token, reasons.get(token, "refused"))
                it.packer.refuse(violation, refused, send.head, where, place, said)
            else:
                it.packer.put(violation, revoked, send.head, (place, place + 1), where, ())

    def _bad(self, it: Condemned, shard: Shard, stored: StoredSend, marks: list[Mark], error: BadRecord) -> None:
        """A send that cannot be read: dead-lettered once, and each violation told so once."""
        head = self._head_perhaps(stored)
        if head is not None and head.message_id != it.message_id:
            return  # another message with the same digest
        it.found = True
        if stored.offset in it.under_way:
            return
        if not marks:
            self._unreadable(shard, it.message_id, stored, error)
        told = {mark.violation_id for mark in marks}
        for violation in it.standing:
            if violation.violation_id not in told and not self.had_left(violation, stored.timestamp_ms):
                it.take(stored.offset, [(0, 0)])
                it.packer.unread(violation, UNREADABLE, (it.shard, stored.offset, stored.timestamp_ms), head)

    def _head_perhaps(self, stored: StoredSend) -> SendHead | None:
        with contextlib.suppress(BadRecord, RegistryDown):
            return self.head(stored)
        return None


def _tell_settled(it: Condemned, violation: Violation, places: int, spans: list[Span]) -> None:
    """Of so many places all but those are settled."""
    it.settled[violation.violation_id] = it.settled.get(violation.violation_id, 0) + places - size(spans)


def _refused(token: bytes, reason: str) -> RejectedToken:
    return RejectedToken(token[:LONGEST_TOLD_BYTES].decode("utf-8", "ignore"), reason)
