"""librdkafka's own mock cluster, which comes with confluent-kafka: the demo's broker, up in some 10 ms, no JVM.

Promised: produce, consume, consumer groups and commits, at ``bootstrap_servers`` on loopback, for every client.
Not promised: anything like Kafka's durability. A partition keeps 5 MB and forgets what is older, ``offsets_for_times``
always answers "end", topics cannot be created or described by an AdminClient. Partition counts are granted through
librdkafka's C interface (``rdkafka_mock.h``, which calls itself not stable); where the library cannot be reached that
way every topic has 4 partitions, and ``partitions`` says so.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Producer, cimpl

from stream.model import StartError

PLAIN_PARTITIONS: Final = 4
"""Partitions of every topic where librdkafka is only reached through ``test.mock.num.brokers``."""

_REBALANCE_DELAY_MS: Final = 50  # of 3,000 by default: a group of one has nobody to wait for
_PRODUCER: Final = 0  # rd_kafka_type_t
_NO_ERROR: Final = 0  # rd_kafka_resp_err_t
_READY_WITHIN_S: Final = 10


class MockKafka:
    """One mock broker with these topics (name: partitions). Lives from ``start`` to ``stop``; starts again empty."""

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._asked = dict(topics)
        self._cluster: _NativeCluster | _PlainCluster | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The broker's address; empty while it does not run."""
        return self._cluster.bootstrap_servers if self._cluster else ""

    @property
    def partitions(self) -> Mapping[str, int]:
        """Each topic's partitions as they are, which may differ from what was asked; empty while it does not run."""
        return self._cluster.partitions if self._cluster else {}

    def start(self) -> None:
        """Starts the broker with its topics. Raises StartError when librdkafka refuses."""
        library = _library()
        self._cluster = _start_plain(self._asked) if library is None else _start_native(library, self._asked)

    def stop(self) -> None:
        """Ends the broker and all its records. Does nothing where it does not run."""
        if self._cluster:
            self._cluster.stop()
        self._cluster = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()


@dataclass(frozen=True, slots=True)
class _NativeCluster:
    library: ctypes.CDLL
    client: int
    cluster: int
    bootstrap_servers: str
    partitions: Mapping[str, int]

    def stop(self) -> None:
        self.library.rd_kafka_mock_cluster_destroy(self.cluster)
        self.library.rd_kafka_destroy(self.client)


@dataclass(frozen=True, slots=True)
class _PlainCluster:
    owner: Producer
    bootstrap_servers: str
    partitions: Mapping[str, int]

    def stop(self) -> None:
        self.owner.close()


def _library() -> ctypes.CDLL | None:
    """The very librdkafka that confluent-kafka runs on: a symbol is also looked for in what its module links to."""
    try:
        library = ctypes.CDLL(cimpl.__file__)
        for name, (result, *arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return library


_SIGNATURES: Final = {
    "rd_kafka_conf_new": (ctypes.c_void_p,),
    "rd_kafka_conf_set": (ctypes.c_int, ctypes.c_void_p, *(ctypes.c_char_p,) * 3, ctypes.c_size_t),
    "rd_kafka_new": (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t),
    "rd_kafka_destroy": (None, ctypes.c_void_p),
    "rd_kafka_mock_cluster_new": (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int),
    "rd_kafka_mock_cluster_destroy": (None, ctypes.c_void_p),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, ctypes.c_void_p),
    "rd_kafka_mock_topic_create": (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, ctypes.c_void_p, ctypes.c_int32),
}


def _start_native(library: ctypes.CDLL, topics: Mapping[str, int]) -> _NativeCluster:
    reason = ctypes.create_string_buffer(512)
    settings = library.rd_kafka_conf_new()  # rd_kafka_new takes it over
    library.rd_kafka_conf_set(
        settings, b"log_level", b"0", reason, len(reason)
    )  # it has no servers to find, and says so
    client = library.rd_kafka_new(_PRODUCER, settings, reason, len(reason))
    if not client:
        raise StartError(f"The embedded broker did not start: {reason.value.decode()}.")
    mock = library.rd_kafka_mock_cluster_new(client, 1)
    address = library.rd_kafka_mock_cluster_bootstraps(mock).decode()
    cluster = _NativeCluster(library, client, mock, address, topics)
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(mock, _REBALANCE_DELAY_MS)
    for topic, count in topics.items():
        if library.rd_kafka_mock_topic_create(mock, topic.encode(), count, 1) != _NO_ERROR:
            cluster.stop()
            raise StartError(f"The embedded broker refused the topic {topic!r} with {count} partitions.")
    return cluster


def _start_plain(topics: Mapping[str, int]) -> _PlainCluster:
    owner = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    for topic in topics:
        owner.list_topics(topic, timeout=_READY_WITHIN_S)  # a topic appears when it is first asked for
    found = owner.list_topics(timeout=_READY_WITHIN_S)
    address = ",".join(f"{broker.host}:{broker.port}" for broker in found.brokers.values())
    return _PlainCluster(owner, address, {topic: len(found.topics[topic].partitions) for topic in topics})
