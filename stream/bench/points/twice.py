"""Point 8: a second finding on a message whose calls are under way makes none of its own.

First both stand: the second reports ALREADY_REVOKED for all. Then the first is withdrawn in the middle: the second
takes over the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stream.bench.figures import Figure, Rounds, at_least, at_most
from stream.bench.points.covered import covered
from stream.bench.points.stage import LARGE, Sizes, Stage, stage, until
from stream.bench.progress import say
from stream.bench.town import Town, Wish
from stream.model import MAX_CALL_TOKENS, Outcome, Severity, Status

_SENDS: Final = 100
_TOTAL: Final = _SENDS * MAX_CALL_TOKENS
_LATENCY_MS: Final = 200
_BOTH_STAND, _ONE_FALLS = 1, 2


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found = Rounds("8")
    with stage(town, "twice", Wish(in_flight=16)) as at:
        for number in (_BOTH_STAND, _ONE_FALLS):
            at.campaign(number, _SENDS, MAX_CALL_TOKENS)
        at.stored(2 * _SENDS)
        at.place.gateway.answer_after(_LATENCY_MS)
        _both_stand(at, found)
        _one_falls(at, found)
    yield from found.figures()


def _begin(at: Stage, number: int, done: int) -> None:
    at.find(number, Severity.HIGH, "first")
    until(lambda: at.place.gateway.devices(LARGE) >= done + _TOTAL // 10, "the first finding's calls")
    at.find(number, Severity.HIGH, "second")


def _both_stand(at: Stage, found: Rounds) -> None:
    say("(8) two findings on one message")
    _begin(at, _BOTH_STAND, 0)
    at.settled(_BOTH_STAND, "first")
    at.settled(_BOTH_STAND, "second")
    second = covered(at.place, f"second-{_BOTH_STAND}")
    already = 100 * second.outcomes.get(Outcome.ALREADY_REVOKED.value, 0) / _TOTAL
    found.add("two findings: calls more than tokens ÷ 1,000", "", _calls(at, _BOTH_STAND) - _SENDS, at_most(0))
    found.add("the second reports ALREADY_REVOKED for", "%", already, at_least(100))
    say(f"(8) {_calls(at, _BOTH_STAND)} calls for {_SENDS} sends, {already:.0f} % already revoked")


def _one_falls(at: Stage, found: Rounds) -> None:
    say("(8) the first of two findings is withdrawn in the middle")
    _begin(at, _ONE_FALLS, at.place.gateway.devices(LARGE))
    at.find(_ONE_FALLS, Severity.HIGH, "first", Status.WITHDRAWN)
    at.settled(_ONE_FALLS, "second")
    second = covered(at.place, f"second-{_ONE_FALLS}")
    found.add("the first withdrawn: calls more than tokens ÷ 1,000", "", _calls(at, _ONE_FALLS) - _SENDS, at_most(0))
    found.add("places that the second covers", "%", 100 * second.places / _TOTAL, at_least(100))
    say(f"(8) {_calls(at, _ONE_FALLS)} calls; the second: {second.outcomes}")


def _calls(at: Stage, number: int) -> int:
    return sum(call.notify_id == number for call in at.place.gateway.calls())
