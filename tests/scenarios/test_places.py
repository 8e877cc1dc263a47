"""A record whose delivery was confirmed without an offset is found where it stands."""

from __future__ import annotations

from typing import Any, cast

import pytest
from confluent_kafka import Message, Producer

from stream.brokers.mock import MockKafka
from tests.scenarios.places import Places

TOPIC = "sends"


class _Placeless:
    """A delivery report as it comes after a repeat: without an offset."""

    def __init__(self, report: Message) -> None:
        self._report = report

    def offset(self) -> None:
        """Nobody said."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._report, name)


def test_what_nobody_placed_is_found_beside_its_equals() -> None:
    """Of equal records each has its own place; one that is nowhere is an error."""
    noted: dict[int, tuple[int, int]] = {}
    with MockKafka({TOPIC: 1}) as kafka:
        places, reports = Places(kafka.bootstrap_servers), list[Message]()
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        for value in (b"a", b"b", b"a", b"c"):
            producer.produce(TOPIC, value, b"k", on_delivery=lambda error, report: reports.append(report))
        producer.flush(10)
        for number, report in enumerate(reports):
            seen = report if number == 0 else cast(Message, _Placeless(report))
            places.arrived(seen, lambda part, offset, at_ms, number=number: noted.update({number: (part, offset)}))  # type: ignore[misc]
        assert noted == {0: (0, 0)}
        places.find()
        assert noted == {number: (0, number) for number in range(4)}
        places.arrived(cast(Message, _Placeless(reports[0])), lambda *place: None)
        with pytest.raises(AssertionError, match="1 records of sends/0 were confirmed and are not there"):
            places.find()
