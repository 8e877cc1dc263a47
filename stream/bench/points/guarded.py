"""Point 7: what would revoke more than allowed is held, whole, before any call of it, and blocks nobody.

First a limit for each violation: a campaign of one-token sends above it, others that come meanwhile, and a person's
word for it. Then a limit for each hour: more is found than it allows, with a kill -9 in the middle.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Final

from stream.bench.figures import Figure, Rounds, at_least, at_most, percentile
from stream.bench.points.covered import covered, said_ms
from stream.bench.points.stage import BOTH, LARGE, SMALL, Sizes, Stage, until
from stream.bench.progress import say
from stream.bench.service import Service
from stream.bench.town import Place, Town, Wish
from stream.model import Outcome, Severity, Status

_CAMPAIGN: Final = 1
_OTHERS: Final = 1_000
_PER_S: Final = 10
Kind = tuple[str, Severity]
"""App and severity."""
_BEHIND: Final = (LARGE, Severity.LOW)
"""In one lane an app's findings go by age: until the campaign is counted these wait."""
_KINDS: Final[tuple[Kind, ...]] = ((SMALL, Severity.LOW), (LARGE, Severity.CRITICAL), _BEHIND)
_SOON: Final = at_most(200)
_AT_MOST: Final = at_most(1_000)
_NEVER: Final = at_most(0)
_TOKENS: Final = 500
_ALLOWED, _ADMITTED, _HELD, _LATER = 5_000, 10, 10, 5
"""Of an hour: devices, the violations of ``_TOKENS`` that these are, as many more, and some after the restart."""
_HOUR: Final = Wish(sections=f"[guard]\nmax_devices_per_hour = {_ALLOWED}")


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found = Rounds("7")
    allowed = sizes.held_tokens // 10
    wish = Wish(BOTH, sections=f"[guard]\nmax_devices_per_violation = {allowed}")
    with town.place("guarded", wish) as place, place.service() as service:
        _one_violation(Stage.ready(place, service), sizes, found)
    with town.place("guarded-hour", _HOUR) as place:
        _one_hour(place, found)
    yield from found.figures()


# --- a violation that is too large


def _one_violation(at: Stage, sizes: Sizes, found: Rounds) -> None:
    _stored(at, sizes)
    found_ns = at.find(_CAMPAIGN, Severity.LOW)
    _others(at, sizes, found)
    until(lambda: at.state(_CAMPAIGN).get("state") == "held", "the campaign to be held")
    held_ms = said_ms(at.place, f"v-{_CAMPAIGN}", Outcome.HELD) - found_ns / 1e6
    found.add(f"a campaign of {sizes.held_tokens:,} sends of one token, HELD after", "ms", held_ms, at_most(10_000))
    early = sum(call.notify_id == _CAMPAIGN for call in at.place.gateway.calls())
    found.add("calls of it before a person's word", "", early, _NEVER)
    approved_ms = _approved(at, found)
    whole = covered(at.place, f"v-{_CAMPAIGN}")
    found.add("places that its results cover at the end", "%", 100 * whole.places / sizes.held_tokens, at_least(100))
    say(f"(7) held after {held_ms:.0f} ms, {early} calls before; approved, its first call after {approved_ms:.0f} ms")


def _stored(at: Stage, sizes: Sizes) -> None:
    say(f"(7) a campaign of {sizes.held_tokens:,} sends of one token, a tenth is allowed")
    at.campaign(_CAMPAIGN, sizes.held_tokens)
    for number, (app, _) in _others_of(sizes):
        at.send(number, app=app)
    at.stored(sizes.held_tokens + len(_KINDS) * sizes.urgent)


def _others_of(sizes: Sizes) -> Iterator[tuple[int, Kind]]:
    """Their numbers, the kinds in turn."""
    numbers = range(_OTHERS, _OTHERS + len(_KINDS) * sizes.urgent)
    yield from zip(numbers, cycle(_KINDS), strict=False)


def _others(at: Stage, sizes: Sizes, found: Rounds) -> None:
    """Findings that come while the campaign is counted and held. Of its own app and lane it goes first: it is older."""
    found_ns = {}
    for number, (_, severity) in _others_of(sizes):
        found_ns[number] = at.find(number, severity)
        time.sleep(1 / _PER_S / len(_KINDS))
    called_ns = at.called_ns(found_ns)
    for kind in _KINDS:
        whose = f"{kind[1].name} of {'its' if kind[0] == LARGE else 'another'} app meanwhile"
        waited_ms = [(called_ns[number] - found_ns[number]) / 1e6 for number, its in _others_of(sizes) if its == kind]
        aims = (None, None) if kind == _BEHIND else (_SOON, _AT_MOST)
        p50 = found.add(f"{whose}, called after: p50", "ms", percentile(waited_ms, 0.5), aims[0])
        most = found.add(f"{whose}, called after: longest", "ms", max(waited_ms), aims[1])
        say(f"(7) {whose}: p50 {p50:.0f} ms, longest {most:.0f} ms")


def _approved(at: Stage, found: Rounds) -> float:
    approved_ns = at.find(_CAMPAIGN, Severity.LOW, status=Status.APPROVED)
    first_ms = (at.called_ns({_CAMPAIGN})[_CAMPAIGN] - approved_ns) / 1e6
    at.settled(_CAMPAIGN)
    return found.add("approved, its first call after", "ms", first_ms, _AT_MOST)


# --- an hour that is used up


def _one_hour(place: Place, found: Rounds) -> None:
    """The devices of each find count with those before, also when another process goes on."""
    place.write_sends(1, _ADMITTED + _HELD + _LATER, _TOKENS)
    with place.service() as service:
        at = Stage.ready(place, service)
        at.stored(_ADMITTED + _HELD + _LATER)
        _find(at, 1, _ADMITTED + _HELD)
        until(lambda: _held(service) == _HELD and _revoked(service) == _ADMITTED, "the hour to be used up")
        _enter_hour(place, found, f"of an hour's {_ALLOWED:,} devices called, where twice as many are found")
        service.kill()
    with place.service() as service:
        _find(Stage.ready(place, service), _ADMITTED + _HELD + 1, _LATER)
        until(lambda: _held(service) == _HELD + _LATER, "the later ones to be held")
        _enter_hour(place, found, "… after kill -9 and more findings")


def _find(at: Stage, first: int, count: int) -> None:
    for number in range(first, first + count):
        at.find(number, Severity.HIGH, wait=False)
    at.writer.flush()


def _enter_hour(place: Place, found: Rounds, what: str) -> None:
    used = found.add(what, "%", 100 * place.gateway.devices(LARGE) / _ALLOWED, at_most(100))
    say(f"(7) {used:.0f} % {what}")


def _held(service: Service) -> int:
    return int(sum(service.metrics().get("unpush_held_violations", {}).values()))


def _revoked(service: Service) -> int:
    """Results that Kafka has."""
    results: Mapping[str, float] = service.metrics().get("unpush_results", {})
    return int(sum(count for labels, count in results.items() if 'outcome="REVOKED"' in labels))
