"""Durations as people write them: ``"500ms"``, ``"10s"``, ``"5m"``, ``"72h"``, ``"3d"``.

Promised: ``duration_text`` and ``duration_s`` undo each other for whole milliseconds.
Not promised: sums such as ``"1h30m"``; there is one number and one unit.
"""

from __future__ import annotations

import re
from typing import Final

_UNITS_MS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_FORM: Final = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)", re.ASCII)


def duration_s(text: str) -> float:
    """Seconds. Raises ValueError when ``text`` is not one number followed by ms, s, m, h or d."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(text)
    number, unit = match.groups()
    return float(number) * _UNITS_MS[unit] / 1_000


def duration_text(seconds: float) -> str:
    """In the largest unit up to hours that divides it; below a millisecond is rounded."""
    ms = round(seconds * 1_000)
    unit = next((name for name in ("h", "m", "s", "ms") if ms and ms % _UNITS_MS[name] == 0), "s")
    return f"{ms // _UNITS_MS[unit]}{unit}"
