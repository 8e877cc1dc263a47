"""Contract, Settings: any librdkafka property, for every client it fits; wins, except those the promises rest on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import structlog
from confluent_kafka import Consumer, Producer

from stream.kafka import properties
from stream.kafka.properties import CONSUMERS_ONLY, PRODUCERS_ONLY, KafkaLog, Properties
from stream.settings import Settings, default_settings

CONSUMERS = (properties.member, properties.sends, properties.past)
EVERY_CLIENT = (*CONSUMERS, properties.producer, properties.admin)

Client = Callable[[Settings], Properties]


class Heard:
    """Keeps what librdkafka logs."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, level: int, form: str, *values: object) -> None:
        self.lines.append(form % values)


def settings(protocol: str = "classic", /, **own: object) -> Settings:
    return default_settings(kafka={"group_protocol": protocol, "properties": own})


@pytest.mark.parametrize("client", CONSUMERS)
def test_no_reader_commits_or_jumps_by_itself_or_reads_what_was_never_sent(client: Client) -> None:
    """Design, 2: auto.offset.reset=error on every hand-assigned reader; the store says where to go on."""
    made = client(settings())
    assert made["enable.auto.commit"] is False
    assert made["auto.offset.reset"] == "error"
    assert made["isolation.level"] == "read_committed"
    assert made["enable.partition.eof"] is True


def test_only_the_member_uses_the_groups_name() -> None:
    assert [client(settings())["group.id"] for client in CONSUMERS] == ["unpush", "unpush-sends", "unpush-past"]


def test_the_newer_protocol_goes_without_what_only_the_classic_one_knows() -> None:
    """Pitfalls, B: with KIP-848 these keys are refused."""
    classic, newer = properties.member(settings()), properties.member(settings("consumer"))
    assert set(classic) - set(newer) == {
        "partition.assignment.strategy",
        "session.timeout.ms",
        "heartbeat.interval.ms",
    }
    assert classic["partition.assignment.strategy"] == "cooperative-sticky"


def test_a_result_is_delivered_once_to_all_replicas() -> None:
    made = properties.producer(settings())
    assert (made["enable.idempotence"], made["acks"]) == (True, "all")


def test_results_wait_for_each_other_and_dead_letters_hardly() -> None:
    """Nobody waits for a result; for a dead letter a reader's thread does, and with it its shards."""
    results, letters = properties.producer(settings()), properties.producer(settings(), "dead-letters")
    assert letters["linger.ms"] < results["linger.ms"]


def test_the_users_property_wins() -> None:
    own: dict[str, Any] = {"fetch.wait.max.ms": 7, "linger.ms": 9, "client.id": "mine"}
    assert properties.sends(settings(**own))["fetch.wait.max.ms"] == "7"
    assert properties.past(settings(**own))["fetch.wait.max.ms"] == "7"
    assert properties.producer(settings(**own))["linger.ms"] == "9"
    assert {client(settings(**own))["client.id"] for client in EVERY_CLIENT} == {"mine"}


def test_a_secret_property_reaches_librdkafka_as_it_is() -> None:
    assert properties.admin(settings(**{"sasl.password": "hunter2"}))["sasl.password"] == "hunter2"


def test_each_property_goes_only_to_clients_that_it_fits() -> None:
    own = dict.fromkeys((*CONSUMERS_ONLY, *PRODUCERS_ONLY), "1")
    assert not PRODUCERS_ONLY & set(properties.sends(settings(**own)))
    assert not PRODUCERS_ONLY & set(properties.member(settings(**own)))
    assert not CONSUMERS_ONLY & set(properties.producer(settings(**own)))
    assert not (CONSUMERS_ONLY | PRODUCERS_ONLY) & set(properties.admin(settings(**own)))


def test_a_static_id_belongs_to_the_member_alone() -> None:
    """A second consumer under the same id would throw the first one out."""
    own = {"group.instance.id": "one"}
    assert properties.member(settings(**own))["group.instance.id"] == "one"
    assert "group.instance.id" not in properties.sends(settings(**own))


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_librdkafka_takes_what_we_make_without_a_word(protocol: str) -> None:
    """A property for the other kind of client would be a warning in the log, an unknown one an exception."""
    heard = Heard()
    quiet = {"bootstrap.servers": "127.0.0.1:9", "logger": heard, "log_level": 5}
    for client in CONSUMERS:
        with closing(Consumer(client(settings(protocol)) | quiet)) as consumer:
            consumer.poll(0.05)
    Producer(properties.producer(settings(protocol)) | quiet).poll(0.05)
    assert [line for line in heard.lines if "CONFWARN" in line] == []


_VALUES = {
    "compression.codec": "lz4",
    "compression.type": "lz4",
    "compression.level": "1",
    "batch.num.messages": "10",
    "queuing.strategy": "lifo",
    "partitioner": "random",
    "enable.gapless.guarantee": "true",
    "produce.offset.report": "true",
    "check.crcs": "true",
    "offset.store.method": "broker",
    "share.acknowledgement.mode": "implicit",
}


@pytest.mark.parametrize("name", sorted(PRODUCERS_ONLY - {"msg_order_cmp"}))
def test_librdkafka_itself_says_that_this_is_for_producers(name: str) -> None:
    heard = Heard()
    own = {"bootstrap.servers": "127.0.0.1:9", "group.id": "g", "logger": heard, name: _VALUES.get(name, "5000")}
    with closing(Consumer(own)) as consumer:
        consumer.poll(0.02)
    assert any("is a producer property" in line for line in heard.lines)


@pytest.mark.parametrize("name", sorted(CONSUMERS_ONLY))
def test_librdkafka_itself_says_that_this_is_for_consumers(name: str) -> None:
    heard = Heard()
    own = {"bootstrap.servers": "127.0.0.1:9", "logger": heard, name: _VALUES.get(name, "5000")}
    Producer(own).poll(0.02)
    assert any("is a consumer property" in line for line in heard.lines)


def test_an_outage_is_said_once_and_not_ten_times_a_second() -> None:
    log = KafkaLog("sends")
    with structlog.testing.capture_logs() as said:
        for wait_ms in range(5):
            log.log(
                40, "%s [%s] %s", "FAIL", "x", f"Connect to a:1 failed: Connection refused (after {wait_ms}ms in state)"
            )
        log.log(30, "%s [%s] %s", "FAIL", "x", "another matter")
    assert [(event["event"], event["log_level"], event["client"]) for event in said] == [
        ("kafka_client", "error", "sends"),
        ("kafka_client", "warning", "sends"),
    ]
    assert "Connection refused" in said[0]["said"]
