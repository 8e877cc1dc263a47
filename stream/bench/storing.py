"""(a) Sends stored per second, beside a loop that only consumes and one that stores the same raw bytes.

Each in a process of its own, in turns, on the same topic. The service starts from an empty store; what counts is the
time from the first record that it reports as stored to the last.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Final

from stream.bench.figures import Figure, Rounds, at_least
from stream.bench.progress import say
from stream.bench.sizes import Sizes
from stream.bench.town import PARTITIONS, Place, Town

_AIM: Final = at_least(0.75)


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    for tokens, count in ((1, sizes.small_sends), (1_000, sizes.large_sends)):
        yield from _sends(town, f"storing-{tokens}", tokens, count, sizes.rounds)


def _sends(town: Town, name: str, tokens: int, count: int, rounds: int) -> list[Figure]:
    found, of = Rounds("a"), f"sends of {tokens:,} token{'s' if tokens > 1 else ''}"
    with town.place(name) as place:
        say(f"(a) writing {count:,} {of} to Kafka")
        place.write_sends(0, count, tokens)
        for number in range(rounds):
            ours = _ours(place, count)
            bare, only = _bare(place, "store", count), _bare(place, "consume", count)
            say(f"(a) round {number + 1}: {of}: Unpush {ours:,.0f}/s, bare loop {bare:,.0f}/s, consume {only:,.0f}/s")
            found.add(f"{of}: stored", "1/s", ours)
            found.add(f"{of}: bare loop consumes and stores", "1/s", bare)
            found.add(f"{of}: only consumed", "1/s", only)
            found.add(f"{of}: stored ÷ bare loop", "×", ours / bare, _AIM)
            found.add(f"{of}: stored ÷ only consumed", "×", ours / only)
    return found.figures()


def _ours(place: Place, count: int) -> float:
    with place.service() as service:
        rate = service.storing_rate(place.sends, count)
    place.lose_store()
    return rate


def _bare(place: Place, mode: str, count: int) -> float:
    folder = place.folder / "bare"
    said = place.children.run(
        "stream.bench.bare_reading", mode, place.bootstrap_servers, place.sends, PARTITIONS, count, folder
    )
    shutil.rmtree(folder, ignore_errors=True)
    return float(said)
