"""What the page is told of a real service: mock cluster, simulator, all in this process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from unittest.mock import ANY

import pytest

from stream.model import Severity
from stream.operate.http import Json
from stream.pushkit.simulator import AppFaults, End, Failure, Faults
from stream.service import gauges
from stream.service.overview import LONGEST, shown
from stream.work.condemned import Condemned
from stream.work.judgement import judgement_of
from tests.operate.running import APP, Reply, Rig, running
from tests.work.making import event

HANGING = Faults(all=AppFaults(failures=(Failure(end=End.HANG_BEFORE),)))
NONE: Json = {"waiting": 0, "active": 0, "held": 0, "settled": 0, "withdrawn": 0, "oldest": None, "toRevoked": None}


def high(reply: Reply, *fields: str) -> list[object]:
    """What is said of violations of severity HIGH."""
    return [reply.json["violations"]["HIGH"][field] for field in fields]


def gather(rig: Rig, messages: int) -> None:
    """So many messages in memory whose sends nobody has looked at."""
    for number in range(messages):
        it = Condemned(0, f"many-{number}", b"digest", 0.0)
        it.judged(judgement_of([event(number, severity=Severity.LOW)]))
        rig.service.desk.docket.open[0, it.message_id] = it


async def test_it_tells_of_violations_by_severity_and_state_and_of_results(tmp_path: Path) -> None:
    """Violations by state and severity, time to revoke, recent results; with all that /api/status says."""
    async with running(tmp_path) as rig:
        await rig.ready()
        rig.send("m1", 5)
        rig.event("v1", "m1")
        reply = await rig.until("/api/overview", lambda r: high(r, "settled") == [1])
        assert reply.json["violations"]["CRITICAL"] == NONE
        assert high(reply, "waiting", "active", "held", "withdrawn", "oldest") == [0, 0, 0, 0, None]
        waits = reply.json["violations"]["HIGH"]["toRevoked"]
        assert waits["calls"] == 1
        assert 0 <= waits["p50Ms"] == waits["p99Ms"] < 15_000
        assert reply.json["results"] == {"REVOKED": 1}
        [result] = reply.json["recent"]
        told = {"violationId": "v1", "messageId": "m1", "outcome": "REVOKED", "clientId": APP, "tokensRevoked": 5}
        assert result | told == result
        assert result["tookMs"] == waits["p50Ms"]
        assert waits["lastAt"] == result["completedAt"]
        assert reply.json["retentionMs"] == 72 * 3600 * 1000
        status = (await rig.get("/api/status")).json
        assert status.keys() <= reply.json.keys()
        assert status["apps"] == reply.json["apps"]
        assert "-token-" not in reply.text


async def test_the_oldest_open_violation_is_named(tmp_path: Path) -> None:
    """Oldest waiting: of those of which something is still to come."""
    async with running(tmp_path, 'shutdown.drain = "100ms"') as rig:
        await rig.simulator.set_faults(HANGING)
        await rig.ready()
        rig.send("m1", 5)
        before_ms = rig.event("v1", "m1")
        reply = await rig.until("/api/overview", lambda r: high(r, "active") == [1])
        rig.event("v2", "m1")
        reply = await rig.until("/api/overview", lambda r: high(r, "active") == [2])
        [oldest] = high(reply, "oldest")
        assert isinstance(oldest, dict)
        assert (oldest["violationId"], oldest["messageId"]) == ("v1", "m1")
        assert 0 <= oldest["since"] - before_ms < 15_000


async def test_ids_are_cut_to_what_a_person_reads(tmp_path: Path) -> None:
    """An id may have a million characters; a page is told of thirty of them every second."""
    assert shown("x" * LONGEST) == "x" * LONGEST
    async with running(tmp_path) as rig:
        await rig.ready()
        rig.event("v" * 50_000, "m" * 50_000)
        reply = await rig.until("/api/overview", lambda r: r.json["results"] == {"NOT_FOUND": 1})
        [result] = reply.json["recent"]
        assert (result["violationId"], len(result["messageId"])) == ("v" * (LONGEST - 1) + "…", LONGEST)
        assert (result["tookMs"], result["clientId"]) == (None, None)
        assert len(reply.text) < 10_000


async def test_counting_very_many_lets_the_loop_turn(tmp_path: Path) -> None:
    """The stream must not cost the event loop anything that shows."""
    async with running(tmp_path) as rig:
        gather(rig, 20_000)
        look, turns = asyncio.ensure_future(rig.views.sights.overview()), 0
        while not look.done():
            await asyncio.sleep(0)
            turns += 1
        assert (await look)["violations"]["LOW"] == NONE | {"waiting": 20_000, "oldest": ANY}  # type: ignore[index]
        assert turns > 5


async def test_counting_very_many_is_not_done_at_every_look(tmp_path: Path) -> None:
    """A fiftieth of the time at most, whoever asks; few are counted each time."""
    async with running(tmp_path) as rig:
        look = rig.views.sights.overview
        gather(rig, 10_000)
        first = await look()
        at_once = await asyncio.gather(*(look() for _ in range(20)))
        assert {each["countedAt"] for each in at_once} == {first["countedAt"]}
        rig.service.desk.docket.open.clear()
        rig.views._overview._again_s = 0.0
        await look()
        gather(rig, 1)
        await asyncio.sleep(0.2)
        assert (await look())["violations"]["LOW"]["waiting"] == 1  # type: ignore[index]


async def test_a_violation_that_the_guard_holds_is_listed_with_what_approving_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held violations, why, and what approving would do: places that are open, and whose. A list for people has an
    end, and their ids too."""
    async with running(tmp_path, "guard.max_devices_per_violation = 2") as rig:
        await rig.ready()
        rig.send("m1", 3)
        rig.event("v1", "m1")
        reply = await rig.until("/api/overview", lambda r: high(r, "held") == [1])
        assert high(reply, "held", "settled", "oldest") == [1, 0, None]
        [held] = reply.json["held"]
        told = {"violationId": "v1", "messageId": "m1", "severity": "HIGH", "reason": "spam", "detector": "model-7"}
        assert held | told == held
        assert held["heldFor"] == "it would revoke 3 devices, guard.max_devices_per_violation allows 2"
        assert (held["tokensOpen"], held["apps"]) == (3, [APP])
        rig.send("m2", 3)
        rig.event("v" * 2_000, "m2")
        reply = await rig.until("/api/overview", lambda r: high(r, "held") == [2])
        assert [len(each["violationId"]) for each in reply.json["held"]] == [2, LONGEST]
        assert "v" * 1_000 not in reply.text
        monkeypatch.setattr(gauges, "HELD_LISTED", 1)
        assert len((await rig.get("/api/overview")).json["held"]) == 1
