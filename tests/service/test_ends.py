"""Issue 7.5: one line per violation's end, not per token; none that says a thing twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from structlog.testing import capture_logs

from stream.model import Severity, Status, Topic
from stream.service.ends import Ends
from stream.service.tracing import Tracing
from stream.work.guard import Limits
from tests.service.small_world import MINUTE_MS, SmallWorld


class Told:
    """A small world whose ends are listened to, also after a restart."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.world = SmallWorld(folder, **more)
        self.listen()

    def listen(self) -> None:
        Ends(self.world.clock).listen(self.world.desk, self.world.settling)

    def lines(self, how: str = "revoked") -> list[dict[str, Any]]:
        """What is said until nothing is left to do."""
        with capture_logs() as said:
            self.listen_anew()
            self.world.until_quiet(how)
        return [dict(line) for line in said if line["event"] == "violation_ended"]

    def listen_anew(self) -> None:
        """``capture_logs`` is not seen by a logger that was bound before it."""
        self.world.settling.watchers.clear()
        self.listen()


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    found = Told(tmp_path)
    yield found
    found.world.close()


def ends(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return sorted((line["violation_id"], line["end"]) for line in lines)


def test_a_violations_end_is_one_line_with_all_that_it_is_found_by(told: Told) -> None:
    world = told.world
    for _ in range(3):
        world.send("m", ["a", "b"])
    world.send("m", ["c"], notify_id=None)
    offset = world.violate("m", severity=Severity.HIGH)
    world.clock.ms += 1_500
    (line,) = told.lines()
    took_s = [line.pop("took_s"), line.pop("since_detected_s")]
    assert line == {
        "event": "violation_ended",
        "log_level": "info",
        "violation_id": "v1",
        "message_id": "m",
        "partition": 0,
        "offset": offset,
        "severity": "HIGH",
        "end": "settled",
        "results": {"REVOKED": 1, "NOT_REVOCABLE": 1},
        "tokens_revoked": 2,
        "tokens_rejected": 0,
        "tokens_matched": 7,
        "tokens_settled": 7,
        "late": False,
    }
    assert all(1.5 <= each < 60 for each in took_s)


def test_a_campaign_is_one_line(told: Told) -> None:
    """However many results it takes."""
    world = told.world
    world.largest = 10
    for number in range(100):
        world.send("m", [f"{number}-{place}" for place in range(10)])
    world.violate("m")
    (line,) = told.lines()
    assert (line["results"], line["tokens_revoked"], line["tokens_matched"]) == ({"REVOKED": 100}, 1_000, 1_000)


def test_a_late_send_is_a_further_line_with_what_came_of_it_alone(told: Told) -> None:
    """Complete again: what is new, the totals of all, and that it was late."""
    world = told.world
    world.send("m", ["a", "b"])
    world.violate("m")
    (first,) = told.lines()
    world.clock.ms += MINUTE_MS
    world.send("m", ["c"])
    (second,) = told.lines("refused")
    assert (first["late"], first["tokens_settled"]) == (False, 2)
    assert (second["results"], second["tokens_rejected"]) == ({"FAILED": 1}, 1)
    assert (second["late"], second["tokens_revoked"], second["tokens_settled"]) == (True, 0, 3)


def test_a_restart_says_nothing_twice(told: Told) -> None:
    """A violation that ended before is looked at again, and nothing of it is left to do."""
    world = told.world
    world.send("m", ["a"])
    world.violate("m")
    world.violate("n")
    world.violate("o", status=Status.WITHDRAWN)
    assert len(told.lines()) == 3
    world.restart(keep=False)
    assert told.lines() == []


def test_not_found_and_withdrawn_are_ends_each_in_its_words(told: Told) -> None:
    """NOT_FOUND: a send that still comes is one more; WITHDRAWN: what was revoked before it stands there."""
    world = told.world
    world.violate("n", "missing")
    assert ends(told.lines()) == [("missing", "not_found")]
    world.send("n", ["x"])
    (found,) = told.lines()
    assert (found["end"], found["late"], found["results"]) == ("settled", True, {"REVOKED": 1})
    world.violate("n", "missing", Status.WITHDRAWN)
    (line,) = told.lines()
    assert (line["end"], line["results"], line["tokens_settled"]) == ("withdrawn", {}, 1)


def test_what_the_guard_holds_has_not_ended_before_a_persons_word(tmp_path: Path) -> None:
    """held is a line of its own; approved, the violation ends like any."""
    told = Told(tmp_path, limits=Limits(per_violation=1))
    world = told.world
    world.send("m", ["a", "b"])
    world.violate("m", "held")
    assert told.lines() == []
    world.violate("m", "held", Status.APPROVED)
    assert ends(told.lines()) == [("held", "settled")]
    world.close()


def test_a_call_that_was_under_way_when_the_guard_held_its_violation_ends_nothing(tmp_path: Path) -> None:
    """Sends that carry it over its limit hold what is left; what it had done by then stands in its end's line."""
    told = Told(tmp_path, limits=Limits(per_violation=2))
    world = told.world
    world.send("m", ["a"])
    world.violate("m")
    assert len(told.lines()) == 1
    world.send("m", ["b"])
    world.read(Topic.SENDS)
    world.tell()
    world.call()
    world.send("m", ["c"])
    assert told.lines() == []
    world.violate("m", status=Status.APPROVED)
    (line,) = told.lines()
    assert (line["end"], line["results"], line["tokens_settled"]) == ("settled", {"REVOKED": 2}, 3)
    world.close()


def test_each_violation_of_a_message_has_its_line(told: Told) -> None:
    """The second revokes nothing: the first had it revoked."""
    world = told.world
    world.send("m", ["a"])
    world.violate("m", "v1")
    world.violate("m", "v2")
    lines = told.lines()
    assert ends(lines) == [("v1", "settled"), ("v2", "settled")]
    assert {line["violation_id"]: line["results"] for line in lines} == {
        "v1": {"REVOKED": 1},
        "v2": {"ALREADY_REVOKED": 1},
    }


def test_a_dry_run_says_what_it_would_have_ended(tmp_path: Path) -> None:
    told = Told(tmp_path, dry=True, limits=Limits(per_violation=1))
    world = told.world
    world.send("m", ["a"])
    world.send("big", ["a", "b"])
    for name in ("m", "n", "big"):
        world.violate(name, name)
    assert ends(told.lines("refused")) == [("m", "settled"), ("n", "not_found")]
    world.close()


def test_above_info_nothing_is_listened_to_unless_it_is_traced(tmp_path: Path) -> None:
    """log.level = "warning": the end of a violation costs nothing."""
    world = SmallWorld(tmp_path)
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        untouched = world.desk.rested
        Ends(world.clock).listen(world.desk, world.settling)
        assert (world.settling.watchers, world.desk.rested) == ([], untouched)
        traced = Ends(world.clock, cast(Tracing, object()))
        traced.listen(world.desk, world.settling)
        assert (world.settling.watchers, world.desk.rested) == ([traced.settled], traced.rested)
    finally:
        structlog.configure(**before)
        world.close()
