"""A text that must not be seen.

Promised: no formatting, repr or dataclass dump shows it. Not promised: safety from whoever calls ``reveal``.
"""

from __future__ import annotations

from typing import Final

HIDDEN: Final = "(hidden)"


class Secret:
    """Holds a secret; not a dataclass, since ``dataclasses.asdict`` would unwrap it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself, for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)
