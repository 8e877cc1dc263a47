"""What was settled of a violation since its end was said last: for the line that says the next. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

from stream.model import RevokeResult


class Tally:
    """Sums over results. Promised: nothing is kept of a result but numbers."""

    __slots__ = ("late", "results", "span", "tokens_rejected", "tokens_revoked")

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        """By outcome."""
        self.tokens_revoked = 0
        self.tokens_rejected = 0
        self.late = True
        """Whether all of them are."""
        self.span: Any = None
        """Of whoever traces: what began with the first call."""

    def add(self, result: RevokeResult) -> None:
        """One more result of the violation is delivered and marked."""
        self.results[result.outcome.value] += 1
        self.tokens_revoked += result.tokens_revoked
        self.tokens_rejected += len(result.rejected_tokens)
        self.late = self.late and result.late
