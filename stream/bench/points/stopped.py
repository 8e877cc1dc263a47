"""Point 6: an app whose calls are answered 401: renewed once, then paused, probed slowly; the other app goes on.

For five seconds the simulator refuses one app's authorisation, with work for both apps waiting.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from stream.bench.figures import Figure, Rounds, at_least, at_most
from stream.bench.points.stage import BOTH, LARGE, SMALL, Sizes, Stage, stage, until
from stream.bench.progress import say
from stream.bench.town import Town, Wish
from stream.model import Severity
from stream.pushkit.simulator import AppFaults, Failure, Faults

_MESSAGES: Final = 200
_REFUSED_S: Final = 5.0
_SMALL_FROM: Final = 10_000
_DENIED: Final = Faults(apps={LARGE: AppFaults(failures=(Failure(status=401, code="80200001"),))})


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found = Rounds("6")
    with stage(town, "stopped", Wish(BOTH)) as at:
        for number in range(1, _MESSAGES + 1):
            at.send(number)
            at.send(_SMALL_FROM + number, app=SMALL)
        at.stored(2 * _MESSAGES)
        at.place.gateway.fail(_DENIED)
        _denied(at, found)
        _mended(at, found)
    yield from found.figures()


def _denied(at: Stage, found: Rounds) -> None:
    say(f"(6) one app's calls are answered 401 for {_REFUSED_S:.0f} s")
    begun_s = time.monotonic()
    for number in range(1, _MESSAGES + 1):
        at.find(number, Severity.HIGH, wait=False)
        at.find(_SMALL_FROM + number, Severity.HIGH, wait=False)
    at.writer.flush()
    others_s = until(lambda: at.place.gateway.devices(SMALL) >= _MESSAGES, "the other app's calls")
    found.add(f"the other app's {_MESSAGES} calls, done within", "s", others_s, at_most(2))
    time.sleep(max(0.0, begun_s + _REFUSED_S - time.monotonic()))
    tried = [call for call in at.place.gateway.calls(refused=True) if call.app == LARGE]
    found.add("calls of the refused app meanwhile (64 may be in flight at first)", "", len(tried), at_most(140))
    late = [call for call in tried if call.wall_ns > tried[0].wall_ns + 1_000_000_000]
    probes = found.add("of them after the first second: probes", "", len(late), at_most(3))
    shown = b"app_waits" in at.service.get("/readyz")[1]
    found.add("/readyz says so", "%", 100 * shown, at_least(100))
    say(f"(6) {len(tried)} calls, {probes} probes; the other app took {others_s:.1f} s")


def _mended(at: Stage, found: Rounds) -> None:
    at.place.gateway.fail(Faults())
    took_s = until(lambda: at.place.gateway.devices(LARGE) >= _MESSAGES, "the app to go on")
    found.add("mended, all its calls are made within", "s", took_s, at_most(10))
    found.add("of its messages nothing is lost", "%", 100 * at.place.gateway.devices(LARGE) / _MESSAGES, at_least(100))
    say(f"(6) mended: all called after {took_s:.1f} s")
