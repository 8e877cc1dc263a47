"""(b) Calls and devices per second from violation to gateway, beside a bare client with ready-made bodies.

Sends are stored first, each with a notifyId of its own; then all violations come at once. Of the service and of every
limit the simulator's timeline is read: from its first call to its last. The gateway answers after 20 ms in one half
(64 in flight then allow 3,200 calls a second): that is what the aims speak of. In the other it answers at once, as no
gateway across a network does: then the CPU is the limit, the client's and the service's, with all that it does besides.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from stream.bench import load
from stream.bench.figures import Aim, Figure, Rounds, at_least, at_most
from stream.bench.gateway import calls_per_s
from stream.bench.progress import say
from stream.bench.service import Service
from stream.bench.sizes import Sizes
from stream.bench.town import IN_FLIGHT, Place, Town
from stream.model import MAX_CALL_TOKENS

NETWORK_MS: Final = 20
"""What a gateway across a network takes at best."""
_CALLS_AIM: Final = at_least(0.85)
_DEVICES_AIM: Final = at_least(0.7)
_SIMULATOR_AIM: Final = at_least(2)
_CAMPAIGN_AIM: Final = at_least(40_000)
_LIMITS: Final = {"asyncio": "aiohttp on asyncio's loop", "uvloop": "aiohttp on uvloop"}


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    for tokens, count, aim in ((1, sizes.small_calls, _CALLS_AIM), (1_000, sizes.large_calls, _DEVICES_AIM)):
        yield from _calls(town, tokens, count, aim, sizes.rounds)
    yield from _campaigns(town, sizes)


def _calls(town: Town, tokens: int, count: int, aim: Aim, rounds: int) -> list[Figure]:
    found = Rounds("b")
    with town.place(f"calling-{tokens}") as place, place.service() as service:
        service.wait_until_ready()
        for number in range(rounds):
            first = range(2 * number * count, (2 * number + 1) * count)
            second = range(first.stop, first.stop + count)
            quickest = _one_half(place, service, found, first, tokens, NETWORK_MS, aim)
            _one_half(place, service, found, second, tokens, 0, None)
            _simulator(place, found, count, tokens, quickest)
    return found.figures()


def _one_half(
    place: Place, service: Service, found: Rounds, numbers: range, tokens: int, latency_ms: int, aim: Aim | None
) -> float:
    """Calls a second of the quickest bare client."""
    of = f"{_each(tokens)}, gateway {latency_ms} ms"
    place.gateway.answer_after(latency_ms)
    ours = found.add(f"{of}: Unpush", "calls/s", _ours(place, service, numbers, tokens))
    found.add(f"{of}: Unpush, devices", "1/s", ours * tokens)
    limits = {mode: _bare(place, mode, len(numbers), tokens) for mode in _LIMITS}
    for mode, name in _LIMITS.items():
        found.add(f"{of}: {name}", "calls/s", limits[mode])
        found.add(f"{of}: Unpush ÷ {name}", "×", ours / limits[mode], aim)
    say(f"(b) {of}: Unpush {ours:,.0f}/s, " + ", ".join(f"{_LIMITS[mode]} {limits[mode]:,.0f}/s" for mode in limits))
    return max(limits.values())


def _simulator(place: Place, found: Rounds, count: int, tokens: int, quickest: float) -> None:
    """What it sustains by itself, answering at once. Less than twice the client, and it would be what is measured."""
    of = f"{_each(tokens)}: the simulator alone"
    raw = found.add(of, "calls/s", _bare(place, "raw", count, tokens))
    name = f"{of} ÷ the quicker client at {NETWORK_MS} ms"
    say(f"(b) {of} {raw:,.0f}/s, {found.add(name, '×', raw / quickest, _SIMULATOR_AIM):.2f} × that client")


def _each(tokens: int) -> str:
    return f"{tokens:,} token{'s' if tokens > 1 else ''} a call"


def _ours(place: Place, service: Service, numbers: range, tokens: int) -> float:
    say(f"(b) storing {len(numbers):,} sends")
    place.write_sends(numbers.start, len(numbers), tokens)
    service.wait_until_stored(place.sends, numbers.stop)
    place.gateway.forget()
    load.Writer(place.bootstrap_servers, linger_ms=5).write(place.violations, load.violations(numbers))
    return calls_per_s(place.gateway.calls_of(len(numbers) * tokens))


def _bare(place: Place, mode: str, count: int, tokens: int) -> float:
    place.gateway.forget()
    at = place.gateway
    place.children.run("stream.bench.bare_calls", mode, at.url, at.key_file, count, tokens, IN_FLIGHT)
    return calls_per_s(at.calls())


def _campaigns(town: Town, sizes: Sizes) -> list[Figure]:
    """One message, one notifyId, sends of one token each: they travel together."""
    found = Rounds("b")
    fewest = -(-sizes.campaign_sends // MAX_CALL_TOKENS)
    of = f"stored campaign of {sizes.campaign_sends:,} sends of 1 token, one notifyId"
    with town.place("campaign") as place, place.service() as service:
        service.wait_until_ready()
        writer = load.Writer(place.bootstrap_servers, linger_ms=0)
        writer.connect(place.violations)
        for number in range(sizes.rounds):
            calls, took_s = _campaign(place, service, writer, number, sizes.campaign_sends)
            found.add(f"{of}: calls", "", calls, at_most(fewest))
            rate = found.add(
                f"{of}: devices, from the violation on", "1/s", sizes.campaign_sends / took_s, _CAMPAIGN_AIM
            )
            say(f"(b) {of}: {calls} calls, {rate:,.0f} devices/s")
    return found.figures()


def _campaign(place: Place, service: Service, writer: load.Writer, number: int, count: int) -> tuple[int, float]:
    """How many calls, and from the moment the violation is produced until the last call."""
    writer.write(place.sends, load.campaign(number, count))
    service.wait_until_stored(place.sends, (number + 1) * count)
    place.gateway.forget()
    [(key, value)] = load.violations([number])
    begun_ns = time.time_ns()
    writer.put(place.violations, key, value)
    writer.flush()
    calls = place.gateway.calls_of(count)
    return len(calls), (calls[-1].wall_ns - begun_ns) / 1e9
