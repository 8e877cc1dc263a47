"""Point 5: a batch that is refused because of some of its tokens, without saying which: halved until these stand alone.

Of a thousand tokens so many are bad; the simulator answers with the documented words and no list.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log2
from typing import Final

from stream.bench.figures import Figure, Rounds, at_least, at_most
from stream.bench.load import token
from stream.bench.points.covered import rejected
from stream.bench.points.stage import Sizes, Stage, stage
from stream.bench.progress import say
from stream.bench.town import Town, Wish
from stream.model import MAX_CALL_TOKENS, Severity
from stream.pushkit.simulator import Faults, PartialStyle, Rules

BAD: Final = (1, 10, 50)
_REASON: Final = "illegalToken"


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found = Rounds("5")
    with stage(town, "refused", Wish()) as at:
        at.place.gateway.fail(Faults(rules=Rules(partial=PartialStyle.TEXT)))
        for number, bad in enumerate(BAD, 1):
            _one(at, number, bad, found)
    yield from found.figures()


def _one(at: Stage, number: int, bad: int, found: Rounds) -> None:
    of, first = f"{bad} bad of {MAX_CALL_TOKENS:,}", number * MAX_CALL_TOKENS
    wrong = [token(first + place * (MAX_CALL_TOKENS // bad)) for place in range(bad)]
    at.place.gateway.tell(wrong, _REASON)
    at.send(number, MAX_CALL_TOKENS, first=first)
    at.stored(number)
    at.find(number, Severity.HIGH)
    at.settled(number)
    calls = [call for call in at.place.gateway.calls(refused=True) if call.notify_id == number]
    most = 2 * bad * ceil(log2(MAX_CALL_TOKENS)) + 1
    used = found.add(f"{of}: calls, where 2·k·⌈log2(n)⌉ + 1 would be {most:.0f}", "", len(calls), at_most(most))
    named = rejected(at.place, f"v-{number}")
    exact = found.add(f"{of}: named exactly", "%", 100 * (named == {each.decode() for each in wrong}), at_least(100))
    say(f"(5) {of}: {used} calls, rejected tokens exact: {exact == 100}")
