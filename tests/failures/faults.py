"""The table of faults: what strikes, how long, how it ends, and whether it may repeat a call.

Each is a small function of the scene and the strike: begin, hold, end. Promised: whoever started before is running
again when it returns, or its seat is wanted and the fleet starts it. Not promised: that the fault met any work.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from stream.model import Status
from stream.pushkit.simulator import AppFaults, Body, Down, End, Failure, Faults, Latency, Shape
from tests.scenarios.making import Maker
from tests.scenarios.transaction import Transaction

if TYPE_CHECKING:
    from tests.failures.scene import Scene

TIMEOUTS_S = (1.0, 4.0)
"""``push_kit.timeout`` of every instance, by the seed: hanging calls are over soon, or a slow answer comes when its
shard has long left."""

APPS = ("101000001", "101000002", "101000003")

MAX_POLL_S = 3.0
"""``max.poll.interval.ms`` of every instance, in seconds."""


class Target(Enum):
    """What a fault strikes; a target suffers one fault at a time, different ones at once."""

    SEAT = "an instance that is there from the start"
    GUEST = "an instance that comes and goes"
    FLEET = "all instances that are there from the start, one after the other"
    CROWD = "many instances that come and go at once"
    GATEWAY = "Push Kit"
    BROKER = "Kafka"
    REGISTRY = "the Schema Registry"
    STORY = "the violations"
    SENDER = "a sender beside the others"


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault at one moment; ``seed`` decides what it still has to choose."""

    fault: str
    target: str
    at_s: float
    for_s: float
    seed: int

    @property
    def end_s(self) -> float:
        return self.at_s + self.for_s

    def __str__(self) -> str:
        return f"{self.at_s:5.1f} s  {self.fault} ({self.target}), {self.for_s:.1f} s"


class Struck(NamedTuple):
    """A strike as it happened."""

    strike: Strike
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One row. ``repeats``: whether the contract lets it repeat a call."""

    target: Target
    does: str
    ends: str
    least_s: float
    most_s: float
    repeats: bool
    strike: Callable[[Scene, Strike], None]
    brokers: int = 1
    """So many of them, or it is no fault of its own."""

    def fits(self, brokers: int, wire: str) -> bool:
        """Whether it can strike there."""
        return self.brokers <= brokers and (self.target is not Target.REGISTRY or wire == "confluent")


# --- an instance


def kill(scene: Scene, strike: Strike) -> None:
    seat = scene.seat(strike)
    seat.kill()
    scene.hold(strike)
    seat.start()


def roll(scene: Scene, strike: Strike) -> None:
    """Whoever is struck otherwise just then has its turn afterwards."""
    for name in scene.plan.seats:
        with scene.alone(name):
            seat = scene.fleet.seats[name]
            seat.stop()
            scene.hold(strike)
            seat.start()
        scene.hold(strike)


def freeze(scene: Scene, strike: Strike) -> None:
    seat = scene.seat(strike)
    with seat.frozen():
        scene.hold(strike)


def join(scene: Scene, strike: Strike) -> None:
    seat = scene.seat(strike)
    seat.start()
    scene.hold(strike)
    Random(strike.seed).choice((seat.kill, seat.stop))()


def lose_store(scene: Scene, strike: Strike) -> None:
    seat = scene.seat(strike)
    Random(strike.seed).choice((seat.kill, seat.stop))()
    shutil.rmtree(seat.store, ignore_errors=True)
    scene.hold(strike)
    seat.start()


def spoil_data(scene: Scene, strike: Strike) -> None:
    _spoil(scene, strike, "*.sst", "*.blob")


def spoil_manifest(scene: Scene, strike: Strike) -> None:
    _spoil(scene, strike, "MANIFEST-*")


def spoil_current(scene: Scene, strike: Strike) -> None:
    _spoil(scene, strike, "CURRENT")


def _spoil(scene: Scene, strike: Strike, *patterns: str) -> None:
    seat, random = scene.seat(strike), Random(strike.seed)
    seat.stop()  # which flushes: there is something to spoil
    files = sorted(file for pattern in patterns for file in seat.store.rglob(pattern) if file.stat().st_size)
    if files:
        seat.spoiled = True
        scene.note(strike, spoiled(random.choice(files), random))
    scene.hold(strike)
    seat.start()


def spoiled(file: Path, random: Random) -> str:
    """Truncate the file, or flip a bit of it; says which."""
    held = bytearray(file.read_bytes())
    place = random.randrange(len(held))
    if random.random() < 0.5:
        file.write_bytes(held[:place])
        return f"{file.name}: {place} of {len(held)} bytes left"
    held[place] ^= 1 << random.randrange(8)
    file.write_bytes(held)
    return f"{file.name}: a bit of byte {place} of {len(held)} flipped"


def intrude(scene: Scene, strike: Strike) -> None:
    seat = scene.seat(strike)
    scene.hold(strike)  # an instance that has just been started holds its store by now
    with seat.left_alone() as works:
        if works:
            scene.intrude(seat)


# --- Push Kit


def _mood(mood: Callable[[Strike], Faults]) -> Callable[[Scene, Strike], None]:
    def strike_push_kit(scene: Scene, strike: Strike) -> None:
        scene.town.push_kit.fail(mood(strike))
        scene.hold(strike)
        scene.calm_push_kit()

    return strike_push_kit


def _failing(*failures: Failure) -> Callable[[Strike], Faults]:
    return lambda _: Faults(all=AppFaults(failures=failures))


def _slow(low_ms: float, high_ms: float) -> Callable[[Strike], Faults]:
    return lambda _: Faults(all=AppFaults(latency=Latency(Shape.UNIFORM, low_ms=low_ms, high_ms=high_ms)))


# --- Kafka


def lose_dead_letters(scene: Scene, strike: Strike) -> None:
    with scene.without_dead_letters():
        scene.post_bad_records(5)
        scene.hold(strike)


def refuse_dead_letters(scene: Scene, strike: Strike) -> None:
    scene.limit_dead_letters(100)
    scene.post_bad_records(5)
    scene.hold(strike)
    scene.limit_dead_letters(1_000_000)


def kill_broker(scene: Scene, strike: Strike) -> None:
    _outage(scene, strike, Random(strike.seed).randint(1, scene.plan.brokers))


def kill_controller(scene: Scene, strike: Strike) -> None:
    _outage(scene, strike, scene.kafka.controller)


def kill_all_brokers(scene: Scene, strike: Strike) -> None:
    _outage(scene, strike, *range(1, scene.plan.brokers + 1))


def _outage(scene: Scene, strike: Strike, *nodes: int) -> None:
    for node in nodes:
        scene.kafka.kill_node(node)
    scene.hold(strike)
    scene.kafka.restart_nodes(*nodes)


# --- the Schema Registry


def stop_registry(scene: Scene, strike: Strike) -> None:
    assert scene.registry is not None
    scene.registry.stop()
    scene.hold(strike)
    scene.registry.start()


# --- a sender of transactions


def leave_transaction_open(scene: Scene, strike: Strike) -> None:
    """Sends whose violations stand outside, and violations whose sends do: all of both are to be acted on where it is
    committed, and none where it is aborted."""
    maker, committed = Maker(APPS, strike.seed, first=1_000_000 + strike.seed), Random(strike.seed).random() < 0.5
    inside, outside = [maker.send(tokens=3) for _ in range(10)], [maker.send(tokens=3) for _ in range(10)]
    transaction = Transaction(scene.town, f"sender-{strike.seed}")
    scene.town.post(outside, maker.violations(send.head.message_id for send in inside[:5]))
    transaction.write(*inside, *maker.violations(send.head.message_id for send in outside))
    scene.hold(strike)
    scene.town.post(maker.violations(send.head.message_id for send in inside[5:]))
    if committed:
        transaction.commit()
    else:
        transaction.abort()
    scene.note(strike, "committed" if committed else "aborted")


# --- the violations


def repeat(scene: Scene, strike: Strike) -> None:
    scene.town.post(scene.some_violations(strike, 20))


def withdraw(scene: Scene, strike: Strike) -> None:
    """Half of those withdrawn come again as a detector's repeat, which must not undo it."""
    found = scene.some_violations(strike, 6)
    scene.town.post(each._replace(status=Status.WITHDRAWN) for each in found)
    scene.hold(strike)
    scene.town.post(found[::2])


FAULTS: Mapping[str, Fault] = {
    "kill": Fault(Target.SEAT, "kill -9", "a new start", 0.0, 3.0, True, kill),
    "rolling restart": Fault(
        Target.FLEET, "each in turn: SIGTERM, exit 0 after its drain", "a new start", 0.0, 2.0, True, roll
    ),
    "freeze": Fault(
        Target.SEAT,
        "SIGSTOP, often beyond session.timeout.ms and max.poll.interval.ms: the zombie",
        "SIGCONT",
        0.5,
        MAX_POLL_S + 3,
        True,
        freeze,
    ),
    "join": Fault(Target.GUEST, "another instance joins", "SIGTERM or kill -9", 2.0, 8.0, True, join),
    "store lost": Fault(
        Target.SEAT, "SIGTERM or kill -9, and the store's folder deleted", "a new start", 0.0, 2.0, True, lose_store
    ),
    "data spoiled": Fault(
        Target.SEAT, "SIGTERM; a data file truncated or a bit flipped", "a new start", 0.0, 1.0, True, spoil_data
    ),
    "manifest spoiled": Fault(
        Target.SEAT, "SIGTERM; MANIFEST truncated or a bit flipped", "a new start", 0.0, 1.0, True, spoil_manifest
    ),
    "CURRENT spoiled": Fault(
        Target.SEAT, "SIGTERM; CURRENT truncated or a bit flipped", "a new start", 0.0, 1.0, True, spoil_current
    ),
    "store owned": Fault(
        Target.SEAT, "a second process is given the same store", "it ends by itself, exit 1", 0.0, 2.0, False, intrude
    ),
    "gateway down": Fault(
        Target.GATEWAY,
        "connecting is refused",
        "by itself",
        1.0,
        5.0,
        True,
        _mood(lambda strike: Faults(down=Down.REFUSE, down_for_s=strike.for_s)),
    ),
    "gateway resetting": Fault(
        Target.GATEWAY, "every call is reset", "healed", 1.0, 5.0, True, _mood(lambda _: Faults(down=Down.RESET))
    ),
    "gateway slow": Fault(
        Target.GATEWAY, "answers take 0.2 to 0.9 s", "healed", 2.0, 6.0, False, _mood(_slow(200, 900))
    ),
    "gateway late": Fault(
        Target.GATEWAY,
        "revokes, and answers after our timeout, or when a shard has been let go",
        "healed",
        1.0,
        4.0,
        True,
        _mood(_slow(1_100, 3_800)),
    ),
    "gateway hanging": Fault(
        Target.GATEWAY,
        "half of the calls are never answered, some of them having revoked",
        "healed",
        1.0,
        5.0,
        True,
        _mood(_failing(Failure(End.HANG_BEFORE, 0.3), Failure(End.HANG_AFTER, 0.3))),
    ),
    "gateway refusing": Fault(
        Target.GATEWAY,
        "503 with Retry-After for most calls",
        "healed",
        1.0,
        5.0,
        False,
        _mood(_failing(Failure(End.REPLY, 0.8, status=503, body=Body.EMPTY, retry_after="1"))),
    ),
    "gateway broken": Fault(
        Target.GATEWAY,
        "500, 200 with garbage, cut before and after the revocation",
        "healed",
        1.0,
        5.0,
        True,
        _mood(
            _failing(
                Failure(End.REPLY, 0.2, status=500, body=Body.HTML),
                Failure(End.REPLY, 0.2, status=200, body=Body.GARBAGE),
                Failure(End.CUT_BEFORE, 0.2),
                Failure(End.CUT_AFTER, 0.2),
            )
        ),
    ),
    "dead letters lost": Fault(
        Target.BROKER, "the dead-letter topic is deleted, bad records come", "made again", 1.0, 4.0, False,
        lose_dead_letters,
    ),
    "dead letters refused": Fault(
        Target.BROKER, "the dead-letter topic takes 100 bytes, bad records come", "it takes more", 1.0, 4.0, False,
        refuse_dead_letters,
    ),
    "broker killed": Fault(
        Target.BROKER, "kill -9 of a broker: of the only one, or one of three", "started on the same data and port",
        0.0, 3.0, True, kill_broker,
    ),
    "controller killed": Fault(
        Target.BROKER, "kill -9 of the broker that leads the metadata", "as above", 0.0, 5.0, True, kill_controller, 3
    ),
    "all brokers killed": Fault(
        Target.BROKER, "kill -9 of all three", "as above, all together", 0.0, 3.0, True, kill_all_brokers, 3
    ),
    "registry down": Fault(
        Target.REGISTRY, "the Schema Registry refuses connections", "it listens again", 1.0, 5.0, True, stop_registry
    ),
    "transaction open": Fault(
        Target.SENDER, "a sender's transaction with sends and violations stays open", "committed or aborted", 0.5, 5.0,
        False, leave_transaction_open,
    ),
    "repeat": Fault(Target.STORY, "a detector repeats violations", "–", 0.0, 0.0, False, repeat),
    "withdrawal": Fault(
        Target.STORY, "violations are withdrawn", "half of them are repeated, which changes nothing", 0.0, 1.0, False,
        withdraw,
    ),
}  # fmt: skip
