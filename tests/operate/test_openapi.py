"""What docs/openapi.yaml describes is what a running service answers, all of it and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import aiohttp
import pytest
from openapi_spec_validator import validate

from stream.model import Send, SendHead, Topic
from stream.operate.files import PAGE
from stream.operate.http import Far, Front, Json, Unknown
from stream.service import lookup
from stream.wire.wire import Wire
from tests.operate import described
from tests.operate.running import APP, Rig, running
from tests.operate.test_http import SIGHTS, front
from tests.test_documents import ROOT, names_in


def test_the_document_is_openapi() -> None:
    """By the validator of OpenAPI 3.1."""
    validate(described.document())


async def test_every_path_that_is_served_is_described_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked of the server itself; the page's files are for browsers."""
    served: set[str] = set()

    async def noted(self: Front) -> None:
        served.update(resource.canonical for resource in self._runner.app.router.resources())
        await start(self)

    start = Front.start
    monkeypatch.setattr(Front, "start", noted)
    async with front(SIGHTS):
        pass
    assert {_unnamed(path) for path in served - PAGE.keys()} == {
        _unnamed(path) for path in described.document()["paths"]
    }


def _unnamed(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


async def test_everything_that_is_described_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each property is in an answer of a running service, or names the test that shows it (`x-shown-by`)."""
    described.seen.clear()
    async with running(tmp_path) as rig:
        assert (await rig.get("/readyz")).status == 503
        await rig.ready()
        await ask_for_all_that_is_known(rig)
        await ask_for_what_is_unknown(rig, monkeypatch)
        await ask_while_the_past_is_read(rig)
    shown = {name: schema["x-shown-by"] for name, schema in described.described().items() if "x-shown-by" in schema}
    assert set(described.described()) - set(shown) - described.seen == set()
    for test in shown.values():
        file, _, name = test.partition("::")
        assert name in names_in(ROOT / file), test


async def ask_for_all_that_is_known(rig: Rig) -> None:
    """A message with a refused token and a send that cannot be read."""
    rig.simulator.tokens.tell(APP, ["m1-token-0001"], reason="tokenFormatError")
    rig.send("m1", 3)
    rig.produce("push.message-sent", "m1", unreadable(rig.wire, "m1"))
    rig.event("v1", "m1")
    await rig.until("/api/violations/v1", lambda reply: reply.status == 200 and reply.json["state"] == "settled")
    rig.service.settling.devices[APP, "failed"] = 1  # a call that was given up takes a day
    for path in ("/livez", "/readyz", "/metrics", "/api/status", "/api/overview"):
        assert (await rig.get(path)).status == 200
    for path in ("/api/messages/m1", "/api/violations/v1?messageId=m1"):
        assert (await rig.get(path)).status == 200
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    assert "application/openmetrics-text" in (await rig.get("/metrics", headers=accept)).headers["Content-Type"]


def unreadable(wire: Wire, message_id: str) -> bytes:
    """A send with a token that is no UTF-8, which nobody notices before a violation needs it."""
    head = SendHead(message_id, APP, 7, 0, int(time.time() * 1000), None)
    return wire.encode_send(Send(head, (b"\xff-token",)))


async def ask_for_what_is_unknown(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """404 with and without a partition, 503 for what takes too long."""
    assert (await rig.get("/api/messages/m9")).status == 404
    assert (await rig.get("/api/violations/v9")).status == 404
    assert (await rig.get("/elsewhere")).status == 404
    monkeypatch.setattr(lookup, "EVENTS_A_PIECE", 1)
    monkeypatch.setattr(lookup, "SEARCH_S", -1.0)
    assert (await rig.get("/api/violations/v9")).status == 503


async def ask_while_the_past_is_read(rig: Rig) -> None:
    """Notes, and how far it is, of all three topics."""
    shard = next(iter(rig.service.intake.shards.values()))
    for topic in Topic:
        shard.read_back_ms[topic], shard.floor[topic], shard.live_start[topic] = 0.0, 10, 1_010
    assert (await rig.get("/api/status")).json["restore"].keys() == {"sends", "violations", "results"}
    assert (await rig.get("/api/messages/m9")).json["restoring"] is True


async def test_what_is_not_described_is_noticed(tmp_path: Path) -> None:
    """A field, a status, a path that nobody wrote down: each would fail the test that asked."""
    violation = {"error": "one sentence", "partition": 3}
    described.check("/api/violations/v1", 404, "application/json", violation)
    with pytest.raises(AssertionError, match="'owner' was unexpected"):
        described.check("/api/violations/v1", 404, "application/json", violation | {"owner": "b"})
    with pytest.raises(AssertionError, match="is not as docs"):
        described.check("/api/violations/v1", 200, "application/json", violation)
    with pytest.raises(AssertionError, match="text/html is not in"):
        described.check("/api/status", 200, "text/html", "")
    with pytest.raises(AssertionError, match="GET /api/apps is not in"):
        described.check("/api/apps", 200, "application/json", {})


async def test_the_token_is_described_for_what_it_guards() -> None:
    """All but /livez and /readyz."""
    paths = described.document()["paths"]
    assert {path for path in paths if paths[path]["get"].get("security") == []} == {"/livez", "/readyz"}
    async with front(token="s3cret") as session:
        for path in ("/metrics", "/api/status", "/api/overview", "/api/live", "/api/messages/m", "/api/violations/v"):
            await refused(session, path)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/api/violations/v", 500), ("POST", "/api/status", 405)]
)
async def test_what_no_path_promises_is_described_for_all(method: str, path: str, status: int) -> None:
    """A fault of ours, and a method that is not answered."""

    async def broken(violation_id: str, message_id: str | None, far: Far) -> Json | Unknown:
        raise KeyError("inside")

    async with front(SIGHTS._replace(violation=broken)) as session, session.request(method, path) as reply:
        assert reply.status == status
        described.check(path, reply.status, reply.content_type, await reply.json())


async def refused(session: aiohttp.ClientSession, path: str) -> None:
    """401, as described."""
    async with session.get(path) as reply:
        assert reply.status == 401
        described.check(path, reply.status, reply.content_type, await reply.json())
