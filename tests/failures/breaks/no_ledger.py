"""The ledger is skipped: what the results topic says is done leaves no mark."""

from __future__ import annotations

from stream.service.intake import Intake


def spoil() -> None:
    """Work that another, or a former self, has done is done again."""
    Intake._entries = lambda *_: []  # type: ignore[method-assign]
