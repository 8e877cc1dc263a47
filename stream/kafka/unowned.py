"""Shards that nobody has though the group is at rest: seen, said, and shared out again.

A group shares its partitions out when a member comes or goes. Static members (``group.instance.id``) of the classic
protocol come back without that: each gets what it had when the group shared out last. Whoever let a shard go then, so
that another gets it in the next round, and is killed before that round begins, leaves it to nobody when it is back; and
the members cannot know, since each sees its own part only (https://cwiki.apache.org/confluence/x/uxjkBg, KIP-345).

Promised: a shard that two looks, some seconds apart, find with nobody is shared out: a member of the moment comes, for
another topic, and goes. The shards of the others stay where they are. Not promised: that nobody else does it as well;
once more does no harm.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from random import Random
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

LOOK_EVERY_S: Final = 5.0
PATIENCE_S: Final = 10.0, 20.0
"""So long nobody has it before it is shared out again; drawn, so that of many instances one is first."""
JOINED_WITHIN_S: Final = 15.0
_POLL_S: Final = 0.1
_VERSION_BYTES: Final = 2
_SHORT: Final = struct.Struct(">h")
_INT: Final = struct.Struct(">i")

log = structlog.get_logger(__name__)


class Unowned:
    """See the module's words. Blocks, for seconds; one thread at a time."""

    def __init__(
        self,
        member: Mapping[str, Any],
        topic: str,
        shards: int,
        other_topic: str,
        assignments: Callable[[], list[bytes] | None],
    ) -> None:
        """``member``: the properties of the group's members, which subscribe to ``topic`` and not to ``other_topic``;
        ``assignments``: what each has been given, None while nobody can tell."""
        self._static = member.get("group.protocol") == "classic" and "group.instance.id" in member
        self._guest = {name: value for name, value in member.items() if name != "group.instance.id"}
        self._topic, self._all = topic, frozenset(range(shards))
        self._other_topic = other_topic
        self._assignments = assignments
        self._seen: frozenset[int] = frozenset()
        self._since_s = self._looked_s = 0.0
        self._stopped = threading.Event()
        self._patience_s = Random().uniform(*PATIENCE_S)

    def stop(self) -> None:
        """Share nothing out any more; a guest that is waiting goes. From any thread."""
        self._stopped.set()

    def look(self, now_s: float) -> None:
        """Now and then, where members are static; ``now_s`` is monotonic."""
        if not self._static or now_s < self._looked_s + LOOK_EVERY_S:
            return
        self._looked_s, unowned = now_s, self._unowned()
        if unowned != self._seen:
            self._seen, self._since_s = unowned, now_s
        elif unowned and now_s >= self._since_s + self._patience_s:
            log.warning("shards_unowned", partitions=sorted(unowned), for_s=round(now_s - self._since_s))
            self._since_s = now_s
            self._share_out()

    def _unowned(self) -> frozenset[int]:
        given = self._assignments()
        return self._all.difference(*(assigned(each, self._topic) for each in given)) if given else frozenset()

    def _share_out(self) -> None:
        until_s = time.monotonic() + JOINED_WITHIN_S
        try:
            with closing(Consumer(self._guest)) as guest:
                joined = visit(guest, self._other_topic)
                while not (joined.is_set() or self._stopped.is_set()) and time.monotonic() < until_s:
                    guest.poll(_POLL_S)
        except KafkaException as error:
            log.warning("sharing_out_failed", why=error.args[0].str())


def visit(guest: Consumer, topic: str) -> threading.Event:
    """Subscribe; set once the guest is a member.

    It takes and gives back its partitions itself: left to confluent-kafka, a close may wait for ever for a group that
    is gone already (2.16, ``rd_kafka_rebalance_protocol`` inside the close).
    """
    joined = threading.Event()

    def came(_: Consumer, partitions: list[TopicPartition]) -> None:
        guest.incremental_assign(partitions)
        joined.set()

    def went(_: Consumer, partitions: list[TopicPartition]) -> None:
        guest.incremental_unassign(partitions)

    guest.subscribe([topic], on_assign=came, on_revoke=went, on_lost=went)
    return joined


def assigned(given: bytes, topic: str) -> list[int]:
    """The partitions of a topic in a member's assignment.

    Source: https://kafka.apache.org/protocol.html (ConsumerProtocolAssignment): version, then for each topic its name
    and its partitions. Nothing at all is what a member has that was given nothing yet.
    """
    if not given:
        return []
    (topics,), at = _INT.unpack_from(given, _VERSION_BYTES), _VERSION_BYTES + _INT.size
    found: list[int] = []
    for _ in range(topics):
        (length,) = _SHORT.unpack_from(given, at)
        name, at = given[at + _SHORT.size : at + _SHORT.size + length].decode(), at + _SHORT.size + length
        (count,) = _INT.unpack_from(given, at)
        if name == topic:
            found += struct.unpack_from(f">{count}i", given, at + _INT.size)
        at += _INT.size * (1 + count)
    return found
