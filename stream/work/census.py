"""How the violations in memory stand, counted: by severity and state, and the oldest that is open. Pure.

Promised: a message costs the count a few steps, whatever it has under way. Not promised: what is not in memory, which
is most of what was settled long ago.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from stream.model import Severity
from stream.work.condemned import Condemned
from stream.work.judgement import Violation

OPEN: Final = frozenset({"waiting", "active"})
"""States in which something is still to come of a violation without a person's word."""

StateOf = Callable[[Condemned, Violation], str]


class Census:
    """See the module's words."""

    def __init__(self) -> None:
        self.counts: dict[Severity, Counter[str]] = {severity: Counter() for severity in Severity}
        """By severity and state."""
        self.oldest: dict[Severity, Violation] = {}
        """Of each severity the open violation that was asked for first."""

    def add(self, it: Condemned, state_of: StateOf) -> None:
        """Count the violations of one message."""
        for violation in it.violations.values():
            state = state_of(it, violation)
            self.counts[violation.severity][state] += 1
            if state in OPEN:
                self._see_age(violation)

    def _see_age(self, violation: Violation) -> None:
        oldest = self.oldest.get(violation.severity)
        if oldest is None or violation.latest_ms < oldest.latest_ms:
            self.oldest[violation.severity] = violation
