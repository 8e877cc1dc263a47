"""Contract, Settings: durations are strings ("500ms", "10s", "72h", "3d")."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.settings import duration_s, duration_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("10s", 10), ("5m", 300), ("72h", 259_200), ("3d", 259_200), ("0s", 0), ("1.5h", 5_400)],
)
def test_a_duration_is_one_number_and_one_unit(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@given(st.integers(0, 10**12))
def test_what_was_written_is_read_back(ms: int) -> None:
    assert round(duration_s(duration_text(ms / 1_000)) * 1_000) == ms


@given(st.text(max_size=12))
def test_anything_else_is_refused_and_nothing_else_is_raised(text: str) -> None:
    with suppress(ValueError):
        assert duration_s(text) >= 0


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "+1s", "1 s", "1h30m", "1H", "١s", "1e3s", "nans", "10s\n"])
def test_near_misses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        duration_s(text)
