"""One picture, written by hand as SVG: which share of violations had reached the gateway after which time.

Promised: a file that every browser shows, in light and dark alike, with no font or script of elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

from stream.bench.figures import percentile

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 56, 56
_COLOURS: Final = ("#2a6fdb", "#d9531e", "#2e8b57", "#8e44ad")
_SHARES: Final = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
_MARKS: Final = (1, 2, 5)
_LEAST_MS: Final = 0.1


def waits_plot(waits: Mapping[str, Sequence[float]]) -> str:
    """The SVG. ``waits``: by what went on meanwhile, in ms, at least one each."""
    first, last = _decades([value for values in waits.values() for value in values])
    body = [
        *_frame(first, last),
        *(line for place, each in enumerate(waits.items()) for line in _curve(place, *each, first, last)),
    ]
    return "\n".join((_HEAD, *body, "</svg>", ""))


def _decades(values: Iterable[float]) -> tuple[int, int]:
    """Powers of ten around all values."""
    seen = [max(value, _LEAST_MS) for value in values]
    first = math.floor(math.log10(min(seen)))
    return first, max(first + 1, math.ceil(math.log10(max(seen))))


def _x(wait_ms: float, first: int, last: int) -> float:
    share = (math.log10(max(wait_ms, _LEAST_MS)) - first) / (last - first)
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _frame(first: int, last: int) -> Iterable[str]:
    """Grid and words."""
    yield _text(_LEFT, 26, "From a violation's production to its request at Push Kit", size=16)
    yield _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 14, "milliseconds", anchor="middle")
    for share in _SHARES:
        yield _line(_LEFT, _y(share), _WIDTH - _RIGHT, _y(share))
        yield _text(_LEFT - 8, _y(share) + 4, f"{share:.0%}", anchor="end")
    for wait_ms in (mark * 10.0**decade for decade in range(first, last + 1) for mark in _MARKS):
        if wait_ms <= 10.0**last:
            at = _x(wait_ms, first, last)
            yield _line(at, _TOP, at, _HEIGHT - _BOTTOM)
            yield _text(at, _HEIGHT - _BOTTOM + 18, f"{wait_ms:g}", anchor="middle")


def _curve(place: int, name: str, values: Sequence[float], first: int, last: int) -> Iterable[str]:
    ordered, colour = sorted(values), _COLOURS[place % len(_COLOURS)]
    points = [(_x(value, first, last), _y((rank + 1) / len(ordered))) for rank, value in enumerate(ordered)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in [(points[0][0], _y(0)), *points])
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    p50, p99 = (percentile(ordered, share) for share in (0.5, 0.99))
    said = f"{name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {ordered[-1]:.0f} ms ({len(ordered):,} violations)"
    yield _text(_WIDTH - _RIGHT - 8, _HEIGHT - _BOTTOM - 14 - 18 * place, said, anchor="end", colour=colour)


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, colour: str = "#777") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" fill="{colour}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#999" stroke-opacity="0.35"/>'


_HEAD: Final = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="system-ui, sans-serif">'
)
