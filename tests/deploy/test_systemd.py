"""The unit: systemd accepts it, finds little to reproach it with, and waits longer than the drain takes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from stream.settings import default_settings

UNIT: Final = Path(__file__).parents[2] / "config" / "systemd" / "unpush.service"
WORST_EXPOSURE: Final = 2.0
"""systemd's own measure, from 0 to 10; a unit without any of this has 9.6."""


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """systemd's own tool, where there is one."""
    if (found := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd is not installed here")
    return subprocess.run([found, *arguments], capture_output=True, text=True, timeout=60)


def values(key: str) -> list[str]:
    """Every line of that key."""
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """It looks whether the program is there, so here it gets one that is."""
    file = tmp_path / UNIT.name
    file.write_text(UNIT.read_text("utf-8").replace("/opt/unpush/bin/unpush", shutil.which("true") or "/bin/true"))
    done = systemd_analyze("verify", "--recursive-errors=no", str(file))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_finds_the_unit_hardened() -> None:
    done = systemd_analyze("security", "--offline=true", f"--threshold={int(WORST_EXPOSURE * 10)}", str(UNIT))
    exposure = re.search(r"Overall exposure level .*: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) <= WORST_EXPOSURE
    assert done.returncode == 0


def test_it_is_killed_later_than_it_drains() -> None:
    """SIGTERM drains; a second signal, or kill -9, would end it with calls open."""
    assert values("KillSignal") == ["SIGTERM"]
    assert int(values("TimeoutStopSec")[0]) >= default_settings().shutdown.drain_s + 20


def test_wrong_settings_are_not_tried_again_and_all_else_is() -> None:
    """Exit 2: as wrong in five seconds. Exit 1: the world, which may get better."""
    assert values("Restart") == ["on-failure"]
    assert values("RestartPreventExitStatus") == ["2"]
    assert values("StartLimitIntervalSec") == ["0"]


def test_what_the_unit_needs_is_told() -> None:
    """The folder that it may write, the user, the files that it reads."""
    told = (UNIT.parents[2] / "docs" / "operating.md").read_text("utf-8")
    assert "/var/lib/unpush/state" in told
    assert values("StateDirectory") == ["unpush"]
    assert re.search(rf"useradd --system .*\b{values('User')[0]}$", told, re.MULTILINE)
    for path in (values("ExecStart")[0].split()[0], values("EnvironmentFile")[0].removeprefix("-")):
        assert str(Path(path).parent) in told
