"""What is said when all is over: tables, and the verdict. Pure but for the console that it is printed on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from stream.demo.judge import Breach, Kind
from stream.demo.plan import APPS, FLOW_CONTROLLED
from stream.demo.standing import Standing
from stream.demo.view import COLOURS, ms
from stream.model import Outcome

Counts = Mapping[str, Mapping[str, Any]]
"""Client ID → what the simulator counted."""

_SHOWN: Final = 5
"""Breaches of a kind that are told one by one."""


def print_summary(console: Console, standing: Standing, counts: Counts) -> None:
    """The tables."""
    for table in (_by_severity(standing), _by_outcome(standing), _by_app(standing, counts)):
        console.print(table)
    console.print("p50, p99: from the later of finding and sending until revoked; no backlog", style="dim")


def _by_severity(standing: Standing) -> Table:
    table = _table("severity", "violations", "settled", "p50", "p99")
    for severity in sorted(standing.total, reverse=True):
        waits = (ms(standing.wait_ms(share, severity=severity)) for share in (0.5, 0.99))
        numbers = (f"{standing.total[severity]:,}", f"{standing.settled[severity]:,}")
        table.add_row(f"[{COLOURS[severity]}]{severity.name}[/]", *numbers, *waits)
    return table


def _by_outcome(standing: Standing) -> Table:
    table = _table("outcome", "results", "token places")
    for outcome in Outcome:
        if results := standing.outcomes[outcome]:
            table.add_row(outcome.value, f"{results:,}", f"{standing.places[outcome]:,}" if outcome.covers else "")
    return table


def _by_app(standing: Standing, counts: Counts) -> Table:
    table = _table("app", "calls", "devices", "refused", "HTTP 503", "p50", "p99")
    for app in APPS:
        seen = counts.get(app.client_id, {})
        name = f"{app.name} (flow-controlled)" if app is FLOW_CONTROLLED else app.name
        numbers = (seen.get("calls", 0), seen.get("devices", 0), seen.get("rejected", 0))
        limited = seen.get("codes", {}).get("503", 0)
        waits = (ms(standing.wait_ms(share, client_id=app.client_id)) for share in (0.5, 0.99))
        table.add_row(name, *(f"{number:,}" for number in (*numbers, limited)), *waits)
    return table


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def verdict(standing: Standing, breaches: Sequence[Breach]) -> Iterator[str]:
    """The verdict in lines, the last of which says whether all is well."""
    by_kind: dict[Kind, list[str]] = defaultdict(list)
    for breach in breaches:
        by_kind[breach.kind].append(breach.sentence)
    for kind, sentences in by_kind.items():
        yield f"{len(sentences):,} × {kind.value}:"
        yield from (f"  {sentence}" for sentence in sentences[:_SHOWN])
        if len(sentences) > _SHOWN:
            yield f"  and {len(sentences) - _SHOWN:,} more"
    settled, total = standing.settled.total(), standing.total.total()
    yield _last(standing, settled, total) if not breaches else _wrong(by_kind, settled, total)


def _last(standing: Standing, settled: int, total: int) -> str:
    return (
        f"All is well: {settled:,} of {total:,} violations settled in {standing.changed_s:.1f} s, "
        f"{standing.devices:,} devices revoked, each exactly once by the simulator's own book, no other token called, "
        f"{standing.letters} of {len(standing.plan.bad)} dead letters whole."
    )


def _wrong(by_kind: Mapping[Kind, Sequence[str]], settled: int, total: int) -> str:
    kinds = Counter({kind: len(sentences) for kind, sentences in by_kind.items()})
    said = ", ".join(f"{number:,} {kind.value}" for kind, number in kinds.most_common())
    return f"NOT well: {settled:,} of {total:,} violations settled; {said}."
