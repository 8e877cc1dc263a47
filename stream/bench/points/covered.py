"""What the results' topic says: which places of a message are covered, whether any of them twice; when calls left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from confluent_kafka import Consumer, Message, TopicPartition

from stream.bench.gateway import Call
from stream.bench.town import Place
from stream.model import Outcome, RevokeResult, StartError
from stream.wire.wire import Wire

_BATCH: Final = 500
_QUIET_S: Final = 10.0
_FIRST_TOKEN_BITS: Final = 20


class Covered(NamedTuple):
    """Of one violation."""

    results: int
    places: int
    """Those that results cover; of several results with one id the last counts."""
    twice: int
    """How many of them another result covers too."""
    complete: bool
    """Whether the last result says that all is done."""
    outcomes: dict[str, int]
    """Places by outcome."""


def covered(place: Place, violation_id: str) -> Covered:
    """Reads the topic to its present end. Raises StartError where it cannot be read."""
    latest: dict[str, RevokeResult] = {}
    for result in _results(place):
        if result.violation_id == violation_id:
            latest.pop(result.result_id, None)
            latest[result.result_id] = result
    parts = [(part, result.outcome) for result in latest.values() for part in result.sends if result.outcome.covers]
    names = np.array([part.offset << _FIRST_TOKEN_BITS | part.first_token for part, _ in parts], dtype=np.uint64)
    sizes = np.array([part.token_count for part, _ in parts], dtype=np.int64)
    once = np.unique(names, return_index=True)[1]
    last = next(reversed(latest.values()), None)
    complete = last is not None and last.violation_tokens_matched == last.violation_tokens_settled
    places = int(sizes.sum())
    return Covered(len(latest), places, places - int(sizes[once].sum()), complete, _by_outcome(latest.values()))


def rejected(place: Place, violation_id: str) -> set[str]:
    """The tokens that results name as refused for good."""
    of_it = (result for result in _results(place) if result.violation_id == violation_id)
    return {refused.token for result in of_it for refused in result.rejected_tokens}


def said_ms(place: Place, violation_id: str, outcome: Outcome) -> int:
    """When it first had a result of that outcome (wall clock). Raises StartError where it has none."""
    ends = (each for each in _results(place) if each.violation_id == violation_id and each.outcome is outcome)
    if (first := next(ends, None)) is None:
        raise StartError(f"{violation_id} has no result {outcome.value}")
    return first.completed_at_ms


def left(place: Place) -> list[Call]:
    """The calls of all results in the order in which they left, as the service says, to the millisecond."""
    calls = (
        Call(each.started_at_ms * 1_000_000, each.notify_id or 0, each.tokens_requested)
        for each in _results(place)
        if each.attempts
    )
    return sorted(calls, key=lambda call: call.wall_ns)


def _by_outcome(results: Iterable[RevokeResult]) -> dict[str, int]:
    found: dict[str, int] = {}
    for result in results:
        found[result.outcome.value] = found.get(result.outcome.value, 0) + sum(p.token_count for p in result.sends)
    return found


def _results(place: Place) -> Iterator[RevokeResult]:
    wire, topic = Wire(), f"{place.name}.results"
    reader = Consumer({"bootstrap.servers": place.bootstrap_servers, "group.id": "unpush-bench-judge"})
    try:
        partitions = reader.list_topics(topic, 10).topics[topic].partitions
        ends = {number: reader.get_watermark_offsets(TopicPartition(topic, number), 10)[1] for number in partitions}
        reader.assign([TopicPartition(topic, number, 0) for number in ends])
        left = sum(ends.values())
        while left > 0:
            # it waits for as many as are asked for: not for more than there are
            if not (messages := reader.consume(min(_BATCH, left), _QUIET_S)):
                raise StartError(f"{left} results of {topic} did not come")
            left -= len(messages)
            yield from (wire.result(_value(message)) for message in messages)
    finally:
        reader.close()


def _value(message: Message) -> bytes:
    if (error := message.error()) is not None:
        raise StartError(f"results cannot be read: {error.str()}")
    value = message.value()
    assert isinstance(value, bytes)
    return value
