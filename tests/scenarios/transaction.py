"""A producer that writes in a transaction, leaves it open, and commits or aborts it.

Promised: the town's story holds exactly what was committed, and when what stood behind the open transaction could not
be read. Not promised: that a commit succeeds while brokers are away; whoever ends it asks again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.model import ViolationEvent
from tests.scenarios.making import now_ms
from tests.scenarios.story import Overlap, Said, Sent
from tests.scenarios.town import Told, Town

ENDS_WITHIN_S = 60.0


class Transaction:
    """One transaction."""

    def __init__(self, town: Town, name: str) -> None:
        """Begun; ``name`` is this producer's alone."""
        self._town = town
        self._written: list[Sent | Said] = []
        self._failed: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": town.topics.bootstrap_servers,
                "transactional.id": f"{town.topics.prefix}.{name}",
                "partitioner": "murmur2_random",
                "linger.ms": 1,
                "log_level": 0,
            }
        )
        self._patiently(lambda: self._producer.init_transactions(ENDS_WITHIN_S))
        self._producer.begin_transaction()

    def write(self, *things: Told) -> None:
        """Written by the brokers when this returns, and to be read by nobody yet."""
        for thing in things:
            topic, name, value = self._town.record(thing)
            self._producer.produce(
                self._town.topics.name(topic), value, name.encode(), on_delivery=self._arrived(thing)
            )
        self._producer.flush(ENDS_WITHIN_S)
        assert not self._failed, self._failed[0]

    def _arrived(self, thing: Told) -> Callable[[KafkaError | None, Message], None]:
        def note(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failed.append(error.str())
            elif isinstance(thing, ViolationEvent):
                self._town.places.arrived(message, lambda *place: self._written.append(Said(thing, *place)))
            else:
                self._town.places.arrived(message, lambda *place: self._written.append(Sent(thing, *place)))

        return note

    def commit(self) -> None:
        """From now on all of it is to be acted on."""
        self._patiently(lambda: self._producer.commit_transaction(ENDS_WITHIN_S))
        self._reveal()
        self._town.story.sends += [each for each in self._written if isinstance(each, Sent)]
        self._town.story.events += [each for each in self._written if isinstance(each, Said)]

    def abort(self) -> None:
        """None of it was ever there."""
        self._patiently(lambda: self._producer.abort_transaction(ENDS_WITHIN_S))
        self._reveal()

    def _reveal(self) -> None:
        """What stood behind the sends of it can be read from now on."""
        sends = [each for each in self._written if isinstance(each, Sent)]
        first = {each.partition: each.timestamp_ms for each in reversed(sends)}
        self._town.story.hidden += [Overlap(partition, at_ms, now_ms()) for partition, at_ms in first.items()]

    @staticmethod
    def _patiently(ask: Callable[[], object]) -> None:
        until_s = time.monotonic() + ENDS_WITHIN_S
        while True:
            try:
                ask()
                return
            except KafkaException as error:
                why = error.args[0]
                passes = why.retriable() or why.code() == KafkaError.NOT_COORDINATOR  # as just after a broker's start
                if not passes or time.monotonic() > until_s:
                    raise
                time.sleep(0.2)
