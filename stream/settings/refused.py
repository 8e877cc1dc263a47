"""The librdkafka properties that may not be set, since the promises rest on them.

Promised: each comes with the reason in one clause. Not promised: a guard against every foolish value of the others.
Names: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
"""

from __future__ import annotations

from typing import Final

_OFFSETS: Final = "the store says where reading goes on, and offsets are committed only after it"
_NO_JUMP: Final = "a position outside the log must be noticed, never jumped over"
_DELIVERED: Final = "a result counts only when all replicas in sync have it, once"
_OURS: Final = "it belongs to the program, not to the settings"

REFUSED: Final = {
    "bootstrap.servers": "set kafka.bootstrap_servers",
    "metadata.broker.list": "set kafka.bootstrap_servers",
    "group.id": "set kafka.group_id",
    "group.protocol": "set kafka.group_protocol",
    "group.protocol.type": "set kafka.group_protocol",
    "partition.assignment.strategy": "shards move by cooperative-sticky, so that those that stay are not interrupted",
    "enable.auto.commit": _OFFSETS,
    "auto.commit.enable": _OFFSETS,
    "enable.auto.offset.store": _OFFSETS,
    "auto.offset.reset": _NO_JUMP,
    "isolation.level": "an aborted send was never sent, and must not be revoked",
    "enable.partition.eof": "the end of a partition is how it is known that all of it was read",
    "enable.idempotence": _DELIVERED,
    "acks": _DELIVERED,
    "request.required.acks": _DELIVERED,
    "transactional.id": "no transaction spans a call to the gateway; results are told apart by their ids",
    "delivery.report.only.error": "a result counts only when its delivery is reported",
    "default.topic.config": "write each property by its own name",
    "logger": _OURS,
}

REFUSED_PREFIXES: Final = {"test.mock.": "records would go to a mock cluster in memory"}

REFUSED_WITH_CONSUMER: Final = {
    "session.timeout.ms": "the broker sets it",
    "heartbeat.interval.ms": "the broker sets it",
    "group.instance.id": "a restart within the broker's session timeout would be fatal",
}


def why_refused(name: str, group_protocol: str) -> str | None:
    """The reason for refusing this property, None where it is free."""
    if name.endswith("_cb"):
        return _OURS
    if group_protocol == "consumer" and name in REFUSED_WITH_CONSUMER:
        return f'with kafka.group_protocol = "consumer" {REFUSED_WITH_CONSUMER[name]}'
    prefixed = (reason for prefix, reason in REFUSED_PREFIXES.items() if name.startswith(prefix))
    return REFUSED.get(name) or next(prefixed, None)
