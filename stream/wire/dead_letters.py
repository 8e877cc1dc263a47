"""What is written on a dead letter and read from it again, and how many bad records are too many.

Promised: headers that any consumer can read, of bounded size, one of each name. Not promised: that the record goes
anywhere; ``kafka`` writes it, and sends it back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from stream.model import BadRecord, Position

REASON: Final = "unpush.error.reason"
MESSAGE: Final = "unpush.error.message"
TOPIC: Final = "unpush.error.topic"
PARTITION: Final = "unpush.error.partition"
OFFSET: Final = "unpush.error.offset"
TIMESTAMP: Final = "unpush.error.timestamp"

OURS: Final = frozenset({REASON, MESSAGE, TOPIC, PARTITION, OFFSET, TIMESTAMP})

MAX_MESSAGE_CHARACTERS: Final = 300
"""A sentence of ours fits; what a stranger's schema made of it is cut."""

_LEFT_OUT: Final = " (its own headers are left out: one of their names is not UTF-8)"

Headers = Iterable[tuple[str, bytes | None]]


def headers(own: Headers | None, bad: BadRecord, position: Position) -> list[tuple[str, bytes | None]]:
    """The record's own headers as they came, then ours; ours from an earlier failure are replaced. None: its own cannot
    be told, nor be written."""
    kept = without_ours(own or ())
    ours = {
        REASON: bad.reason.value,
        MESSAGE: _shortened(str(bad)) + (_LEFT_OUT if own is None else ""),
        TOPIC: position.topic,
        PARTITION: str(position.partition),
        OFFSET: str(position.offset),
        TIMESTAMP: str(position.timestamp_ms),
    }
    return kept + [(name, text.encode("utf-8", "replace")) for name, text in ours.items()]


def _shortened(sentence: str) -> str:
    line = " ".join(sentence.split())
    return line if len(line) <= MAX_MESSAGE_CHARACTERS else line[: MAX_MESSAGE_CHARACTERS - 1] + "…"


def without_ours(found: Headers) -> list[tuple[str, bytes | None]]:
    """The record's own headers, in their order."""
    return [(name, value) for name, value in found if name not in OURS]


class Origin(NamedTuple):
    """What a dead letter says of itself. ``timestamp_ms``: the original record's; None: it does not say."""

    reason: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None


def origin(found: Headers) -> Origin | None:
    """Where a dead letter came from; None: it is none of ours."""
    said = {name: (value or b"").decode("utf-8", "replace") for name, value in found if name in OURS}
    partition, offset = _number(said.get(PARTITION)), _number(said.get(OFFSET))
    if not said.get(TOPIC) or partition is None or offset is None:
        return None
    return Origin(said.get(REASON, ""), said[TOPIC], partition, offset, _number(said.get(TIMESTAMP)))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 20 else None


class BadShare:
    """The share of bad records among the last ones of a topic, counted in runs: a batch of good ones is one step."""

    def __init__(self, bound: float = 0.5, window: int = 1_000, at_least: int = 100) -> None:
        self._bound, self._window, self._at_least = bound, window, at_least
        self._runs: deque[tuple[int, bool]] = deque()
        self._records = self._bad = 0

    def good(self, records: int = 1) -> None:
        """So many records were as they should be."""
        self._add(records, bad=False)

    def bad(self, records: int = 1) -> None:
        """So many records went to the dead-letter topic."""
        self._add(records, bad=True)

    @property
    def share(self) -> float:
        """From 0 to 1, of the records in the window."""
        return self._bad / self._records if self._records else 0.0

    @property
    def too_many(self) -> bool:
        """Whether this is a bad deployment rather than bad records; never before enough records were seen."""
        return self._records >= self._at_least and self.share > self._bound

    def __str__(self) -> str:
        return f"{self._bad} of the last {self._records} records"

    def _add(self, records: int, *, bad: bool) -> None:
        if records:
            self._runs.append((records, bad))
            self._count(records, bad)
        while self._records > self._window:
            self._drop(self._records - self._window)

    def _drop(self, at_most: int) -> None:
        records, bad = self._runs.popleft()
        if records > at_most:
            self._runs.appendleft((records - at_most, bad))
        self._count(-min(records, at_most), bad)

    def _count(self, records: int, bad: bool) -> None:
        self._records += records
        self._bad += records if bad else 0
