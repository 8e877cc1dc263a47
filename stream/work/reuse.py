"""Whether apps give one notifyId to several messages, told from a sample of slots. Pure.

Push Kit knows no messages, only *slots*: app, token and notifyId. A revoke takes away what the slot shows now, so an
app that gives a slot to a second message would see that one revoked with the first.

Promised: a slot is looked at or not by its token alone, so of a slot that is looked at every message is seen; memory is
bounded, whatever comes: with more slots than fit, the part that is looked at halves, and doubles when few are left.
Two messages of a slot in that part, less than ``span_ms`` apart, are always found. Not promised: the other slots, nor
two messages with a restart between them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from stream.block import turn_of, turns
from stream.work.guard import Hold, Reason, Request

MOST_SLOTS: Final = 16_384
"""Some 5 MB."""
MOST_APPS: Final = 1_000
NAME_CHARACTERS: Final = 64
"""Kept of a messageId, for people."""
_FEW: Final = 16
"""So many tokens are quicker one by one."""
_ALL: Final = 2**32 - 1
_FINEST: Final = 24


class Message(NamedTuple):
    """A message as a slot remembers it."""

    digest: bytes
    name: str
    """Its id, or the beginning of it."""


class Found(NamedTuple):
    """A slot that was given to a second message."""

    client_id: str
    notify_id: int
    first: str
    second: str
    """The two messages' ids, or the beginnings of them."""

    def __str__(self) -> str:
        return f"notifyId {self.notify_id} for messages {self.first} and {self.second}"


class Standing:
    """What the sample says of one app."""

    __slots__ = ("last_ms", "latest", "looked_at", "reused")

    def __init__(self) -> None:
        self.looked_at = 0
        """Slots, each counted when it is first met."""
        self.reused = 0
        """How often one of them was given to another message."""
        self.latest: Found | None = None
        self.last_ms = 0


class _Slot(NamedTuple):
    message: Message
    turn: int
    """What decides whether its token is looked at."""


class Reuse:
    """See the module's words. Not safe for several threads at once."""

    __slots__ = ("_at_ms", "_halvings", "_most", "_old", "_span_ms", "_young", "apps")

    def __init__(self, span_ms: int, now_ms: int, most_slots: int = MOST_SLOTS) -> None:
        self.apps: dict[str, Standing] = {}
        self._span_ms, self._most = span_ms, most_slots
        self._halvings = 0
        self._young: dict[int, _Slot] = {}
        self._old: dict[int, _Slot] = {}
        """Slots met in the span before the present one."""
        self._at_ms = now_ms

    @property
    def below(self) -> int:
        """Tokens whose ``turn_of`` is below this are looked at."""
        return _ALL >> self._halvings

    @property
    def share(self) -> float:
        """The part of all slots that is looked at now."""
        return 0.5**self._halvings

    @property
    def slots(self) -> int:
        """How many are remembered."""
        return len(self._young) + len(self._old)

    def reuses(self, client_id: str, now_ms: int) -> bool:
        """Whether an app gave a slot to a second message, and of late: within the span."""
        standing = self.apps.get(client_id)
        return standing is not None and standing.latest is not None and now_ms - standing.last_ms <= self._span_ms

    def reusing(self, now_ms: int) -> dict[str, Standing]:
        """The apps that do."""
        return {client_id: standing for client_id, standing in self.apps.items() if self.reuses(client_id, now_ms)}

    def recall(self, found: Found, at_ms: int) -> None:
        """What was found before a restart."""
        standing = self._standing(found.client_id)
        standing.latest, standing.last_ms = found, at_ms

    def look(
        self, client_id: str, notify_id: int, message: Message, tokens: Sequence[bytes], now_ms: int
    ) -> Found | None:
        """One send; of its tokens those are looked at whose turn it is. Gives a slot of it that had another message."""
        self._turn(now_ms)
        found = None
        for token, turn in _looked_at(tokens, self.below):
            name, slot = hash((client_id, notify_id, token)), _Slot(message, turn)
            if (before := self._meet(client_id, name, slot, now_ms)) is not None:
                found = Found(client_id, notify_id, before.name, message.name)
                self.apps[client_id].latest = found
        self._fit()
        return found

    def _meet(self, client_id: str, name: int, slot: _Slot, now_ms: int) -> Message | None:
        """The message that the slot had, where it was another."""
        known = self._young.get(name) or self._old.pop(name, None)
        self._young[name] = slot
        standing = self._standing(client_id)
        standing.looked_at += known is None
        if known is None or known.message.digest == slot.message.digest:
            return None
        standing.reused, standing.last_ms = standing.reused + 1, now_ms
        return known.message

    def _standing(self, client_id: str) -> Standing:
        if client_id not in self.apps:
            if len(self.apps) >= MOST_APPS:
                del self.apps[min(self.apps, key=lambda each: self.apps[each].last_ms)]
            self.apps[client_id] = Standing()
        return self.apps[client_id]

    def _turn(self, now_ms: int) -> None:
        """A span is over: what was met before it is forgotten."""
        if now_ms - self._at_ms >= self._span_ms:
            self._at_ms = now_ms
            self._old, self._young = self._young, {}
            if self._halvings and self.slots < self._most // 4:
                self._halvings -= 1

    def _fit(self) -> None:
        while self.slots > self._most and self._halvings < _FINEST:
            self._halvings += 1
            self._old, self._young = self._within(self._old), self._within(self._young)

    def _within(self, slots: dict[int, _Slot]) -> dict[int, _Slot]:
        return {name: slot for name, slot in slots.items() if slot.turn < self.below}


def shared_slots(kept: Container[str], found: Callable[[str], Found | None]) -> Reason:
    """Holds what would be called of an app of ``kept`` that was found to give one notifyId to several messages."""

    def reason(request: Request, _: float) -> Hold | None:
        for app in sorted(app for app, places in request.more.items() if places and app in kept):
            if (seen := found(app)) is not None:
                because = f"app {app} gives one notifyId to several messages ({seen}), so a revoke may take away others"
                cause = f"push_kit.apps.{app}.hold_shared_notify_ids"
                return Hold(cause, sum(request.more.values()), 0, app, because)
        return None

    return reason


def _looked_at(tokens: Sequence[bytes], below: int) -> Iterator[tuple[bytes, int]]:
    """The tokens whose turn it is, and what says so."""
    if len(tokens) <= _FEW:
        yield from ((token, turn) for token in tokens if (turn := turn_of(token)) < below)
        return
    every = turns(tokens)
    for place in np.flatnonzero(every < below).tolist():
        yield tokens[place], int(every[place])
