"""Records looked at from outside the group: what stands in a topic, without a trace that somebody looked.

Promised: no group is joined, no offset committed; every call ends at the time it is given. Not promised: all records;
each call says whether it saw the last of what it was asked for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from stream.kafka import properties
from stream.kafka.cluster import SILENT
from stream.model import StartError
from stream.settings import Settings

ANSWER_WITHIN_S: Final = 10.0
_SLICE_S: Final = 0.2
_BATCH: Final = 500

Spans = dict[int, tuple[int, int]]
"""Of each partition that has records there: the first offset, and the one behind the last."""


@contextmanager
def reader(settings: Settings) -> Iterator[Consumer]:
    """A consumer that is assigned by hand and says nothing of its own."""
    consumer = Consumer(properties.past(settings) | {"logger": SILENT})
    try:
        yield consumer
    finally:
        consumer.close()


def spans(settings: Settings, topic: str, partitions: int, since_ms: int | None = None) -> Spans:
    """What can be read of a topic now: from ``since_ms`` by the records' times, or all that is kept. Raises
    StartError."""
    client = AdminClient(properties.admin(settings) | {"logger": SILENT})
    places = [TopicPartition(topic, number) for number in range(partitions)]
    firsts = _offsets(client, places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    ends = _offsets(client, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    if since_ms is not None:
        later = _offsets(client, places, OffsetSpec.for_timestamp(since_ms))
        firsts = {number: ends[number] if at < 0 else max(at, firsts[number]) for number, at in later.items()}
    return {number: (first, ends[number]) for number, first in firsts.items() if first < ends[number]}


def _offsets(client: AdminClient, places: list[TopicPartition], spec: OffsetSpec) -> dict[int, int]:
    asked = client.list_offsets(
        dict.fromkeys(places, spec), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=ANSWER_WITHIN_S
    )
    try:
        return {
            place.partition: int(answer.result(timeout=2 * ANSWER_WITHIN_S).offset) for place, answer in asked.items()
        }
    except KafkaException as error:
        raise StartError(f"the offsets of {places[0].topic} cannot be had: {error.args[0].str()}") from None
    except TimeoutError:
        raise StartError(f"the offsets of {places[0].topic} cannot be had: no answer in time") from None


def read(
    consumer: Consumer,
    topic: str,
    wanted: Spans,
    until_s: float,
    take: Callable[[Message], object],
    silence_s: float = math.inf,
) -> bool:
    """Give every record of the spans to ``take``, in each partition by offset. False: time (``monotonic``) was over
    before, or Kafka gave nothing for so long. Raises StartError where the topic may not be read."""
    left = dict(wanted)
    consumer.assign([TopicPartition(topic, number, first) for number, (first, _) in wanted.items()])
    heard_s = time.monotonic()
    while left and (rest_s := min(until_s, heard_s + silence_s) - time.monotonic()) > 0:
        for message in consumer.consume(_BATCH, min(rest_s, _SLICE_S)):
            _take(message, left, take)
            heard_s = time.monotonic()
    consumer.unassign()
    return not left


def _take(message: Message, left: Spans, take: Callable[[Message], object]) -> None:
    number, error = message.partition(), message.error()
    if error is not None:
        _refuse(error)
        if error.code() == KafkaError._PARTITION_EOF:
            left.pop(number or 0, None)
        return
    if (span := left.get(number or 0)) is None:
        return
    at = message.offset() or 0
    if at < span[1]:
        take(message)
    if at >= span[1] - 1:
        del left[number or 0]


def _refuse(error: KafkaError) -> None:
    if error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED):
        raise StartError(error.str())


def newest(wanted: Spans, most: int) -> Spans:
    """The newest part of the spans, together about ``most`` records, of each partition in proportion."""
    total = size(wanted)
    if total <= most:
        return wanted
    return {number: (end - max(1, (end - first) * most // total), end) for number, (first, end) in wanted.items()}


def spread(wanted: Spans, steps: int, each: int) -> Iterator[Spans]:
    """Short spans, ``each`` records long, at so many places from the newest to the oldest: what stands side by side is
    often of one message."""
    for step in range(steps):
        yield {number: _short(span, step, steps, each) for number, span in wanted.items()}


def _short(span: tuple[int, int], step: int, steps: int, each: int) -> tuple[int, int]:
    first, end = span
    to = end - (end - first) * step // steps
    return max(first, to - each), to


def size(wanted: Mapping[int, tuple[int, int]]) -> int:
    """How many offsets the spans have."""
    return sum(end - first for first, end in wanted.values())
