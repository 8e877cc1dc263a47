"""The points, told once: a broker, those that were asked for one after the other, and what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from stream.bench.figures import Figure
from stream.bench.machine import machine
from stream.bench.points import (
    campaign,
    guarded,
    instances,
    outage,
    quota,
    rate,
    refused,
    reuse,
    stopped,
    twice,
    urgent,
)
from stream.bench.points.stage import Sizes
from stream.bench.progress import say
from stream.bench.town import Town, town
from stream.model import UnpushError

Measure = Callable[[Town, Sizes], Iterator[Figure]]


class Point(NamedTuple):
    """One of the ten: what it is about, and what measures it, one after the other."""

    about: str
    measures: tuple[Measure, ...]


POINTS: Final[Mapping[str, Point]] = {
    "1": Point("lanes: who waits for whom", (urgent.measure,)),
    "2": Point("a device rate that is set", (rate.measure, instances.measure)),
    "3": Point("limits that nobody tells", (quota.measure,)),
    "4": Point("an outage", (outage.measure,)),
    "5": Point("refused batches are halved", (refused.measure,)),
    "6": Point("an app whose calls are not authorised", (stopped.measure,)),
    "7": Point("what the guard holds", (guarded.measure,)),
    "8": Point("one call for several findings", (twice.measure,)),
    "9": Point("a campaign of millions", (campaign.measure,)),
    "10": Point("one notifyId for several messages", (reuse.measure,)),
}
"""By number; ``--points`` takes them."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What one run found."""

    sizes: Sizes
    begun_s: float
    machine: Mapping[str, object] = field(default_factory=machine)
    figures: list[Figure] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    """Points that could not be measured, and why."""
    took_s: dict[str, float] = field(default_factory=dict)
    """By point, and in ``all`` the start of Kafka too."""


def measured(sizes: Sizes, points: Iterable[str]) -> Findings:
    """Runs the points; one that cannot be measured costs no other. Raises StartError where Kafka does not start."""
    found, begun_s = Findings(sizes, time.time()), time.monotonic()
    say("starting Apache Kafka")
    with town() as where:
        for point in points:
            _measure(point, where, found)
    found.took_s["all"] = time.monotonic() - begun_s
    say(f"done after {found.took_s['all']:.0f} s")
    return found


def _measure(point: str, where: Town, found: Findings) -> None:
    begun_s = time.monotonic()
    for measure in POINTS[point].measures:
        try:
            found.figures.extend(measure(where, found.sizes))
        except (UnpushError, OSError) as error:
            found.failures[point] = str(error)
            say(f"({point}) could not be measured: {error}")
    found.took_s[point] = time.monotonic() - begun_s
    say(f"({point}) took {found.took_s[point]:.0f} s")
