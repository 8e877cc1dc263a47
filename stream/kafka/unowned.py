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

import threading
import time
from collections.abc import Callable
from contextlib import closing
from random import Random
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaException

LOOK_EVERY_S: Final = 5.0
PATIENCE_S: Final = 10.0, 20.0
"""So long nobody has it before it is shared out again; drawn, so that of many instances one is first."""
JOINED_WITHIN_S: Final = 15.0
_POLL_S: Final = 0.1

log = structlog.get_logger(__name__)


class Unowned:
    """See the module's words. Blocks, for seconds; one thread at a time."""

    def __init__(
        self, member: dict[str, Any], shards: int, other_topic: str, owned: Callable[[], frozenset[int] | None]
    ) -> None:
        """``member``: the properties of the group's members; ``other_topic``: one that they do not subscribe to;
        ``owned``: the shards that members have, None while that is not settled."""
        self._member = {name: value for name, value in member.items() if name != "group.instance.id"}
        self._all = frozenset(range(shards))
        self._other_topic = other_topic
        self._owned = owned
        self._seen: frozenset[int] = frozenset()
        self._since_s = self._looked_s = 0.0
        self._patience_s = Random().uniform(*PATIENCE_S)

    def look(self, now_s: float) -> None:
        """Now and then; ``now_s`` is monotonic."""
        if now_s < self._looked_s + LOOK_EVERY_S:
            return
        self._looked_s = now_s
        owned = self._owned()
        unowned = self._all - owned if owned is not None else frozenset()
        if unowned != self._seen:
            self._seen, self._since_s = unowned, now_s
        elif unowned and now_s >= self._since_s + self._patience_s:
            log.warning("shards_unowned", partitions=sorted(unowned), for_s=round(now_s - self._since_s))
            self._since_s = now_s
            try:
                self._share_out()
            except KafkaException as error:
                log.warning("sharing_out_failed", why=error.args[0].str())

    def _share_out(self) -> None:
        joined, until_s = threading.Event(), time.monotonic() + JOINED_WITHIN_S
        with closing(Consumer(self._member)) as guest:
            guest.subscribe([self._other_topic], on_assign=lambda *_: joined.set())
            while not joined.is_set() and time.monotonic() < until_s:
                guest.poll(_POLL_S)
