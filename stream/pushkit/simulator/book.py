"""The simulator's book: what was revoked, what was refused, how often, and when each call was received.

Promised: exact, per (clientId, notifyId, token) and per app; a token takes little more than its own bytes while one
call has named its slot, nothing if another slot has the very same long list, and about 200 bytes once a second call
has named its slot. Not promised: order within a slot, or calls older than the last ``RING_CALLS`` in the timeline.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

import orjson

from stream.pushkit.simulator.named import Named
from stream.pushkit.simulator.rates import Peak

RING_CALLS: Final = 200_000
"""Calls that the timeline remembers."""


class Moment(NamedTuple):
    """One instant on both clocks, in nanoseconds."""

    monotonic_ns: int
    wall_ns: int


class Mark(NamedTuple):
    """When a token was named under a notifyId first and last (UTC, ms), and by how many calls."""

    first_ms: int
    last_ms: int
    calls: int


class CallSeen(NamedTuple):
    """One received call; ``number`` counts from 1 and has no gaps. ``notify_id`` is None where it was no integer."""

    number: int
    monotonic_ns: int
    wall_ns: int
    client_id: str
    notify_id: int | None
    tokens: int
    status: int
    """The HTTP status answered; 0: cut or left hanging."""
    code: str


class _Packed(NamedTuple):
    """The tokens of a slot that one call has named so far: half the memory of a dictionary, and no hashing."""

    tokens_json: bytes | memoryview
    mark: Mark

    def unpacked(self) -> dict[str, Mark]:
        """The marks by token."""
        return dict.fromkeys(orjson.loads(self.tokens_json), self.mark)


class Ledger:
    """Marks by app, notifyId and token."""

    __slots__ = ("_apps", "_lists")

    def __init__(self) -> None:
        self._apps: dict[str, dict[int, _Packed | dict[str, Mark]]] = {}
        self._lists: dict[bytes, bytes | memoryview] = {}

    def add(self, client_id: str, notify_id: int, tokens: Named, at_ms: int) -> int:
        """Mark the tokens of one call; returns how many of them were marked before by another call."""
        slots = self._apps.setdefault(client_id, {})
        known, mark = slots.get(notify_id), Mark(at_ms, at_ms, 1)
        if known is None:
            slots[notify_id] = _Packed(self._kept_once(tokens), mark)
            return 0
        if isinstance(known, _Packed):
            known = slots[notify_id] = known.unpacked()
        return _marked_again(known, dict.fromkeys(tokens.strings(), mark))

    def tokens(self, client_id: str, notify_id: int) -> Mapping[str, Mark]:
        """The marks under one notifyId; empty if there are none."""
        known = self._apps.get(client_id, {}).get(notify_id, {})
        return known.unpacked() if isinstance(known, _Packed) else known

    def slots(
        self, client_id: str | None = None, notify_id: int | None = None
    ) -> Iterator[tuple[str, int, Mapping[str, Mark]]]:
        """Every (clientId, notifyId, marks), or those of one app, or of one notifyId."""
        for app, slots in self._apps.items():
            if client_id in (None, app):
                for slot in slots if notify_id is None else slots.keys() & {notify_id}:
                    yield app, slot, self.tokens(app, slot)

    def clear(self) -> None:
        """Forget everything."""
        self._apps.clear()
        self._lists.clear()

    def _kept_once(self, tokens: Named) -> bytes | memoryview:
        """Messages to the same people are revoked by the same lists: a long one takes its memory once for all slots."""
        return self._lists.setdefault(tokens.digest, tokens.json) if tokens.digest else tokens.json


def _marked_again(known: dict[str, Mark], fresh: dict[str, Mark]) -> int:
    repeated = known.keys() & fresh.keys()
    for token in repeated:
        before, now = known[token], fresh[token]
        fresh[token] = Mark(before.first_ms, now.last_ms, before.calls + 1)
    known.update(fresh)
    return len(repeated)


class AppCounts:
    """What one app's calls came to."""

    __slots__ = ("calls", "refused", "devices", "duplicates", "rejected", "codes", "accepted_peak", "asked_peak")

    def __init__(self) -> None:
        self.calls = 0
        """Revoke calls received."""
        self.refused = 0
        """Of them, those that revoked nothing."""
        self.devices = 0
        """Distinct tokens revoked, summed over calls."""
        self.duplicates = 0
        """Tokens revoked that an earlier call had revoked under the same notifyId, or twice in one call."""
        self.rejected = 0
        """Tokens refused by name in calls that were partly accepted, or with every token named."""
        self.codes: Counter[str] = Counter()
        """Answers by code; by HTTP status where there was no code, and "cut" or "hang"."""
        self.accepted_peak = Peak()
        self.asked_peak = Peak()

    def to_json(self) -> dict[str, object]:
        """The counts as ``GET /_sim/counts`` shows them."""
        return {
            "calls": self.calls,
            "refused": self.refused,
            "devices": self.devices,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "codes": dict(self.codes),
            "peakDevicesPerS": self.accepted_peak.highest,
            "peakAskedPerS": self.asked_peak.highest,
        }


class Book:
    """Everything that was received since the start or the last ``clear``."""

    __slots__ = ("revoked", "refused", "_counts", "_calls", "_number")

    def __init__(self, ring_calls: int = RING_CALLS) -> None:
        self.revoked = Ledger()
        """Tokens that calls have revoked."""
        self.refused = Ledger()
        """Tokens that calls named without effect: refused whole, or by name."""
        self._counts: dict[str, AppCounts] = {}
        self._calls: deque[CallSeen] = deque(maxlen=ring_calls)
        self._number = 0

    def counts(self, client_id: str) -> AppCounts:
        """The running counts of one app."""
        counts = self._counts.get(client_id)
        if counts is None:
            counts = self._counts[client_id] = AppCounts()
        return counts

    def all_counts(self) -> Mapping[str, AppCounts]:
        """The counts of every app that has called."""
        return self._counts

    def calls(self, since: int = 0) -> Iterator[CallSeen]:
        """The remembered calls with a number above ``since``, in the order received."""
        if not self._calls:
            return iter(())
        return islice(self._calls, max(0, since + 1 - self._calls[0].number), None)

    def seen(self, moment: Moment, client_id: str, notify_id: int | None, tokens: int, status: int, code: str) -> None:
        """Enter a call in the timeline."""
        self._number += 1
        self._calls.append(CallSeen(self._number, *moment, client_id, notify_id, tokens, status, code))

    def clear(self) -> None:
        """Forget everything; the numbers of calls go on."""
        self.revoked.clear()
        self.refused.clear()
        self._counts.clear()
        self._calls.clear()
