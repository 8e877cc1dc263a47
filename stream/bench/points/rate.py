"""Point 2: devices per second that the settings give an app: kept in every second, and used.

Messages of fifty tokens wait for a rate of 5,000 a second, many times what a second takes. In any second at most 105 %
of the rate and one call may leave; over all of them at least 95 % of it does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from stream.bench.figures import Figure, Rounds, at_least, at_most
from stream.bench.gateway import Call
from stream.bench.points.covered import left
from stream.bench.points.stage import Sizes, stage, until
from stream.bench.progress import say
from stream.bench.town import Town, Wish
from stream.model import Severity

PER_S: Final = 5_000
TOKENS: Final = 50
_SECOND_NS: Final = 1_000_000_000
_WISH: Final = Wish(sections=f'[push_kit.apps."bench"]\ndevices_per_second = {PER_S}\n')


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found, messages = Rounds("2"), sizes.rate_s * PER_S // TOKENS
    with stage(town, "rate", _WISH) as at:
        say(f"(2) {messages:,} messages of {TOKENS} tokens at {PER_S:,} devices/s")
        at.place.write_sends(1, messages, TOKENS)
        at.stored(messages)
        for number in range(1, messages + 1):
            at.find(number, Severity.HIGH, wait=False)
        at.writer.flush()
        calls = at.place.gateway.calls_of(messages * TOKENS)
        until(lambda: sum(at.service.metrics().get("unpush_results", {}).values()) >= messages, "all results")
        gone = left(at.place)
    took_s = (calls[-1].wall_ns - calls[0].wall_ns) / 1e9
    kept = found.add(f"of {PER_S:,} devices/s used", "%", 100 * (messages - 1) * TOKENS / took_s / PER_S, at_least(95))
    say(f"(2) {kept:.1f} % of the rate used")
    enter_busiest(found, "as they left", gone, PER_S)
    enter_busiest(found, "as they came", calls, PER_S)
    yield from found.figures()


def enter_busiest(found: Rounds, seen: str, calls: Sequence[Call], per_s: int) -> None:
    """Of calls of ``TOKENS``. As they came there is in it what processes of one machine push together; as they left,
    nothing of one that was killed whose results died with it."""
    what, most = f"{seen}: the most in any second, less one call, of the rate", 100 * (busiest(calls) - TOKENS) / per_s
    say(f"(2) {seen}: {found.add(what, '%', most, at_most(105)):.1f} % in the busiest second")


def busiest(calls: Sequence[Call]) -> int:
    """The most devices in any window of a second."""
    times = [call.wall_ns for call in calls]
    sums = [0, *accumulate(call.tokens for call in calls)]
    return max(sums[bisect_left(times, at_ns + _SECOND_NS)] - sums[first] for first, at_ns in enumerate(times))
