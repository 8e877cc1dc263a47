"""Point 3: what nobody tells is learned. The simulator has a quota, the service no limit of its own.

After some time to find the quota out, as much of it as possible is to be used, and few calls are to be refused; the
calls in flight stay as they are meanwhile. Then the quota is lifted and calls time out instead: now the calls in flight
fall, and the app's rate stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from stream.bench.figures import Figure, Rounds, at_least, at_most
from stream.bench.gateway import Call
from stream.bench.points.stage import LARGE, Sizes, Stage, stage
from stream.bench.progress import say
from stream.bench.town import IN_FLIGHT, Town, Wish
from stream.model import Severity, StartError
from stream.pushkit.simulator import AppFaults, End, Failure, Faults

QUOTA: Final = 8_000
TOKENS: Final = 100
_LATE_S: Final = 8
_SPARE_S: Final = 30
"""So much more is there to do: it does not run dry."""
_LOOK_EVERY_S: Final = 0.25
_TIMEOUT: Final = Wish(push_kit='timeout = "1s"')
_QUOTA: Final = Faults(apps={LARGE: AppFaults(devices_per_s=QUOTA)})
_HANGING: Final = Faults(apps={LARGE: AppFaults(failures=(Failure(End.HANG_BEFORE, rate=0.2),))})


class Learned(NamedTuple):
    """What ``/metrics`` says, at a time: calls in flight that the gateway bears, and the app's rate (0: no limit)."""

    bound: float
    devices_per_s: float


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found = Rounds("3")
    with stage(town, "quota", _TIMEOUT) as at:
        _due(at, sizes)
        _quota(at, sizes.quota_s, found)
        _late(at, found)
    yield from found.figures()


def _due(at: Stage, sizes: Sizes) -> None:
    """More than the quota allows while it is watched."""
    messages = (2 * sizes.quota_s + _LATE_S + _SPARE_S) * QUOTA // TOKENS
    say(f"(3) {messages:,} messages of {TOKENS} tokens, a quota of {QUOTA:,} devices/s that nobody tells")
    at.place.gateway.fail(_QUOTA)
    at.place.write_sends(1, messages, TOKENS)
    at.stored(messages)
    for number in range(1, messages + 1):
        at.find(number, Severity.HIGH, wait=False)
    at.writer.flush()


def _quota(at: Stage, each_s: int, found: Rounds) -> None:
    looks = _watched(at, 2 * each_s)
    calls = at.place.gateway.calls(refused=True)
    settled_ns = calls[0].wall_ns + each_s * 1_000_000_000
    first, settled = _parted(calls, settled_ns)
    took_s = (settled[-1].wall_ns - settled_ns) / 1e9
    devices = sum(call.tokens for call in settled if call.accepted)
    used = 100 * devices / took_s / QUOTA
    lost = found.add(f"calls refused in the first {each_s} s", "%", _refused(first))
    found.add(f"after {each_s} s: of {QUOTA:,} devices/s used, for {took_s:.0f} s", "%", used, at_least(85))
    late = found.add("calls refused meanwhile", "%", _refused(settled), at_most(2))
    least = min(look.bound for look in looks)
    found.add("calls in flight that it believes the gateway bears, the least", "", least, at_least(IN_FLIGHT))
    say(f"(3) {used:.1f} % of the quota used, {late:.2f} % refused ({lost:.1f} % before)")


def _late(at: Stage, found: Rounds) -> None:
    """No quota now; a fifth of the calls hangs until it times out."""
    [before] = _watched(at, 0)
    if before.devices_per_s == 0:
        raise StartError("no rate was learned, though there was a quota")
    at.place.gateway.fail(_HANGING)
    looks = _watched(at, _LATE_S)
    bound, rate = min(look.bound for look in looks), min(_limit(look) for look in looks)
    found.add("every fifth call times out: calls in flight that it believes in, the least", "", bound, at_most(32))
    kept = found.add("the app's learned rate meanwhile, the least, of that before", "%", _part(rate, before), _STAYS)
    say(f"(3) calls time out: {bound:.0f} in flight at least, {min(kept, 999):.0f} % of the rate at least")


_STAYS: Final = at_least(100)


def _part(rate: float, before: Learned) -> float:
    """In %; where the limit is forgotten it has grown as far as it can."""
    return 100 * min(rate, 16 * before.devices_per_s) / before.devices_per_s


def _limit(look: Learned) -> float:
    return look.devices_per_s or float("inf")


def _watched(at: Stage, for_s: float) -> list[Learned]:
    """What it believes, now and then for so long."""
    looks, begun_s = [_learned(at)], time.monotonic()
    while time.monotonic() - begun_s < for_s:
        time.sleep(_LOOK_EVERY_S)
        looks.append(_learned(at))
    return looks


def _learned(at: Stage) -> Learned:
    said = at.service.metrics()
    bound = said["unpush_calls_in_flight_bound"][""]
    return Learned(bound, said.get("unpush_app_devices_per_second_learned", {}).get(f'app="{LARGE}"', 0.0))


def _parted(calls: Sequence[Call], at_ns: int) -> tuple[list[Call], list[Call]]:
    """Before a moment, and from it on. Raises StartError where nothing came then."""
    before: Callable[[Call], bool] = lambda call: call.wall_ns < at_ns  # noqa: E731
    late = [call for call in calls if not before(call)]
    if not late:
        raise StartError("no calls came after the quota was learned")
    return [call for call in calls if before(call)], late


def _refused(calls: Sequence[Call]) -> float:
    """In %."""
    return 100 * sum(not call.accepted for call in calls) / max(1, len(calls))
