"""How far the story has come, counted from the results as they are read. Pure: the caller says what time it is.

Promised: ``done`` when every violation has the places and the words that the plan expects. Not promised: that nothing
else happened; the judge looks at that.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from stream.demo.plan import Plan, Seen
from stream.model import Outcome, RevokeResult, Severity

_WINDOW_S: Final = 1.0
_CALLED: Final = frozenset({Outcome.REVOKED, Outcome.PARTIALLY_REVOKED})


class Took(NamedTuple):
    """How long one call's devices waited, from the later of finding and sending until they were revoked."""

    client_id: str
    severity: Severity
    wait_ms: int


@dataclass(slots=True)
class Standing:
    """See the module's words."""

    plan: Plan
    sends_written: int = 0
    events_written: int = 0
    letters: int = 0
    devices: int = 0
    seen: set[Seen] = field(default_factory=set)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    places: Counter[Outcome] = field(default_factory=Counter)
    revoked: Counter[str] = field(default_factory=Counter)
    """Devices by app."""
    total: Counter[Severity] = field(default_factory=Counter)
    settled: Counter[Severity] = field(default_factory=Counter)
    took: list[Took] = field(default_factory=list)
    peak_per_s: int = 0
    changed_s: float = 0.0
    """When something was last heard."""
    _left: dict[str, int] = field(default_factory=dict)
    _unsaid: dict[str, set[Outcome]] = field(default_factory=dict)
    _ids: set[str] = field(default_factory=set)
    _recent: deque[tuple[float, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        for name, expected in self.plan.expected.items():
            self.total[expected.severity] += 1
            self._left[name] = self.plan.places(expected)
            self._unsaid[name] = set(expected.says)

    @property
    def done(self) -> bool:
        """Whether all is settled and every bad record has its dead letter."""
        return self.settled.total() >= self.total.total() and self.letters >= len(self.plan.bad)

    def result(self, result: RevokeResult, since_ms: int | None, now_s: float) -> None:
        """A result was read. ``since_ms``: when its violation and all its sends were there; None: not measured."""
        self.changed_s = now_s
        if result.result_id in self._ids:
            return
        self._ids.add(result.result_id)
        self.seen.add(Seen(result.violation_id, result.outcome))
        self.outcomes[result.outcome] += 1
        self._settle(result)
        if result.outcome in _CALLED and result.client_id is not None:
            self._revoked(result, result.client_id, since_ms, now_s)

    def letter(self, now_s: float) -> None:
        """A dead letter was read."""
        self.changed_s = now_s
        self.letters += 1

    def _settle(self, result: RevokeResult) -> None:
        expected = self.plan.expected.get(result.violation_id)
        if expected is None or self._is_settled(result.violation_id):
            return
        covered = sum(part.token_count for part in result.sends) if result.outcome.covers else 0
        self.places[result.outcome] += covered
        self._left[result.violation_id] -= covered
        self._unsaid[result.violation_id].discard(result.outcome)
        self.settled[expected.severity] += self._is_settled(result.violation_id)

    def _is_settled(self, violation_id: str) -> bool:
        return self._left[violation_id] <= 0 and not self._unsaid[violation_id]

    def _revoked(self, result: RevokeResult, client_id: str, since_ms: int | None, now_s: float) -> None:
        self.devices += result.tokens_revoked
        self.revoked[client_id] += result.tokens_revoked
        self._recent.append((now_s, result.tokens_revoked))
        self.peak_per_s = max(self.peak_per_s, self.devices_per_s(now_s))
        if since_ms is not None:
            self.took.append(Took(client_id, result.severity, max(0, result.completed_at_ms - since_ms)))

    def devices_per_s(self, now_s: float) -> int:
        """Devices revoked in the last second."""
        while self._recent and self._recent[0][0] <= now_s - _WINDOW_S:
            self._recent.popleft()
        return sum(devices for _, devices in self._recent)

    def wait_ms(self, share: float, *, severity: Severity | None = None, client_id: str | None = None) -> int | None:
        """The time within which this share of calls revoked, of all or of some; None: there was none."""
        waits = sorted(
            each.wait_ms
            for each in self.took
            if severity in (None, each.severity) and client_id in (None, each.client_id)
        )
        return waits[min(len(waits) - 1, int(share * len(waits)))] if waits else None
