"""A campaign as its sender writes it: very many sends of one message under one notifyId, written quickly.

``python -m stream.bench.campaign BOOTSTRAP TOPIC MESSAGE APP NOTIFY_ID COUNT TOKENS DISTINCT`` writes ``COUNT`` sends
of ``TOKENS`` tokens each, in a process of its own; tokens repeat after ``DISTINCT`` of them. One send is encoded, and
its tokens' numbers are changed from record to record: a million sends take seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.bench.load import Record, token
from stream.model import Send, SendHead, StartError
from stream.wire.wire import Wire

_DIGITS: Final = 9
_PLACEHOLDER: Final = token(999_999_999)
_FLUSH_WITHIN_S: Final = 120.0
_POLL_EVERY: Final = 10_000


def sends(message_id: str, app: str, notify_id: int, count: int, tokens: int, distinct: int) -> Iterator[Record]:
    """Records of one message; each token is found again after ``distinct`` others."""
    head = SendHead(message_id, app, notify_id, 0, time.time_ns() // 1_000_000, None)
    key, template = message_id.encode(), Wire().encode_send(Send(head, (_PLACEHOLDER,) * tokens))
    first, *rest = template.split(_PLACEHOLDER[:_DIGITS])
    if len(rest) != tokens:
        raise StartError(f"the message {message_id!r} looks like a token of the benchmark; choose another")
    for number in range(count):
        numbers = (b"%09d" % (place % distinct) for place in range(number * tokens, (number + 1) * tokens))
        yield key, b"".join((first, *(part for pair in zip(numbers, rest, strict=True) for part in pair)))


def write(bootstrap_servers: str, topic: str, records: Iterator[Record]) -> None:
    """As quickly as it goes; returns when all is delivered. Raises StartError where a record is not."""
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "partitioner": "murmur2_random",
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": 128 << 10,
            "delivery.report.only.error": True,
            "on_delivery": delivered,
        }
    )
    for count, (key, value) in enumerate(records):
        if count % _POLL_EVERY == 0:
            producer.poll(0)
        _put(producer, topic, key, value)
    left = producer.flush(_FLUSH_WITHIN_S)
    if left or failed:
        raise StartError(f"Kafka did not take {left or len(failed)} of the campaign's records: {failed[:1]}")


def _put(producer: Producer, topic: str, key: bytes, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, value, key)
            return
        except BufferError:
            producer.poll(0.01)
        except KafkaException as error:
            raise StartError(f"Kafka does not take the campaign's records: {error.args[0].str()}") from None


def main(arguments: list[str]) -> None:
    """The process."""
    bootstrap_servers, topic, message_id, app, notify_id, *numbers = arguments
    count, tokens, distinct = map(int, numbers)
    write(bootstrap_servers, topic, sends(message_id, app, int(notify_id), count, tokens, distinct))


if __name__ == "__main__":
    main(sys.argv[1:])
