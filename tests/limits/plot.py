"""Curves over time as SVG, written by hand: panels below each other, one time axis.

Promised: a file that every browser shows, in light and dark alike, with no font or script of elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

WIDTH: Final = 760
LEFT: Final = 64
RIGHT: Final = 16
PANEL: Final = 150
GAP: Final = 46
TOP: Final = 40
COLOURS: Final = ("#2a6fdb", "#d9531e", "#2e8b57", "#8e44ad", "#b8860b")
GREY: Final = "#888"

Points = Sequence[tuple[float, float]]
Place = Callable[[float, float], tuple[float, float]]


class Curve(NamedTuple):
    """``dashed``: what nobody tells the service."""

    name: str
    points: Points
    dashed: bool = False


class Panel(NamedTuple):
    """Curves with one scale, from 0."""

    title: str
    curves: Sequence[Curve]


def picture(title: str, panels: Sequence[Panel], until_s: float) -> str:
    """The SVG."""
    height = TOP + len(panels) * (PANEL + GAP)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif">'
    )
    body = [line for place, panel in enumerate(panels) for line in _panel(panel, TOP + place * (PANEL + GAP), until_s)]
    return "\n".join((head, _text(LEFT, 20, title, size=15), *body, "</svg>", ""))


def _panel(panel: Panel, top: float, until_s: float) -> Iterator[str]:
    highest = max((value for curve in panel.curves for _, value in curve.points), default=1.0)
    step = _step(highest / 4)
    most = step * (highest // step + 1)
    bottom = top + 16 + PANEL - 16

    def place(at_s: float, value: float) -> tuple[float, float]:
        return LEFT + at_s / until_s * (WIDTH - LEFT - RIGHT), bottom - value / most * (PANEL - 24)

    yield _text(LEFT, top + 6, panel.title)
    yield from _grid(place, until_s, most, step)
    at = LEFT + 8 + 6.2 * len(panel.title)
    for number, curve in enumerate(panel.curves):
        colour = GREY if curve.dashed else COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve.points))
        dash = ' stroke-dasharray="5 4"' if curve.dashed else ""
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'
        yield _text(at, top + 6, curve.name, colour=colour)
        at += 14 + 6.2 * len(curve.name)


def _grid(place: Place, until_s: float, most: float, step: float) -> Iterator[str]:
    for number in range(round(most / step) + 1):
        (left, y), (right, _) = place(0, number * step), place(until_s, 0)
        yield _line(left, y, right, y)
        yield _text(left - 6, y + 4, f"{number * step:,g}", anchor="end", size=11)
    every_s = _step(until_s / 6)
    for number in range(int(until_s / every_s) + 1):
        (x, top), (_, bottom) = place(number * every_s, most), place(0, 0)
        yield _line(x, top, x, bottom)
        yield _text(x, bottom + 14, f"{number * every_s:g} s", anchor="middle", size=11)


def _step(about: float) -> float:
    """1, 2 or 5 times a power of ten."""
    power = 10.0 ** (len(str(max(1, int(about)))) - 1)
    return next(mark * power for mark in (1, 2, 5, 10) if mark * power >= about)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{GREY}" stroke-opacity="0.3"/>'


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, colour: str = GREY) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" fill="{colour}">{escape(words)}</text>'
