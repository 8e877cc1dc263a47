"""Issue 4, point 8: one command. Sizes here are tiny and no speed is asserted: only that all of it is measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stream.__main__ import main

ROOT = Path(__file__).parents[2]
TINY = (
    "--quick", "--small-sends", "60000", "--large-sends", "600", "--small-calls", "200", "--large-calls", "20",
    "--burst-sends", "5000", "--held-steps", "1", "--lost-sends", "5000",
)  # fmt: skip


def bench(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command, with a temporary folder of its own to be found empty afterwards."""
    (folder / "tmp").mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "stream", "bench", "--out", str(folder / "out"), *TINY, *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder / "tmp"), "UNPUSH__NO__SUCH_KEY": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heeds_ctrl_c,
    )


def _heeds_ctrl_c() -> None:
    """Also where the tests themselves run in the background of a shell, which has all they start ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def left(folder: Path) -> list[Path]:
    """What is still in the temporary folder, once the watchers had a moment."""
    until_s = time.monotonic() + 5
    while (found := list((folder / "tmp").iterdir())) and time.monotonic() < until_s:
        time.sleep(0.05)
    return found


def test_one_command_measures_all_five_parts(tmp_path: Path) -> None:
    """(a) to (e), each beside its limit; a table on stdout, progress on stderr, JSON and a plot; nothing else stays."""
    said, progress = bench(tmp_path).communicate(timeout=110)
    [written] = (tmp_path / "out").glob("*.json")
    figures = json.loads(written.read_text())["figures"]
    assert sorted({figure["part"] for figure in figures}) == ["a", "b", "c", "d", "e"], progress
    assert all(sample > 0 for figure in figures for sample in figure["samples"])
    assert all(figure["what"] in said for figure in figures)
    assert "starting Apache Kafka" in progress
    assert written.with_suffix(".svg").exists()
    assert left(tmp_path) == []


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, signal_number: signal.Signals) -> None:
    """Ctrl-C: exit 1, no traceback, temporary folders and processes gone."""
    process = bench(tmp_path, "--only", "d")
    assert process.stderr is not None
    for line in process.stderr:
        if "(d) storing" in line:  # broker, simulator, service and producer are up
            break
    process.send_signal(signal_number)
    _, complaints = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in complaints
    assert left(tmp_path) == []


def test_a_killed_run_leaves_nothing(tmp_path: Path) -> None:
    """kill -9 of the command: watchers end what it had started."""
    process = bench(tmp_path, "--only", "e")
    assert process.stderr is not None
    for line in process.stderr:
        if "storing" in line:
            break
    process.kill()
    process.communicate(timeout=30)
    assert left(tmp_path) == []


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, one sentence with what would be right, before anything is started."""
    assert main(["bench", "--only", "a,z"]) == 2
    assert capsys.readouterr().err == "unpush: --only 'a,z' names 'z'; the parts are a, b, c, d, e\n"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--points", "1"], "--points needs --calls"),
        (["--campaign-tokens", "9"], "--campaign-tokens needs --calls"),
        (["--calls", "--only", "a"], "--only is of the parts: leave out --calls"),
        (["--calls", "--held-steps", "1"], "--held-steps is of the parts: leave out --calls"),
    ],
)
def test_a_flag_of_what_is_not_measured_is_refused(
    asked: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 before anything is started: it would be passed over, and the wrong half measured for minutes."""
    assert main(["bench", *asked]) == 2
    assert capsys.readouterr().err == f"unpush: {said}\n"
