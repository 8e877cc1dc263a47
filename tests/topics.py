"""Topics for one test: names of its own, created as ``unpush topics`` creates them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic


@dataclass(frozen=True, slots=True)
class FreshTopics:
    """Promised: no two tests share a topic or a group. Not promised: that topics are removed; the broker's end does."""

    bootstrap_servers: str
    prefix: str

    @property
    def group_id(self) -> str:
        """A consumer group that no other test uses."""
        return f"{self.prefix}.group"

    def name(self, topic: str) -> str:
        """The name on the broker: ``topic`` behind this test's prefix."""
        return f"{self.prefix}.{topic}"

    def create(
        self,
        *topics: str,
        partitions: int = 4,
        replicas: int = -1,
        config: Mapping[str, str] | None = None,
    ) -> tuple[str, ...]:
        """Creates them with LogAppendTime, returns their names on the broker once they can be written and read."""
        names = tuple(self.name(topic) for topic in topics)
        settings = {"message.timestamp.type": "LogAppendTime", **(config or {})}
        client = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        new = [NewTopic(name, partitions, replicas, config=settings) for name in names]
        for created in client.create_topics(new, operation_timeout=10).values():
            created.result(timeout=20)
        return names
