"""A schedule of faults, drawn from a seed.

Promised: pure; the same seed, length and table give the same plan. Not promised: that the same plan meets the same
moments of the work again: processes and the broker have their own pace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tests.failures.faults import TIMEOUTS_S, Fault, Strike, Target
from tests.failures.table import FAULTS

SEATS = ("a", "b", "c")
CROWD = ("d", "e", "f")
STRIKE_EVERY_S = 1.8
"""On average, so that several overlap."""

MESSAGES_PER_S = 30
WIRES = ("single-object", "confluent")
TRIES = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to happen. ``seats``: the instances that are there from the start."""

    seed: int
    for_s: float
    protocol: str
    seats: tuple[str, ...]
    messages: int
    strikes: tuple[Strike, ...]
    timeout_s: float = TIMEOUTS_S[0]
    static: bool = False
    """Whether each seat keeps its name in the group (``group.instance.id``), whoever sits there."""
    shipped: bool = False
    """Whether sessions, timeouts and drains are as the settings have them by default, to measure how long things
    take."""
    brokers: int = 1
    wire: str = "single-object"

    @property
    def may_repeat(self) -> bool:
        """Whether the contract lets any of it repeat a call."""
        return any(FAULTS[strike.fault].repeats for strike in self.strikes)

    @property
    def strikes_kafka(self) -> bool:
        """Whether somebody who starts may find Kafka, or a topic, away."""
        return any(FAULTS[strike.fault].target is Target.BROKER for strike in self.strikes)

    def __str__(self) -> str:
        who = f"instances {', '.join(self.seats)}, group protocol {self.protocol}, timeout {self.timeout_s:g} s"
        who += f", {self.wire}, brokers {self.brokers}"
        who += ", static members" if self.static else ""
        head = f"seed {self.seed}: {self.for_s:.1f} s, {self.messages} messages, {who}"
        return "\n  ".join([head, *map(str, self.strikes)])


def draw(seed: int, least_s: float, most_s: float, brokers: int = 1) -> Plan:
    """The plan of a seed."""
    random = Random(seed)
    wire = random.choice((*WIRES, WIRES[0]))
    names = [name for name, fault in FAULTS.items() if fault.fits(brokers, wire)]
    for_s = random.uniform(least_s, most_s)
    seats = SEATS[: random.choice((1, 1, 2, 2, 3))]
    protocol = random.choice(("classic", "consumer"))
    timeout_s = random.choice(TIMEOUTS_S)
    static = protocol == "classic" and random.random() < 0.5
    strikes: list[Strike] = []
    for _ in range(max(2, round(for_s / STRIKE_EVERY_S))):
        strikes += _strike(random, names, for_s, seats, strikes)
    strikes.sort(key=lambda strike: strike.at_s)
    return Plan(
        seed, for_s, protocol, seats, round(for_s * MESSAGES_PER_S), tuple(strikes), timeout_s, static,
        brokers=brokers, wire=wire,
    )  # fmt: skip


def each_alone(brokers: int = 1) -> Iterator[Plan]:
    """Each fault once, by itself, to see what it costs: two instances, settings as shipped."""
    for number, (name, fault) in enumerate(FAULTS.items(), 1):
        wire = next((each for each in WIRES if fault.fits(brokers, each)), None)
        if wire is None:
            continue
        [target, *_] = _targets(fault, SEATS[:2])
        strike = Strike(name, target, 3.0, fault.most_s, number)
        for_s = strike.end_s + 2.0
        messages = round(for_s * MESSAGES_PER_S)
        yield Plan(number, for_s, "classic", SEATS[:2], messages, (strike,), shipped=True, brokers=brokers, wire=wire)


def _strike(
    random: Random, names: Sequence[str], for_s: float, seats: Sequence[str], others: Iterable[Strike]
) -> list[Strike]:
    """One whose target is free all the while; none where the schedule is full."""
    for _ in range(TRIES):
        name = random.choice(names)
        fault = FAULTS[name]
        targets = _targets(fault, seats)
        if not targets:
            continue
        lasts_s = random.uniform(fault.least_s, fault.most_s)
        strike = Strike(name, random.choice(targets), random.uniform(0.0, for_s), lasts_s, random.randrange(1 << 30))
        if not any(_meet(strike, other) for other in others):
            return [strike]
    return []


def _targets(fault: Fault, seats: Sequence[str]) -> Sequence[str]:
    match fault.target:
        case Target.SEAT:
            return seats
        case Target.GUEST:
            return SEATS[len(seats) :]
    return (fault.target.name.lower(),)


def _meet(one: Strike, other: Strike) -> bool:
    return one.target == other.target and one.at_s <= other.end_s and other.at_s <= one.end_s
