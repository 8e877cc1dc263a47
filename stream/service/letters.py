"""Bad records on their way to the dead-letter topic: each once, however often its run is read meanwhile.

Promised: ``bury`` returns only when the topic has all of them; while it has not, no second copy of any is produced
unless the first one failed, and the caller's thread is held up for a moment at most. Not promised: that a record is
there once only: a process that dies before its range is stored writes it again. Called by the readers' threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog
from confluent_kafka import KafkaError

from stream.kafka.reading import DeadLettersDown
from stream.model import BadRecord, Position
from stream.service.letterbox import Letter
from stream.service.outbox import TOO_LARGE

WAIT_S: Final = 0.5
"""For letters that have just left, while the topic seems to take them; ten times what a busy broker needs. The
partition stands still after that, and its thread goes on with others."""

LARGE_AGAIN_S: Final = 10.0
"""A megabyte that is refused is not sent twice a second until somebody raises the topic's bound."""

log = structlog.get_logger(__name__)

Send = Callable[[Letter, Callable[[KafkaError | None], None]], None]


@dataclass(slots=True)
class _Sent:
    """A letter that has left; ``before`` is how it failed the last time."""

    before: KafkaError | None = None
    since_s: float = field(default_factory=time.monotonic)
    arrived: bool = False
    error: KafkaError | None = None
    told: bool = False
    """Whether ``bury`` has named it among those that arrived."""

    @property
    def under_way(self) -> bool:
        return not self.arrived and self.error is None

    @property
    def too_large(self) -> bool:
        return _for_its_size(self.error)

    @property
    def rests(self) -> bool:
        """Whether it was too large twice, and lately: perhaps only its batch was the first time."""
        return _for_its_size(self.before) and time.monotonic() < self.since_s + LARGE_AGAIN_S


class Letters:
    """See the module's words. ``here``: the partitions that are ours now."""

    def __init__(self, send: Send, here: Collection[int]) -> None:
        self._send, self._here = send, here
        self._sent: dict[Position, _Sent] = {}
        self._changed = threading.Condition()

    def knows_all(self, positions: Iterable[Position]) -> bool:
        """Whether each of these bad records was met before: its run is read again, and counts no second time."""
        return all(position in self._sent for position in positions)

    def bury(self, letters: Mapping[Position, Letter]) -> list[Position]:
        """See that the topic has all of these; which of them it has since the last call. Raises DeadLettersDown where
        some are not there yet: ask again later."""
        self._forget_those_that_left()
        patient = not self._down()
        for position in self._due(letters):
            self._post(position, letters[position])
        # Held here: the shard may leave meanwhile, and another thread forget its letters.
        mine = {position: self._sent.get(position) or _Sent() for position in letters}
        with self._changed:
            self._changed.wait_for(
                lambda: not any(sent.under_way for sent in mine.values()), WAIT_S if patient else 0.0
            )
        left = {position: sent for position, sent in mine.items() if not sent.arrived}
        if left:
            raise DeadLettersDown(_why(left, letters))
        news = [position for position, sent in mine.items() if not sent.told]
        for sent in mine.values():
            sent.told = True
        return news

    def taken(self, topic: str, partition: int, start: int, end: int) -> None:
        """These offsets count as read: nobody will ask for their letters again."""
        for at in list(self._sent):
            if at.topic == topic and at.partition == partition and start <= at.offset < end:
                self._sent.pop(at, None)

    @property
    def any(self) -> bool:
        """Whether there are letters whose offsets do not count as read yet."""
        return bool(self._sent)

    def _forget_those_that_left(self) -> None:
        for at in list(self._sent):
            if at.partition not in self._here:
                self._sent.pop(at, None)

    def _down(self) -> bool:
        """Whether the topic did not take some of those that left before: then nobody waits for others."""
        since_s = time.monotonic() - WAIT_S
        some = [sent for sent in list(self._sent.values()) if not (sent.arrived or sent.too_large)]
        return any(sent.error is not None or sent.since_s <= since_s for sent in some)

    def _due(self, letters: Iterable[Position]) -> list[Position]:
        """Those that have never left, and those that failed; of what was too large one at a time, since perhaps only
        their batch was."""
        known = {at: sent for at in letters if (sent := self._sent.get(at)) is not None}
        large = [at for at, sent in known.items() if sent.too_large and not sent.rests]
        failed = [at for at, sent in known.items() if sent.error is not None and not sent.too_large]
        return [at for at in letters if at not in known] + failed + large[:1]

    def _post(self, position: Position, letter: Letter) -> None:
        failed = self._sent.get(position)
        sent = self._sent[position] = _Sent(failed.error if failed is not None else None)

        def done(error: KafkaError | None) -> None:
            with self._changed:
                sent.arrived, sent.error = error is None, error
                self._changed.notify_all()

        self._send(letter, done)


def told(at: Position, error: BadRecord) -> None:
    """Say of a bad record, once, where it stands and what is wrong with it."""
    log.warning(
        "dead_letter",
        topic=at.topic,
        partition=at.partition,
        offset=at.offset,
        reason=error.reason.value,
        why=str(error),
    )


def _for_its_size(error: KafkaError | None) -> bool:
    return error is not None and error.code() in TOO_LARGE


def _why(left: Mapping[Position, _Sent], letters: Mapping[Position, Letter]) -> str:
    failed = [(at, error) for at, sent in left.items() if (error := sent.error or sent.before) is not None]
    if not failed:
        return "the dead-letter topic takes nothing: no answer yet"
    at, error = failed[0]
    if _for_its_size(error):
        return (
            f"the dead-letter topic refuses the record at offset {at.offset} for its size, "
            f"{letters[at].bytes} bytes with our headers: raise its max.message.bytes"
        )
    return f"the dead-letter topic takes nothing: {error.str()}"
