"""Point 1: who waits for whom. Findings are timed from their production to their request at the simulator, which
answers after 20 ms, while other work of a million tokens is under way.

A CRITICAL finding waits for one call's time at most; one of another app, in the same lane, for its app's turn; and a
CRITICAL finding on a message whose LOW campaign waits behind another lifts all of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from stream.bench.figures import Figure, Rounds, at_least, at_most, percentile
from stream.bench.points.stage import BOTH, LARGE, SMALL, Sizes, Stage, stage, until
from stream.bench.progress import say
from stream.bench.town import Town, Wish
from stream.model import Severity

LATENCY_MS: Final = 20
_AIM_P50: Final = at_most(LATENCY_MS + 20)
_AIM_MOST: Final = at_most(200)
"""On two cores that broker, producer, simulator and service share."""
_PER_S: Final = 10
_CAMPAIGN, _LIFTED, _READ_LAST, _ALONE, _FINDINGS, _TIMED = 1, 2, 3, 1_000, 100_000, 2_000_000
"""Numbers of messages."""
_KINDS: Final = ((Severity.CRITICAL, LARGE), (Severity.CRITICAL, SMALL), (Severity.LOW, SMALL))


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found = Rounds("1")
    with stage(town, "urgent-campaign", Wish(BOTH)) as at:
        _alone(at, sizes, found)
        _behind_a_campaign(at, sizes, found)
    with stage(town, "urgent-findings", Wish(BOTH)) as at:
        _behind_findings(at, sizes, found)
    with stage(town, "urgent-lift", Wish(BOTH)) as at:
        _lifted(at, sizes, found)
    yield from found.figures()


def _alone(at: Stage, sizes: Sizes, found: Rounds) -> None:
    """What the same takes where nothing waits: the machine's part in all that follows."""
    numbers = range(_ALONE, _ALONE + sizes.urgent)
    for number in numbers:
        at.send(number)
    at.stored(len(numbers))
    produced_ns = {}
    for number in numbers:
        time.sleep(1 / _PER_S)
        produced_ns[number] = at.find(number, Severity.CRITICAL)
    called_ns = at.called_ns(numbers)
    _enter(found, "CRITICAL, nothing else to do", [(called_ns[n] - produced_ns[n]) / 1e6 for n in numbers])


def _behind_a_campaign(at: Stage, sizes: Sizes, found: Rounds) -> None:
    say(f"(1) a LOW campaign of {sizes.backlog_tokens:,} sends of one token")
    at.campaign(_CAMPAIGN, sizes.backlog_tokens)
    _timed_sends(at, sizes)
    at.stored(sizes.backlog_tokens + (1 + len(_KINDS)) * sizes.urgent)
    at.place.gateway.answer_after(LATENCY_MS)
    at.find(_CAMPAIGN, Severity.LOW)
    at.called_ns({_CAMPAIGN})
    _time_all(at, sizes, found, f"behind a LOW campaign of {sizes.backlog_tokens:,} tokens", sizes.backlog_tokens)


def _behind_findings(at: Stage, sizes: Sizes, found: Rounds) -> None:
    say(f"(1) {sizes.backlog_findings:,} LOW findings of one token")
    numbers = range(_FINDINGS, _FINDINGS + sizes.backlog_findings)
    at.place.write_sends(numbers.start, len(numbers))
    at.send(_READ_LAST, app=SMALL)
    _timed_sends(at, sizes)
    at.stored(len(numbers) + 1 + len(_KINDS) * sizes.urgent)
    at.place.gateway.answer_after(LATENCY_MS)
    for number in numbers:
        at.find(number, Severity.LOW, wait=False)
    at.writer.flush()
    _while_they_are_read(at, found, len(numbers))
    _time_all(at, sizes, found, f"behind {len(numbers):,} LOW findings of one token", len(numbers))


def _while_they_are_read(at: Stage, found: Rounds, count: int) -> None:
    """What stands behind others in a partition of Kafka is read behind them, whatever its severity: that is told apart
    from what it waits for when it has been read."""
    begun_ns = at.find(_READ_LAST, Severity.CRITICAL)
    took_s = until(lambda: at.service.stored(at.place.violations) > count, f"{count} findings to be read")
    waited_ms = (at.called_ns({_READ_LAST})[_READ_LAST] - begun_ns) / 1e6
    found.add(f"CRITICAL written right behind {count:,} LOW findings that are still to be read", "ms", waited_ms)
    say(f"(1) CRITICAL behind findings that are still to be read: {waited_ms:.1f} ms, all read after {took_s:.2f} s")


def _timed_sends(at: Stage, sizes: Sizes) -> None:
    for kind, (_, app) in enumerate(_KINDS):
        for number in range(sizes.urgent):
            at.send(_timed(kind, number), app=app)


def _timed(kind: int, number: int) -> int:
    return _TIMED + kind * 10_000 + number


def _time_all(at: Stage, sizes: Sizes, found: Rounds, behind: str, backlog: int) -> None:
    """In turn, so that all kinds meet the same backlog."""
    produced_ns = {}
    for number in range(sizes.urgent):
        for kind, (severity, _) in enumerate(_KINDS):
            time.sleep(1 / _PER_S / len(_KINDS))
            produced_ns[_timed(kind, number)] = at.find(_timed(kind, number), severity)
    called_ns = at.called_ns(produced_ns)
    left = 100 * (1 - at.place.gateway.devices(LARGE) / backlog)
    waited_ms = {number: (called_ns[number] - made_ns) / 1e6 for number, made_ns in produced_ns.items()}
    for kind, (severity, app) in enumerate(_KINDS):
        whose = f"{severity.name} of {'the same' if app == LARGE else 'another'} app, {behind}"
        _enter(found, whose, [waited_ms[_timed(kind, number)] for number in range(sizes.urgent)])
    found.add(f"left of the backlog at the end, {behind}", "%", max(0.0, left))


def _enter(found: Rounds, whose: str, waited_ms: list[float]) -> None:
    p50 = found.add(f"{whose}: p50", "ms", percentile(waited_ms, 0.5), _AIM_P50)
    most = found.add(f"{whose}: longest", "ms", max(waited_ms), _AIM_MOST)
    say(f"(1) {whose}: p50 {p50:.1f} ms, longest {most:.1f} ms")


def _lifted(at: Stage, sizes: Sizes, found: Rounds) -> None:
    """Two LOW campaigns of one app, the second behind the first; then somebody finds the second CRITICAL."""
    each = sizes.backlog_tokens // 4
    for number in (_CAMPAIGN, _LIFTED):
        at.campaign(number, each)
    at.stored(2 * each)
    at.place.gateway.answer_after(LATENCY_MS)
    for number in (_CAMPAIGN, _LIFTED):
        at.find(number, Severity.LOW)
    at.called_ns({_CAMPAIGN})
    made_ns = at.find(_LIFTED, Severity.CRITICAL, "grave")
    at.place.gateway.calls_of(2 * each)
    calls = [call for call in at.place.gateway.calls() if call.wall_ns > made_ns]
    lifted = [place for place, call in enumerate(calls) if call.notify_id == _LIFTED]
    first_ms, own = (calls[lifted[0]].wall_ns - made_ns) / 1e6, len(lifted) / (lifted[-1] - lifted[0] + 1)
    found.add("a CRITICAL finding on a waiting LOW campaign: its first call after", "ms", first_ms, _AIM_MOST)
    found.add("from then on, of all calls until it is done", "%", 100 * own, at_least(80))
    say(f"(1) lifted: first call after {first_ms:.1f} ms, {100 * own:.0f} % of the calls until it is done")
