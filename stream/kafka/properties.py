"""The librdkafka properties of each client, from the settings.

Promised: pure functions; what the promises rest on is set here and cannot be overridden; every other property of
the user's wins. A property that librdkafka keeps for consumers alone goes to no producer, and the other way round.
Not promised: that librdkafka knows a name or likes a value; ``preflight`` finds out.
Names and scopes: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
"""

from __future__ import annotations

import re
import time
from typing import Any, Final

import structlog

from stream.kafka.fellows import signed
from stream.settings import Secret, Settings

Properties = dict[str, Any]

_FOR_CONSUMERS: Final = """
    group.instance.id session.timeout.ms heartbeat.interval.ms group.remote.assignor coordinator.query.interval.ms
    max.poll.interval.ms auto.commit.interval.ms queued.min.messages queued.max.messages.kbytes fetch.wait.max.ms
    fetch.queue.backoff.ms fetch.message.max.bytes max.partition.fetch.bytes fetch.max.bytes fetch.min.bytes
    fetch.error.backoff.ms offset.store.method offset.store.path offset.store.sync.interval.ms check.crcs
    max.poll.records share.acknowledgement.mode consume.callback.max.messages
"""
_FOR_PRODUCERS: Final = """
    transaction.timeout.ms enable.gapless.guarantee queue.buffering.max.messages queue.buffering.max.kbytes
    queue.buffering.max.ms linger.ms message.send.max.retries retries queue.buffering.backpressure.threshold
    compression.codec compression.type compression.level batch.num.messages batch.size
    sticky.partitioning.linger.ms request.timeout.ms message.timeout.ms delivery.timeout.ms queuing.strategy
    produce.offset.report partitioner msg_order_cmp
"""
CONSUMERS_ONLY: Final = frozenset(_FOR_CONSUMERS.split())
PRODUCERS_ONLY: Final = frozenset(_FOR_PRODUCERS.split())
_MEMBERS_ONLY: Final = frozenset({"group.instance.id", "group.remote.assignor"})
"""A second consumer under the same static id would throw the first one out of the group."""

_AFTER_A_WHILE: Final = re.compile(r" \(after .*\)")

_LARGEST_RECORD_BYTES: Final = 64 * 1024 * 1024
"""A dead letter is its source and our headers: above any broker's limit, so that the topic's own limit decides."""


def member(settings: Settings) -> Properties:
    """The group consumer of violations: small and urgent, never bulk."""
    ours: Properties = {
        **_reading(settings, settings.kafka.group_id, "violations"),
        "group.protocol": settings.kafka.group_protocol,
    }
    if settings.kafka.group_protocol == "classic":
        ours |= {
            "partition.assignment.strategy": "cooperative-sticky",
            # After kill -9 the shards move when the session is over; 6 s is the least that brokers allow by default.
            "session.timeout.ms": 6_000,
            "heartbeat.interval.ms": 1_000,
        }
    return _findable(settings, ours | _fitting(settings, PRODUCERS_ONLY))


def sends(settings: Settings) -> Properties:
    """The bulk reader of sends, assigned by hand. Its group id is a name that the broker never sees used."""
    return _bulk(settings, "sends")


def past(settings: Settings) -> Properties:
    """The reader of results and of gaps in the past, assigned by hand; its group id is never used either."""
    # What it wants next always lies behind it: a fetch that waited at the end of the log would hold up the next seek.
    return _bulk(settings, "past") | {"fetch.wait.max.ms": 5} | _fitting(settings, PRODUCERS_ONLY | _MEMBERS_ONLY)


def producer(settings: Settings, role: str = "results") -> Properties:
    """The writer of results, and of dead letters under a role of its own: once, and on all replicas in sync. The caller
    names each result's partition."""
    ours = {
        **_everywhere(settings, role),
        "enable.idempotence": True,
        "acks": "all",
        # Results of ten milliseconds travel together: few are nearly as dear as many, and nobody waits for one. For a
        # dead letter a reader's thread does.
        "linger.ms": 10 if role == "results" else 2,
        "compression.type": "lz4",
        "message.max.bytes": _LARGEST_RECORD_BYTES,
        # Bounds memory where the broker is away; a full queue makes the writer wait, nothing is dropped.
        "queue.buffering.max.kbytes": 65_536,
    }
    return ours | _fitting(settings, CONSUMERS_ONLY)


def admin(settings: Settings) -> Properties:
    """Looks at topics and creates them."""
    return _everywhere(settings, "admin") | _fitting(settings, CONSUMERS_ONLY | PRODUCERS_ONLY)


def _findable(settings: Settings, made: Properties) -> Properties:
    """With the address behind its name; a name of the user's own stays as it is, unless the address is theirs too."""
    if "client.id" in settings.kafka.properties and settings.http.advertise is None:
        return made
    return made | {"client.id": signed(made["client.id"], settings.http.told)}


def _everywhere(settings: Settings, role: str) -> Properties:
    return {
        "bootstrap.servers": settings.kafka.bootstrap_servers,
        "client.id": f"{settings.kafka.group_id}-{role}",
        "logger": KafkaLog(role),
    }


def _reading(settings: Settings, group_id: str, role: str) -> Properties:
    return {
        **_everywhere(settings, role),
        "group.id": group_id,
        "enable.auto.commit": False,
        # A position outside the log is an error to decide on, never a silent jump.
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        # A partition that is newly assigned waits for the fetch under way; the default of 500 ms is felt.
        "fetch.wait.max.ms": 50,
        # The default second brakes reading to a tenth whenever the local queue was full once.
        "fetch.queue.backoff.ms": 10,
    }


def _bulk(settings: Settings, role: str) -> Properties:
    ours = {
        **_reading(settings, f"{settings.kafka.group_id}-{role}", role),
        # Together they bound what lies read and unused: 17 MB instead of 80 with records of a thousand tokens.
        "queued.max.messages.kbytes": 16_384,
        "fetch.message.max.bytes": 1_048_576,
    }
    return ours | _fitting(settings, PRODUCERS_ONLY | _MEMBERS_ONLY)


def _fitting(settings: Settings, others: frozenset[str]) -> Properties:
    given = settings.kafka.properties.items()
    return {name: _plain(value) for name, value in given if name not in others}


def _plain(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


class KafkaLog:
    """What librdkafka says, as events of our own log; confluent-kafka calls ``log`` from within poll and consume.

    Promised: the same words at most once in ten seconds, since an outage repeats them ten times a second.
    Not promised: lines of a client that nobody polls.
    """

    __slots__ = ("_quiet_until_s", "_role")

    _METHODS: Final = ((40, "error"), (30, "warning"), (20, "info"))
    _QUIET_S: Final = 10.0
    _MOST_REMEMBERED: Final = 100

    def __init__(self, role: str) -> None:
        self._role = role
        self._quiet_until_s: dict[str, float] = {}

    def log(self, level: int, form: str, *values: object) -> None:
        """``level`` counts as in the standard library: 20 info, 30 warning, 40 error."""
        said = form % values
        if self._said_lately(_AFTER_A_WHILE.sub("", said), time.monotonic()):
            return
        name = next((name for least, name in self._METHODS if level >= least), "debug")
        getattr(structlog.get_logger(), name)("kafka_client", client=self._role, said=said)

    def _said_lately(self, words: str, now_s: float) -> bool:
        if now_s < self._quiet_until_s.get(words, 0.0):
            return True
        if len(self._quiet_until_s) >= self._MOST_REMEMBERED:
            self._quiet_until_s.clear()
        self._quiet_until_s[words] = now_s + self._QUIET_S
        return False
