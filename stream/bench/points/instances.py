"""Point 2, continued: the same of three instances that share a rate, while one joins and one dies.

Load is on all shards, as many as give each instance the same part. Two instances begin, a third joins, and one of the
three is killed (kill -9): its shards have no owner until its session is over (6 s), and its part of the rate is used
by nobody meanwhile, since nobody can know that it is dead.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from stream.bench.figures import Figure, Rounds, at_least
from stream.bench.gateway import Call
from stream.bench.points.covered import left
from stream.bench.points.rate import TOKENS, enter_busiest
from stream.bench.points.stage import Sizes, Stage, until
from stream.bench.progress import say
from stream.bench.service import Service
from stream.bench.town import Town, Wish
from stream.model import Severity

PER_S: Final = 6_000
_SHARDS: Final = 6
_SPARE_S: Final = 30
"""So much more is there to do than the rate allows while it is watched: no shard runs dry."""
_WISH: Final = Wish(partitions=_SHARDS, sections=f'[push_kit.apps."bench"]\ndevices_per_second = {PER_S}\n')


class Times(NamedTuple):
    """Wall clock, in ns: what happened when."""

    begun: int
    joins: int
    joined: int
    """All three have their shards."""
    dies: int
    inherited: int
    """Its shards are the others'."""
    ended: int


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found = Rounds("2")
    with town.place("instances", _WISH) as place, contextlib.ExitStack() as running:
        first, second = (running.enter_context(each.service()) for each in (place, place.beside("second")))
        at = Stage.ready(place, first)
        _shares(first, second)
        _load(at, sizes, (first, second))
        begun = time.time_ns()
        time.sleep(sizes.shared_s)
        joins = time.time_ns()
        third = running.enter_context(place.beside("third").service())
        joined = _shares(first, second, third)
        time.sleep(sizes.shared_s)
        dies = time.time_ns()
        second.kill()
        inherited = _shares(first, third)
        time.sleep(sizes.shared_s)
        times = Times(begun, joins, joined, dies, inherited, time.time_ns())
        _enter(found, place.gateway.calls(), times)
        enter_busiest(found, "together as they left", left(place), PER_S)
    yield from found.figures()


def _shares(*services: Service) -> int:
    """Wait until each has its part of the shards; when."""
    each = _SHARDS // len(services)
    until(lambda: all(_shards(service) == each for service in services), f"{len(services)} instances' shards")
    return time.time_ns()


def _shards(service: Service) -> int:
    return int(sum(service.metrics().get("unpush_shards", {}).values()))


def _load(at: Stage, sizes: Sizes, services: Sequence[Service]) -> None:
    """Written, found, and begun."""
    messages = (3 * sizes.shared_s + _SPARE_S) * PER_S // TOKENS
    say(f"(2) {messages:,} messages of {TOKENS} tokens, two instances at {PER_S:,} devices/s together")
    at.place.write_sends(1, messages, TOKENS)
    until(lambda: sum(each.stored(at.place.sends) for each in services) >= messages, "all sends to be stored")
    for number in range(1, messages + 1):
        at.find(number, Severity.HIGH, wait=False)
    at.writer.flush()
    until(lambda: at.place.gateway.devices() > PER_S, "the rate to be in use")


def _enter(found: Rounds, calls: Sequence[Call], times: Times) -> None:
    used = _used_of(calls)
    for what, since, ended in (
        ("by two instances", times.begun, times.joins),
        ("by three", times.joined, times.dies),
        ("by the two that are left", times.inherited, times.ended),
        ("while one joins and one dies, over all", times.begun, times.ended),
    ):
        share = found.add(f"of {PER_S:,} devices/s used {what}", "%", used(since, ended), at_least(95))
        say(f"(2) {share:.1f} % of the rate used {what}")
    found.add("a third instance has its shards after", "s", (times.joined - times.joins) / 1e9)
    found.add("… of the rate used meanwhile", "%", used(times.joins, times.joined))
    found.add("the killed one's shards are the others' after", "s", (times.inherited - times.dies) / 1e9)
    found.add("… of the rate used meanwhile; its part is a third", "%", used(times.dies, times.inherited))
    enter_busiest(found, "together as they came", calls, PER_S)


def _used_of(calls: Sequence[Call]) -> Callable[[int, int], float]:
    """Between two moments, the part of the rate that was used, in %."""

    def used(since_ns: int, until_ns: int) -> float:
        devices = sum(call.tokens for call in calls if since_ns <= call.wall_ns < until_ns)
        return 100 * devices / PER_S / ((until_ns - since_ns) / 1e9)

    return used
