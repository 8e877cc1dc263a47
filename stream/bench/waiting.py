"""(c) From a violation's production (linger 0) to its request at the gateway: idle, and while a million sends come in.

The sends that are condemned were stored before. Violations come at an even pace; the time of each is taken just before
it is handed to the producer, that of its request is in the simulator's timeline, by the same clock. The million is
written as quickly as a process of its own can, and the violations go on until the service has stored the last of it:
producer, broker, service and simulator share the machine's cores meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

from stream.bench import load
from stream.bench.children import Child
from stream.bench.figures import Aim, Figure, Rounds, at_most, percentile
from stream.bench.progress import say
from stream.bench.service import Service
from stream.bench.sizes import Sizes
from stream.bench.town import Place, Town
from stream.model import StartError

IDLE_PER_S: Final = 20
BUSY_PER_S: Final = 50
_LOOK_EVERY: Final = 10
"""Violations between two questions whether the million is stored."""
_MOST_VIOLATIONS: Final = 20_000
_IDLE_AIMS: Final = (at_most(4), at_most(15))
_BUSY_AIMS: Final = (at_most(10), at_most(80))

Waits = dict[str, list[float]]
"""By what went on meanwhile: every wait of every round, in ms."""


def measure(town: Town, sizes: Sizes, waits: Waits) -> Iterator[Figure]:
    """Raises StartError."""
    found, numbers = Rounds("c"), count()
    with town.place("waiting") as place, place.service() as service:
        service.wait_until_ready()
        stored = sizes.rounds * (sizes.idle_violations + _MOST_VIOLATIONS)
        say(f"(c) storing {stored:,} sends to condemn")
        place.write_sends(0, stored)
        service.wait_until_stored(place.sends, stored)
        for _ in range(sizes.rounds):
            idle = _paced(place, numbers, IDLE_PER_S, _so_many(sizes.idle_violations))
            _enter(found, waits, "idle", idle, _IDLE_AIMS)
            busy = _while_a_burst(place, service, numbers, stored, sizes.burst_sends)
            stored += sizes.burst_sends
            _enter(found, waits, f"while {sizes.burst_sends:,} sends come in", busy, _BUSY_AIMS)
    yield from found.figures()


def _enter(found: Rounds, waits: Waits, during: str, waited_ms: list[float], aims: tuple[Aim, Aim]) -> None:
    waits.setdefault(during, []).extend(waited_ms)
    p50 = found.add(f"violation → request, {during}: p50", "ms", percentile(waited_ms, 0.5), aims[0])
    p99 = found.add(f"violation → request, {during}: p99", "ms", percentile(waited_ms, 0.99), aims[1])
    most = found.add(f"violation → request, {during}: longest", "ms", max(waited_ms))
    say(f"(c) {during}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {most:.1f} ms of {len(waited_ms)}")


def _while_a_burst(place: Place, service: Service, numbers: Iterator[int], stored: int, burst: int) -> list[float]:
    child = place.children.start("stream.bench.load", place.bootstrap_servers, place.sends, stored, burst, 1)
    try:
        assert child.process.stdout is not None
        child.process.stdout.readline()  # it begins
        over = _all_stored(child, lambda: service.stored(place.sends) >= stored + burst)
        waited_ms = _paced(place, numbers, BUSY_PER_S, over)
        place.children.finish(child)
        return waited_ms
    finally:
        place.children.kill(child)


def _so_many(most: int) -> Callable[[int], bool]:
    return lambda done: done >= most


def _all_stored(child: Child, stored: Callable[[], bool]) -> Callable[[int], bool]:
    """Asked of the service only when the producer has ended, and now and then: a question costs it time."""

    def over(done: int) -> bool:
        if done >= _MOST_VIOLATIONS:
            raise StartError(f"the sends were not stored while {done} violations came")
        return child.process.poll() is not None and done % _LOOK_EVERY == 0 and stored()

    return over


def _paced(place: Place, numbers: Iterator[int], per_s: float, over: Callable[[int], bool]) -> list[float]:
    """Each violation's wait, in ms. Raises StartError where a request does not come."""
    place.gateway.forget()
    writer, produced_ns = load.Writer(place.bootstrap_servers, linger_ms=0), dict[int, int]()
    writer.connect(place.violations)
    begun_s = time.perf_counter()
    while not over(len(produced_ns)):
        time.sleep(max(0.0, begun_s + len(produced_ns) / per_s - time.perf_counter()))
        number = next(numbers)
        [(key, value)] = load.violations([number])
        produced_ns[number] = time.time_ns()
        writer.put(place.violations, key, value)
        writer.poll()
    writer.flush()
    received = {call.notify_id: call.wall_ns for call in place.gateway.calls_of(len(produced_ns))}
    return [(received[number] - at_ns) / 1e6 for number, at_ns in produced_ns.items()]
