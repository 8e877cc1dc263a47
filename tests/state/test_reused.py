"""What the store's folder remembers of apps that give one notifyId to several messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.state.reused import FILE, recalled, remember
from stream.work.reuse import Found

SEEN = {"a": (Found("a", 7, "m", "n"), 1_000), "ü": (Found("ü", 0, '"', "\n"), 2_000)}


def test_what_was_found_is_known_again(tmp_path: Path) -> None:
    """The last word counts, whole."""
    remember(tmp_path, {"b": (Found("b", 1, "x", "y"), 5)})
    remember(tmp_path, SEEN)
    assert recalled(tmp_path) == SEEN
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{}",
        "[1]",
        '[["a", 7, "m"]]',
        '[["a", "x", "m", "n", 1]]',
        '[["a", 7, "m", "n", 1e999]]',
        "[" * 9_999,
        "\udcff",
    ],
)
def test_a_file_that_says_something_else_says_nothing(tmp_path: Path, text: str | None) -> None:
    """It is found again; nobody is kept from starting by it."""
    if text is not None:
        (tmp_path / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert recalled(tmp_path) == {}


def test_a_folder_that_refuses_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """The caller hears of it."""
    remember(tmp_path, SEEN)
    (tmp_path / f"{FILE}.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        remember(tmp_path, {})
    assert recalled(tmp_path) == SEEN
