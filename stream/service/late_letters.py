"""Stored sends that turn out unreadable when a violation needs them: dead letters then.

Promised: the letter is in its topic before the send's place ends as FAILED, so that a crash between the two writes it
again and never leaves it out; it has the record's own headers, which are read again from Kafka, as long as Kafka has
the record. Not promised: that it is there once only. On the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import structlog

from stream.model import BadRecord, Position
from stream.service.letterbox import Letter, LetterBox
from stream.service.letters import told
from stream.service.sorting import UNREADABLE
from stream.state.shard import Shard, StoredSend
from stream.wire.dead_letters import headers
from stream.work.endings import Ending
from stream.work.packing import Parcel

AT_ONCE: Final = 100
"""Records whose headers are asked for together."""
AGAIN_S: Final = 1.0

log = structlog.get_logger(__name__)

Headers = list[tuple[str, bytes | None]]
HeadersAgain = Callable[[list[Position], Callable[[Mapping[Position, Headers]], None]], None]
"""Ask for the headers of these records; the answer comes on the loop, without those that Kafka did not tell now."""


class _Late(NamedTuple):
    """An unreadable send on its way to the dead letters; ``held``: what ends when it is there."""

    shard: Shard
    position: Position
    key: bytes
    value: bytes
    error: BadRecord
    held: list[tuple[Parcel, Ending]]


class LateLetters:
    """See the module's words. ``arrived`` is given what was held, once its letter is in the topic."""

    def __init__(
        self,
        topic: str,
        headers_again: HeadersAgain,
        letterbox: LetterBox,
        arrived: Callable[[Parcel, Ending], None],
    ) -> None:
        self.dead: dict[str, int] = {}
        """Those that are in the topic, by reason."""
        self.unburied: dict[Position, str] = {}
        """Why others are not."""
        self._topic, self._headers_again, self._letterbox, self._arrived = topic, headers_again, letterbox, arrived
        self._late: dict[tuple[Shard, int], _Late] = {}
        self._headless: dict[Position, _Late] = {}
        self._asking = False

    def found(self, shard: Shard, message_id: str, stored: StoredSend, error: BadRecord) -> None:
        """A stored send that a violation needs cannot be read."""
        if (shard, stored.offset) in self._late:
            return
        position = Position(self._topic, shard.number, stored.offset, stored.timestamp_ms)
        told(position, error)
        late = _Late(shard, position, message_id.encode(), stored.value, error, [])
        self._late[shard, stored.offset] = self._headless[position] = late
        self._ask()

    def holds(self, shard: Shard, parcel: Parcel, ending: Ending) -> bool:
        """Whether the parcel's end waits for the letter of its send."""
        late = self._late.get((shard, parcel.parts[0].offset)) if parcel.fate is UNREADABLE else None
        if late is not None:
            late.held.append((parcel, ending))
        return late is not None

    def _ask(self) -> None:
        if self._headless and not self._asking:
            self._asking = True
            self._headers_again(list(self._headless)[:AT_ONCE], self._told)

    def _told(self, found: Mapping[Position, Headers]) -> None:
        self._asking = False
        for position in [each for each in list(self._headless)[:AT_ONCE] if each not in found]:
            self._headless[position] = self._headless.pop(position)  # behind the others: they may be luckier
        for position, own in found.items():
            self.unburied.pop(position, None)
            late = self._headless.pop(position)
            self._bury(late, Letter(late.key, late.value, headers(own, late.error, position)))
        if found:
            self._ask()
        else:
            self._cannot(self._headless, "Kafka does not tell the headers of the record that goes there")
            self._letterbox.later(AGAIN_S, self._ask)

    def _cannot(self, positions: Iterable[Position], why: str) -> None:
        if new := [position for position in positions if self.unburied.get(position) != why]:
            log.warning("dead_letter_waits", why=why, letters=len(new))
        self.unburied.update(dict.fromkeys(positions, why))

    def _bury(self, late: _Late, letter: Letter) -> None:
        def done(failed: object) -> None:
            if failed is None:
                self._is_there(late)
                return
            self._cannot([late.position], str(failed))
            self._letterbox.later(AGAIN_S, lambda: self._bury(late, letter))

        self._letterbox.send(letter, done)

    def _is_there(self, late: _Late) -> None:
        reason = late.error.reason.value
        self.dead[reason] = self.dead.get(reason, 0) + 1
        self.unburied.pop(late.position, None)
        self._late.pop((late.shard, late.position.offset), None)
        if late.shard.owned:
            for parcel, ending in late.held:
                self._arrived(parcel, ending)
