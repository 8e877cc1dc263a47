"""Records read once more by their place, for the little of them that the store does not keep: their headers.

Promised: an answer within the time given, and no other record's headers. Not promised: an answer for each place; one
that Kafka did not give in time is left out, to be asked for again. Blocks: for a thread of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from stream.kafka.headers import Headers, headers_of
from stream.model import Position

WITHIN_S: Final = 5.0
EACH_WITHIN_S: Final = 1.0
"""A partition that lets one wait so long is not asked for others: it may have no leader, and others have."""
_GONE: Final = (KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET)


def headers_again(properties: dict[str, Any], positions: Iterable[Position]) -> dict[Position, Headers]:
    """The headers of the records at these positions; none for a record that is gone. ``properties``: a consumer's
    that is assigned by hand. Raises KafkaException where there can be no consumer."""
    until_s = time.monotonic() + WITHIN_S
    found: dict[Position, Headers] = {}
    silent: set[int] = set()
    consumer = Consumer(properties)
    try:
        for position in positions:
            if position.partition in silent:
                continue
            consumer.assign([TopicPartition(position.topic, position.partition, position.offset)])
            headers = _read(consumer, position, min(until_s, time.monotonic() + EACH_WITHIN_S))
            if headers is None:
                silent.add(position.partition)
            else:
                found[position] = headers
    finally:
        consumer.close()
    return found


def _read(consumer: Consumer, position: Position, until_s: float) -> Headers | None:
    """None: no answer in time."""
    while (left_s := until_s - time.monotonic()) > 0:
        for message in consumer.consume(1, left_s):
            error = message.error()
            if (message.topic(), message.partition()) != (position.topic, position.partition):
                continue  # trouble with a broker, which has no partition
            if error is None:
                return _of(message, position)
            if error.code() in _GONE:
                return []
    return None


def _of(message: Message, position: Position) -> Headers:
    same = message.offset() == position.offset and max(0, message.timestamp()[1]) == position.timestamp_ms
    return (headers_of(message) or []) if same else []
