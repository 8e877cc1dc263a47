"""One line of the log for each violation's end.

Promised: a line when nothing is left to be done of a violation that acts, with all of its results delivered and
marked; when it was not found; when it was withdrawn. A further one whenever more of it has been settled since: a late
send, what was given up and is tried again. None for what this process settled nothing of, so that a restart says
nothing twice. Not promised: a line for an end right before a crash, or for what calls under way at a withdrawal still
did: results have all of it. Where the log's level is above ``info``, and nothing is traced, nothing is listened to.
"""

from __future__ import annotations

import logging
from typing import Final

import structlog

from stream.model import Outcome, RevokeResult
from stream.service.clock import Clock
from stream.service.desk import Desk
from stream.service.outbox import Written
from stream.service.settling import Settling
from stream.service.tracing import Tracing
from stream.work.condemned import Condemned
from stream.work.judgement import Violation
from stream.work.tally import Tally

_WOULD_BE: Final = "would be "
_NOTHING: Final = Tally()
_ENDS: Final = frozenset({Outcome.NOT_FOUND.value, Outcome.WITHDRAWN.value})


class Ends:
    """See the module's words. On the event loop."""

    def __init__(self, clock: Clock, tracing: Tracing | None = None) -> None:
        self._clock = clock
        self._log = structlog.get_logger(__name__).bind()  # else each line would bind anew, which costs as much again
        self._tracing = tracing

    def listen(self, desk: Desk, settling: Settling) -> None:
        """Hear of every result and every rest from now on, if anybody is told: the log by its level, or a trace."""
        if self._log.is_enabled_for(logging.INFO) or self._tracing is not None:
            settling.watchers.append(self.settled)
            desk.rested = self.rested

    def settled(self, written: Written) -> None:
        """A result is delivered and marked."""
        it, result = written.owner, written.result
        if it is None:
            return
        if written.parcel is None:
            self._bare(it, result)
        else:
            it.tally(result.violation_id).add(result)

    def rested(self, it: Condemned) -> None:
        """Nothing is left to do for those of a message's violations that act."""
        if not it.tallies:
            return
        for violation in it.acting:
            tally = it.tallies.get(violation.violation_id)
            if tally is not None and tally.results:
                del it.tallies[violation.violation_id]
                self._say(it, violation, "settled", tally, it.totals(violation.violation_id, all_read=True))

    def _bare(self, it: Condemned, result: RevokeResult) -> None:
        said, violation = _outcome(result), it.violations.get(result.violation_id)
        if said in _ENDS and violation is not None:
            tally = it.tallies.pop(result.violation_id, None) if it.tallies else None
            totals = result.violation_tokens_matched, result.violation_tokens_settled
            self._say(it, violation, said.lower(), tally, totals)

    def _say(self, it: Condemned, violation: Violation, end: str, tally: Tally | None, totals: tuple[int, int]) -> None:
        seen = tally or _NOTHING
        figures: dict[str, str | int] = {
            "end": end,
            "tokens_revoked": seen.tokens_revoked,
            "tokens_rejected": seen.tokens_rejected,
            "tokens_matched": totals[0],
            "tokens_settled": totals[1],
            "late": bool(seen.results) and seen.late,
        }
        now_ms = self._clock.now_ms()
        self._log.info(
            "violation_ended",
            **it.named(violation),
            **figures,
            results=dict(seen.results),
            took_s=(now_ms - violation.latest_ms) / 1000,
            since_detected_s=(now_ms - violation.detected_at_ms) / 1000,
        )
        if self._tracing is not None:
            self._tracing.ended(it, violation, tally, figures)


def _outcome(result: RevokeResult) -> str:
    """Of a dry run's result, what it would be."""
    if result.outcome is not Outcome.DRY_RUN:
        return str(result.outcome.value)
    return (result.detail or "").removeprefix(_WOULD_BE).partition(":")[0]
