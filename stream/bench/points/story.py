"""The points, told once: a broker, those that were asked for one after the other, and the table that shows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from stream.bench.figures import Figure
from stream.bench.points import campaign, rate, refused, stopped, twice, urgent
from stream.bench.points.stage import Sizes
from stream.bench.progress import say
from stream.bench.town import Town, town
from stream.model import UnpushError


class Point(NamedTuple):
    """One of the ten: what it is about, and what measures it."""

    about: str
    measure: Callable[[Town, Sizes], Iterator[Figure]]


POINTS: Final[Mapping[str, Point]] = {
    "1": Point("lanes: who waits for whom", urgent.measure),
    "2": Point("a device rate that is set", rate.measure),
    "5": Point("refused batches are halved", refused.measure),
    "6": Point("an app whose calls are not authorised", stopped.measure),
    "8": Point("one call for several findings", twice.measure),
    "9": Point("a campaign of millions", campaign.measure),
}
"""By number; ``--points`` takes them."""


class Findings(NamedTuple):
    """What one run found; ``failures``: points that could not be measured, and why."""

    figures: Sequence[Figure]
    failures: Mapping[str, str]


def measured(sizes: Sizes, points: Iterable[str]) -> Findings:
    """Runs the points; one that cannot be measured costs no other. Raises StartError where Kafka does not start."""
    figures, failures, begun_s = list[Figure](), dict[str, str](), time.monotonic()
    say("starting Apache Kafka")
    with town() as where:
        for point in points:
            try:
                figures += POINTS[point].measure(where, sizes)
            except (UnpushError, OSError) as error:
                failures[point] = str(error)
                say(f"({point}) could not be measured: {error}")
    say(f"done after {time.monotonic() - begun_s:.0f} s")
    return Findings(figures, failures)
