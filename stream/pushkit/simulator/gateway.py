"""One call from arrival to answer: a fault strikes or the rules decide, and the book gets its entry.

Promised: the effect is entered exactly when tokens count as revoked, before the answer leaves; no I/O here.
Not promised: that the client sees the answer; cutting and hanging are decided here and done by the connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Final, NamedTuple

from stream.pushkit.simulator import replies
from stream.pushkit.simulator.apps import App
from stream.pushkit.simulator.authority import Keyring
from stream.pushkit.simulator.book import AppCounts, Moment
from stream.pushkit.simulator.chance import counted_down, latency_s, strike
from stream.pushkit.simulator.faults import Body, End, Failure, Faults
from stream.pushkit.simulator.named import NOBODY
from stream.pushkit.simulator.replies import Reply
from stream.pushkit.simulator.rules import Call, Verdict, World, judge
from stream.pushkit.simulator.slots import Message

_GARBAGE: Final = b'\x1f\x8b{"code":80000000,\xff\xfe'
_NAMED: Final = frozenset({replies.PARTIAL, replies.PARTIAL_TEXT, replies.ALL_TOKENS_INVALID})
_MS: Final = 1_000_000


class Answer(NamedTuple):
    """What the connection does: send ``reply`` after ``delay_s``, or, without one, be cut or hang as ``end`` says."""

    reply: Reply | None
    delay_s: float
    end: End


class Gateway:
    """The simulator without its connections."""

    __slots__ = ("world", "_random", "_prefix", "_number")

    def __init__(self, apps: Iterable[App], faults: Faults, seed: int | None, started_ms: int) -> None:
        known = {app.client_id: app for app in apps}
        self.world = World(known, Keyring(known.values()), faults)
        self._random = Random(seed)
        self._prefix, self._number = f"{started_ms}", 0

    def answer(self, call: Call, moment: Moment) -> Answer:
        """Judge a call, enter it in the book, and say what the connection does."""
        faults = self.world.faults.of(call.client_id)
        delay_s = latency_s(faults.latency, self._random)
        index = strike(faults.failures, self._random)
        if index is None:
            return Answer(self._judged(call, moment), delay_s, End.REPLY)
        self.world.faults = counted_down(self.world.faults, call.client_id, index)
        return self._failed(call, moment, faults.failures[index], delay_s)

    def register(self, message: Message, now_ns: int) -> None:
        """Let a sent message take its slots."""
        world = self.world
        world.slots.register(message)
        if world.faults.rules.sends_draw_on_rate:
            world.rates.draw(world.faults, message.client_id, len(message.tokens), now_ns)

    def _judged(self, call: Call, moment: Moment) -> Reply:
        verdict = judge(call, self.world, moment)
        status, code, reply = self._reply(call, verdict)
        self._enter(call, verdict, moment, status, code)
        return reply

    def _failed(self, call: Call, moment: Moment, failure: Failure, delay_s: float) -> Answer:
        if failure.end is End.REPLY:
            verdict = Verdict(failure.code, failure.message, NOBODY, call.tokens)
            self._enter(call, verdict, moment, failure.status, failure.code)
            return Answer(self._injected(failure), delay_s, End.REPLY)
        verdict = judge(call, self.world, moment) if failure.end.has_effect else Verdict("", "", NOBODY, call.tokens)
        self._enter(call, verdict, moment, 0, "hang" if failure.end.hangs else "cut")
        return Answer(None, delay_s, failure.end)

    def _reply(self, call: Call, verdict: Verdict) -> tuple[int, str, Reply]:
        if not verdict.code:
            flow = self.world.faults.of(call.client_id).flow_control
            extra = replies.retry_after(flow.retry_after)
            return 503, "", self._styled(503, flow.body, "", "Flow control.", extra)
        status, code = self._answered(verdict.code)
        return status, code, replies.business(status, code, verdict.message, self._request_id())

    def _answered(self, code: str) -> tuple[int, str]:
        rules = self.world.faults.rules
        instead = rules.answers.get(code)
        if instead is not None:
            return instead.status, instead.code
        return 200 if rules.business_errors_in_200 else replies.STATUS.get(code, 400), code

    def _injected(self, failure: Failure) -> Reply:
        extra = replies.retry_after(failure.retry_after)
        return self._styled(failure.status, failure.body, failure.code, failure.message, extra)

    def _styled(self, status: int, body: Body, code: str, message: str, extra: bytes) -> Reply:
        match body:
            case Body.HTML:
                return replies.plain(status, extra)
            case Body.EMPTY:
                return Reply(status, b"", replies.JSON, extra)
            case Body.GARBAGE:
                return Reply(status, _GARBAGE, replies.JSON, extra)
            case Body.JSON:
                return replies.business(status, code, message, self._request_id(), extra)

    def _enter(self, call: Call, verdict: Verdict, moment: Moment, status: int, code: str) -> None:
        book = self.world.book
        counts = book.counts(call.client_id)
        counts.calls += 1
        counts.codes[code or str(status)] += 1
        counts.asked_peak.add(len(call.tokens), moment.monotonic_ns)
        book.seen(moment, call.client_id, call.notify_id, len(call.tokens), status, code)
        if call.notify_id is not None:
            self._enter_tokens(call.client_id, call.notify_id, verdict, counts, moment)
        if not verdict.revoked:
            counts.refused += 1

    def _enter_tokens(
        self, client_id: str, notify_id: int, verdict: Verdict, counts: AppCounts, moment: Moment
    ) -> None:
        world, at_ms = self.world, moment.wall_ns // _MS
        if revoked := verdict.revoked:
            counts.devices += revoked.distinct
            counts.accepted_peak.add(revoked.distinct, moment.monotonic_ns)
            counts.duplicates += len(revoked) - revoked.distinct
            counts.duplicates += world.book.revoked.add(client_id, notify_id, revoked, at_ms)
            world.slots.revoke(client_id, notify_id, revoked)
        if verdict.refused:
            world.book.refused.add(client_id, notify_id, verdict.refused, at_ms)
            counts.rejected += verdict.refused.distinct if verdict.code in _NAMED else 0

    def _request_id(self) -> str:
        self._number += 1
        return f"{self._prefix}{self._number:010d}"
