"""The audience: reads the results and the dead letters, as any consumer of them would.

Promised: every record of both topics from their beginning, in order of each partition; ``read_to_end`` returns when
what stood there at its call has been read. Not promised: anything about the inside of the service; it is never asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, cast

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from stream.demo.judge import DeadLetter
from stream.kafka.properties import KafkaLog
from stream.model import RevokeResult, StartError
from stream.wire.wire import Wire

_AT_ONCE: Final = 500
_END_WITHIN_S: Final = 20.0

Headers: TypeAlias = list[tuple[str, bytes | None]]


class Audience:
    """See the module's words. ``partitions`` by topic; used by one thread."""

    def __init__(self, bootstrap_servers: str, results: str, dead_letters: str, partitions: Mapping[str, int]) -> None:
        self.results: list[RevokeResult] = []
        self.letters: list[DeadLetter] = []
        self._results_topic, self._wire = results, Wire()
        self._read: dict[tuple[str, int], int] = {}
        self._places = [(topic, each) for topic in (results, dead_letters) for each in range(partitions[topic])]
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "client.id": "demo-audience",
                "group.id": "demo-audience",
                "logger": KafkaLog("demo-audience"),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
            }
        )
        self._consumer.assign([TopicPartition(topic, each, 0) for topic, each in self._places])

    def look(self, result: Callable[[RevokeResult], None], letter: Callable[[], None], wait_s: float = 0.0) -> None:
        """Take in what has come; each new record is told."""
        for message in self._consumer.consume(_AT_ONCE, wait_s):
            if message.error() is None:  # else librdkafka goes on trying, and nothing comes until it succeeds
                self._take(message, result, letter)

    def read_to_end(self, result: Callable[[RevokeResult], None], letter: Callable[[], None]) -> None:
        """Take in the rest. Raises StartError where that takes too long."""
        ends = {place: self._end(*place) for place in self._places}
        deadline_s = time.monotonic() + _END_WITHIN_S
        while any(self._read.get(place, 0) < end for place, end in ends.items()):
            if time.monotonic() > deadline_s:
                raise StartError(f"the last results could not be read within {_END_WITHIN_S:.0f} s")
            self.look(result, letter, 0.05)

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def _end(self, topic: str, partition: int) -> int:
        try:
            return self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_END_WITHIN_S)[1]
        except KafkaException as error:
            raise StartError(f"the end of {topic} cannot be asked for: {error.args[0].str()}") from None

    def _take(self, message: Message, result: Callable[[RevokeResult], None], letter: Callable[[], None]) -> None:
        topic = message.topic() or ""
        self._read[topic, message.partition() or 0] = (message.offset() or 0) + 1
        if topic == self._results_topic:
            self.results.append(self._wire.result(message.value()))
            result(self.results[-1])
        else:
            headers = cast("Headers", message.headers() or [])  # they are pairs, whatever the library's types say
            self.letters.append(DeadLetter(message.key(), message.value(), tuple(headers)))
            letter()
