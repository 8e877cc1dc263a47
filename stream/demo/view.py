"""The view while it runs: live on a terminal, else a plain line about once a second.

Promised: nothing is written but by ``show`` and ``say``; ``close`` leaves the terminal as it was. Not promised: every
number of every moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stream.demo.standing import Standing
from stream.model import Severity

COLOURS: Final = {
    Severity.CRITICAL: "red",
    Severity.HIGH: "dark_orange",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "green",
}
_REDRAW_S: Final = 0.1
_LINE_S: Final = 1.0
_BAR_COLUMNS: Final = 40


class View(Protocol):
    """Where the story is seen."""

    def say(self, line: str) -> None:
        """One sentence of what is being done."""

    def show(self, standing: Standing, now_s: float) -> None:
        """How far it has come, ``now_s`` after the service's start; as often as wished, drawn as often as needed."""

    def close(self) -> None:
        """Draw no more."""


def view_on(console: Console) -> View:
    """The one that fits where the output goes."""
    return LiveView(console) if console.is_terminal else PlainView(console)


class PlainView:
    """Lines, for a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console, self._next_s = console, 0.0

    def say(self, line: str) -> None:
        """One line."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def show(self, standing: Standing, now_s: float) -> None:
        """A line when the last one is a second old."""
        if now_s >= self._next_s:
            self._next_s = now_s + _LINE_S
            self.say(plain_line(standing, now_s))

    def close(self) -> None:
        """Nothing is open."""


def plain_line(standing: Standing, now_s: float) -> str:
    """All that matters, in one line."""
    settled, total = standing.settled.total(), standing.total.total()
    return (
        f"{now_s:5.1f} s  sends {standing.sends_written:,}  events {standing.events_written:,}  "
        f"settled {settled:,}/{total:,}  devices {standing.devices:,} ({standing.devices_per_s(now_s):,}/s)  "
        f"revoked within p50 {ms(standing.wait_ms(0.5))} p99 {ms(standing.wait_ms(0.99))}  "
        f"dead letters {standing.letters}/{len(standing.plan.bad)}"
    )


class LiveView:
    """A panel that is drawn anew in its place."""

    def __init__(self, console: Console) -> None:
        self._console, self._next_s = console, 0.0
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    def say(self, line: str) -> None:
        """A line above the panel."""
        self._console.print(line, highlight=False)

    def show(self, standing: Standing, now_s: float) -> None:
        """Draw it where the last drawing is old enough."""
        if now_s >= self._next_s:
            self._next_s = now_s + _REDRAW_S
            self._live.update(panel(standing, now_s), refresh=True)

    def close(self) -> None:
        """Leave the last drawing where it is."""
        self._live.stop()


def panel(standing: Standing, now_s: float) -> RenderableType:
    """The drawing."""
    parts = (_bars(standing), Text(), _rates(standing, now_s), _outcomes(standing))
    return Panel(Group(*parts), title="Unpush: violations settled", subtitle=f"{now_s:.1f} s", expand=False, width=78)


def _bars(standing: Standing) -> Table:
    bars = Table.grid(padding=(0, 2))
    for severity in sorted(standing.total, reverse=True):
        settled, total = standing.settled[severity], standing.total[severity]
        bar = ProgressBar(
            total, settled, width=_BAR_COLUMNS, complete_style=COLOURS[severity], finished_style=COLOURS[severity]
        )
        bars.add_row(Text(severity.name, COLOURS[severity]), bar, f"{settled:,} of {total:,}")
    return bars


def _rates(standing: Standing, now_s: float) -> Table:
    rows = (
        ("sends", f"{standing.sends_written:,} written", "violation events", f"{standing.events_written:,} written"),
        ("devices", f"{standing.devices:,} revoked", "a second", f"{standing.devices_per_s(now_s):,}"),
        ("found → revoked", f"p50 {ms(standing.wait_ms(0.5))}", "", f"p99 {ms(standing.wait_ms(0.99))}"),
        ("dead letters", f"{standing.letters} of {len(standing.plan.bad)}", "", ""),
    )
    return _grid(rows)


def _outcomes(standing: Standing) -> Text:
    said = (f"{outcome.value} {number:,}" for outcome, number in standing.outcomes.most_common())
    return Text("results  " + "  ".join(said), style="dim")


def _grid(rows: Iterable[tuple[str, ...]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for row in rows:
        grid.add_row(*(Text(cell, "dim" if at % 2 == 0 else "bold") for at, cell in enumerate(row)))
    return grid


def ms(wait_ms: int | None) -> str:
    """A waiting time for people."""
    if wait_ms is None:
        return "–"
    return f"{wait_ms} ms" if wait_ms < 1_000 else f"{wait_ms / 1_000:.1f} s"
