"""One schedule, played: a town, its instances, a load that goes on all the while, and strikes at their times.

Promised: all waiting at the end is for conditions, given up only when nothing has moved for a long time; the story is
judged by what all processes left behind, after they have ended. Not promised: the same course twice.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from stream.brokers.apache import ApacheKafka
from stream.model import Status, ViolationEvent
from stream.pushkit.simulator import AppFaults, Faults, Latency, Shape
from stream.wire.registry import Registry
from stream.wire.wire import Wire
from tests.failures.faults import APPS, Strike, Struck
from tests.failures.fleet import Fleet, Seat
from tests.failures.launcher import BREAK
from tests.failures.plan import CROWD, SEATS, Plan
from tests.failures.table import FAULTS
from tests.failures.verdict import (
    Verdict,
    called_though_known,
    limited,
    overlaps,
    repeats,
    unallowed_repeats,
    unexplained,
    written_by_two,
)
from tests.failures.waits import waits
from tests.scenarios.gateway import PushKit
from tests.scenarios.judge import breaches, covered_twice
from tests.scenarios.making import now_ms
from tests.scenarios.story import Story
from tests.scenarios.town import LETTERS, NAMES, RESULTS, SENDS, VIOLATIONS, Town
from tests.topics import FreshTopics
from tests.wire.schema_registry import SchemaRegistry

CALM = Faults(all=AppFaults(latency=Latency(Shape.UNIFORM, low_ms=5, high_ms=80)))
"""Slow enough that something is in flight at any moment."""

TICK_S = 0.1
BAD_EVERY = 40
"""One bad record for so many good ones."""

INTRUDES_AT_MOST_S = 20.0

NOTHING_MOVES_S = 90.0
"""After so long without a call, a result or a start, what is missing is lost."""

LOSS_EXPECTED_S = 8.0
"""The same where the code is spoiled on purpose."""


class Bad(NamedTuple):
    """A record that cannot be read, as it stands in Kafka."""

    topic: str
    partition: int
    offset: int


GONE_WITHIN_MS = 1_000
"""After the answer that a topic is deleted, a broker may still take a record for it."""


class Scene:
    """See the module's words."""

    def __init__(self, plan: Plan, town: Town, kafka: ApacheKafka, registry: SchemaRegistry | None = None) -> None:
        self.plan, self.town, self.kafka, self.registry = plan, town, kafka, registry
        avro = {"avro": {"write_format": plan.wire, "registry_url": registry.url}} if registry is not None else {}
        self.fleet = Fleet(town, plan, SEATS + CROWD, avro)
        self.crowd = CROWD
        self.struck: list[Struck] = []
        self.notes: list[str] = []
        self.breaches: list[str] = []
        self._bad: dict[Bad, int] = {}
        self._letters_since_ms = 0
        self._one_at_a_time = {
            name: threading.Lock() for name in (*plan.seats, *(each.target for each in plan.strikes))
        }
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
        self._began_s = time.monotonic()

    # --- what strikes ask for

    def seat(self, strike: Strike) -> Seat:
        """Who is struck."""
        return self.fleet.seats[strike.target]

    @contextmanager
    def alone(self, target: str) -> Iterator[None]:
        """No other strike meets it meanwhile."""
        with self._one_at_a_time[target]:
            yield

    def hold(self, strike: Strike) -> None:
        """Until the strike's time is over."""
        time.sleep(strike.for_s)

    def note(self, strike: Strike, what: str) -> None:
        """Something that the report should say."""
        self.notes.append(f"{strike.fault} ({strike.target}): {what}")

    def calm_push_kit(self) -> None:
        """Its usual mood, once it answers again."""
        until_s = time.monotonic() + NOTHING_MOVES_S
        while True:
            try:
                return self.town.push_kit.fail(CALM)
            except OSError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(TICK_S)

    def intrude(self, seat: Seat) -> None:
        """A second process is given the store of a first that works: it must end with exit 1 and name the folder, or
        whatever it misses of Kafka, at which it looks before."""
        second = self.town.run(f"{seat.name}-intruder", settings=self.town.folder / f"{seat.name}.toml")
        second.dismissed = True
        try:
            code = second.ended(INTRUDES_AT_MOST_S)
        except subprocess.TimeoutExpired:
            second.kill()
            code = None
        named = "in use by another process" in second.text
        if (code != 1 or not named) and not self.plan.strikes_kafka:
            self.breaches.append(f"a second process on the store of {seat.name}: exit {code}: {second.text[-300:]}")

    @contextmanager
    def without_dead_letters(self) -> Iterator[None]:
        """The topic is deleted, and made again."""
        name = self.town.topics.name(LETTERS)
        self._admin.delete_topics([name], operation_timeout=20)[name].result(timeout=60)
        self._letters_since_ms = now_ms() + GONE_WITHIN_MS  # earlier ones may have gone with the topic
        yield
        until_s = time.monotonic() + NOTHING_MOVES_S
        while True:
            try:
                self.town.topics.create(LETTERS, partitions=self.town.partitions)
                return
            except Exception as error:
                if _exists(error):  # it was made, and only the answer was lost
                    return
                if time.monotonic() > until_s:
                    raise
                time.sleep(TICK_S)

    def limit_dead_letters(self, most_bytes: int) -> None:
        """Their topic takes none that is larger."""
        entry = ConfigEntry("max.message.bytes", str(most_bytes), incremental_operation=AlterConfigOpType.SET)
        name = self.town.topics.name(LETTERS)
        topic = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[entry])
        self._admin.incremental_alter_configs([topic])[topic].result(timeout=60)

    def post_bad_records(self, number: int) -> None:
        """Records that cannot be read, in both topics."""
        for each in range(number):
            topic = (SENDS, VIOLATIONS)[each % 2]
            self.town.put(topic, f"bad-{each}".encode(), b"garbage", on_delivery=self._bad_arrived)

    def _bad_arrived(self, error: KafkaError | None, message: Message) -> None:
        assert error is None, error.str()
        topic = message.topic() or ""

        def note(partition: int, offset: int, at_ms: int) -> None:
            self._bad[Bad(topic, partition, offset)] = at_ms

        self.town.places.arrived(message, note)

    def _look_what_was_told(self) -> None:
        self.town.flush()
        for message in self.town.adopt():
            bad = Bad(message.topic() or "", message.partition() or 0, message.offset() or 0)
            self._bad[bad] = message.timestamp()[1]

    def some_violations(self, strike: Strike, number: int) -> list[ViolationEvent]:
        """Some of those that were told."""
        told = [said.event for said in list(self.town.story.events) if said.event.status is Status.CONFIRMED]
        return Random(strike.seed).sample(told, min(number, len(told)))

    # --- the play

    def play(self) -> Verdict:
        """All of it."""
        self.calm_push_kit()
        for name in self.plan.seats:
            self.fleet.seats[name].start()
        with ThreadPoolExecutor(len(self.plan.strikes) + 1) as pool:
            struck = [pool.submit(self._strike, strike) for strike in self.plan.strikes]
            self._go_on_with(struck)
        self._look_what_was_told()
        over_s = time.monotonic()
        self._wait_until_it_adds_up()
        settled_s = time.monotonic() - over_s
        self.town.pass_time(0.5)
        self.fleet.stop()
        self.town.pass_time(0.5)
        return self._judged(settled_s)

    def _strike(self, strike: Strike) -> None:
        time.sleep(max(0.0, self._began_s + strike.at_s - time.monotonic()))
        with self.alone(strike.target):  # an end may take longer than planned: a broker's start, a drain
            from_ms = now_ms()
            FAULTS[strike.fault].strike(self, strike)
            self.struck.append(Struck(strike, from_ms, now_ms()))

    def _go_on_with(self, struck: Sequence[Future[None]]) -> None:
        """The load, spread over the schedule's time; then until every strike is over."""
        sends, violations = self.town.maker.all_kinds(self.plan.messages)
        waiting = self.town.maker.mixed(sends, violations)[::-1]
        total = len(waiting)
        while waiting or not all(each.done() for each in struck):
            due = total * min(1.0, (time.monotonic() - self._began_s) / self.plan.for_s)
            while waiting and total - len(waiting) < due:
                self.town.post(waiting.pop())
                if len(waiting) % BAD_EVERY == 0:
                    self.post_bad_records(2)
            self.fleet.tend()
            self.town.pass_time(TICK_S)
        self.breaches += [f"a strike of ours failed: {each.exception()!r}" for each in struck if each.exception()]

    def _wait_until_it_adds_up(self) -> None:
        moved, moved_s = self._moved(), time.monotonic()
        while not self._adds_up():
            self.fleet.tend()
            self.town.pass_time(0.5)
            if (now := self._moved()) != moved:
                moved, moved_s = now, time.monotonic()
            if time.monotonic() - moved_s > (LOSS_EXPECTED_S if BREAK in os.environ else NOTHING_MOVES_S):
                return  # the judge will say what is missing

    def _moved(self) -> tuple[int, int, int]:
        return self.town.push_kit.calls, len(self.town.story.results), len(self.town.instances)

    def _adds_up(self) -> bool:
        try:
            return not self.town.progress.unfinished(self.town.story) and not self._found()
        except KafkaException:  # brokers that were killed are not back yet
            return False

    def _found(self) -> list[str]:
        self.town.story.overlaps = overlaps(self.town.instances, self.fleet.freezes, self.struck)
        return [*breaches(self.town.story, self.town.push_kit.book()), *self._missing_letters()]

    # --- the end

    def _judged(self, settled_s: float) -> Verdict:
        story, book = self.town.story, self.town.push_kit.book()
        found = [*self.breaches, *self._found(), *self._logs_wrong()]
        found += unexplained(self.fleet.ended, self.plan)
        found += [*unallowed_repeats(book, self.plan), *limited(called_though_known(story, book))]
        found += limited(written_by_two(story, self.struck))
        if found:
            _write_story(story, self.town.folder / "story.txt")
        return Verdict(
            plan=self.plan,
            took_s=time.monotonic() - self._began_s,
            settled_s=settled_s,
            sends=len(story.sends),
            violations=len(story.events_of()),
            results=len(story.results),
            calls=len(book.calls),
            devices=sum(map(len, book.revoked.values())),
            repeats=repeats(book),
            twice=covered_twice(story),
            ended=tuple(f"{each.seat}: {each.last_words[:200]}" for each in self.fleet.ended),
            notes=tuple(self.notes),
            breaches=tuple(found),
            waits=waits(story, self.struck),
        )

    def _logs_wrong(self) -> list[str]:
        try:
            self.town.judge_logs()
        except AssertionError as error:
            return [f"logs: {error}"]
        return []

    def _missing_letters(self) -> list[str]:
        """Bad records without a dead letter; those told before the topic was deleted are not asked for."""
        letters = self._letters()
        asked = [bad for bad, at_ms in list(self._bad.items()) if at_ms > self._letters_since_ms]
        return [f"no dead letter for {bad}" for bad in asked if bad not in letters]

    def _letters(self) -> set[Bad]:
        found: set[Bad] = set()
        for part in range(self.town.partitions):
            found |= self._letters_in(part)
        return found

    def _letters_in(self, part: int) -> set[Bad]:
        properties = {
            "bootstrap.servers": self.kafka.bootstrap_servers,
            "group.id": "letters",
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
        reader, place = Consumer(properties), TopicPartition(self.town.topics.name(LETTERS), part, 0)
        try:
            end = reader.get_watermark_offsets(place, 20)[1]
            reader.assign([place])
            found, at = set[Bad](), 0
            while at < end:
                for message in reader.consume(500, 1.0):
                    if message.error() is None:
                        at = (message.offset() or 0) + 1
                        found.add(_of_letter(message))
            return found
        finally:
            reader.close()


def _exists(error: Exception) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS


def _of_letter(message: Message) -> Bad:
    headers: dict[str, bytes] = dict(message.headers() or ())  # type: ignore[arg-type]
    topic, partition, offset = (headers[f"unpush.error.{name}"].decode() for name in ("topic", "partition", "offset"))
    return Bad(topic, int(partition), int(offset))


def _write_story(story: Story, file: Path) -> None:
    """What stood in the topics, a line each, for whoever looks for a breach's cause; tokens are counted only."""
    with file.open("w", encoding="utf-8") as out:
        for sent in story.sends:
            head = sent.send.head
            print("send", sent.timestamp_ms, sent.partition, sent.offset, len(sent.send.tokens), head, file=out)
        for said in story.events:
            print("event", said.timestamp_ms, said.partition, said.offset, said.event, file=out)
        for seen in story.results:
            result = seen.result._replace(rejected_tokens=())
            print("result", result.completed_at_ms, seen.partition, seen.offset, result, file=out)
        print(*story.overlaps, sep="\n", file=out)


def _confluent(registry: SchemaRegistry, topics: FreshTopics) -> Wire:
    """The producers' and the judge's: all schemas are known before anything goes wrong."""
    subjects = {"MessageSent": SENDS, "ViolationDetected": VIOLATIONS, "RevokeResult": RESULTS}
    known = Registry(registry.url, {name: topics.name(topic) for name, topic in subjects.items()})
    for name in subjects:
        known.schema(int.from_bytes(known.header(name)[1:], "big"))
    return Wire("confluent", known)


def play(plan: Plan, kafka: ApacheKafka, keys: Path, folder: Path, prefix: str) -> Verdict:
    """Play one plan on topics of its own, which are gone afterwards."""
    topics = FreshTopics(kafka.bootstrap_servers, prefix)
    with ExitStack() as stack:
        registry = stack.enter_context(SchemaRegistry()) if plan.wire == "confluent" else None
        wire = _confluent(registry, topics) if registry is not None else None
        push_kit = PushKit(keys, APPS)
        town = stack.enter_context(Town(topics, push_kit, folder, seed=plan.seed, wire=wire, read=(RESULTS,)))
        verdict = Scene(plan, town, kafka, registry).play()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    for deleted in admin.delete_topics([topics.name(name) for name in NAMES], operation_timeout=20).values():
        deleted.result(timeout=60)
    return verdict
