"""What the brokers say of the topics by now, beside what they said at the start.

Promised: a topic that has been made anew, taken away or given more partitions is found at the next question. Not
promised: anything where brokers tell no topic ids, as librdkafka's imitation does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stream.kafka.cluster import Cluster
from stream.kafka.preflight import World, changed
from stream.model import Topic


class TopicsNow:
    """See the module's words. Blocks, for seconds; from any thread."""

    __slots__ = ("_cluster", "_dead_letters", "_dead_letters_are", "_names", "_world", "known")

    def __init__(
        self,
        cluster: Cluster,
        world: World,
        names: Mapping[Topic, str],
        dead_letters: str,
        dead_letters_are: Callable[[str | None], None],
    ) -> None:
        """``world``: what was found at the start; ``names``, ``dead_letters``: what the topics are called.
        ``dead_letters_are``: told the id that the dead letters' topic has now."""
        self._cluster, self._world, self._names = cluster, world, names
        self._dead_letters, self._dead_letters_are = dead_letters, dead_letters_are
        self.known = any(world.topic_ids.values())
        """Whether the brokers tell of topics what makes them one and the same."""

    def ids(self) -> dict[Topic, str]:
        """The id of each topic that has one."""
        if not self.known:
            return {}
        described = self._cluster.describe(self._names.values(), self._cluster.partition_counts())
        found = {topic: described[name].topic_id for topic, name in self._names.items() if name in described}
        return {topic: topic_id for topic, topic_id in found.items() if topic_id is not None}

    def trouble(self) -> str | None:
        """Why one cannot go on with the topics as they are now; None: one can."""
        if not self.known:
            return None
        now = self._cluster.at_present((*self._world.topic_ids, self._dead_letters))
        if (topic := now.get(self._dead_letters)) is not None:
            self._dead_letters_are(topic.topic_id)
        return changed(self._world, now)
