"""(e) The store is lost after a clean stop, and violations come meanwhile: when do calls come, and when is all read.

The violations are spread over the whole topic, from the oldest send to the newest. Times run from the start of the
process, Python's own start included; the broker makes no new group wait (``group.initial.rebalance.delay.ms`` 0).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from stream.bench import load
from stream.bench.figures import Figure, Rounds, at_most
from stream.bench.progress import say
from stream.bench.sizes import Sizes
from stream.bench.town import Place, Town

_FIRST_AIM: Final = at_most(2)
_LAST_AIM: Final = at_most(4)


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found = Rounds("e")
    with town.place("losing") as place:
        say(f"(e) storing {sizes.lost_sends:,} sends")
        place.write_sends(0, sizes.lost_sends)
        with place.service() as service:
            service.wait_until_stored(place.sends, sizes.lost_sends)
        for number in range(sizes.rounds):
            _one_round(place, found, _spread(sizes, number), sizes.lost_sends)
    yield from found.figures()


def _spread(sizes: Sizes, round_number: int) -> list[int]:
    """Numbers of sends, evenly from the first to the last; each round its own, since what is revoked is not called
    again."""
    newest, gaps = sizes.lost_sends - sizes.rounds, sizes.lost_violations - 1
    return [newest * place // gaps + round_number for place in range(sizes.lost_violations)]


def _one_round(place: Place, found: Rounds, numbers: list[int], sends: int) -> None:
    place.lose_store()
    place.gateway.forget()
    load.Writer(place.bootstrap_servers, linger_ms=0).write(place.violations, load.violations(numbers))
    with place.service() as service:
        service.wait_until_all_is_read(place.sends, sends)
        read_s = (time.time_ns() - service.started_ns) / 1e9
        calls = place.gateway.calls_of(len(numbers))
    first_s, last_s = ((at.wall_ns - service.started_ns) / 1e9 for at in (calls[0], calls[-1]))
    say(f"(e) from the start: first call after {first_s:.2f} s, last after {last_s:.2f} s, all read {read_s:.2f} s")
    found.add("store lost, from start to first call", "s", first_s, _FIRST_AIM)
    found.add(f"store lost, from start to the last of {len(numbers)} calls", "s", last_s, _LAST_AIM)
    found.add("store lost, from start until all the past is read", "s", read_s)
