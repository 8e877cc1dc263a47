"""Whether this instance is ready, and what people should know of it. Pure.

Promised: a *reason* makes it not ready, a *note* does not. Not ready means that something it owns is not acted on and
that waiting for it makes sense: a rollout stops there. What one app or the producers have to mend is a note, since
all else goes on.
"""

from __future__ import annotations

from typing import NamedTuple


class Note(NamedTuple):
    """One thing to know: a fixed word for programs, a sentence for people."""

    word: str
    why: str


class Health(NamedTuple):
    """``reasons`` empty: ready."""

    reasons: list[Note]
    notes: list[Note]

    @property
    def ready(self) -> bool:
        """Whether it is a member of the group and able to act."""
        return not self.reasons

    def as_json(self) -> dict[str, object]:
        """The body of ``/readyz``."""
        return {
            "ready": self.ready,
            "reasons": [note._asdict() for note in self.reasons],
            "notes": [note._asdict() for note in self.notes],
        }
