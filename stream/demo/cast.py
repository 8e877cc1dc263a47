"""The cast: a sender and a detector that play the plan, each through a producer of its own.

Promised: what was written stands in ``sends``, ``bad``, ``sent_ms`` and ``found_ms`` once the broker has it. Not
promised: the exact second; a step is taken at the first ``act`` after its time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from stream.demo.plan import BadRecord, Plan, PlannedEvent, PlannedSend, Seen, Step
from stream.kafka.properties import KafkaLog
from stream.model import Send, StartError, Topic, ViolationEvent
from stream.wire.wire import Wire

OWN_HEADERS: Final = (("producer", b"unpush-demo"),)
"""On every record: a dead letter must still have it."""

_AT_ONCE: Final = 40
"""Steps in one turn, so that the pipeline gets its own."""
_DELIVERED_WITHIN_S: Final = 30.0

Deliver = Callable[[Message], None]


class Cast:
    """See the module's words. Used by one thread."""

    def __init__(self, plan: Plan, bootstrap_servers: str, names: Mapping[Topic, str]) -> None:
        self.sends: dict[tuple[int, int], int] = {}
        """Number of the planned send by partition and offset."""
        self.bad: dict[tuple[str, int, int], int] = {}
        """Number of the bad record by topic, partition and offset."""
        self.sent_ms: dict[int, int] = {}
        self.found_ms: dict[str, int] = {}
        """When each violation was found first."""
        self.events_written = 0
        self._plan, self._names, self._wire = plan, names, Wire()
        self._producers = {
            Topic.SENDS: _producer(bootstrap_servers, "demo-sender", linger_ms=5),
            Topic.VIOLATIONS: _producer(bootstrap_servers, "demo-detector", linger_ms=0),
        }
        self._live = deque(step for step in plan.live if step.after is None)
        self._waiting = [step for step in plan.live if step.after is not None]

    def begin(self) -> None:
        """Write the past. Raises StartError where the broker does not take it."""
        for step in self._plan.past:
            self._write(step)
            self._poll()
        for producer in self._producers.values():
            if producer.flush(_DELIVERED_WITHIN_S):
                raise StartError(f"the demo's broker did not take the first records in {_DELIVERED_WITHIN_S:.0f} s")

    def act(self, elapsed_s: float, seen: Collection[Seen]) -> None:
        """Take the steps whose time has come. Raises StartError where the broker refuses a record."""
        for _ in range(_AT_ONCE):
            if not self._live or self._live[0].at_s > elapsed_s:
                break
            self._write(self._live.popleft())
        ready = [step for step in self._waiting if step.after in seen]
        for step in ready:
            self._waiting.remove(step)
            self._write(step)
        self._poll()

    @property
    def finished(self) -> bool:
        """Whether everything is written and delivered."""
        return not self._live and not self._waiting and not any(map(len, self._producers.values()))

    def _poll(self) -> None:
        for producer in self._producers.values():
            producer.poll(0)

    def _write(self, step: Step) -> None:
        record, now_ms = step.record, time.time_ns() // 1_000_000
        match record:
            case PlannedSend():
                self._write_send(record, now_ms)
            case PlannedEvent():
                self._write_event(record, now_ms)
            case BadRecord():
                self._produce(record.topic, record.key, record.value, partial(self._spoiled, record))

    def _write_send(self, send: PlannedSend, now_ms: int) -> None:
        head = send.head._replace(sent_at_ms=now_ms)
        self.sent_ms[send.number] = now_ms
        value = self._wire.encode_send(Send(head, self._plan.tokens(send.number)))
        self._produce(Topic.SENDS, head.message_id.encode(), value, partial(self._sent, send))

    def _write_event(self, event: PlannedEvent, now_ms: int) -> None:
        self.found_ms.setdefault(event.violation_id, now_ms)
        value = self._wire.encode_violation(ViolationEvent(*event, now_ms))
        self._produce(Topic.VIOLATIONS, event.message_id.encode(), value, self._found)

    def _sent(self, send: PlannedSend, message: Message) -> None:
        self.sends[_place(message)] = send.number

    def _found(self, _: Message) -> None:
        self.events_written += 1

    def _spoiled(self, bad: BadRecord, message: Message) -> None:
        self.bad[self._names[bad.topic], *_place(message)] = bad.number

    def _produce(self, topic: Topic, key: bytes | None, value: bytes | None, deliver: Deliver) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                raise StartError(f"the demo's broker refused a record: {error.str()}")
            deliver(message)

        self._producers[topic].produce(self._names[topic], value, key, headers=list(OWN_HEADERS), on_delivery=delivered)


def _place(message: Message) -> tuple[int, int]:
    return message.partition() or 0, message.offset() or 0


def _producer(bootstrap_servers: str, role: str, linger_ms: int) -> Producer:
    return Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "client.id": role,
            "logger": KafkaLog(role),
            "partitioner": "murmur2_random",
            "linger.ms": linger_ms,
            "acks": "all",
            "enable.idempotence": True,
        }
    )
