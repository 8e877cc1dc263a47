"""The group member: violations come to it, and with them the shards.

It has a thread of its own, which alone polls and closes the consumer. Promised: a shard is handed to ``arrive``
before any record of it, and ``leave`` returns before the broker gives it to another (unless the broker has done so
already: then it is ``lost``). The offsets that it commits are for lag tools only; no start uses them. Not promised:
that the broker stops a member that lost a shard from writing for it; the shard's fence does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Final, Protocol

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.kafka.pulse import EVERY_MS, Pulse
from stream.kafka.reading import (
    WAITS,
    Lag,
    Place,
    Standing,
    Take,
    fetch,
    go_on_inside,
    patiently,
    sort_batch,
    watermarks,
)
from stream.model import Fenced, Topic

WAIT_S: Final = 0.2
BATCH: Final = 100
COMMIT_EVERY_S: Final = 5.0
RECOMMIT_EVERY_S: Final = 3600.0
"""The broker forgets offsets of topics that nobody subscribes to; message-sent is one."""

log = structlog.get_logger(__name__)


class Shards(Protocol):
    """What the member tells of shards."""

    def arrive(self, ends: Mapping[int, Mapping[Topic, int]]) -> None:
        """These shards are ours now; ``ends``: per shard and topic, the end that can be read at this moment."""

    def leave(self, shards: list[int]) -> None:
        """These shards go: finish what can be finished within seconds, fence them, return."""

    def lost(self, shards: list[int]) -> None:
        """These shards are another's already: fence them at once."""

    def returning(self) -> None:
        """Shards are about to come, and their ends are about to be asked for: what this process has written of them
        before is to lie below those ends, if it can within seconds."""

    def positions(self) -> Mapping[Place, int]:
        """What to commit, for lag tools."""


class Membership:
    """See the module's words."""

    def __init__(
        self,
        properties: dict[str, Any],
        names: Mapping[Topic, str],
        take: Take,
        shards: Shards,
        lost: Callable[[Place, int, int], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """``lost(place, from, to)``: retention took those offsets before they were read; ``failed``: the member has
        ended by an error."""
        self._pulse = Pulse()
        self._properties = properties
        self._consumer = Consumer(
            {
                "statistics.interval.ms": EVERY_MS,
                **properties,
                "stats_cb": lambda said: self._pulse.look(said, time.monotonic()),
                "error_cb": self._pulse.trouble,
            }
        )
        self._names = names
        self._topics = {name: topic for topic, name in names.items()}
        self._take, self._shards, self._lost, self._failed = take, shards, lost, failed
        self._at: dict[Place, int] = {}
        self._standing = Standing(self._consumer, {Topic.VIOLATIONS: names[Topic.VIOLATIONS]})
        self._lag = Lag(self._consumer, names)
        self._stop = threading.Event()
        self._commit_at_s = 0.0
        self._committed: dict[Place, int] = {}
        self._committed_s = 0.0
        self.joined = False
        self.member_id: str | None = None
        """How the broker names this member; None: it is not one yet."""
        self.thread = threading.Thread(target=self._run, name="membership", daemon=True)

    def stop(self) -> None:
        """Leave the group, which hands the shards to ``leave`` first, and close; waits for it."""
        self._stop.set()
        if self.thread.is_alive():
            self.thread.join(15)

    @property
    def waiting(self) -> dict[Place, str]:
        """Partitions that stand still, and why."""
        return dict(self._standing.reasons)

    @property
    def silence(self) -> str | None:
        """Why it can do nothing: no broker has answered for long; None: they answer."""
        return self._pulse.why(time.monotonic())

    @property
    def unread(self) -> Mapping[Place, int]:
        """Records behind what was taken, by partition, as of the last second; from any thread."""
        return self._lag.unread

    # --- the thread

    def _run(self) -> None:
        try:
            self._consumer.subscribe(
                [self._names[Topic.VIOLATIONS]],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._were_lost,
            )
            while not self._stop.is_set():
                self._turn()
        except Exception as error:  # noqa: BLE001  # whatever ends this thread ends the service
            self._failed(error)
        finally:
            self._leave_group()

    def _leave_group(self) -> None:
        try:
            self._commit_at_end()
            self._consumer.close()
        except Exception as error:  # noqa: BLE001  # we are going anyway; the session's end does what is left
            log.warning("leaving_the_group_failed", why=str(error))

    def _turn(self) -> None:
        self._standing.resume_due()
        self._lag.look(self._at)
        if self.joined and self.member_id is None:
            self.member_id = self._consumer.memberid()
        messages = fetch(self._consumer, BATCH, WAIT_S)
        if messages:
            self._hand_over(messages)
        self._commit()

    def _hand_over(self, messages: list[Message]) -> None:
        batch = sort_batch(messages, self._topics)
        for topic, partition, some in batch.runs:
            self._hand_over_run((topic, partition), some, (some[-1].offset() or 0) + 1)
        for place, end in batch.ends:
            self._hand_over_run(place, [], end)
        for message in batch.errors:
            self._trouble(message)

    def _hand_over_run(self, place: Place, messages: list[Message], end: int) -> None:
        start = self._at.get(place)
        if start is None or place in self._standing or end <= start or self._standing.doubts(place, start, messages):
            return
        try:
            self._take(*place, messages, start, end)
        except WAITS as why:
            self._standing.stand(place, start, why)
        except Fenced:
            self._at.pop(place, None)
        else:
            self._at[place] = end
            self._standing.went_on(place)

    def _trouble(self, message: Message) -> None:
        error = message.error()
        assert error is not None
        if error.fatal():
            raise KafkaException(error)
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._out_of_range((Topic.VIOLATIONS, message.partition() or 0))
        elif error.code() == KafkaError._MAX_POLL_EXCEEDED:
            log.error("polled_too_late", why=error.str())  # the shards come as lost
        else:
            log.warning("reading_trouble", topic=message.topic(), partition=message.partition(), why=error.str())

    def _out_of_range(self, place: Place) -> None:
        """Retention has taken what was to be read next: say what is lost and go on behind it."""
        if (at := self._at.get(place)) is not None:
            self._at[place] = go_on_inside(self._consumer, self._names[place[0]], place, at, self._lost)

    # --- shards come and go; called by the consumer inside a poll

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        shards = sorted(each.partition for each in partitions)
        if shards:
            # The brokers may go in this very moment; the shards wait for them as reading does.
            patiently(lambda: self._arrive(consumer, shards), self._stop)
        else:
            consumer.incremental_assign([])
        self.joined, self.member_id = True, None  # it may have another name by now

    def _arrive(self, consumer: Consumer, shards: list[int]) -> None:
        self._shards.returning()
        # Asked by a client of its own: our callback, in which we are, may not ask ours for metadata. It would forget
        # whose call it is in, and abort the process at the next statistics or error (confluent-kafka 2.16).
        with closing(Consumer(self._properties)) as asker:
            ends = {shard: {topic: self._end(asker, topic, shard) for topic in Topic} for shard in shards}
        self._shards.arrive(ends)
        name = self._names[Topic.VIOLATIONS]
        self._at.update({(Topic.VIOLATIONS, shard): ends[shard][Topic.VIOLATIONS] for shard in shards})
        consumer.incremental_assign([TopicPartition(name, shard, ends[shard][Topic.VIOLATIONS]) for shard in shards])
        log.info("shards_came", partitions=shards)

    def _end(self, asker: Consumer, topic: Topic, shard: int) -> int:
        return watermarks(asker, self._names[topic], shard, 10.0)[1]

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        shards = self._forget(partitions)
        if shards:
            self._shards.leave(shards)
            log.info("shards_went", partitions=shards)
        consumer.incremental_unassign(partitions)

    def _were_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.joined = False
        shards = self._forget(partitions)
        self._shards.lost(shards)
        log.warning("shards_lost", partitions=shards)
        consumer.incremental_unassign(partitions)

    def _forget(self, partitions: list[TopicPartition]) -> list[int]:
        shards = sorted(each.partition for each in partitions)
        places = [(Topic.VIOLATIONS, shard) for shard in shards]
        self._standing.forget(places)
        for place in places:
            self._at.pop(place, None)
        return shards

    # --- offsets, for lag tools

    def _commit(self) -> None:
        now_s = time.monotonic()
        if now_s < self._commit_at_s:
            return
        self._commit_at_s = now_s + COMMIT_EVERY_S
        positions = dict(self._shards.positions())
        if not positions or (positions == self._committed and now_s < self._committed_s + RECOMMIT_EVERY_S):
            return
        try:
            self._consumer.commit(offsets=self._offsets(positions), asynchronous=True)
        except KafkaException as error:
            log.debug("commit_failed", why=str(error))
            return
        self._committed, self._committed_s = positions, now_s

    def _commit_at_end(self) -> None:
        if positions := self._shards.positions():
            try:
                self._consumer.commit(offsets=self._offsets(positions), asynchronous=False)
            except KafkaException as error:
                log.debug("commit_failed", why=str(error))

    def _offsets(self, positions: Mapping[Place, int]) -> list[TopicPartition]:
        return [TopicPartition(self._names[topic], shard, at) for (topic, shard), at in positions.items()]
