"""The verdicts for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from stream.kafka.rights import Right
from stream.model import Standing, Verdict

_COLOURS: Final = {
    Standing.GOOD: "green",
    Standing.WARNING: "yellow",
    Standing.BAD: "bold red",
    Standing.UNKNOWN: "dim",
}


def table(verdicts: Sequence[Verdict], *, narrow: bool) -> Table:
    """One row a verdict; what to do in a line of its own where it is ``narrow``."""
    shown = Table("looked at", "verdict", "found", box=box.SIMPLE_HEAD, pad_edge=False)
    shown.columns[-1].overflow = "fold"
    apart = "\n" if narrow else "  "
    for each in verdicts:
        words = Text(each.found)
        if each.todo:
            words.append(f"{apart}→ {each.todo}", "bold")
        shown.add_row(each.about, Text(each.standing.value, _COLOURS[each.standing]), words)
    return shown


def acls(rights: Sequence[Right]) -> Table:
    """The rights that a user needs, as ``kafka-acls.sh`` names them."""
    shown = Table(
        "resource",
        "name",
        "operations",
        "for",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="ACLs needed",
        title_justify="left",
    )
    for column in shown.columns:
        column.overflow = "fold"
    for each in rights:
        name = f"{each.name} (prefixed)" if each.prefixed else each.name
        shown.add_row(each.resource, Text(name), ", ".join(each.operations), each.commands)
    return shown


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many of each."""
    counts = {standing: sum(each.standing is standing for each in verdicts) for standing in Standing}
    said = ", ".join(f"{count} {standing.value}" for standing, count in counts.items() if count)
    return f"{said}: {'`unpush run` would fail or lose something' if counts[Standing.BAD] else 'nothing failed'}"


def as_json(verdicts: Sequence[Verdict], rights: Sequence[Right]) -> dict[str, object]:
    """The same for programs."""
    return {
        "ok": not any(each.standing is Standing.BAD for each in verdicts),
        "verdicts": [
            {"about": each.about, "verdict": each.standing.value, "found": each.found, "todo": each.todo or None}
            for each in verdicts
        ],
        "acls": [
            {
                "resource": each.resource,
                "name": each.name,
                "pattern": "prefixed" if each.prefixed else "literal",
                "operations": list(each.operations),
                "commands": each.commands,
            }
            for each in rights
        ],
    }
