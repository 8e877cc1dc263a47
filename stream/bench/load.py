"""What producers write: sends whose names and notifyIds follow from their numbers, so that a call tells its violation.

``python -m stream.bench.load BOOTSTRAP TOPIC FIRST COUNT TOKENS`` writes sends in a process of its own; the first line
on stdout says that it begins. Tokens are 112 characters, as Push Kit's are; those of a send of many are the same in
every such send. Records are not compressed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.model import Send, SendHead, Severity, StartError, Status, ViolationEvent
from stream.wire.wire import Wire

CLIENT_ID: Final = "bench"
_TOKEN_CHARS: Final = 112
_CONNECT_WITHIN_S: Final = 10.0
_FLUSH_WITHIN_S: Final = 120.0
_QUEUED_BYTES: Final = 64 << 20

Record = tuple[bytes, bytes]
"""Key and value."""


def message_id(number: int) -> str:
    """As long as a UUID without its dashes."""
    return f"message-{number:024d}"


def token(number: int) -> bytes:
    """One that no other number has."""
    return b"%09d" % number + b"k" * (_TOKEN_CHARS - 9)


def sends(numbers: Iterable[int], tokens: int) -> Iterator[Record]:
    """Each a message of its own, with a notifyId of its own: its number."""
    wire, now_ms = Wire(), time.time_ns() // 1_000_000
    many = tuple(map(token, range(tokens)))
    for number in numbers:
        name = message_id(number)
        head = SendHead(name, CLIENT_ID, number, 0, now_ms, None)
        yield name.encode(), wire.encode_send(Send(head, many if tokens > 1 else (token(number),)))


def campaign(number: int, count: int) -> Iterator[Record]:
    """``count`` sends of one token each, all of one message and one notifyId."""
    wire, head = Wire(), SendHead(message_id(number), CLIENT_ID, number, 0, time.time_ns() // 1_000_000, None)
    for place in range(count):
        yield head.message_id.encode(), wire.encode_send(Send(head, (token(place),)))


def violations(numbers: Iterable[int]) -> Iterator[Record]:
    """One of each message, detected now."""
    wire = Wire()
    for number in numbers:
        name, now_ms = message_id(number), time.time_ns() // 1_000_000
        event = ViolationEvent(f"v-{number}", name, Severity.HIGH, Status.CONFIRMED, "spam", None, now_ms)
        yield name.encode(), wire.encode_violation(event)


class Writer:
    """One producer. Raises StartError where a record is not delivered."""

    def __init__(self, bootstrap_servers: str, linger_ms: int) -> None:
        self._failed: KafkaError | None = None
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "partitioner": "murmur2_random",
                "linger.ms": linger_ms,
                "queue.buffering.max.messages": 500_000,
                "queue.buffering.max.kbytes": _QUEUED_BYTES >> 10,
            }
        )

    def connect(self, topic: str) -> None:
        """Be ready to write: the first record waits for no connection and no look at who leads. Raises StartError."""
        try:
            self._producer.list_topics(topic, _CONNECT_WITHIN_S)
        except KafkaException as error:
            raise StartError(f"Kafka does not tell the benchmark who leads {topic}: {error}") from None

    def write(self, topic: str, records: Iterable[Record]) -> None:
        """As quickly as it goes; returns when all is delivered."""
        for count, (key, value) in enumerate(records):
            self.put(topic, key, value)
            if count % 1_000 == 0:
                self._producer.poll(0)
        self.flush()

    def put(self, topic: str, key: bytes, value: bytes) -> None:
        """Hand one over; waits only while the queue is full."""
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=self._delivered)
                return
            except BufferError:
                self._producer.poll(0.01)

    def poll(self) -> None:
        """Learn what was delivered."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Until all is delivered."""
        left = self._producer.flush(_FLUSH_WITHIN_S)
        if left or self._failed is not None:
            raise StartError(f"Kafka did not take {left or 'some'} of the benchmark's records: {self._failed}")

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self._failed = error or self._failed


def main(arguments: list[str]) -> None:
    """The process."""
    bootstrap_servers, topic, first, count, tokens = arguments
    writer = Writer(bootstrap_servers, linger_ms=20)
    print("begins", flush=True)
    numbers = range(int(first), int(first) + int(count))
    writer.write(topic, sends(numbers, int(tokens)))


if __name__ == "__main__":
    main(sys.argv[1:])
