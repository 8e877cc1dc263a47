"""Point 4: for a minute every connection is cut before an answer, and ten thousand calls of six apps come due.

The gateway has each of those calls whole, so its timeline counts what an outage costs it. Afterwards: how soon the work
goes on, and in which order. Lanes keep a part of all calls for each severity, so the most severe go first, not alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from stream.bench.figures import Figure, Rounds, at_least, at_most
from stream.bench.gateway import Call
from stream.bench.points.rate import busiest
from stream.bench.points.stage import LARGE, SMALL, Sizes, Stage, stage, until
from stream.bench.progress import say
from stream.bench.town import Town, Wish
from stream.model import Severity
from stream.pushkit.simulator import AppFaults, End, Failure, Faults

APPS: Final = (LARGE, SMALL, "third", "fourth", "fifth", "sixth")
"""Enough that two calls a second of each would be more than ten."""
_CUT: Final = Faults(all=AppFaults(failures=(Failure(End.CUT_BEFORE),)))
_TENTHS: Final = (Severity.CRITICAL,) + (Severity.HIGH,) * 2 + (Severity.MEDIUM,) * 2 + (Severity.LOW,) * 5
_BEFORE: Final = 20
"""Calls of each app that are answered before: connections are open, nothing is learned yet."""
_FROM: Final = 10_000
_UNNOTICED_S: Final = 2
"""What counts is the third second and all that follow."""
_SECOND_NS: Final = 1_000_000_000
_NEARLY_ALL: Final = 0.95


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found = Rounds("4")
    with stage(town, "outage", Wish(APPS)) as at:
        numbers = range(_FROM, _FROM + sizes.outage_findings)
        _before(at, numbers)
        down_ns = _down(at, numbers, sizes.outage_s)
        up_ns = time.time_ns()
        at.place.gateway.fail(Faults())
        until(lambda: _devices(at) >= len(numbers) + _BEFORE * len(APPS), "all to be done after the outage")
        calls = at.place.gateway.calls(refused=True)
        _enter_during(found, [call for call in calls if down_ns <= call.wall_ns < up_ns])
        _enter_after(found, [call for call in calls if call.wall_ns >= up_ns and call.accepted], up_ns)
    yield from found.figures()


def _app(number: int) -> str:
    return APPS[number % len(APPS)]


def _severity(number: int) -> Severity:
    return _TENTHS[number // len(APPS) % len(_TENTHS)]


def _before(at: Stage, numbers: Sequence[int]) -> None:
    early = range(_BEFORE * len(APPS))
    for number in (*early, *numbers):
        at.send(number, app=_app(number))
    at.stored(len(early) + len(numbers))
    for number in early:
        at.find(number, Severity.MEDIUM, wait=False)
    at.writer.flush()
    until(lambda: _devices(at) == len(early), "the calls before the outage")


def _down(at: Stage, numbers: Sequence[int], for_s: float) -> int:
    """The outage, to its end; when the first of its calls came due (wall clock, ns)."""
    say(f"(4) no answer for {for_s:.0f} s, {len(numbers):,} findings of {len(APPS)} apps meanwhile")
    at.place.gateway.fail(_CUT)
    down_ns = time.time_ns()
    for number in numbers:
        at.find(number, _severity(number), wait=False)
    at.writer.flush()
    time.sleep(max(0.0, for_s - (time.time_ns() - down_ns) / 1e9))
    return down_ns


def _devices(at: Stage) -> int:
    return sum(at.place.gateway.devices(app) for app in APPS)


def _enter_during(found: Rounds, calls: Sequence[Call]) -> None:
    """From the first call that came to nothing."""
    begun_ns = calls[0].wall_ns
    late = [call for call in calls if call.wall_ns >= begun_ns + _UNNOTICED_S * _SECOND_NS]
    of_one = max(busiest([call for call in late if call.app == app]) for app in {call.app for call in late})
    found.add("calls in an outage's first two seconds", "", len(calls) - len(late))
    in_all = found.add("from the third second on, the most calls in any second", "", busiest(late), at_most(10))
    found.add("… of one app", "", of_one, at_most(2))
    found.add("calls from then to its end", "", len(late))
    say(f"(4) {len(calls) - len(late)} calls in two seconds, then {in_all} a second at most, {of_one} of one app")


def _enter_after(found: Rounds, calls: Sequence[Call], up_ns: int) -> None:
    """Accepted ones, each of one finding."""
    first_s = found.add("over: the first call is accepted after", "s", _since_s(calls[0], up_ns), at_most(5))
    places = {severity: _places(calls, severity) for severity in Severity}
    for severity, its in sorted(places.items(), key=lambda each: -each[0]):
        nearly_s = _since_s(calls[_nearly_last(its)], up_ns)
        found.add(f"95 % of {len(its):,} {severity.name} are done after", "s", nearly_s)
    grave = _nearly_last(places[Severity.CRITICAL])
    low, done = places[Severity.LOW], sum(place < grave for place in places[Severity.LOW])
    found.add("of LOW, done when 95 % of CRITICAL are", "%", 100 * done / len(low), at_most(10))
    own = 100 * _NEARLY_ALL * len(places[Severity.CRITICAL]) / (grave + 1)
    found.add("of all calls until then, CRITICAL", "%", own, at_least(50))
    all_s = found.add("all is done after", "s", _since_s(calls[-1], up_ns))
    say(f"(4) first call after {first_s:.1f} s, all done after {all_s:.1f} s; CRITICAL {own:.0f} % until 95 % of it")


def _since_s(call: Call, up_ns: int) -> float:
    return (call.wall_ns - up_ns) / 1e9


def _places(calls: Sequence[Call], severity: Severity) -> list[int]:
    """Where those of one severity stand among all."""
    return [place for place, call in enumerate(calls) if _severity(call.notify_id) is severity]


def _nearly_last(places: Sequence[int]) -> int:
    return places[max(0, int(_NEARLY_ALL * len(places)) - 1)]
