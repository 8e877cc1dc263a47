"""A town: topics of its own on a real Kafka, a Push Kit, producers, instances of Unpush, and a record of it all.

A scenario tells sends and violations, starts and kills instances, waits until the results add up, and asks the judge.
Promised: nothing of one town is seen by another; all its processes are gone when it closes. Not promised: that the
broker or the machine is quiet meanwhile.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from stream.model import BadRecord, Send, ViolationEvent
from stream.wire.wire import Wire
from tests.failures.control import VARIABLE, Control
from tests.scenarios.gateway import PushKit
from tests.scenarios.judge import breaches
from tests.scenarios.making import Maker, now_ms
from tests.scenarios.places import Places
from tests.scenarios.service import Instance
from tests.scenarios.story import Letter, Name, Progress, Said, Seen, Sent, Story
from tests.topics import FreshTopics

NAMES = ("message-sent", "violation-detected", "revoke-result", "dead-letter")
SENDS, VIOLATIONS, RESULTS, LETTERS = NAMES

QUICK: Mapping[str, Mapping[str, object]] = {
    "kafka.properties": {"session.timeout.ms": "1500", "heartbeat.interval.ms": "300"},
    "join": {"not_found_after": "1s"},
    "push_kit": {"retry_first": "100ms", "retry_longest": "1s", "timeout": "5s"},
    "http": {"listen": "127.0.0.1:0"},
    "log": {"format": "json"},
    "dead_letters": {"max_bad_share": 1.0},
}
"""Settings that let scenarios be quick; none changes what is promised."""

PASSING = (KafkaError._PARTITION_EOF, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)
"""What a reader is told of while nothing is lost: the end of a partition, and a broker that is away."""

Told = Send | ViolationEvent


class Town:
    """See the module's words. A context manager."""

    def __init__(
        self,
        topics: FreshTopics,
        push_kit: PushKit,
        folder: Path,
        *,
        partitions: int = 4,
        seed: int = 1,
        wire: Wire | None = None,
        read: Sequence[str] = (RESULTS, LETTERS),
    ) -> None:
        """``read``: the topics whose records ``read()`` takes in."""
        self.topics, self.push_kit, self.folder = topics, push_kit, folder
        self.partitions = partitions
        self.story, self.progress = Story(), Progress()
        self.maker = Maker(push_kit.apps, seed)
        self.instances: list[Instance] = []
        self._wire = wire or Wire()
        topics.create(*NAMES, partitions=partitions, config={"max.message.bytes": "2000000"})
        self._producer = Producer(
            {
                "bootstrap.servers": topics.bootstrap_servers,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,  # a retry must not write a send that the story does not know
                "linger.ms": 5,
                "message.max.bytes": 2_000_000,
                "queue.buffering.max.kbytes": 262_144,
                "log_level": 0,
            }
        )
        self._reader = Consumer(
            {
                "bootstrap.servers": topics.bootstrap_servers,
                "group.id": f"{topics.prefix}.judge",
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )
        places = [TopicPartition(topics.name(name), part, 0) for name in read for part in range(partitions)]
        self._reader.assign(places)
        self._failed: list[str] = []
        self.places = Places(topics.bootstrap_servers)
        """Of all that is written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for instance in self.instances:
            if instance.running:
                instance.kill()
        self._reader.close()
        del self._producer  # else it outlives the broker, and says so
        self.push_kit.stop()

    # --- Unpush

    def settings(self, name: str = "a", **changes: Mapping[str, object]) -> Path:
        """A settings file for an instance; a section is given as a keyword, ``kafka__properties`` for that one."""
        tables: dict[str, dict[str, object]] = {section: dict(table) for section, table in QUICK.items()}
        topics = zip(("message_sent", "violation_detected", "revoke_result", "dead_letter"), NAMES, strict=True)
        tables["topics"] = {key: self.topics.name(topic) for key, topic in topics}
        tables["kafka"] = {"bootstrap_servers": self.topics.bootstrap_servers, "group_id": self.topics.group_id}
        tables["store"] = {"path": f"state-{name}"}
        tables["push_kit"]["url"] = self.push_kit.url
        for app in self.push_kit.apps:
            if app not in self.story.keyless:
                tables[f'push_kit.apps."{app}"'] = {"key_file": str(self.push_kit.key_file(app))}
        for section, table in changes.items():
            tables.setdefault(section.replace("__", "."), {}).update(table)
        if tables["kafka"].get("group_protocol") == "consumer":
            del tables["kafka.properties"]  # there the broker sets these
        return _written(self.folder / f"{name}.toml", tables)

    def run(
        self,
        name: str = "a",
        *flags: str,
        settings: Path | None = None,
        environment: Mapping[str, str] | None = None,
        **changes: Mapping[str, object],
    ) -> Instance:
        """Start an instance; ``name`` is its store and log."""
        file = settings or self.settings(name, **changes)
        return self._started(Instance(file, self._log(name), *flags, environment=environment))

    def launch(self, name: str, control: Control, **changes: Mapping[str, object]) -> Instance:
        """The same, prepared by the launcher of failures: it listens to the control."""
        environment = {VARIABLE: str(control.file)}
        file, program = self.settings(name, **changes), "tests.failures.launcher"
        return self._started(Instance(file, self._log(name), environment=environment, program=program))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}-{len(self.instances)}.log"

    def _started(self, instance: Instance) -> Instance:
        self.instances.append(instance)
        return instance

    def lose_store(self, name: str = "a") -> None:
        """Delete the folder of a stopped instance."""
        shutil.rmtree(self.folder / f"state-{name}")

    # --- producers

    def tell(self, *things: Told | Iterable[Told], headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Write sends and violations in this order; returns when Kafka has them all."""
        self.post(*things, headers=headers)
        self.flush()

    def post(self, *things: Told | Iterable[Told], headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Write them in this order and wait for nothing; from any thread."""
        for thing in things:
            for each in (thing,) if isinstance(thing, Send | ViolationEvent) else thing:
                self._produce(each, headers)

    def flush(self) -> None:
        """Wait until Kafka has all that was told."""
        self._producer.flush(120)
        assert not self._failed, self._failed[:3]
        if self.places.unknown:
            self.places.unknown = False
            self.adopt()

    def adopt(self) -> list[Message]:
        """Take into the story what stands in the topics though nobody said so; gives what cannot be read."""
        bad = list[Message]()
        for topic in (SENDS, VIOLATIONS):
            for message in self.places.others(self.topics.name(topic), self.partitions):
                try:
                    self._told_by(topic, message)
                except BadRecord:
                    bad.append(message)
        return bad

    def _told_by(self, topic: str, message: Message) -> None:
        place = message.partition() or 0, message.offset() or 0, message.timestamp()[1]
        if topic == SENDS:
            send, acked_ms = self._wire.send(message.value() or b""), self.places.confirmed_ms(message)
            self.story.sends.append(Sent(send, *place, acked_ms))
        else:
            self.story.events.append(Said(self._wire.violation(message.key(), message.value()), *place))

    def _produce(self, thing: Told, headers: Sequence[tuple[str, bytes]]) -> None:
        def arrived(error: KafkaError | None, message: Message) -> None:
            self._arrived(thing, error, message)

        topic, name, value = self.record(thing)
        self.put(topic, name.encode(), value, headers=list(headers), on_delivery=arrived)

    def put(self, topic: str, key: bytes | None, value: bytes | None, **rest: Any) -> None:
        """Write any bytes at all."""
        while True:
            try:
                self._producer.produce(self.topics.name(topic), value, key, **rest)
            except BufferError:
                self._producer.poll(0.05)
            else:
                self._producer.poll(0)
                return

    def record(self, thing: Told) -> tuple[str, str, bytes]:
        """Topic, key and value."""
        if isinstance(thing, Send):
            return SENDS, thing.head.message_id, self._wire.encode_send(thing)
        return VIOLATIONS, thing.message_id, self._wire.encode_violation(thing)

    def _arrived(self, thing: Told, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(error.str())
        elif isinstance(thing, Send):
            acked_ms, sends = now_ms(), self.story.sends
            self.places.arrived(message, lambda part, at, ms: sends.append(Sent(thing, part, at, ms, acked_ms)))
        else:
            self.places.arrived(message, lambda *place: self.story.events.append(Said(thing, *place)))

    # --- what comes of it

    def read(self) -> None:
        """Take in the results and dead letters that have come; more may come meanwhile."""
        until_s = time.monotonic() + 0.2
        while messages := self._reader.consume(1_000, 0.05):
            for message in messages:
                self._take(message)
            if time.monotonic() > until_s:
                return

    def _take(self, message: Message) -> None:
        error, headers = message.error(), tuple(message.headers() or ())
        if error is not None:
            assert error.code() in PASSING, error.str()
        elif message.topic() == self.topics.name(LETTERS):
            self.story.letters.append(Letter(message.key(), message.value(), headers))  # type: ignore[arg-type]
        else:
            result = self._wire.result(message.value())
            place = message.partition() or 0, message.offset() or 0
            seen = Seen(result, message.key(), *place, headers, message.timestamp()[1])  # type: ignore[arg-type]
            self.story.results.append(seen)
            self.progress.note(seen)

    def wait_until(self, done: Callable[[], bool], within_s: float = 60.0, what: str = "it") -> None:
        """Read results until it is so."""
        until_s = time.monotonic() + within_s
        while True:
            self.read()
            if done():
                return
            assert time.monotonic() < until_s, f"{what} did not come within {within_s} s; {self.state()}"
            self.fail_if_dead()

    def fail_if_dead(self) -> None:
        """No instance may have ended by itself."""
        for instance in self.instances:
            if not instance.dismissed:
                code = instance.process.poll()
                assert code is None, f"an instance ended by itself, exit {code}:\n{instance.text[-3000:]}"

    def wait_until_results(self, number: int, within_s: float = 30.0) -> None:
        """Until so many results have come in all."""
        self.wait_until(lambda: len(self.story.results) >= number, within_s, f"result {number}")

    def pass_time(self, wait_s: float) -> None:
        """Let it pass, while results are read."""
        until_s = time.monotonic() + wait_s
        while time.monotonic() < until_s:
            self.read()

    def wait_until_stored(self, within_s: float = 60.0) -> None:
        """Until the group's offsets, as any lag tool sees them, say that every send has been read and stored."""
        sends = [TopicPartition(self.topics.name(SENDS), part) for part in range(self.partitions)]
        ends = [self._reader.get_watermark_offsets(each, 10)[1] for each in sends]
        member = Consumer({"bootstrap.servers": self.topics.bootstrap_servers, "group.id": self.topics.group_id})

        def stored() -> bool:
            return [max(0, each.offset) for each in member.committed(sends, 10)] == ends

        try:
            self.wait_until(stored, within_s, f"the storing of {ends} sends")
        finally:
            member.close()

    def wait_until_settled(self, within_s: float = 60.0) -> None:
        """Until every violation's results add up, and a little longer, for what should not come."""
        self.wait_until(lambda: not self.progress.unfinished(self.story), within_s, "the end of all violations")
        self.pass_time(0.3)

    def state(self) -> str:
        """How far it has come, for a failure's message."""
        open_ = self.progress.unfinished(self.story)
        logs = "\n".join(f"--- {each.log.name}\n{each.text[-1500:]}" for each in self.instances)
        return f"{len(open_)} violations are open, the first {open_[:3]}; {len(self.story.results)} results\n{logs}"

    def covered_by_calls(self) -> set[Name]:
        """Violations with at least one call of their own."""
        return {seen.name for seen in self.story.results if seen.result.attempts}

    def judge(self) -> None:
        """Everything that the contract promises holds, and the logs are fit to be seen."""
        found = breaches(self.story, self.push_kit.book())
        assert not found, "\n".join(found)
        self.judge_logs()

    def judge_logs(self) -> None:
        """No traceback, no whole token."""
        tokens = {sent.send.tokens[0].decode() for sent in self.story.sends[:2_000] if sent.send.tokens}
        for instance in self.instances:
            text = instance.text
            assert "Traceback" not in text, text[text.index("Traceback") - 500 :][:3_000]
            assert not [token for token in tokens if len(token) > 12 and token in text]


def _written(path: Path, tables: Mapping[str, Mapping[str, object]]) -> Path:
    lines: list[str] = []
    for section, table in tables.items():
        lines.append(f"[{section}]")
        lines += [f'"{key}" = {_toml(value)}' for key, value in table.items()]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_toml, value))}]"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else str(value)
