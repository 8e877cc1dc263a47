"""The harness tells of code that is spoiled on purpose: else its silence would say nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream.brokers.apache import ApacheKafka
from tests.failures.breaks.schedules import SCHEDULES
from tests.failures.launcher import BREAK
from tests.failures.scene import play
from tests.scenarios.conftest import FULL
from tests.scenarios.gateway import ROOT


@pytest.mark.parametrize("name", SCHEDULES)
def test_each_break_is_loaded_by_the_launcher(name: str, tmp_path: Path) -> None:
    """What it wraps is still there."""
    environment = {**os.environ, BREAK: name, "FAILURES_CONTROL": str(tmp_path / "control")}
    command = [sys.executable, "-m", "tests.failures.launcher", "--version"]
    assert subprocess.run(command, env=environment, cwd=ROOT, capture_output=True).returncode == 0


@pytest.mark.skipif(not FULL, reason="two minutes; UNPUSH_SCENARIOS=full")
@pytest.mark.kafka
@pytest.mark.timeout(300)
@pytest.mark.parametrize("spoiled", [True, False])
@pytest.mark.parametrize("name", SCHEDULES)
def test_each_break_is_caught_by_its_schedule(
    kafka: ApacheKafka, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, spoiled: bool
) -> None:
    """A range before its data, no ledger, a range dropped, no fence, settled before delivery: each is a breach, and the
    same schedule without it has none."""
    if spoiled:
        monkeypatch.setenv(BREAK, name)
    verdict = play(SCHEDULES[name], kafka, keys, tmp_path, f"break-{name}-{spoiled}")
    assert bool(verdict.breaches) == spoiled, "\n".join(verdict.breaches)
