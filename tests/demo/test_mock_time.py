"""The embedded broker's one lie: it says 1234 for the time of every delivery."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from confluent_kafka import Producer

from stream.brokers.mock import MockKafka
from stream.demo.author import write
from stream.model import Outcome
from stream.service.outbox import Outbox, Written
from stream.state.shard import Shard
from stream.wire.wire import Wire
from tests.demo.perfect import result


class Bucketed:
    """A shard that only remembers which times it was asked to keep something under."""

    owned, number = True, 0

    def __init__(self) -> None:
        self.times: list[int] = []

    def head(self, kind: bytes, time_ms: int) -> bytes:
        self.times.append(time_ms)
        return kind

    def add(self, *added: object) -> None:
        """Takes everything."""


async def test_marks_of_results_on_the_embedded_broker_belong_to_the_present_and_not_to_1970() -> None:
    """Promise 3: marks that were written into the oldest bucket left with it, and their places were called again."""
    shard, settled = Bucketed(), asyncio.Event()
    expected = next(iter(write(1, 60, 20, 1.0).expected.values()))
    with MockKafka({"results": 1}) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
        outbox = Outbox(
            producer,
            "results",
            Wire(),
            False,
            cast(Any, lambda written: settled.set()),
            lambda written: [],
            lambda written: written,
        )
        said = result(expected, "an id", Outcome.NOT_FOUND)._replace(completed_at_ms=1_700_000_000_000)
        outbox.write(Written(cast(Shard, shard), said, None, ()))
        running = asyncio.create_task(outbox.run())
        await asyncio.wait_for(settled.wait(), 10)
        running.cancel()
        producer.close()
    assert shard.times
    assert min(shard.times) >= 1_700_000_000_000
