"""What came of many schedules, for people (Markdown) and programs (JSON)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.failures.table import FAULTS
from tests.failures.verdict import Verdict
from tests.failures.waits import Wait

HEAD = (
    "| seed | s | brokers | instances | protocol | wire format | faults | sends | violations | results | calls "
    "| devices | called again | covered by two owners | ended by themselves | settled after s | breaches |"
)


def write(file: Path, verdicts: Sequence[Verdict]) -> None:
    """``FILE.md`` and ``FILE.json``, whole each time."""
    file.with_suffix(".md").write_text(markdown(verdicts), "utf-8")
    file.with_suffix(".json").write_text(json.dumps([asdict(each) for each in verdicts], indent=1), "utf-8")


def markdown(verdicts: Sequence[Verdict]) -> str:
    """The tables."""
    tables = _summary(verdicts), _faults(verdicts), _waits(verdicts), _schedules(verdicts)
    return "\n".join([*(line for table in tables if table for line in (*table, "")), *_breaches(verdicts), ""])


def _summary(verdicts: Sequence[Verdict]) -> list[str]:
    broken = sum(bool(each.breaches) for each in verdicts)
    said = (
        f"{len(verdicts)} schedules, {sum(len(each.plan.strikes) for each in verdicts)} faults injected, "
        f"{sum(each.took_s for each in verdicts) / 60:.0f} minutes. "
        f"{sum(each.sends for each in verdicts):,} sends, {sum(each.violations for each in verdicts):,} violations, "
        f"{sum(each.calls for each in verdicts):,} calls, {sum(each.devices for each in verdicts):,} devices revoked; "
        f"{sum(each.repeats for each in verdicts):,} of them called again, "
        f"{sum(each.twice for each in verdicts):,} places covered by two owners. "
        f"**Schedules with a breach: {broken}.**"
    )
    return ["# Schedules of faults", "", said]


def _faults(verdicts: Iterable[Verdict]) -> list[str]:
    injected = Counter(strike.fault for each in verdicts for strike in each.plan.strikes)
    rows = [f"| {name} | {fault.does} | {fault.ends} | {injected[name]} |" for name, fault in FAULTS.items()]
    return ["| fault | what it does | how it ends | injected |", "|---|---|---|---|", *rows]


def _waits(verdicts: Iterable[Verdict]) -> list[str]:
    """Of each fault that was played by itself, the strike that cost most."""
    found: dict[str, list[Wait]] = {}
    for wait in (wait for each in verdicts if each.plan.shipped for wait in each.waits):
        found.setdefault(wait.fault, []).append(wait)
    rows = [
        f"| {name} | {worst.lasted_s:.1f} | {worst.longest_s:.1f} | {worst.after_s:.1f} |"
        for name, some in sorted(found.items())
        for worst in [max(some, key=lambda each: (each.after_s, each.longest_s))]
    ]
    if not rows:
        return []
    return ["| fault | lasted s | longest wait s | until work went on, from its end, s |", "|---|---|---|---|", *rows]


def _schedules(verdicts: Iterable[Verdict]) -> list[str]:
    return [HEAD, "|---" * (HEAD.count("|") - 1) + "|", *map(_row, verdicts)]


def _row(verdict: Verdict) -> str:
    plan = verdict.plan
    cells = (
        plan.seed, f"{plan.for_s:.0f}", plan.brokers, len(plan.seats), plan.protocol, plan.wire, len(plan.strikes),
        verdict.sends, verdict.violations, verdict.results, verdict.calls, verdict.devices, verdict.repeats,
        verdict.twice, len(verdict.ended), f"{verdict.settled_s:.1f}", len(verdict.breaches),
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _breaches(verdicts: Iterable[Verdict]) -> list[str]:
    lines: list[str] = []
    for each in verdicts:
        if each.breaches:
            said = [f"- {breach}" for breach in each.breaches]
            lines += ["", f"## Seed {each.plan.seed}", "", "```", str(each.plan), "```", "", *said]
    return lines
