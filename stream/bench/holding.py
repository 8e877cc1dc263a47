"""(d) Resident memory of the service while it holds more and more sends, one process all the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from stream.bench.figures import Figure, Rounds, at_most
from stream.bench.progress import say
from stream.bench.sizes import Sizes
from stream.bench.town import Town

_AIM: Final = at_most(400)
_SETTLE_S: Final = 2.0
"""For the store to write down what it still holds of the last step; it flushes by itself."""


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found = Rounds("d")
    with town.place("holding") as place, place.service() as service:
        service.wait_until_ready()
        for step in range(sizes.held_steps):
            held = (step + 1) * sizes.held_sends
            say(f"(d) storing {held:,} sends in all")
            place.write_sends(step * sizes.held_sends, sizes.held_sends)
            service.wait_until_stored(place.sends, held)
            time.sleep(_SETTLE_S)
            memory = service.memory()
            say(f"(d) {held:,} sends held: {memory.now_mb:.0f} MB, at most {memory.most_mb:.0f} MB so far")
            found.add(f"resident with {held:,} sends of 1 token stored", "MB", memory.now_mb, _AIM)
            found.add(f"the most until then ({held:,})", "MB", memory.most_mb)
    yield from found.figures()
