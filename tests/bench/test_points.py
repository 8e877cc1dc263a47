"""Issue 6: figures for each of its points, by one command. Sizes here are tiny: only that they are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.__main__ import main
from stream.bench import campaign
from stream.bench.figures import Figure, at_most, markdown
from stream.bench.gateway import Call
from stream.bench.load import token
from stream.bench.points import story
from stream.bench.points.rate import busiest
from stream.model import StartError
from stream.wire.wire import Wire

SECOND_NS = 1_000_000_000


def test_the_busiest_second_is_found_wherever_it_begins() -> None:
    """A window slides: two bursts at the end of one second and the beginning of the next are one second's."""
    times = [0, SECOND_NS * 9 // 10, SECOND_NS * 11 // 10, SECOND_NS * 19 // 10, SECOND_NS * 5]
    assert busiest([Call(at_ns, 1, 100) for at_ns in times]) == 200
    assert busiest([Call(at_ns, 1, 100) for at_ns in (0, 1, SECOND_NS - 1, SECOND_NS)]) == 300


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


def test_two_findings_on_one_message_are_measured_and_written_down(tmp_path: Path) -> None:
    """One point on real processes: exit 0, its figures as a table on stdout and in the file, all aims met that are no
    matter of speed."""
    file = tmp_path / "points.md"
    assert main(["bench", "--calls", "--points", "8", "--markdown", str(file)]) == 0
    rows = [line.strip("| ").split(" | ") for line in file.read_text().splitlines()[2:]]
    assert {row[0] for row in rows} == {"8"}
    assert all(row[-1] == "yes" for row in rows), rows
