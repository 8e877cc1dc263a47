"""Issue 4, point 8: figures as ratios to limits measured in the same run; JSON, a table, a plot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from stream.bench import story
from stream.bench.figures import Figure, Rounds, as_json, at_least, at_most, number, percentile, table
from stream.bench.losing import _spread
from stream.bench.plot import waits_plot
from stream.bench.sizes import FULL, QUICK
from stream.bench.story import Report, kept
from stream.model import StartError


def rounds() -> Rounds:
    found = Rounds("a")
    for ours, bare in ((60.0, 100.0), (90.0, 100.0), (80.0, 100.0)):
        found.add("stored", "1/s", ours)
        found.add("stored ÷ bare", "×", ours / bare, at_least(0.75))
    return found


def report() -> Report:
    return Report(QUICK, {"cores": 2}, 1_000_000_000.0, rounds().figures(), {"idle": [1.0, 2.0, 30.0]})


def test_a_figure_is_the_median_of_its_rounds() -> None:
    """Medians of repeated rounds; no round is left out of the JSON."""
    stored, ratio = rounds().figures()
    assert (stored.median, stored.samples) == (80.0, (60.0, 90.0, 80.0))
    assert as_json(ratio)["samples"] == (0.6, 0.9, 0.8)


def test_an_aim_is_met_by_the_median_on_the_right_side() -> None:
    """At least for rates, at most for times and memory; on the bound is met."""
    assert rounds().figures()[1].met is True
    assert rounds().figures()[0].met is None
    assert (at_least(0.75).met(0.75), at_least(0.75).met(0.74)) == (True, False)
    assert (at_most(4).met(4), at_most(4).met(4.1)) == (True, False)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    """The smallest that this share does not exceed: never better than what was seen."""
    assert percentile(range(1, 101), share) == value


def test_no_values_have_no_percentile() -> None:
    """A round without a single violation must not pass for a quick one."""
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@pytest.mark.parametrize(("value", "text"), [(0.834, "0.83"), (12.44, "12.4"), (912_345.0, "912,345"), (100.0, "100")])
def test_numbers_are_shown_with_the_digits_that_mean_something(value: float, text: str) -> None:
    """A ratio with two decimals, a rate with none."""
    assert number(value) == text


def test_the_table_shows_medians_spread_aims_and_whether_they_are_met() -> None:
    """An aim that is missed stands out."""
    missed = Rounds("c")
    missed.add("wait", "ms", 9.0, at_most(4))
    out = StringIO()
    Console(file=out, width=160).print(table([*rounds().figures(), *missed.figures()]))
    lines = {line.split("│")[2].strip(): line for line in out.getvalue().splitlines() if line.count("│") > 2}
    assert [cell.strip() for cell in lines["stored ÷ bare"].split("│")[3:8]] == [
        "0.80", "0.60 … 0.90", "×", "≥ 0.75", "yes",
    ]  # fmt: skip
    assert [cell.strip() for cell in lines["wait"].split("│")[3:8]] == ["9.00", "", "ms", "≤ 4.00", "NO"]


def test_everything_measured_is_kept(tmp_path: Path) -> None:
    """JSON with sizes, machine and every sample; the plot beside it."""
    written, plot = kept(report(), tmp_path / "out")
    found = json.loads(written.read_text())
    assert (found["begun"], found["sizes"]["rounds"]) == ("2001-09-09T01:46:40Z", 1)
    assert [figure["median"] for figure in found["figures"]] == [80.0, 0.8]
    assert found["waitsMs"] == {"idle": [1.0, 2.0, 30.0]}
    assert ElementTree.parse(plot).getroot().tag.endswith("svg")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """No traceback for what a person can get wrong."""
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="cannot be written"):
        kept(report(), tmp_path / "file")


def test_the_plot_shows_every_wait() -> None:
    """One curve for each, a step a violation, rising to the right; names are text, not markup."""
    image = ElementTree.fromstring(waits_plot({"idle": [3.0, 1.0, 2.0], "<busy>": [0.0, 4_000.0]}))
    curves = [each for each in image if each.tag.endswith("polyline")]
    assert [len(curve.get("points", "").split()) for curve in curves] == [4, 3]
    for curve in curves:
        places = [tuple(map(float, point.split(","))) for point in curve.get("points", "").split()]
        assert [x for x, _ in places] == sorted(x for x, _ in places)
        assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)
        assert all(64 <= x <= 760 for x, _ in places)
    said = [each.text or "" for each in image if each.tag.endswith("text")]
    assert any(words.startswith("<busy>: p50 0.0 ms, p99 4000.0 ms") for words in said)


def test_rounds_of_the_lost_store_condemn_different_sends() -> None:
    """What was revoked in one round is not called again in the next: it would be waited for in vain."""
    for sizes in (FULL, QUICK):
        chosen = [_spread(sizes, number) for number in range(sizes.rounds)]
        everything = [number for some in chosen for number in some]
        assert len(set(everything)) == len(everything) == sizes.rounds * sizes.lost_violations
        assert (min(everything), max(everything)) == (0, sizes.lost_sends - 1)


def test_a_part_that_cannot_be_measured_costs_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ten minutes of figures are not lost for the last one; the JSON says what is missing, and why."""

    def failing(*_: object) -> Iterator[Figure]:
        yield rounds().figures()[0]
        raise StartError("the service did not stop")

    monkeypatch.setattr(story, "town", nullcontext)
    monkeypatch.setattr(story, "PARTS", {"a": failing, "b": lambda *_: iter(rounds().figures())})
    found = story.measured(QUICK, ["a", "b"])
    assert [figure.what for figure in found.figures] == ["stored", "stored", "stored ÷ bare"]
    written, *_ = kept(found, tmp_path)
    assert json.loads(written.read_text())["failures"] == {"a": "the service did not stop"}
