"""*work = (sends ⋈ violations) − results*, whatever happens in whatever order (design, sections 1 to 4).

``UNPUSH_MODEL=100 python -m pytest tests/model/test_model.py`` plays a hundred rounds of this, some 10 s each. What
fails is printed as the steps that lead there, with a blob to run it again; ``test_breaks`` shows what it finds.
"""

from __future__ import annotations

import os
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Model, make_small

ROUNDS: Final = int(os.environ.get("UNPUSH_MODEL", "1"))
"""Rather many than long ones: hypothesis remembers a third of a megabyte of each example."""
ROUND: Final = settings(
    max_examples=250,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(max(1, ROUNDS) * 600)
def test_in_whatever_order_it_happens_all_is_done_once_and_nobody_innocent_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sends, findings, decisions, repeats, deaths, moves, overlaps, refusals: promises 1 to 3."""
    make_small(monkeypatch)
    for _ in range(ROUNDS):
        run_state_machine_as_test(Model, settings=ROUND)
