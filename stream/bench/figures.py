"""What was measured, each figure with its rounds: medians in the table, everything in the JSON.

Promised: a ratio is made of the two figures of the same round. Not promised: that a median of three says much on a
machine that others use; the table shows least and most beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any, Final, Literal, NamedTuple

from rich.table import Table


class Aim(NamedTuple):
    """What a figure's median should be: at least, or at most."""

    bound: float
    least: bool

    def met(self, value: float) -> bool:
        """Whether the value is on the right side."""
        return value >= self.bound if self.least else value <= self.bound

    def text(self) -> str:
        """As the table shows it."""
        return f"{'≥' if self.least else '≤'} {number(self.bound)}"


class Figure(NamedTuple):
    """One line of the table. ``samples``: one a round, in order."""

    part: str
    what: str
    unit: str
    samples: tuple[float, ...]
    aim: Aim | None = None

    @property
    def median(self) -> float:
        """Of the rounds."""
        return median(self.samples)

    @property
    def met(self) -> bool | None:
        """None: there is no aim."""
        return None if self.aim is None else self.aim.met(self.median)


class Rounds:
    """Collects samples by name, round after round, in the order in which the names come first."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._samples: dict[str, list[float]] = {}
        self._units: dict[str, str] = {}
        self._aims: dict[str, Aim | None] = {}

    def add(self, what: str, unit: str, value: float, aim: Aim | None = None) -> float:
        """One more sample; returns it."""
        self._samples.setdefault(what, []).append(value)
        self._units[what], self._aims[what] = unit, aim
        return value

    def figures(self) -> list[Figure]:
        """One for each name."""
        return [
            Figure(self._part, what, self._units[what], tuple(samples), self._aims[what])
            for what, samples in self._samples.items()
        ]


def at_least(bound: float) -> Aim:
    """The median must not be below."""
    return Aim(bound, least=True)


def at_most(bound: float) -> Aim:
    """The median must not be above."""
    return Aim(bound, least=False)


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed. Raises ValueError for no values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def number(value: float) -> str:
    """Three digits, or all where there are more: 0.83, 12.4, 912,345."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def table(figures: Sequence[Figure]) -> Table:
    """For people."""
    shown = Table(title="medians of the rounds", title_justify="left")
    for heading, justify in _COLUMNS:
        shown.add_column(heading, justify=justify)
    for before, figure in zip([None, *figures], figures, strict=False):
        new_part = before is not None and before.part != figure.part
        if new_part:
            shown.add_section()
        shown.add_row(*(cell(figure) for cell in _CELLS))
    return shown


def markdown(figures: Sequence[Figure]) -> str:
    """For documents: a table in Markdown."""
    headings = [heading for heading, _ in _COLUMNS]
    rules = ["--:" if justify == "right" else "---" for _, justify in _COLUMNS]
    rows = [[cell(figure) for cell in _CELLS] for figure in figures]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rules, *rows)) + "\n"


def as_json(figure: Figure) -> dict[str, object]:
    """For programs."""
    return {
        "part": figure.part,
        "what": figure.what,
        "unit": figure.unit,
        "median": figure.median,
        "samples": figure.samples,
        "aim": figure.aim and figure.aim.text(),
        "bound": figure.aim and figure.aim.bound,
        "met": figure.met,
    }


def from_json(kept: Mapping[str, Any]) -> Figure:
    """What ``as_json`` was made of."""
    aim = Aim(kept["bound"], least=kept["aim"].startswith("≥")) if kept["aim"] else None
    return Figure(kept["part"], kept["what"], kept["unit"], tuple(kept["samples"]), aim)


def _verdict(figure: Figure) -> str:
    return {None: "", True: "yes", False: "NO"}[figure.met]


_COLUMNS: Final[tuple[tuple[str, Literal["left", "right"]], ...]] = (
    ("part", "left"), ("what", "left"), ("median", "right"), ("least … most", "right"), ("unit", "left"),
    ("aim", "left"), ("met", "left"),
)  # fmt: skip
_CELLS: Final[tuple[Callable[[Figure], str], ...]] = (
    lambda figure: figure.part,
    lambda figure: figure.what,
    lambda figure: number(figure.median),
    lambda figure: f"{number(min(figure.samples))} … {number(max(figure.samples))}" if len(figure.samples) > 1 else "",
    lambda figure: figure.unit,
    lambda figure: figure.aim.text() if figure.aim else "",
    _verdict,
)
