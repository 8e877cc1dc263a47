"""Three topics in memory, of two partitions, and a clock that only the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import Message

from stream.model import Outcome, RevokeResult, Send, SendHead, Severity, Status, Topic, ViolationEvent
from stream.wire.wire import Wire
from tests.service.small_world import NAMES, Record, TurnedClock

PARTITION_OF: Final = {"m-1": 0, "m-2": 0, "innocent": 0, "m-3": 1}
"""Where each message's records go."""
PARTITIONS: Final = 2
TOO_LONG: Final = "too long"
"""Stands for a token that no call can carry: so that what hypothesis prints can be read."""

Place = tuple[int, int]
"""Offset of a send and position in its tokens."""


class Log:
    """See the module's words."""

    def __init__(self) -> None:
        self.clock = TurnedClock()
        self.wire = Wire()
        self.topics: dict[tuple[Topic, int], list[Record]] = {(t, p): [] for t in Topic for p in range(PARTITIONS)}

    # --- written

    def send(self, message: str, tokens: list[str], app: str, notify_id: int | None) -> None:
        head = SendHead(message, app, notify_id, 0, self.clock.ms, None)
        send = Send(head, tuple(b"x" * 5_000 if token == TOO_LONG else token.encode() for token in tokens))
        self._append(Topic.SENDS, message, self.wire.encode_send(send), send)

    def violate(self, message: str, violation: str, status: Status, severity: Severity, detected_ms: int) -> None:
        self.again(ViolationEvent(violation, message, severity, status, "spam", None, detected_ms))

    def again(self, event: ViolationEvent) -> None:
        """Write an event, perhaps one that was written before."""
        self._append(Topic.VIOLATIONS, event.message_id, self.wire.encode_violation(event), event)

    def take(self, value: bytes) -> Message:
        """What a producer wrote of a result, acknowledged."""
        result = self.wire.result(value)
        self._append(Topic.RESULTS, result.message_id, value, result)
        partition = PARTITION_OF[result.message_id]
        return self.message(Topic.RESULTS, partition, self.end(Topic.RESULTS, partition) - 1)

    def _append(self, topic: Topic, message: str, value: bytes, said: Any) -> None:
        self.clock.ms += 1
        self.topics[topic, PARTITION_OF[message]].append(Record(self.clock.ms, message.encode(), value, said))

    # --- read

    def end(self, topic: Topic, partition: int) -> int:
        """The offset that the next record will have."""
        return len(self.topics[topic, partition])

    def message(self, topic: Topic, partition: int, offset: int) -> Message:
        """A record as a consumer gives it."""
        record = self.topics[topic, partition][offset]
        name, time = NAMES[topic], (2, record.timestamp_ms)
        return Message(
            topic=name, partition=partition, offset=offset, key=record.key, value=record.value, timestamp=time
        )

    # --- asked

    def sends(self, message: str) -> list[tuple[int, Record]]:
        """Offset and record of each send of a message."""
        records = enumerate(self.topics[Topic.SENDS, PARTITION_OF[message]])
        return [(offset, record) for offset, record in records if record.said.head.message_id == message]

    def places(self, message: str) -> list[Place]:
        """All places of all sends of a message."""
        return [(offset, at) for offset, record in self.sends(message) for at in range(len(record.said.tokens))]

    def events(self, message: str) -> list[tuple[int, Record]]:
        """Offset and record of each violation event of a message."""
        records = enumerate(self.topics[Topic.VIOLATIONS, PARTITION_OF[message]])
        return [(offset, record) for offset, record in records if record.said.message_id == message]

    def results(self, message: str) -> list[tuple[int, Record]]:
        """Offset and record of each result of a message."""
        records = enumerate(self.topics[Topic.RESULTS, PARTITION_OF[message]])
        return [(offset, record) for offset, record in records if record.said.message_id == message]


def places_of(result: RevokeResult) -> Iterator[Place]:
    """The places that a result speaks of."""
    for _, offset, first, count in result.sends:
        for at in range(first, first + count):
            yield offset, at


def given_up(result: RevokeResult) -> bool:
    """Whether its places are to be tried again when somebody asks."""
    return result.outcome is Outcome.FAILED and not result.rejected_tokens


class TurnedLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers go by the log's clock and that runs only while the test turns it."""

    def __init__(self, clock: TurnedClock) -> None:
        self._clock = clock
        super().__init__()
        self.errors: list[BaseException] = []
        self.set_exception_handler(lambda _, told: self.errors.append(told.get("exception") or RuntimeError(str(told))))

    def time(self) -> float:
        return self._clock.monotonic_s()

    def turn(self, times: int = 12) -> None:
        """Let everything happen that is due."""
        self._clock.ms += 3
        for _ in range(times):
            self.call_soon(self.stop)
            self.run_forever()
        if self.errors:
            raise self.errors[0]
