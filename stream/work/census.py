"""How the violations in memory stand, counted: by severity and state, the oldest that is open, those that are held.
Pure.

Promised: a message costs the count a few steps, whatever it has under way. Not promised: what is not in memory, which
is most of what was settled long ago.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from stream.model import Severity
from stream.work.condemned import Condemned
from stream.work.judgement import Violation

OPEN: Final = frozenset({"waiting", "active"})
"""States in which something is still to come of a violation without a person's word."""

StateOf = Callable[[Condemned, Violation], str]


class Seen(NamedTuple):
    """A violation and the message that it condemns."""

    violation: Violation
    message: Condemned


class Census:
    """See the module's words."""

    def __init__(self, most_held: int) -> None:
        """Of those that are held the first ``most_held`` are kept; all are counted."""
        self.counts: dict[Severity, Counter[str]] = {severity: Counter() for severity in Severity}
        """By severity and state."""
        self.oldest: dict[Severity, Violation] = {}
        """Of each severity the open violation that was asked for first."""
        self.held: list[Seen] = []
        self._most_held = most_held

    def add(self, it: Condemned, state_of: StateOf) -> None:
        """Count the violations of one message."""
        for violation in it.violations.values():
            state = state_of(it, violation)
            self.counts[violation.severity][state] += 1
            if state in OPEN:
                self._see_age(violation)
            elif state == "held" and len(self.held) < self._most_held:
                self.held.append(Seen(violation, it))

    def _see_age(self, violation: Violation) -> None:
        oldest = self.oldest.get(violation.severity)
        if oldest is None or violation.latest_ms < oldest.latest_ms:
            self.oldest[violation.severity] = violation
