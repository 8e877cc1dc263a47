"""The benchmark, told once: a broker, the parts that were asked for one after the other, and what is kept of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from stream.bench import calling, holding, losing, storing, waiting
from stream.bench.figures import Figure, as_json
from stream.bench.machine import machine
from stream.bench.plot import waits_plot
from stream.bench.progress import say
from stream.bench.sizes import Sizes
from stream.bench.town import Town, town
from stream.model import StartError, UnpushError

Measure = Callable[[Town, Sizes, waiting.Waits], Iterator[Figure]]

PARTS: Final[Mapping[str, Measure]] = {
    "a": lambda where, sizes, waits: storing.measure(where, sizes),
    "b": lambda where, sizes, waits: calling.measure(where, sizes),
    "c": waiting.measure,
    "d": lambda where, sizes, waits: holding.measure(where, sizes),
    "e": lambda where, sizes, waits: losing.measure(where, sizes),
}
"""By the letter that ``--only`` takes."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one run found."""

    sizes: Sizes
    machine: Mapping[str, object]
    begun_s: float
    figures: list[Figure] = field(default_factory=list)
    waits: waiting.Waits = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Parts that could not be measured, and why."""


def measured(sizes: Sizes, parts: Iterable[str]) -> Report:
    """Runs the parts; one that cannot be measured costs no other. Raises StartError where Kafka does not start."""
    report = Report(sizes, machine(), time.time())
    say("starting Apache Kafka")
    with town() as where:
        for part in parts:
            _measure(part, where, report)
    say(f"done after {time.time() - report.begun_s:.0f} s")
    return report


def _measure(part: str, where: Town, report: Report) -> None:
    try:
        report.figures.extend(PARTS[part](where, report.sizes, report.waits))
    except (UnpushError, OSError) as error:
        report.failures[part] = str(error)
        say(f"({part}) could not be measured: {error}")


def kept(report: Report, out: Path) -> Sequence[Path]:
    """Writes ``bench-….json`` and, where part c was run, ``bench-….svg``. Raises StartError where that fails."""
    path = out / f"bench-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(report.begun_s))}.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_content(report), indent=1) + "\n")
        if not report.waits:
            return (path,)
        path.with_suffix(".svg").write_text(waits_plot(report.waits))
    except OSError as error:
        raise StartError(f"the results cannot be written to {out}: {error.strerror}") from None
    return path, path.with_suffix(".svg")


def _content(report: Report) -> dict[str, object]:
    return {
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(report.begun_s)),
        "machine": report.machine,
        "sizes": asdict(report.sizes),
        "failures": report.failures,
        "figures": [as_json(figure) for figure in report.figures],
        "waitsMs": {during: [round(wait_ms, 3) for wait_ms in waits] for during, waits in report.waits.items()},
    }
