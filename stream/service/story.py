"""The story, told once: the rooms are wired, started, drained and stopped here.

A violation comes to the *membership* thread, which stores it, condemns its message and tells the *desk*. The desk, on
the event loop, waits until all that could speak against acting has been read, then walks the stored sends and packs
what is open into parcels. A parcel waits in its lane in *calls* until limits let it leave, and comes back revoked,
refused or to be tried again. Its result goes to the *outbox*; when Kafka has it, its marks are written, and only then
are its places settled. A send that comes after its violation takes the same way: the *tail* thread stores it, sees
that its message is condemned, and tells the desk. What was there before us, the *past* thread reads from the newest
on. Two worlds, then: threads that block on Kafka and store what they read, and one loop that decides; between them
only calls that put something in a queue.

Stopping goes the other way: no new call starts, calls in flight end, results are delivered, the member leaves the
group (which fences the shards), readers stop, the store is flushed and closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from confluent_kafka import KafkaException, Producer

from stream.kafka import properties
from stream.kafka.cluster import Cluster
from stream.kafka.membership import Membership
from stream.kafka.past import Past
from stream.kafka.preflight import World
from stream.kafka.tail import Tail
from stream.kafka.unowned import Unowned
from stream.model import Severity, StartError, StoreCorrupt, Topic, UnpushError
from stream.pushkit.client import PushKit
from stream.pushkit.proxy import proxy_of
from stream.service.arrivals import Arrivals, Topics
from stream.service.asides import Asides
from stream.service.calls import Calls
from stream.service.chores import Chores
from stream.service.clock import Clock
from stream.service.desk import Desk
from stream.service.ends import Ends
from stream.service.gateway import KeyedPushKit
from stream.service.guarding import Guarding
from stream.service.hearing import Hearing
from stream.service.intake import Intake, ToLoop
from stream.service.keys import Keys
from stream.service.letterbox import LetterBox
from stream.service.outbox import Outbox
from stream.service.pace import GivingWay, Load
from stream.service.restoring import Restoring
from stream.service.sampling import Sampling
from stream.service.settling import Settling
from stream.service.slices import keep_planning
from stream.service.sorting import Sorter
from stream.service.standstill import Standstill
from stream.service.topics_now import TopicsNow
from stream.service.tracing import Tracing
from stream.service.ways import Ways
from stream.settings import Settings
from stream.state import reused
from stream.state.folder import move_aside, open_folder
from stream.state.shard import Shard
from stream.wire.registry import registry_of
from stream.wire.wire import Wire
from stream.work.guard import Guard, Limits
from stream.work.reuse import shared_slots

if TYPE_CHECKING:
    from stream.operate.otel import Spans

log = structlog.get_logger(__name__)


class Service:
    """One process of Unpush. Made, run and closed inside one event loop: ``async with Service(...) as service: await
    service.run()``."""

    def __init__(self, settings: Settings, world: World, *, dry: bool = False, spans: Spans | None = None) -> None:
        """Open the store and load the keys. ``spans``: where traces go. Raises StartError."""
        self.settings, self.world, self.dry = settings, world, dry
        self.clock = Clock()
        self.draining = False
        self.failure: Exception | None = None
        self.names = {
            Topic.SENDS: settings.topics.message_sent,
            Topic.VIOLATIONS: settings.topics.violation_detected,
            Topic.RESULTS: settings.topics.revoke_result,
        }
        self._standstill = Standstill(self.clock.monotonic_s())
        self._stop = asyncio.Event()
        self._kick = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []
        retention_ms = int(settings.store.retention_s * 1000)
        self.keys = Keys(settings.push_kit, self.clock)
        topic, url = self.names[Topic.VIOLATIONS], settings.push_kit.url
        self.tracing = None if spans is None else Tracing(spans, topic, url)
        self.wire = Wire(settings.avro.write_format, registry_of(settings))
        self.asides = Asides(self.wire, properties.past(settings), self._kick.set, self._fail, settings.join.since_ms)
        self.store, bucket_ms = open_folder(settings.store.path, retention_ms, world.partitions)
        self.sampling = self._new_sampling(settings.store.path, retention_ms)
        self._spans_ms = retention_ms, bucket_ms
        self._to_close = contextlib.AsyncExitStack()
        self._to_close.push_async_callback(asyncio.to_thread, self.store.close)

    def _wire_rooms(self, retention_ms: int, bucket_ms: int) -> None:
        self.cluster = Cluster(self.settings)
        self._wire_results()
        self._wire_calls()
        self.desk = self._new_desk(retention_ms)
        self.desk.planning.is_busy = Load(self.clock).is_heavy
        self.settling = Settling(
            self.desk,
            self.outbox,
            self.letterbox,
            self.clock,
            self.names[Topic.SENDS],
            self.asides.headers,
            self._settled_one,
            self._sends_are_unread,
            dry=self.dry,
        )
        Ends(self.clock, self.tracing).listen(self.desk, self.settling)
        self._wire_readers(retention_ms, bucket_ms)

    def _wire_results(self) -> None:
        settings = self.settings
        self.producer = Producer(properties.producer(settings))
        self._to_close.callback(self.producer.flush, 1.0)
        self.outbox = Outbox(
            self.producer,
            self.names[Topic.RESULTS],
            self.wire,
            self.dry,
            lambda written: self.settling.settled(written),
            lambda written: self.settling.halves(written),
            lambda written: self.settling.as_known_now(written),
        )
        letters = properties.producer(settings, "dead-letters")
        topic, topic_id = settings.topics.dead_letter, self.world.dead_letter_id
        self.letterbox = LetterBox(topic, topic_id, partial(Producer, letters))
        self._to_close.callback(self.letterbox.close)

    def _wire_calls(self) -> None:
        settings = self.settings
        where, proxy = settings.push_kit, proxy_of(settings.push_kit)
        self.push_kit = PushKit(where.url, where.timeout_s, where.max_in_flight, proxy=proxy)
        self._to_close.push_async_callback(self.push_kit.close)
        gateway = (
            None
            if self.dry
            else KeyedPushKit(self.push_kit, self.keys, self.clock, self.tracing, sends_trace=where.send_trace)
        )
        self.calls = Calls(
            settings.push_kit,
            gateway,
            self.clock,
            end=lambda parcel, ending: self.settling.end(parcel, ending),
            replaced=lambda parcel, pieces: self.desk.replaced(parcel, pieces),
            wanted=lambda parcel: self.desk.wants(parcel),
            keyless=self.keys.keyless,
            shares=settings.lanes.shares,
        )
        self.calls.set_share(0.0)  # until shards come

    def _wire_readers(self, retention_ms: int, bucket_ms: int) -> None:
        shards: dict[int, Shard] = {}
        self.hearing = Hearing(shards, self.desk, self.names, self.clock, self._kick.set, self._fail)
        self.intake = self._new_intake(shards)
        self.topics_now = self._new_topics_now()
        clocked = self.clock, retention_ms, bucket_ms
        self.arrivals = Arrivals(self.store, self._topics(), self.intake, self.desk, self.calls, self.outbox, *clocked)
        self._set_readers()
        self.restoring = Restoring(shards, self.names, self.clock)
        self.chores = Chores(
            self.desk,
            self.calls,
            self.store,
            shards,
            self.intake.agreement,
            self.clock,
            retention_ms,
            self.restoring,
            ending_from_ms=self.settling.ending_from_ms,
            ask_end=self.tail.ask_end,
            ask_brokers=self._ask_brokers,
            kick=self._kick.set,
            failed=self.failed,
        )

    def _sends_are_unread(self) -> bool:
        """Whether the live reader has more to fetch, or keeps a partition waiting, or may not have heard of it yet."""
        now_s = self.clock.monotonic_s()
        deaf = self._standstill.look(now_s) or self.tail.silent(now_s)
        return deaf or self.tail.behind or any(topic is Topic.SENDS for topic, _ in self.tail.waiting)

    def _new_desk(self, retention_ms: int) -> Desk:
        calls = self.calls
        ways = Ways(
            call=calls.call,
            end=lambda parcel, ending: self.settling.end(parcel, ending),
            say=lambda *what: self.settling.say(*what),
            take_back=calls.pending.take_back,
            lift=calls.lift,
            ready=calls.ready,
            waiting=calls.pending.lanes.depth_of,
            has_room=calls.has_room,
        )
        sorter = Sorter(self.wire, calls.largest_call, calls.has_room, lambda *bad: self.settling.late.found(*bad))
        join, guarding = self.settings.join, self._new_guarding()
        return Desk(self.wire, sorter, ways, join.not_found_after_s, retention_ms, guarding, join.since_ms)

    def _new_guarding(self) -> Guarding:
        settings, kept = self.settings.guard, self.settings.push_kit.hold_shared_notify_ids
        limits = Limits(settings.max_devices_per_violation, settings.max_devices_per_hour)
        guard = Guard(limits, [shared_slots(kept, self.sampling.shared)] if kept else [])
        return Guarding(guard, self.clock, self.asides.hours, lambda place: self.tail.ask_end(place), dry=self.dry)

    def _new_sampling(self, folder: Path, retention_ms: int) -> Sampling:
        keep = partial(reused.remember, folder)
        return Sampling(self.wire, retention_ms, self.clock.now_ms, reused.recalled(folder), keep)

    def _new_intake(self, shards: dict[int, Shard]) -> Intake:
        return Intake(
            shards,
            self.wire,
            self.names,
            self.world.partitions,
            ToLoop(self.hearing.events, self.hearing.sends, self.letterbox.send),
            dry=self.dry,
            since_ms=self.settings.join.since_ms,
            by_time=bool(self.world.log_append_time[self.names[Topic.SENDS]]),
            max_bad_share=self.settings.dead_letters.max_bad_share,
            now_ms=self.clock.now_ms,
            sampled=self.sampling.look,
        )

    def _topics(self) -> Topics:
        by_time = {topic: bool(self.world.log_append_time[name]) for topic, name in self.names.items()}
        return Topics(self.world.partitions, by_time, self.topics_now.ids)

    def _new_topics_now(self) -> TopicsNow:
        dead_letters, hearing, letterbox = self.settings.topics.dead_letter, self.hearing, self.letterbox
        dead_letters_are = partial(hearing.call_soon, letterbox.topic_is)
        return TopicsNow(self.cluster, self.world, self.names, dead_letters, dead_letters_are)

    def _ask_brokers(self) -> str | None:
        """Share out shards that nobody has; why it cannot go on with the topics as they are now. Blocks for seconds."""
        if self.topics_now.known:
            self.unowned.look(self.clock.monotonic_s())
        return self.topics_now.trouble()

    def _set_readers(self) -> None:
        pace, take, hearing = GivingWay(self.busy), self.intake.take, self.hearing
        for_sends, for_past = properties.sends(self.settings), properties.past(self.settings)
        self.tail = Tail(for_sends, self.names, take, pace, self.cluster.end, hearing.at_end, hearing.lost, self.failed)
        self.past = Past(
            for_past,
            self.names,
            take,
            pace,
            hearing.ranges,
            hearing.floor_is,
            hearing.further,
            hearing.lost,
            self.failed,
        )
        member = properties.member(self.settings)
        self.membership = Membership(member, self.names, take, self.arrivals, hearing.lost, self.failed)
        assignments = partial(self.cluster.assignments, member["group.id"])
        violations, results = self.names[Topic.VIOLATIONS], self.names[Topic.RESULTS]
        self.unowned = Unowned(member, violations, self.world.partitions, results, assignments)
        self.tail.passed = hearing.passed
        self.arrivals.keeps_admitted = self.settings.guard.max_devices_per_hour > 0
        self.arrivals.tail, self.arrivals.past, self.arrivals.failed = self.tail, self.past, self.failed

    def _settled_one(self) -> None:
        """Let the desk plan again, but not for every single place in lanes that are full."""
        if any(self.calls.pending.few(severity) and self.desk.planning.plans.any_of(severity) for severity in Severity):
            self._kick.set()

    def busy(self) -> bool:
        """Whether calls are due or violations wait: bulk reading gives way then. Results that are with the broker need
        nothing of us. From any thread."""
        return bool(self.calls.in_flight or len(self.desk.planning.plans))

    # --- what ends it

    def failed(self, error: Exception) -> None:
        """Something that the service cannot do without has ended: stop, exit 1. From any thread."""
        self.hearing.call_soon(self._fail, error)

    def _fail(self, error: Exception) -> None:
        if self.failure is None and not self.draining:
            self.failure = error
        self._stop.set()

    # --- running

    async def run(self) -> None:
        """Work until ``stop()`` or a failure, which is raised as one sentence; then drain."""
        self._begin()
        await self._stop.wait()
        await self._drain()
        if self.failure is not None:
            raise _as_sentence(self.failure) from self.failure

    def stop(self) -> None:
        """Drain and end."""
        self._stop.set()

    def _begin(self) -> None:
        keys = self.keys.keep_renewed(), self.keys.keep_current(self.calls.mended)
        for work in (
            self.outbox.run(),
            self.letterbox.run(),
            keep_planning(self.desk.planning, self.clock, self._kick),
            self.chores.run(),
            self.chores.ask_brokers(),
            *keys,
        ):
            self._task(work)
        self._task(self._standstill.keep_looking(self.clock.monotonic_s))
        for _ in range(self.settings.push_kit.max_in_flight):
            self._task(self.calls.work())
        for reader in (self.tail, self.past, self.membership):
            reader.thread.start()

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error if isinstance(error, Exception) else RuntimeError(str(error)))

    # --- stopping

    async def _drain(self) -> None:
        self.draining = True
        log.info("draining", calls_in_flight=len(self.calls.in_flight), drain_s=self.settings.shutdown.drain_s)
        deadline_s = self._loop.time() + self.settings.shutdown.drain_s
        self.calls.stop_starting()
        await self.calls.landed(lambda _: True, deadline_s)
        with contextlib.suppress(UnpushError):
            await self.outbox.flush(deadline_s)
        await self.letterbox.flush(deadline_s)
        await asyncio.to_thread(self._stop_readers)

    def _stop_readers(self) -> None:
        self.unowned.stop()
        self.membership.stop()
        self.tail.stop()
        self.past.stop()

    async def close(self) -> None:
        """Let go of everything; the store is flushed and closed, or moved aside where it is corrupt."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._to_close.aclose()
        if isinstance(self.failure, StoreCorrupt):
            log.error("store_moved_aside", to=str(move_aside(self.settings.store.path)), why=str(self.failure))

    async def __aenter__(self) -> Service:
        """Wire the rooms; what is open already is closed where one of them cannot be made."""
        try:
            self._wire_rooms(*self._spans_ms)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _as_sentence(error: Exception) -> UnpushError:
    if isinstance(error, StoreCorrupt):
        return StartError(f"{error}; the store is moved aside, start again and it is rebuilt from Kafka")
    if isinstance(error, UnpushError):
        return error
    if isinstance(error, KafkaException):
        return StartError(f"Kafka cannot go on: {error.args[0].str()}")
    log.error("unexpected", exc_info=error)
    return StartError(f"stopped by an unexpected error, which is a fault of ours: {type(error).__name__}: {error}")
