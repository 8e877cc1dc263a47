"""The view, the summary and the verdict: what people read."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from stream.demo.author import write
from stream.demo.judge import Breach, Kind
from stream.demo.plan import APPS
from stream.demo.standing import Standing
from stream.demo.summary import print_summary, verdict
from stream.demo.view import LiveView, PlainView, ms, view_on
from tests.demo.perfect import evidence

PLAN = write(7, 100, 40, 5.0)


def finished() -> Standing:
    standing = Standing(PLAN)
    for result in evidence(PLAN).results:
        standing.result(result._replace(client_id=APPS[2].client_id, completed_at_ms=25), 5, 1.0)
    for _ in PLAN.bad:
        standing.letter(1.0)
    return standing


def written(*, terminal: bool) -> tuple[Console, StringIO]:
    out = StringIO()
    return Console(file=out, force_terminal=terminal, width=100, color_system=None, legacy_windows=False), out


def test_in_a_pipe_there_is_a_plain_line_about_once_a_second() -> None:
    console, out = written(terminal=False)
    view = view_on(console)
    assert isinstance(view, PlainView)
    for tenth in range(25):
        view.show(finished(), tenth / 10)
    view.close()
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert "settled 40/40" in lines[0]
    assert "p50 20 ms" in lines[0]
    assert f"dead letters {len(PLAN.bad)}/{len(PLAN.bad)}" in lines[0]
    assert "\x1b" not in out.getvalue()


def test_on_a_terminal_bars_grow_in_their_place_and_the_cursor_comes_back() -> None:
    console, out = written(terminal=True)
    view = view_on(console)
    assert isinstance(view, LiveView)
    view.show(Standing(PLAN), 0.0)
    view.show(finished(), 0.05)  # too soon to be drawn again
    assert "REVOKED" not in out.getvalue()
    view.show(finished(), 1.0)
    view.close()
    shown = out.getvalue()
    assert all(name in shown for name in ("CRITICAL", "HIGH", "MEDIUM", "LOW", "━", "REVOKED", "NOT_FOUND"))
    assert shown.endswith("\x1b[?25h")


def test_the_summary_has_every_severity_every_outcome_and_every_app() -> None:
    console, out = written(terminal=False)
    counts = {APPS[2].client_id: {"calls": 31, "devices": 1_234, "rejected": 8, "codes": {"503": 77}}}
    print_summary(console, finished(), counts)
    shown = out.getvalue()
    assert all(word in shown for word in ("CRITICAL", "LOW", "ALREADY_REVOKED", "WITHDRAWN", "shop", "flow-controlled"))
    assert next(line for line in shown.splitlines() if "chat" in line).split()[1:5] == ["31", "1,234", "8", "77"]


def test_the_verdict_ends_well_only_without_a_breach() -> None:
    (well,) = verdict(finished(), [])
    assert well.startswith("All is well: 40 of 40 violations settled in 1.0 s")
    breaches = [Breach(Kind.INNOCENT, f"token {number}") for number in range(9)] + [Breach(Kind.LETTER, "lost")]
    *told, last = verdict(finished(), breaches)
    assert last.startswith("NOT well: 40 of 40 violations settled; 9 tokens called that were not to be, 1 dead letters")
    assert [line for line in told if "token 4" in line]
    assert not [line for line in told if "token 5" in line]
    assert "  and 4 more" in told


def test_waits_are_written_for_people() -> None:
    assert [ms(None), ms(0), ms(999), ms(1_000), ms(12_345)] == ["–", "0 ms", "999 ms", "1.0 s", "12.3 s"]
