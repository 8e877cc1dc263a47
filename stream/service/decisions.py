"""A person's word on violations, written as events into their topic: there it is seen by whoever reads it, now or after
any loss.

Promised: an event is written once, into the partition that its violation stands in, and when ``write`` returns Kafka
has it on all replicas in sync. Not promised: that the service has heard of it yet.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.kafka import properties
from stream.kafka.cluster import Cluster
from stream.kafka.preflight import refuse_wrong_properties
from stream.model import Severity, StartError, Status, ViolationEvent
from stream.settings import Settings
from stream.wire.registry import registry_of
from stream.wire.wire import Wire

WRITTEN_WITHIN_S: Final = 30.0


def event_of(seen: dict[str, Any], status: Status) -> ViolationEvent:
    """The event that changes the status of a violation, all else as its first event had it; ``seen``: what the service
    told of it."""
    return ViolationEvent(
        seen["violationId"],
        seen["messageId"],
        Severity[seen["severity"]],
        status,
        seen["reason"],
        seen["detector"],
        seen["detectedAt"],
    )


def blind_event(violation_id: str, message_id: str, status: Status, now_ms: int) -> ViolationEvent:
    """The same where nobody can be asked: only its names and its status count. Detected now: no earlier finding that
    is repeated later undoes it."""
    return ViolationEvent(violation_id, message_id, Severity.MEDIUM, status, "", None, now_ms)


class Decisions:
    """Writes them; raises StartError where the broker or the topic do not do."""

    def __init__(self, settings: Settings) -> None:
        refuse_wrong_properties(settings)
        self.topic = settings.topics.violation_detected
        self.partitions = Cluster(settings).counts_once_known([self.topic]).get(self.topic, 0)
        if not self.partitions:
            raise StartError(f"there is no topic {self.topic}; unpush topics -c FILE creates it")
        self._producer = Producer(properties.producer(settings) | {"linger.ms": 0})
        self._wire = Wire(settings.avro.write_format, registry_of(settings))

    def write(self, event: ViolationEvent, partition: int) -> None:
        """Into that partition. Raises StartError: nothing was written, RegistryDown."""
        if partition >= self.partitions:
            raise StartError(f"{self.topic} has {self.partitions} partitions, and no number {partition}")
        told: list[tuple[KafkaError | None, Message]] = []
        value = self._wire.encode_violation(event)
        try:
            self._producer.produce(
                self.topic, value, event.message_id.encode(), partition, on_delivery=lambda *what: told.append(what)
            )
            self._producer.flush(WRITTEN_WITHIN_S)
        except KafkaException as error:
            raise self._unwritten(event, error.args[0].str()) from None
        if not told:
            self._producer.purge()
            with suppress(KafkaException):
                self._producer.flush(1.0)
            raise self._unwritten(event, f"no broker has confirmed it within {WRITTEN_WITHIN_S:.0f} s")
        if (failed := told[0][0]) is not None:
            raise self._unwritten(event, failed.str())

    def _unwritten(self, event: ViolationEvent, why: str) -> StartError:
        return StartError(f"{event.status.value} of {event.violation_id!r} was not written to {self.topic}: {why}")
