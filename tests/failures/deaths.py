"""Deaths at named points: kill -9 not at any moment, but where something has just happened and the next has not; and
results that cannot be delivered, and clocks that are wrong.

Promised: the instance dies when it comes by the point, or at the strike's end where it does not; then it is started
again. The points are the launcher's (``launcher.POINTS``). A bucket leaves the store only when its retention is over,
which no schedule waits for: that death has a test of its own.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Final

from tests.failures.faults import Fault, Strike, Target
from tests.failures.launcher import POINTS

if TYPE_CHECKING:
    from tests.failures.fleet import Seat
    from tests.failures.scene import Scene
    from tests.scenarios.service import Instance


UNREACHABLE: Final = "results unreachable"
HOUR_MS: Final = 3_600_000


def _as_it_is(_: object) -> None:
    """It works."""


def _told_to_stop(instance: Instance) -> None:
    instance.signal(signal.SIGTERM)


def _without_its_store(seat: Seat) -> None:
    seat.kill()
    shutil.rmtree(seat.store, ignore_errors=True)


def _at(
    point: str,
    most: int = 1,
    before: Callable[[Seat], None] = _as_it_is,
    then: Callable[[Instance], None] = _as_it_is,
) -> Fault:
    """``most``: it may come by so many times before it dies."""

    def strike_instance(scene: Scene, strike: Strike) -> None:
        seat = scene.seat(strike)
        before(seat)
        with seat.doomed(point, Random(strike.seed).randint(1, most)) as instance:
            then(instance)
            scene.hold(strike)
            if instance.running:
                scene.note(strike, "it did not come by")
        seat.kill()
        seat.start()

    does = f"kill -9 {POINTS[point].says}"
    return Fault(Target.SEAT, does, "a new start", 2.0, 4.0, True, strike_instance)


def hold_results(scene: Scene, strike: Strike) -> None:
    seat = scene.seat(strike)
    seat.control.results_held = True
    scene.hold(strike)
    if end := Random(strike.seed).choice((None, seat.kill, seat.stop)):
        end()  # what it could not deliver is gone with it
    seat.control.results_held = False
    seat.start()


def crowd(scene: Scene, strike: Strike) -> None:
    seats = [scene.fleet.seats[name] for name in scene.crowd]
    for seat in seats:
        seat.start()
    scene.hold(strike)
    for seat in seats:
        Random(strike.seed).choice((seat.kill, seat.stop))()


def step_clock(scene: Scene, strike: Strike) -> None:
    seat, random = scene.seat(strike), Random(strike.seed)
    seat.control.clock_ms = random.choice((-HOUR_MS, HOUR_MS))
    if random.random() < 0.5:  # else it is stepped while the instance works
        seat.kill()
        seat.start()
    scene.hold(strike)
    seat.control.clock_ms = 0


DEATHS: Final[Mapping[str, Fault]] = {
    "killed: answered": _at("answered", most=20),
    "killed: written": _at("written", most=20),
    "killed: delivered": _at("delivered", most=5),
    "killed: flushed": _at("flushed"),
    "killed: restoring": _at("restoring", most=3, before=_without_its_store),
    "crowd": Fault(
        Target.CROWD, "three more instances join at once", "all are killed, or told to stop", 3.0, 7.0, True, crowd
    ),
    "clock stepped": Fault(
        Target.SEAT, "the wall clock is an hour ahead or behind, often from a start on", "it is right again", 2.0, 4.0,
        True, step_clock,
    ),
    UNREACHABLE: Fault(
        Target.SEAT, "the results topic is out of reach, while calls succeed", "within reach, or a new start", 1.0, 4.0,
        True, hold_results,
    ),
    "killed: draining": _at("draining", then=_told_to_stop),
}  # fmt: skip
