"""Tokens that Push Kit has refused for good, by violation: what is known to be bad is not asked for again. Pure.

A message may go to one token in many sends. Found bad in one call, by name or at the end of halving, it would have each
further batch refused and halved anew. Promised: of each of the latest violations with such tokens all are known, up to
``most`` tokens in all. Not promised: more than that, or anything over a restart; what is not known is asked for again,
which costs calls and changes no ending.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from stream.model import RejectedToken
from stream.work.packing import Parcel

MOST_TOKENS: Final = 20_000
"""Some 5 MB."""

_Of = tuple[str, str, str | None]


class Refused:
    """See the module's words."""

    __slots__ = ("_most", "_size", "_tokens")

    def __init__(self, most: int = MOST_TOKENS) -> None:
        self._most, self._size = most, 0
        self._tokens: dict[_Of, dict[bytes, str]] = {}

    def add(self, parcel: Parcel, rejected: Iterable[RejectedToken]) -> None:
        """These tokens of a parcel are refused for good."""
        known = self._tokens.setdefault(_of(parcel), {})
        before = len(known)
        known.update({each.token.encode(): each.reason for each in rejected})
        self._size += len(known) - before
        while self._size > self._most:
            self._size -= len(self._tokens.pop(next(iter(self._tokens))))

    def of(self, parcel: Parcel) -> tuple[RejectedToken, ...]:
        """The tokens of a parcel that were refused before under its violation, in its order, with their reasons."""
        if not self._tokens or not (known := self._tokens.get(_of(parcel))):
            return ()
        return tuple(RejectedToken(token.decode(), known[token]) for token in parcel.tokens if token in known)


def _of(parcel: Parcel) -> _Of:
    return parcel.violation.message_id, parcel.violation.violation_id, parcel.client_id
