"""Seeded chance: which injected failure strikes, and how long an answer takes.

Promised: the same seed and the same calls give the same failures and times. Not promised: the same across versions.
"""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random
from typing import Final

from stream.pushkit.simulator.faults import AppFaults, Failure, Faults, Latency, Shape

_Z99: Final = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""


def strike(failures: tuple[Failure, ...], random: Random) -> int | None:
    """The index of the first failure that strikes this call, or None."""
    for index, failure in enumerate(failures):
        if failure.calls != 0 and (failure.rate >= 1.0 or random.random() < failure.rate):
            return index
    return None


def counted_down(faults: Faults, client_id: str, index: int) -> Faults:
    """The state after failure ``index`` has struck this app once; unchanged if that failure does not run out."""
    app_faults = faults.of(client_id)
    failure = app_faults.failures[index]
    if failure.calls is None:
        return faults
    less = replace(failure, calls=failure.calls - 1)
    failures = (*app_faults.failures[:index], less, *app_faults.failures[index + 1 :])
    return _with(faults, client_id, replace(app_faults, failures=failures))


def latency_s(latency: Latency, random: Random) -> float:
    """One answering time in seconds."""
    match latency.shape:
        case Shape.NONE:
            return 0.0
        case Shape.FIXED:
            return latency.low_ms / 1000
        case Shape.UNIFORM:
            return random.uniform(latency.low_ms, latency.high_ms) / 1000
        case Shape.LOGNORMAL:
            return random.lognormvariate(math.log(latency.p50_ms), _sigma(latency)) / 1000


def _sigma(latency: Latency) -> float:
    return math.log(latency.p99_ms / latency.p50_ms) / _Z99


def _with(faults: Faults, client_id: str, app_faults: AppFaults) -> Faults:
    if client_id in faults.apps:
        return replace(faults, apps={**faults.apps, client_id: app_faults})
    return replace(faults, all=app_faults)
