"""What Unpush must be allowed to do on the broker, and what it is allowed.

Promised: ``needed`` lists every right that a command of ours uses, the least that does. Not promised: an answer where
the broker cannot tell (before 2.3, or an imitation): None then.
Operations: https://kafka.apache.org/documentation/#operations_in_kafka
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from confluent_kafka import KafkaException, TopicCollection
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


def verdict(rights: Iterable[Right], allowed: Mapping[str, frozenset[str]] | None) -> Verdict:
    """Whether the service has what it needs on its topics. ``allowed``: operations by topic; None: nobody tells."""
    about = "rights"
    if allowed is None:
        return Verdict(
            about, Standing.UNKNOWN, "the broker does not tell what this user may do", "compare the list of ACLs"
        )
    missing = [
        f"{operation} on {right.name}"
        for right in rights
        if right.commands == SERVICE and right.name in allowed
        for operation in right.operations
        if operation.upper() not in {each.replace("_", "") for each in allowed[right.name]}
    ]
    if missing:
        return Verdict(about, Standing.BAD, f"this user may not: {', '.join(missing)}", "add the ACLs listed below")
    return Verdict(about, Standing.GOOD, "this user may read and write what `run` needs")


def allowed(settings: Settings, names: Iterable[str]) -> Mapping[str, frozenset[str]] | None:
    """What this user may do on each of these topics, by Kafka's names; None: the broker does not tell."""
    client = AdminClient(properties.admin(settings) | {"logger": SILENT})
    asked = client.describe_topics(
        TopicCollection(list(names)), include_authorized_operations=True, request_timeout=ANSWER_WITHIN_S
    )
    try:
        found = {
            name: answer.result(timeout=2 * ANSWER_WITHIN_S).authorized_operations for name, answer in asked.items()
        }
    except (KafkaException, TimeoutError):
        return None
    if any(operations is None for operations in found.values()):
        return None
    return {name: frozenset(each.name for each in operations) for name, operations in found.items()}
