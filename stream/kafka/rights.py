"""What Unpush must be allowed to do on the broker, and what it is allowed.

Promised: ``needed`` lists every right that a command of ours uses, the least that does. Not promised: an answer where
the broker cannot tell (before 2.3, or an imitation): None then.
Operations: https://kafka.apache.org/documentation/#operations_in_kafka
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing
from typing import Any, Final, NamedTuple, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.kafka import properties
from stream.kafka.cluster import SILENT
from stream.model import Standing, Verdict
from stream.settings import Settings

ANSWER_WITHIN_S: Final = 5.0

SERVICE: Final = "run"


class Right(NamedTuple):
    """One ACL: ``operations`` by the names that ``kafka-acls.sh`` takes, on one resource, for these commands."""

    resource: str
    name: str
    prefixed: bool
    operations: tuple[str, ...]
    commands: str

    @property
    def needed_to_run(self) -> bool:
        """Whether the service itself needs it."""
        return self.commands.startswith(SERVICE)


Allowed = Mapping[tuple[str, str], frozenset[str]]
"""Operations by resource and name, as Kafka calls them, without underscores: READ, DESCRIBECONFIGS."""


def needed(settings: Settings) -> list[Right]:
    """The ACLs for this deployment; those of ``run`` first."""
    sent, violations, results = settings.topics.partitioned_alike
    letters, group = settings.topics.dead_letter, settings.kafka.group_id
    every = (*settings.topics.partitioned_alike, letters)
    return [
        Right("Topic", sent, False, ("Read", "DescribeConfigs"), SERVICE),
        Right("Topic", violations, False, ("Read", "DescribeConfigs"), SERVICE),
        Right("Topic", results, False, ("Read", "Write", "DescribeConfigs"), SERVICE),
        Right("Topic", letters, False, ("Write", "DescribeConfigs"), SERVICE),
        Right("Group", group, True, ("Read",), f"{SERVICE} (the dry run's group begins with the same name)"),
        Right("Topic", letters, False, ("Read",), "replay"),
        Right("Topic", sent, False, ("Write",), "replay"),
        Right("Topic", violations, False, ("Write",), "replay, approve, withdraw"),
        *(Right("Topic", name, False, ("Create",), "topics") for name in every),
    ]


def verdict(rights: Iterable[Right], allowed: Allowed | None) -> Verdict:
    """Whether the service has what it needs; ``allowed`` None: nobody tells. Without DescribeConfigs it runs, and
    cannot see how topics are set."""
    about = "rights"
    if allowed is None:
        found = "the broker does not tell what this user may do"
        return Verdict(about, Standing.UNKNOWN, found, "compare the list of ACLs")
    missing = [
        (operation, f"{operation} on {right.name}")
        for right in rights
        if right.needed_to_run and (right.resource, right.name) in allowed
        for operation in right.operations
        if operation.upper() not in allowed[right.resource, right.name]
    ]
    if not missing:
        return Verdict(about, Standing.GOOD, "this user may read and write what `run` needs")
    light = all(operation == "DescribeConfigs" for operation, _ in missing)
    found = f"this user may not: {', '.join(told for _, told in missing)}"
    return Verdict(about, Standing.WARNING if light else Standing.BAD, found, "add the ACLs that are listed as needed")


def allowed(settings: Settings, names: Iterable[str]) -> Allowed | None:
    """What this user may do on each of these topics and with the group; None: the broker does not tell."""
    client = AdminClient(properties.admin(settings) | {"logger": SILENT})
    bound = {"include_authorized_operations": True, "request_timeout": ANSWER_WITHIN_S}
    asked = client.describe_topics(TopicCollection(list(names)), **bound)
    try:
        found = {("Topic", name): _operations(answer) for name, answer in asked.items()}
    except (KafkaException, TimeoutError):
        return None
    if (of_group := _of_group(settings)) is not None:
        found["Group", settings.kafka.group_id] = of_group
    return None if any(operations is None for operations in found.values()) else cast("Allowed", found)


def _operations(asked: Future[Any]) -> frozenset[str] | None:
    told = asked.result(timeout=2 * ANSWER_WITHIN_S).authorized_operations
    return None if told is None else frozenset(each.name.replace("_", "") for each in told)


def _of_group(settings: Settings) -> frozenset[str] | None:
    """Asked by its offsets, which needs no member and leaves none; None: nobody tells. Who may see the group and not
    join it is taken for one who may.

    Not by describe_consumer_groups: as every admin call that goes to a group's coordinator, it aborts the process
    where a broker goes away meanwhile (https://github.com/confluentinc/librdkafka/issues/4605).
    """
    ours = {"group.id": settings.kafka.group_id, "logger": SILENT}
    place = TopicPartition(settings.topics.violation_detected, 0)
    with closing(Consumer(properties.past(settings) | ours)) as asker:
        try:
            asker.committed([place], timeout=ANSWER_WITHIN_S)
        except KafkaException as error:
            return frozenset() if _refused(asker, error.args[0]) else None
    return frozenset({"READ"})


def _refused(asker: Consumer, error: KafkaError) -> bool:
    """A coordinator that may not be looked for is told to whoever polls; the question itself only times out."""
    told = asker.poll(0)
    said = (error, None if told is None else told.error())
    return any(each is not None and each.code() == KafkaError.GROUP_AUTHORIZATION_FAILED for each in said)
