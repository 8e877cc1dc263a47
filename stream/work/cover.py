"""Which places of a send are still to be done for a violation, given the marks that results left. Pure.

A *place* is a position in a send's token list; a *span* is a half-open run of places; a *mark* says what one result
covers of one send.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from stream.model import Outcome

Span = tuple[int, int]


class Kind(IntEnum):
    """What a mark says of its places; of several marks on one place, the higher counts for another violation."""

    GIVEN_UP = 0
    """FAILED without a reason for each token: tried again for another violation or a later event of this one."""
    NOT_REVOCABLE = 1
    REFUSED = 2
    """FAILED with a reason for each token: refused for good."""
    REVOKED = 3
    """REVOKED, PARTIALLY_REVOKED (but for its rejected tokens), ALREADY_REVOKED; DRY_RUN in a dry run."""


class Mark(NamedTuple):
    """``places`` places from ``first`` on, covered for ``violation_id`` by the result at ``result_offset``."""

    send_offset: int
    first: int
    places: int
    kind: Kind
    violation_id: str
    result_offset: int
    timestamp_ms: int
    rejects: bool
    """Whether the result rejected some tokens; which, stands beside it in the store."""

    @property
    def span(self) -> Span:
        """The places as a span."""
        return self.first, self.first + self.places


def kind_of(outcome: Outcome, rejects: bool) -> Kind:
    """What a covering outcome says of its places."""
    if outcome is Outcome.NOT_REVOCABLE:
        return Kind.NOT_REVOCABLE
    if outcome is Outcome.FAILED:
        return Kind.REFUSED if rejects else Kind.GIVEN_UP
    return Kind.REVOKED


def covers(mark: Mark, violation_id: str, again_ms: int) -> bool:
    """Whether the mark settles its places for this violation; what was given up before ``again_ms`` is to be tried
    again."""
    return mark.violation_id == violation_id and not (mark.kind is Kind.GIVEN_UP and mark.timestamp_ms < again_ms)


def without(spans: Sequence[Span], cuts: Iterable[Span]) -> list[Span]:
    """The places of ``spans`` that lie in none of ``cuts``, in order."""
    left = list(spans)
    for lo, hi in cuts:
        if lo < hi:
            left = [part for span in left for part in _cut(span, lo, hi)]
    return left


def _cut(span: Span, lo: int, hi: int) -> list[Span]:
    start, end = span
    return [piece for piece in ((start, min(end, lo)), (max(start, hi), end)) if piece[0] < piece[1]]


def within(spans: Iterable[Span], frame: Span) -> list[Span]:
    """The places of ``spans`` that lie in ``frame``, in order."""
    pieces = ((max(start, frame[0]), min(end, frame[1])) for start, end in spans)
    return [piece for piece in pieces if piece[0] < piece[1]]


def size(spans: Iterable[Span]) -> int:
    """How many places."""
    return sum(end - start for start, end in spans)


def still_open(places: int, marks: Sequence[Mark], violation_id: str, again_ms: int) -> list[Span]:
    """The places ``0 .. places - 1`` that no mark settles for this violation."""
    if not marks:
        return [(0, places)] if places else []
    return without([(0, places)] if places else [], (m.span for m in marks if covers(m, violation_id, again_ms)))


def called(marks: Sequence[Mark], violation_id: str) -> list[Span]:
    """The places that were called for this violation, as far as marks tell: what another had had revoked or refused
    before it was covered without a call. Spans may lie over each other where two owners did."""
    others = [m for m in marks if m.violation_id != violation_id and m.kind >= Kind.REFUSED]
    return [
        span
        for mark in marks
        if mark.violation_id == violation_id and mark.kind is not Kind.NOT_REVOCABLE
        for span in without([mark.span], (m.span for m in others if m.result_offset < mark.result_offset))
    ]


def given_up(spans: Sequence[Span], marks: Sequence[Mark], violation_id: str) -> list[tuple[Span, int | None]]:
    """``spans`` with the result that gave each of them up for this violation last, or None: nothing did."""
    if not marks:  # as nearly always
        return [(span, None) for span in spans]
    found: list[tuple[Span, int | None]] = []
    left = list(spans)
    mine = (m for m in marks if m.violation_id == violation_id and m.kind is Kind.GIVEN_UP)
    for mark in sorted(mine, key=lambda m: -m.result_offset):
        found += [(piece, mark.result_offset) for piece in within(left, mark.span)]
        left = without(left, [mark.span])
    return [*found, *((span, None) for span in left)]


def known_elsewhere(
    spans: Sequence[Span], marks: Sequence[Mark], violation_id: str
) -> tuple[list[tuple[Span, Mark]], list[Span]]:
    """Of ``spans``: what another violation had revoked or refused for good (with its mark), and what is left."""
    known: list[tuple[Span, Mark]] = []
    left = list(spans)
    others = (m for m in marks if m.violation_id != violation_id and m.kind >= Kind.REFUSED)
    for mark in sorted(others, key=lambda m: (-m.kind, m.result_offset)):
        known += [(piece, mark) for piece in within(left, mark.span)]
        left = without(left, [mark.span])
    return known, left
