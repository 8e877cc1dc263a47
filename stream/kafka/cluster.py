"""The broker as an administrator sees it: which topics there are, how they are set, and new ones.

Promised: every failure is one sentence with librdkafka's own reason in it, after a bounded wait, and no stream of
log lines. Not promised: a complete answer from brokers that do not tell (None then), such as librdkafka's mock cluster.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from stream.kafka import properties
from stream.kafka.fellows import Group, Member
from stream.model import StartError
from stream.settings import Settings

ANSWER_WITHIN_S: Final = 10.0
_SLICE_S: Final = 2.0
_NO_CONTROLLER_WAIT_S: Final = 0.5
"""A cluster whose controller is none of its brokers (the mock) never answers a describe; it is not worth more."""

END_WITHIN_S: Final = 2.0
_KNOWN_WITHIN_S: Final = 2.0
_LOOK_AGAIN_S: Final = 0.1

_HOPELESS: Final = {
    KafkaError._AUTHENTICATION: " does not let us in (kafka.properties, sasl.*)",
    KafkaError._SSL: ": no TLS with it (kafka.properties, ssl.*)",
}
"""What no waiting mends, and how a person is told of it."""
_NO_ANSWER: Final = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT)
_AT_REST: Final = "Stable"
_NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"
"""What brokers before 2.8, which know no topic ids, give in their place: zero."""


@dataclass(frozen=True, slots=True)
class Topic:
    """``topic_id`` and ``config`` (effective values by Kafka's names) are None where the broker does not tell."""

    name: str
    partitions: int
    topic_id: str | None
    config: Mapping[str, str] | None


class Cluster:
    """One administrator's connection. Raises SettingsError at once where librdkafka refuses the settings."""

    def __init__(self, settings: Settings) -> None:
        self._servers = settings.kafka.bootstrap_servers
        self._reasons: list[KafkaError] = []
        ours = {"logger": SILENT, "error_cb": self._reasons.append}
        self._client = AdminClient(properties.admin(settings) | ours)
        self._tells = True

    def partition_counts(self) -> dict[str, int]:
        """Every topic that can be seen. Raises StartError when no broker answers in time."""
        deadline_s = time.monotonic() + ANSWER_WITHIN_S
        while True:
            try:
                metadata = self._client.list_topics(timeout=_SLICE_S)
            except KafkaException as error:
                self._client.poll(0)
                if self._hopeless or time.monotonic() > deadline_s:
                    raise StartError(self._unreachable(error)) from None
            else:
                self._tells = metadata.controller_id in metadata.brokers
                return {name: len(topic.partitions) for name, topic in metadata.topics.items()}

    def counts_once_known(self, names: Iterable[str]) -> dict[str, int]:
        """As ``partition_counts``, but waits a moment for these: what was just created is not known everywhere."""
        wanted = set(names)
        deadline_s = time.monotonic() + _KNOWN_WITHIN_S
        while not wanted <= (counts := self.partition_counts()).keys() and time.monotonic() < deadline_s:
            time.sleep(_LOOK_AGAIN_S)
        return counts

    def describe(self, names: Iterable[str], counts: Mapping[str, int]) -> dict[str, Topic]:
        """Those of these topics that ``counts`` has, in full. Raises StartError when a broker that the cluster itself
        names does not answer."""
        wanted = [name for name in names if name in counts]
        if not wanted:
            return {}
        resources = {name: ConfigResource(ConfigResource.Type.TOPIC, name) for name in wanted}
        bound = {"request_timeout": self._answer_s}
        ids = self._client.describe_topics(TopicCollection(wanted), **bound)
        configs = self._client.describe_configs(list(resources.values()), **bound)
        return {
            name: Topic(name, counts[name], self._id(ids[name]), self._config(configs[resource]))
            for name, resource in resources.items()
        }

    def at_present(self, names: Iterable[str]) -> dict[str, Topic]:
        """Ids and partition counts of those of these topics that are there now; nothing while no broker answers."""
        asked = self._client.describe_topics(TopicCollection(list(names)), request_timeout=END_WITHIN_S)
        found: dict[str, Topic] = {}
        for name, answer in asked.items():
            with contextlib.suppress(KafkaException, TimeoutError):
                described = answer.result(timeout=2 * END_WITHIN_S)
                found[name] = Topic(name, len(described.partitions), _id_of(described), None)
        return found

    def end(self, topic: str, partition: int) -> int:
        """Where a partition's log ends, what stands in open transactions included. Raises KafkaException."""
        at = TopicPartition(topic, partition)
        asked = self._client.list_offsets(
            {at: OffsetSpec.latest()},  # type: ignore[no-untyped-call]
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=END_WITHIN_S,
        )
        return int(asked[at].result(timeout=2 * END_WITHIN_S).offset)

    def assignments(self, group_id: str) -> list[bytes] | None:
        """What each member of a classic group was given, in Kafka's own bytes; None: it is being shared out, or nobody
        tells."""
        group = self.group(group_id)
        return None if group is None or not group.at_rest else [member.assignment for member in group.members]

    def group(self, group_id: str) -> Group | None:
        """A classic group and its members; None: nobody tells. Of a group by KIP-848 the broker says that it is dead.

        Asked in the old way: describe_consumer_groups aborts the process where a broker goes away meanwhile
        (https://github.com/confluentinc/librdkafka/issues/4605).
        """
        try:
            groups: list[Any] = self._client.list_groups(group_id, END_WITHIN_S)  # typed by a class of Nones
        except KafkaException:
            return None
        for group in groups:
            if group.members:
                members = (Member(each.id, each.client_id, each.client_host, each.assignment) for each in group.members)
                return Group(group.state == _AT_REST, tuple(members))
        return None

    def create(self, name: str, partitions: int, replication_factor: int, config: Mapping[str, str]) -> bool:
        """False: somebody else was quicker. ``replication_factor`` -1 takes the broker's own. Raises StartError."""
        new = NewTopic(name, partitions, replication_factor, config=dict(config))
        creating = self._client.create_topics([new], operation_timeout=ANSWER_WITHIN_S, request_timeout=self._answer_s)
        try:
            creating[name].result(timeout=2 * ANSWER_WITHIN_S)
        except KafkaException as error:
            if _code(error) == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            self._refuse_strange_addresses(error)
            raise StartError(f"topic {name} cannot be created: {_said(error.args[0])}") from None
        self.counts_once_known([name])
        return True

    def _id(self, asked: Future[Any]) -> str | None:
        described = self._answer(asked)
        return None if described is None else _id_of(described)

    def _config(self, asked: Future[Any]) -> dict[str, str] | None:
        entries = self._answer(asked)
        return None if entries is None else {name: entry.value for name, entry in entries.items()}

    def _answer(self, asked: Future[Any]) -> Any:
        try:
            return asked.result(timeout=2 * ANSWER_WITHIN_S)
        except TimeoutError:
            waited = f"{2 * ANSWER_WITHIN_S:.0f} s"
            raise StartError(
                f"Kafka at {self._servers} (kafka.bootstrap_servers) left a question unanswered for {waited}"
            ) from None
        except KafkaException as error:
            self._refuse_strange_addresses(error)
            return None

    def _refuse_strange_addresses(self, error: KafkaException) -> None:
        """Metadata came from the address we were given, all else goes to those that the brokers advertise."""
        if _code(error) in _NO_ANSWER and self._tells:
            self._client.poll(0)
            raise StartError(self._half_reachable(error)) from None

    @property
    def _answer_s(self) -> float:
        return ANSWER_WITHIN_S if self._tells else _NO_CONTROLLER_WAIT_S

    @property
    def _hopeless(self) -> bool:
        return any(reason.code() in _HOPELESS for reason in self._reasons)

    def _unreachable(self, error: KafkaException) -> str:
        for reason in reversed(self._reasons):
            if (trouble := _HOPELESS.get(reason.code())) is not None:
                return f"Kafka at {self._servers}{trouble}: {_said(reason)}"
        return (
            f"no Kafka broker answers at {self._servers} (kafka.bootstrap_servers), "
            f"waited {ANSWER_WITHIN_S:.0f} s at most: {self._reason(error)}"
        )

    def _half_reachable(self, error: KafkaException) -> str:
        return (
            f"Kafka answers at {self._servers}, but not at the addresses by which its brokers call themselves "
            f"(advertised.listeners): {self._reason(error)}"
        )

    def _reason(self, error: KafkaException) -> str:
        """The most telling of what librdkafka said: that all brokers are down is what we know already."""
        telling = [reason for reason in self._reasons if reason.code() != KafkaError._ALL_BROKERS_DOWN]
        hopeless = [reason for reason in telling if reason.code() in _HOPELESS]
        return _said((hopeless or telling or [error.args[0]])[-1])


class _Silent:
    """Takes librdkafka's log lines and drops them: their reason is in the one sentence that is raised."""

    def log(self, level: int, form: str, *values: object) -> None:
        """Nothing."""


SILENT: Final = _Silent()


def _id_of(described: Any) -> str | None:
    found = str(described.topic_id)
    return None if found == _NO_ID else found


def _code(error: KafkaException) -> int:
    code: int = error.args[0].code()
    return code


def _said(error: KafkaError) -> str:
    """Without "(after 0ms in state CONNECT, 1 identical error(s) suppressed)": brackets in brackets."""
    return re.sub(r" \(after (?:[^()]|\([^()]*\))*\)|/bootstrap\b", "", " ".join(str(error.str()).split()))
