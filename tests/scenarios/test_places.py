"""What stands in a topic is what counts, whatever was said when it was written."""

from __future__ import annotations

from typing import Any, cast

from confluent_kafka import Message, Producer

from stream.brokers.mock import MockKafka
from tests.scenarios.places import Places

TOPIC = "sends"


class _Placeless:
    """A delivery report as it may come after a repeat: without an offset."""

    def __init__(self, report: Message) -> None:
        self._report = report

    def offset(self) -> None:
        """Nobody said."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._report, name)


def test_what_nobody_placed_and_what_nobody_knows_of_is_found_once() -> None:
    """Confirmed without an offset, or written twice though it was confirmed once."""
    noted = list[tuple[int, int]]()
    with MockKafka({TOPIC: 1}) as kafka:
        places, reports = Places(kafka.bootstrap_servers), list[Message]()
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        for value in (b"a", b"b", b"a"):
            producer.produce(TOPIC, value, b"k", on_delivery=lambda error, report: reports.append(report))
        producer.flush(10)
        places.arrived(reports[0], lambda part, offset, _: noted.append((part, offset)))
        before = places.unknown
        places.arrived(cast(Message, _Placeless(reports[1])), lambda part, offset, _: noted.append((part, offset)))
        assert (before, places.unknown, noted) == (False, True, [(0, 0)])
        others = list(places.others(TOPIC, 1))
        assert [(each.offset(), each.value()) for each in others] == [(1, b"b"), (2, b"a")]
        assert [places.confirmed_ms(each) > 0 for each in others] == [True, False]
        assert list(places.others(TOPIC, 1)) == []
