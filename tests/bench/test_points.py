"""Issue 6: figures for each of its points, by one command. Sizes here are tiny: only that they are what they say."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import pytest

from stream.__main__ import main
from stream.bench import campaign
from stream.bench.figures import Figure, Rounds, as_json, at_least, at_most, from_json, markdown
from stream.bench.gateway import Call
from stream.bench.load import token
from stream.bench.points import kept, outage, story
from stream.bench.points.instances import PER_S, _used_of
from stream.bench.points.rate import busiest
from stream.bench.points.stage import SMALLEST, Sizes
from stream.model import Severity, StartError
from stream.wire.wire import Wire

SECOND_NS = 1_000_000_000
FULL = pytest.mark.skipif(os.environ.get("UNPUSH_SCENARIOS") != "full", reason="three minutes; UNPUSH_SCENARIOS=full")
NO_MATTER_OF_SPEED = ("≤ 0.00", "≥ 100")
ROOT = Path(__file__).parents[2]
RUN = {
    "begun": "2001-09-09T01:46:40Z",
    "machine": {"cores": 2, "loadBefore": 0.1, "python": "3.11.7"},
    "tookS": {"4": 80.0, "9": 2.0, "all": 82.0},
    "failures": {"9": "no broker"},
    "figures": [as_json(Figure("4", "used", "%", (99.0,), at_least(95)))],
}


def test_the_busiest_second_is_found_wherever_it_begins() -> None:
    """A window slides: two bursts at the end of one second and the beginning of the next are one second's."""
    times = [0, SECOND_NS * 9 // 10, SECOND_NS * 11 // 10, SECOND_NS * 19 // 10, SECOND_NS * 5]
    assert busiest([Call(at_ns, 1, 100) for at_ns in times]) == 200
    assert busiest([Call(at_ns, 1, 100) for at_ns in (0, 1, SECOND_NS - 1, SECOND_NS)]) == 300


def test_of_an_outages_findings_each_app_has_every_severity() -> None:
    """Else an app's trouble would look like a severity's."""
    kinds = Counter((outage._app(number), outage._severity(number)) for number in range(10_000, 10_600))
    assert {app for app, _ in kinds} == set(outage.APPS)
    assert {severity: kinds[outage.APPS[3], severity] for severity in Severity} == {
        Severity.CRITICAL: 10, Severity.HIGH: 20, Severity.MEDIUM: 20, Severity.LOW: 50,
    }  # fmt: skip


def test_calls_of_an_outage_are_counted_from_its_third_second_on() -> None:
    """Thirty in the first two seconds are no figure, three in one second afterwards are; so are two of one app."""
    apps = outage.APPS
    early = [Call(SECOND_NS + number, 1, 1, apps[0], 0) for number in range(30)]
    late = [Call(4 * SECOND_NS + number, 1, 1, apps[number // 2], 0) for number in range(3)]
    found = Rounds("4")
    outage._enter_during(found, [*early, *late, Call(9 * SECOND_NS, 1, 1, apps[0], 0)])
    assert [figure.median for figure in found.figures()] == [30, 3, 2, 4]


def test_after_an_outage_it_is_said_how_far_the_mild_are_when_the_grave_are_done() -> None:
    """Sixty CRITICAL of six hundred, all of them first but for one LOW in the middle of them."""
    numbers = range(10_000, 10_600)
    grave = [number for number in numbers if outage._severity(number) is Severity.CRITICAL]
    mild = [number for number in numbers if number not in grave]
    low = next(number for number in mild if outage._severity(number) is Severity.LOW)
    order = [*grave[:30], low, *grave[30:], *(number for number in mild if number != low)]
    found = Rounds("4")
    outage._enter_after(found, [Call(place * SECOND_NS, number, 1) for place, number in enumerate(order)], 0)
    said = {figure.what: figure.median for figure in found.figures()}
    assert said["95 % of 60 CRITICAL are done after"] == 57
    assert said["of LOW, done when 95 % of CRITICAL are"] == pytest.approx(100 / 300)
    assert said["of all calls until then, CRITICAL"] == pytest.approx(100 * 57 / 58)


def test_the_rate_that_instances_use_together_is_of_the_time_between() -> None:
    """Half of the rate for two seconds, and what comes before or after does not count."""
    used = _used_of([Call(at_ns, 1, PER_S) for at_ns in (0, SECOND_NS, 4 * SECOND_NS)])
    assert used(SECOND_NS, 3 * SECOND_NS) == 50


def test_a_campaigns_records_are_what_the_wire_writes() -> None:
    """One is encoded, the others are copies with other numbers: each must read as the send that it stands for."""
    wire = Wire()
    records = list(campaign.sends("m", "app", 7, 3, 2, 5))
    sends = [wire.send(value) for _, value in records]
    assert {key for key, _ in records} == {b"m"}
    assert {(send.head.message_id, send.head.client_id, send.head.notify_id) for send in sends} == {("m", "app", 7)}
    assert [place for send in sends for place in send.tokens] == [token(number) for number in (0, 1, 2, 3, 4, 0)]
    assert [value for _, value in records] == [wire.encode_send(send) for send in sends]


def test_a_message_that_looks_like_a_token_is_refused() -> None:
    """Else its name would change from send to send."""
    with pytest.raises(StartError, match="looks like a token"):
        next(campaign.sends("m-999999999", "app", 7, 1, 1, 1))


def test_the_table_is_markdown() -> None:
    """As documents take it; a missed aim can be seen."""
    table = markdown([Figure("1", "wait", "ms", (3.0,), at_most(2)), Figure("9", "calls", "", (10.0,))])
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    assert len(rows) == 4
    assert rows[2] == ["1", "wait", "3.00", "", "ms", "≤ 2.00", "NO"]


def test_an_unknown_point_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, one sentence with what would be right, before anything is started."""
    assert main(["bench", "--calls", "--points", "1,11"]) == 2
    assert "--points '1,11' names '11'; the points are " + ", ".join(story.POINTS) in capsys.readouterr().err


def test_figures_are_kept_whole() -> None:
    """What a document shows is made of the JSON alone: nothing may be lost on the way."""
    figures = [
        Figure("1", "wait", "ms", (3.0, 4.5), at_most(2.5)),
        Figure("4", "used", "%", (99.0,), at_least(95)),
        Figure("9", "calls", "", (1.0,)),
    ]
    assert [from_json(json.loads(json.dumps(as_json(figure)))) for figure in figures] == figures


def test_a_document_keeps_all_but_what_stands_between_its_marks(tmp_path: Path) -> None:
    """A run writes its own table, and nothing else; a file without marks is the table alone."""
    page, plain = tmp_path / "page.md", tmp_path / "plain.md"
    page.write_text(f"# Before\n{kept.BEGIN}\nold\n{kept.END}\nafter\n")
    for file in (page, page, plain):
        kept.show(RUN, file)
    assert page.read_text() == f"# Before\n{kept.BEGIN}\n\n{plain.read_text()}\n{kept.END}\nafter\n"
    assert "2001-09-09T01:46:40Z, 2 cores" in plain.read_text()
    assert "| 4 | used | 99.0 |  | % | ≥ 95.0 | yes |" in plain.read_text()
    assert "(9) could not be measured: no broker" in plain.read_text()


def test_docs_limits_shows_the_run_that_is_kept() -> None:
    """Issue 6: one run's figures of all ten points, as a table in docs/limits.md, within ten minutes on two cores."""
    page = (ROOT / "docs" / "limits.md").read_text("utf-8")
    assert page.count(kept.BEGIN) == page.count(kept.END) == 1
    run = json.loads((ROOT / "bench" / "samples" / "calls-2-cores.json").read_text("utf-8"))
    assert kept.between(page, kept.shown(run)) == page
    assert list(run["tookS"]) == [*story.POINTS, "all"]
    assert {figure["part"] for figure in run["figures"]} == set(story.POINTS)
    assert (run["sizes"], run["failures"], run["machine"]["cores"]) == (asdict(Sizes()), {}, 2)
    assert run["tookS"]["all"] < 600


def test_a_point_that_cannot_be_measured_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what it has found before."""

    def failing(*_: object) -> Iterator[Figure]:
        yield Figure("2", "used", "%", (99.0,))
        raise StartError("no third instance")

    def working(*_: object) -> Iterator[Figure]:
        yield Figure("3", "used", "%", (98.0,))

    monkeypatch.setattr(story, "town", nullcontext)
    points = {"2": story.Point("", (failing,)), "3": story.Point("", (working,))}
    monkeypatch.setattr(story, "POINTS", points)
    found = story.measured(SMALLEST, points)
    assert [figure.part for figure in found.figures] == ["2", "3"]
    assert (found.failures, list(found.took_s)) == ({"2": "no third instance"}, ["2", "3", "all"])


@pytest.mark.parametrize("points", ["8", pytest.param(",".join(story.POINTS), marks=FULL)])
def test_points_are_measured_and_written_down(tmp_path: Path, points: str) -> None:
    """On real processes: exit 0, the figures as a table on stdout and in both files, all aims met that are no matter
    of speed."""
    page, run = tmp_path / "points.md", tmp_path / "points.json"
    files = ("--markdown", str(page), "--json", str(run))
    assert main(["bench", "--calls", "--quick", "--points", points, *files]) == 0
    kept_run = json.loads(run.read_text())
    assert page.read_text() == kept.shown(kept_run)
    assert {figure["part"] for figure in kept_run["figures"]} == set(points.split(","))
    wrong = [figure for figure in kept_run["figures"] if figure["met"] is False]
    assert [figure for figure in wrong if points == "8" or figure["aim"] in NO_MATTER_OF_SPEED] == []
