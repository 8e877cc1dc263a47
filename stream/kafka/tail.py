"""The live reader of sends and of results: from the end that there was when a shard came, for as long as it is ours.

It has a consumer and a thread of its own, so that a million sends to catch up on never delay a violation. Promised:
every record from the given offset on is handed over once and in order, at least until the shard is let go. Not
promised: what lies before that offset; ``past`` sees to it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.kafka.leaders import EVERY_MS, Leaders
from stream.kafka.reading import WAITS, Appetite, Lag, Place, Standing, Take, fetch, go_on_inside, sort_batch
from stream.model import Fenced, Topic

WAIT_S: Final = 0.1
RESULTS_REST_S: Final = 0.5
"""Nearly all results that come are our own, and marked before: fetching each as it comes would cost the broker as much
as writing it. So they rest when all that was there has been read."""

log = structlog.get_logger(__name__)


class Pace(Protocol):
    """How much bulk reading may take while calls are due."""

    def most(self) -> int:
        """Records in the next batch, at most."""

    def rest(self, worked_s: float) -> None:
        """Let others work, after so long a time of one's own."""


class Tail:
    """See the module's words. ``add``, ``remove`` and ``ask_end`` may be called from any thread."""

    def __init__(
        self,
        properties: dict[str, Any],
        names: Mapping[Topic, str],
        take: Take,
        pace: Pace,
        end: Callable[[str, int], int],
        at_end: Callable[[Place, float], None],
        lost: Callable[[Place, int, int], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """``end(topic, partition)``: where the log ends, open transactions included, which a reader of committed
        records is not told; ``at_end(place, since)``: all that was there at ``since`` (monotonic) has been read;
        ``lost(place, from, to)``: retention took those offsets before they were read; ``failed``: the reader has ended
        by an error."""
        self._leaders = Leaders(names[Topic.SENDS])
        looks = {
            "statistics.interval.ms": EVERY_MS,
            "stats_cb": lambda said: self._leaders.look(said, time.monotonic()),
        }
        self._consumer = Consumer({**properties, **looks})
        self._names = names
        self._topics = {name: topic for topic, name in names.items()}
        self._take, self._pace, self._lost, self._failed = take, pace, lost, failed
        self._end, self._at_end = end, at_end
        self._appetite = Appetite()
        self._at: dict[Place, int] = {}
        self._standing = Standing(self._consumer, names)
        self._lag = Lag(self._consumer, names)
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._asked: set[Place] = set()
        self._awaited: dict[Place, tuple[int, float]] = {}
        """Ends that lay ahead when somebody asked, and since when they were there."""
        self.passed: Callable[[Place, float], None] = lambda *_: None
        """Is told that an end which lay ahead at some moment has been passed. Less than ``at_end``: a broker that has
        just come back may have named one that was none."""
        self._stop = threading.Event()
        self.behind = False
        self.thread = threading.Thread(target=self._run, name="tail", daemon=True)

    # --- orders, from any thread

    def add(self, places: Mapping[Place, int]) -> None:
        """Read these from these offsets on."""
        self._orders.put(lambda: self._assign(places))

    def remove(self, places: list[Place]) -> None:
        """Read these no more."""
        self._orders.put(lambda: self._unassign(places))

    def ask_end(self, place: Place) -> None:
        """Find out whether all that is there now has been read; the answer, if it is yes, comes through ``at_end``."""
        if place not in self._asked:  # however many violations wait for the answer: each look keeps reading waiting
            self._asked.add(place)
            self._orders.put(lambda: self._look_for_end(place))

    def stop(self) -> None:
        """End the thread and close the consumer; waits for it."""
        self._stop.set()
        if self.thread.is_alive():
            self.thread.join(10)

    @property
    def waiting(self) -> dict[Place, str]:
        """Partitions that stand still, and why."""
        return dict(self._standing.reasons)

    @property
    def unread(self) -> Mapping[Place, int]:
        """Records behind what was taken, by partition, as the last fetch told; once a second, from any thread."""
        return self._lag.unread

    def silent(self, now_s: float) -> bool:
        """Whether nobody answers for a partition of sends, or did so only just now: what was written to it is not known
        of; ``now_s`` is monotonic, from any thread."""
        return self._leaders.silent(now_s)

    # --- the thread

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._turn()
        except Exception as error:  # noqa: BLE001  # whatever ends this thread ends the service
            self._failed(error)
        finally:
            self._consumer.close()

    def _turn(self) -> None:
        while not self._orders.empty():
            self._orders.get()()
        self._standing.resume_due()
        self._lag.look(self._at)
        if not self._at:
            self._stop.wait(0.02)
            return
        most = self._appetite.most(self._pace.most())
        messages = fetch(self._consumer, most, WAIT_S)
        self._appetite.fed(messages)
        began_s = time.monotonic()
        self.behind = len(messages) > most
        if messages:
            self._hand_over(messages)
            if self.behind:
                self._pace.rest(time.monotonic() - began_s)

    def _hand_over(self, messages: list[Message]) -> None:
        batch = sort_batch(messages, self._topics)
        for topic, partition, some in batch.runs:
            self._hand_over_run((topic, partition), some)
        for place, end in batch.ends:
            self._reached(place, end)
        for message in batch.errors:
            self._trouble(message)

    def _hand_over_run(self, place: Place, messages: list[Message]) -> None:
        start = self._at.get(place)
        if start is None or place in self._standing or self._standing.doubts(place, start, messages):
            return
        end = (messages[-1].offset() or 0) + 1
        try:
            self._take(*place, messages, start, end)
        except WAITS as why:
            self._standing.stand(place, start, why)
        except Fenced:
            self._unassign([place])  # the order to do so may come later: then nothing is left to do
        else:
            self._at[place] = end
            self._standing.went_on(place)
            if place[0] is Topic.RESULTS and self._lag.is_none(place, end):
                self._standing.rest(place, RESULTS_REST_S)
            if place in self._awaited:
                self._arrived(place)

    def _reached(self, place: Place, end: int) -> None:
        """The end of the partition as it was just now; markers of transactions before it leave no record."""
        start = self._at.get(place)
        if start is None or place in self._standing:
            return
        if end > start:
            self._hand_over_gap(place, start, end)

    def _hand_over_gap(self, place: Place, start: int, end: int) -> None:
        try:
            self._take(*place, [], start, end)
        except (Fenced, *WAITS):
            return
        self._at[place] = end
        if place in self._awaited:
            self._arrived(place)

    def _arrived(self, place: Place) -> None:
        """While records keep coming the end itself is hardly ever where we are; the one that was asked for is passed
        soon."""
        end, since_s = self._awaited[place]
        if self._at[place] >= end:
            del self._awaited[place]
            self.passed(place, since_s)

    def _look_for_end(self, place: Place) -> None:
        self._asked.discard(place)
        since_s, at = time.monotonic(), self._at.get(place)
        if at is None or place in self._standing.reasons:
            return
        try:
            end = self._end(self._names[place[0]], place[1])
        except (KafkaException, TimeoutError) as error:
            log.debug("end_unknown", why=str(error))
            return
        if at == end:  # below what has been read is no end: a broker that has just come back does not know it
            self._at_end(place, since_s)
        elif at < end:
            self._awaited.setdefault(place, (end, since_s))

    def _trouble(self, message: Message) -> None:
        error = message.error()
        assert error is not None
        place = (self._topics.get(message.topic() or "", Topic.SENDS), message.partition() or 0)
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._out_of_range(place)
        elif error.fatal():
            raise KafkaException(error)
        else:
            log.warning("reading_trouble", topic=message.topic(), partition=place[1], why=error.str())

    def _out_of_range(self, place: Place) -> None:
        """Retention has taken what was to be read next: say what is lost and go on behind it."""
        if (at := self._at.get(place)) is not None:
            self._at[place] = go_on_inside(self._consumer, self._names[place[0]], place, at, self._lost)

    def _assign(self, places: Mapping[Place, int]) -> None:
        new = {place: offset for place, offset in places.items() if place not in self._at}
        self._at.update(new)
        if new:
            self._consumer.incremental_assign(
                [TopicPartition(self._names[t], p, offset) for (t, p), offset in new.items()]
            )

    def _unassign(self, places: list[Place]) -> None:
        held = [place for place in places if self._at.pop(place, None) is not None]
        for place in held:
            self._awaited.pop(place, None)
        self._standing.forget(held)
        if held:
            self._consumer.incremental_unassign([TopicPartition(self._names[t], p) for t, p in held])
