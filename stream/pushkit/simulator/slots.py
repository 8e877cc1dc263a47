"""What a device shows: one message per slot (app, notifyId, token), the later replacing the earlier.

Promised: a revoke hits what the slot holds now, whichever message was meant, unless it was clicked; every hit is
entered under its message. Not promised: delivery itself; a message's state is what was registered.
Sources: harmonyos-guides/push-revoke-alert; harmonyos-references/push-scenariozed-api-request-param (notifyId).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from stream.pushkit.simulator.named import Named


class State(Enum):
    """How far a message has come on a device."""

    UNDELIVERED = "undelivered"
    DELIVERED = "delivered"
    DISPLAYED = "displayed"
    CLICKED = "clicked"
    """Out of a revoke's reach."""


class Message(NamedTuple):
    """One registered send."""

    client_id: str
    notify_id: int
    message_id: str
    tokens: Sequence[str]
    state: State = State.DISPLAYED


class Tally:
    """What has become of one message, in devices."""

    __slots__ = ("sent", "revoked", "replaced", "clicked", "shared")

    def __init__(self) -> None:
        self.sent = 0
        self.revoked = 0
        """Stopped or taken off the screen."""
        self.replaced = 0
        """A later message took the slot before any revoke."""
        self.clicked = 0
        """A revoke came and could not reach it."""
        self.shared = 0
        """Revoked from a slot that an earlier message had held: innocent, if that one was meant."""

    def to_json(self) -> dict[str, int]:
        """The tally as ``GET /_sim/messages`` shows it."""
        return {name: getattr(self, name) for name in self.__slots__}


class _Held(NamedTuple):
    message_id: str
    state: State
    shared: bool


class Slots:
    """All registered messages."""

    __slots__ = ("_slots", "_tallies")

    def __init__(self) -> None:
        self._slots: dict[tuple[str, int], dict[str, _Held | None]] = {}
        self._tallies: dict[str, Tally] = {}

    def register(self, message: Message) -> None:
        """Let the message take its slots."""
        devices = self._slots.setdefault((message.client_id, message.notify_id), {})
        tally = self._tallies.setdefault(message.message_id, Tally())
        for token in message.tokens:
            before = devices.get(token)
            other = before is not None and before.message_id != message.message_id
            if before is not None and other:
                self._tallies[before.message_id].replaced += 1
            devices[token] = _Held(message.message_id, message.state, other or (before is not None and before.shared))
            tally.sent += 1

    def holds_any(self, client_id: str, notify_id: int, tokens: Iterable[str]) -> bool:
        """Whether any of these slots was ever taken; True where nothing was registered at all."""
        devices = self._slots.get((client_id, notify_id), {})
        return not self._slots or any(token in devices for token in tokens)

    def revoke(self, client_id: str, notify_id: int, tokens: Named) -> None:
        """Empty these slots, as far as they can be reached."""
        devices = self._slots.get((client_id, notify_id))
        if devices:
            for token in set(tokens.strings()):
                self._empty(devices, token)

    def tallies(self) -> Mapping[str, Tally]:
        """What has become of each message."""
        return self._tallies

    def innocents(self) -> dict[str, int]:
        """Messages hit through a slot that an earlier message had held, with the number of devices."""
        return {message_id: tally.shared for message_id, tally in self._tallies.items() if tally.shared}

    def clear(self) -> None:
        """Forget every message."""
        self._slots.clear()
        self._tallies.clear()

    def _empty(self, devices: dict[str, _Held | None], token: str) -> None:
        held = devices.get(token)
        if held is None:
            return
        tally = self._tallies[held.message_id]
        if held.state is State.CLICKED:
            tally.clicked += 1
            return
        devices[token] = None
        tally.revoked += 1
        tally.shared += held.shared
