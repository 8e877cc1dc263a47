"""`unpush approve` and `unpush withdraw` against a running service: from an id to its event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stream.__main__ import main
from stream.model import Severity, StartError, Status
from stream.pushkit.simulator import make_key_file
from stream.service import placing
from stream.service.deciding import decide, decide_blindly
from stream.service.decisions import event_of
from stream.service.placing import placed
from stream.settings import Address, Settings
from stream.wire.partitioners import ENOUGH_KEYS, Partitioner
from tests.operate.running import Rig, running, written_settings

GUARD = "guard.max_devices_per_violation = 2"
Capture = pytest.CaptureFixture[str]


def settings_of(rig: Rig) -> Settings:
    """As a person's command reads them: with the port that the service has."""
    host, _, port = rig.address.rpartition(":")
    settings = rig.service.settings
    return replace(settings, http=replace(settings.http, listen=Address(host, int(port))))


def state(word: str) -> Callable[[Any], bool]:
    """Whether an answer says so."""
    return lambda reply: reply.json.get("state") == word


async def test_an_approved_violation_goes_on_with_its_own_words(tmp_path: Path, capsys: Capture) -> None:
    """Writes the APPROVED event of a violation that the running service knows, with its original detectedAt."""
    async with running(tmp_path, GUARD) as rig:
        await rig.ready()
        rig.send("m", 3)
        detected_ms = rig.event("v/1", "m")
        seen = await rig.until("/api/violations/v%2F1", state("held"))
        assert seen.json["heldFor"] == "it would revoke 3 devices, guard.max_devices_per_violation allows 2"
        assert (seen.json["tokensMatched"], seen.json["tokensSettled"]) == (3, 0)
        status = (await rig.get("/api/status")).json["guard"]
        assert (status["heldViolations"], list(status["heldDevices"].values())) == (1, [3])
        assert status["held"][0]["violationId"] == "v/1"
        notes = (await rig.get("/readyz")).json["notes"]
        assert [note["why"] for note in notes if note["word"] == "held"] == [
            "1 violations of 3 devices wait for unpush approve or unpush withdraw"
        ]
        await asyncio.to_thread(decide, settings_of(rig), Status.APPROVED, ["v/1"], None)
        seen = await rig.until("/api/violations/v%2F1", state("settled"))
        assert (seen.json["status"], seen.json["detectedAt"], seen.json["heldFor"]) == ("APPROVED", detected_ms, None)
        assert (await rig.get("/api/messages/m")).json["violations"][0]["state"] == "settled"
        assert (await rig.get("/api/status")).json["guard"]["heldViolations"] == 0
    assert "\nv/1 of message m: APPROVED, push.violation-detected/" in capsys.readouterr().out


async def test_the_event_stands_where_the_violation_does_whatever_its_key_says(tmp_path: Path) -> None:
    """Into its violation's partition: another shard would take it for a finding of its own."""
    async with running(tmp_path) as rig:
        await rig.ready()
        for number in range(4):
            rig.event(f"v{number}", f"m{number}", partition=number)
            await rig.until(f"/api/violations/v{number}?messageId=m{number}", lambda reply: reply.status == 200)
        await asyncio.to_thread(decide, settings_of(rig), Status.WITHDRAWN, [f"v{n}" for n in range(4)], None)
        for number in range(4):
            await rig.until(f"/api/violations/v{number}", state("withdrawn"))


async def test_unknown_ids_are_named_and_the_others_are_written(tmp_path: Path) -> None:
    """Exit 1 for an unknown id."""
    async with running(tmp_path, GUARD) as rig:
        await rig.ready()
        rig.event("known", "m")
        await rig.until("/api/violations/known", lambda reply: reply.status == 200)
        with pytest.raises(StartError, match="'nobody' is not known here"):
            await asyncio.to_thread(decide, settings_of(rig), Status.WITHDRAWN, ["nobody", "known"], None)
        await rig.until("/api/violations/known", state("withdrawn"))


async def test_a_service_may_be_named_that_listens_elsewhere(tmp_path: Path) -> None:
    """--at: a port of chance, or another instance, where the group does not tell who has what."""
    async with running(tmp_path, GUARD) as rig:
        await rig.ready()
        rig.event("v", "m")
        await rig.until("/api/violations/v", lambda reply: reply.status == 200)
        with pytest.raises(StartError, match="--at HOST:PORT"):
            await asyncio.to_thread(decide, rig.service.settings, Status.WITHDRAWN, ["v"], None)
        at = f"http://{rig.address}"
        await asyncio.to_thread(decide, rig.service.settings, Status.WITHDRAWN, ["v"], None, [at])
        await rig.until("/api/violations/v", state("withdrawn"))


@pytest.mark.parametrize(
    "words", [["approve", "--at", "nowhere"], ["withdraw", "--at", "127.0.0.1:1", "--message", "m"]]
)
def test_an_address_that_is_none_or_is_not_asked_is_exit_2(words: list[str]) -> None:
    """With --message a withdrawal asks nobody."""
    with pytest.raises(SystemExit) as caught:
        main([*words, "-c", "x", "v"])
    assert caught.value.code == 2


def test_the_address_of_the_command_is_the_one_that_is_asked(tmp_path: Path, capsys: Capture) -> None:
    """Nobody answers there, and the sentence names it."""
    file = written_settings(tmp_path, "127.0.0.1:1", "http://127.0.0.1:1")
    make_key_file(tmp_path / "key.json", "project", "1")
    for command in ("approve", "withdraw"):
        assert main([command, "v", "-c", str(file), "--at", "127.0.0.1:1"]) == 1
        assert "no running service answers at http://127.0.0.1:1: connection refused" in capsys.readouterr().err


async def test_a_withdrawal_that_names_its_message_asks_no_service(tmp_path: Path) -> None:
    """By the house's partitioner; no repeat of a finding from before undoes it."""
    async with running(tmp_path, GUARD) as rig:
        await rig.ready()
        rig.send("m", 3)
        detected_ms = rig.event("v", "m")
        await rig.until("/api/violations/v", state("held"))
        nobody = replace(settings_of(rig), http=replace(rig.service.settings.http, listen=Address("127.0.0.1", 1)))
        await asyncio.to_thread(decide_blindly, nobody, Status.WITHDRAWN, ["v"], "m", detected_ms + 60_000)
        await rig.until("/api/violations/v", state("withdrawn"))


async def test_a_withdrawal_that_names_its_message_goes_where_its_events_stand(tmp_path: Path, capsys: Capture) -> None:
    """Whatever partitioner the detector has: in another partition it would be a withdrawal of nothing."""
    async with running(tmp_path, GUARD) as rig:
        await rig.ready()
        for number in range(4):
            rig.event("v", f"m{number}", partition=number)
            await rig.until(f"/api/violations/v?messageId=m{number}", lambda reply: reply.status == 200)
        for number in range(4):
            now_ms = time.time_ns() // 1_000_000 + 1
            await asyncio.to_thread(decide_blindly, settings_of(rig), Status.WITHDRAWN, ["v"], f"m{number}", now_ms)
            await rig.until(f"/api/violations/v?messageId=m{number}", state("withdrawn"))
    said = capsys.readouterr().out
    assert all(f"violation-detected/{number} (where its latest event stands)" in said for number in range(4))


async def test_a_topic_that_cannot_be_read_is_said_where_a_withdrawal_is_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that nothing was seen, as if all had been looked at."""

    def refuse(*_: Any) -> Any:
        raise StartError("not authorized")

    async with running(tmp_path) as rig:
        settings = settings_of(rig)
        rig.event("v", "m")
        with monkeypatch.context() as patch:
            patch.setattr(placing, "spans", refuse)
            assert "could not be read: not authorized" in placed(settings, 4, b"m").why
        with monkeypatch.context() as patch:
            patch.setattr(placing, "read", lambda *_: False)
            assert "only a part" in placed(settings, 4, b"m").why


async def test_a_withdrawal_of_what_nobody_has_seen_follows_the_partitioner_that_is_evident(tmp_path: Path) -> None:
    """The violation may be still to come."""
    async with running(tmp_path) as rig:
        settings, count = settings_of(rig), 4
        assert placed(settings, count, b"m").partition == Partitioner.MURMUR2.place(b"m", count)
        for number in range(3 * ENOUGH_KEYS):
            rig.event("v", f"n{number}", partition=Partitioner.CRC32.place(f"n{number}".encode(), count))
        keys = [f"m{number}".encode() for number in range(20)]
        found = await asyncio.to_thread(lambda: [placed(settings, count, key) for key in keys[:3]])
        assert [each.partition for each in found] == [Partitioner.CRC32.place(key, count) for key in keys[:3]]
        assert "consistent_random" in found[0].why


def test_an_event_changes_the_status_only() -> None:
    """All else as its first event had it."""
    seen = {"violationId": "v", "messageId": "m", "severity": "LOW", "status": "CONFIRMED", "reason": "spam"}
    event = event_of({**seen, "detector": "d", "detectedAt": 5}, Status.APPROVED)
    assert (event.severity, event.status, event.reason, event.detector) == (Severity.LOW, Status.APPROVED, "spam", "d")
    assert event.detected_at_ms == 5
