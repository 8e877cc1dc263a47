"""The HTTP server in front of a service that is made up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from yarl import URL

from stream.model import RegistryDown, StartError
from stream.operate import http
from stream.operate.files import PAGE
from stream.operate.health import Health, Note
from stream.operate.http import Far, Front, Json, Owner, Sights, Unknown
from stream.settings import Address, HttpSettings, Secret
from tests.operate.described import check

READY = Health([], [Note("app_waits", "app 1 makes no calls: paused by the settings")])
DRAINING = Health([Note("draining", "it is stopping")], [])
OPEN = ("/livez", "/readyz", *PAGE)
GUARDED = (
    *("/metrics", "/api/status", "/api/overview", "/api/live", "/api/messages/m", "/api/violations/v"),
    *("/elsewhere", "/index.html", "/page/index.html", "/livez/"),
)


async def no_message(message_id: str, far: Far) -> Json | Unknown:
    """Says what it was asked for."""
    return Unknown(f"asked for {message_id}", 3)


async def no_violation(violation_id: str, message_id: str | None, far: Far) -> Json | Unknown:
    """Says what it was asked for."""
    return {"asked": [violation_id, message_id]}


async def no_overview() -> Json:
    """Nothing is to be seen."""
    return {"violations": {}}


SIGHTS = Sights(
    lambda: READY,
    lambda: {"version": "1"},
    lambda accept: (b"x 1\n", "text/plain"),
    no_message,
    no_violation,
    no_overview,
)


@asynccontextmanager
async def front(sights: Sights = SIGHTS, token: str | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """A session whose paths go to a server on a free port."""
    settings = HttpSettings(Address("127.0.0.1", 0), None, None, None if token is None else Secret(token))
    async with (
        Front(settings, sights) as server,
        aiohttp.ClientSession(f"http://{server.address}") as session,
    ):
        yield session


async def status(session: aiohttp.ClientSession, path: str, shown: str | None = None) -> int:
    """The status of one answer."""
    headers = {} if shown is None else {"Authorization": shown}
    async with session.get(path, headers=headers) as reply:
        return reply.status


async def test_alive_and_ready_answer_200() -> None:
    """/livez while the loop turns; /readyz with its notes, which do not make it unready."""
    async with front() as session:
        assert await status(session, "/livez") == 200
        async with session.get("/readyz") as reply:
            assert reply.status == 200
            note = {"word": "app_waits", "why": "app 1 makes no calls: paused by the settings"}
            assert await reply.json() == {"ready": True, "reasons": [], "notes": [note]}


async def test_not_ready_is_503_with_the_reasons_and_still_alive() -> None:
    """/readyz: else 503 with the reasons as JSON."""
    async with front(SIGHTS._replace(health=lambda: DRAINING)) as session:
        async with session.get("/readyz") as reply:
            assert reply.status == 503
            assert (await reply.json())["reasons"] == [{"word": "draining", "why": "it is stopping"}]
        assert await status(session, "/livez") == 200


async def test_metrics_come_with_their_content_type() -> None:
    """/metrics (Prometheus)."""
    async with front() as session, session.get("/metrics") as reply:
        assert (reply.status, reply.headers["Content-Type"], await reply.read()) == (200, "text/plain", b"x 1\n")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("a%2Fb", "a/b"), ("a/b", "a/b"), ("100%25", "100%"), ("%2541", "%41"), ("%E4%BD%A0%20%3F", "你 ?")],
)
async def test_an_id_comes_percent_encoded(written: str, meant: str) -> None:
    """Whatever an id holds, it can be asked for."""
    async with front() as session:
        path = URL(f"/api/violations/{written}?messageId=m%2F1", encoded=True)
        async with session.get(path) as reply:
            assert await reply.json() == {"asked": [meant, "m/1"]}


async def test_the_unknown_is_404_with_a_sentence_and_the_partition() -> None:
    """Or 404 that names the partition."""
    async with front() as session, session.get("/api/messages/m1") as reply:
        assert reply.status == 404
        assert await reply.json() == {"error": "asked for m1", "partition": 3}


async def pointed(session: aiohttp.ClientSession, path: str) -> tuple[int, str, object]:
    """Status, Location and body of an answer, which must be as it is described."""
    async with session.get(URL(path, encoded=True), allow_redirects=False) as reply:
        body = await reply.json()
        check(path, reply.status, reply.content_type, body)
        return reply.status, reply.headers.get("Location", ""), body


async def test_what_another_owns_is_307_to_an_answer_that_points_nowhere_else() -> None:
    """Whatever the id holds; the Location has no token, whatever the asker showed."""

    async def owned(message_id: str, far: Far) -> Owner | Unknown:
        return Owner("http://10.0.0.7:8070", 3) if far is Far.POINT else Unknown(far.value)

    async def also_owned(violation_id: str, message_id: str | None, far: Far) -> Owner:
        return Owner("https://b.example", 3)

    async with front(SIGHTS._replace(message=owned, violation=also_owned)) as session:
        status, location, body = await pointed(session, "/api/messages/a%2Fb%0D%0AX:%20y%3F%25?token=s3cret")
        assert (status, location) == (307, "http://10.0.0.7:8070/api/messages/a%2Fb%0D%0AX%3A%20y%3F%25?local=1")
        assert body == {"partition": 3, "owner": "http://10.0.0.7:8070"}
        status, location, _ = await pointed(session, "/api/violations/v?messageId=m%2F1")
        assert (status, location) == (307, "https://b.example/api/violations/v?messageId=m%2F1&local=1")
        assert (await pointed(session, "/api/messages/m?local=1"))[2] == {"error": "local"}
        assert (await pointed(session, "/api/messages/m?follow=1"))[2] == {"error": "follow"}
        assert (await pointed(session, "/api/messages/m?local=1&follow=1"))[2] == {"error": "local"}


async def test_errors_are_sentences_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be told now is 503; a fault of ours 500 and in the log only; nothing there 404; not GET 405."""

    async def registry_down(message_id: str, far: Far) -> Json | Unknown:
        raise RegistryDown("the registry does not answer")

    async def broken(violation_id: str, message_id: str | None, far: Far) -> Json | Unknown:
        raise KeyError("inside")

    async with front(SIGHTS._replace(message=registry_down, violation=broken)) as session:
        async with session.get("/api/messages/m1") as reply:
            assert (reply.status, await reply.json()) == (503, {"error": "the registry does not answer"})
        async with session.get("/api/violations/v1") as reply:
            assert reply.status == 500
            assert "inside" not in await reply.text()
        async with session.get("/elsewhere") as reply:
            assert (reply.status, await reply.json()) == (404, {"error": "there is nothing at /elsewhere"})
        async with session.post("/api/status") as reply:
            assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")
            assert (await reply.json())["error"] == "POST is not answered here, only GET"


async def test_the_token_guards_all_but_livez_and_readyz_and_the_files_of_the_page() -> None:
    """http.token_file: bearer token for everything but /livez and /readyz, and what every installation shows alike."""
    async with front(token="s3cret") as session:
        answers = {path: await status(session, path) for path in (*OPEN, *GUARDED)}
        assert answers == dict.fromkeys(OPEN, 200) | dict.fromkeys(GUARDED, 401)
        async with session.get("/api/status") as reply:
            assert reply.headers["WWW-Authenticate"] == "Bearer"
            assert "s3cret" not in await reply.text()


@pytest.mark.parametrize(
    ("shown", "answer"),
    [
        ("Bearer s3cret", 200),
        ("bearer s3cret", 200),
        ("Bearer s3cre", 401),
        ("Bearer s3cret2", 401),
        ("Bearer ", 401),
        ("s3cret", 401),
        ("Basic s3cret", 401),
        ("Bearer ÿ", 401),
    ],
)
async def test_only_the_whole_token_opens(shown: str, answer: int) -> None:
    """Constant-time compare; the scheme in any case."""
    async with front(token="s3cret") as session:
        assert await status(session, "/api/status", shown) == answer


async def answers_to(host: str, settings: HttpSettings) -> tuple[int, int]:
    """The statuses of the API and of a probe, asked by this name."""
    async with Front(settings, SIGHTS) as server, aiohttp.ClientSession(f"http://{server.address}") as session:
        answers = []
        for path in ("/api/status", "/livez"):
            async with session.get(path, headers={"Host": host}) as reply:
                answers.append(reply.status)
    return answers[0], answers[1]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8070", "localhost.evil.example", "10.0.0.7", "[::1", "@"]
)
async def test_without_a_token_a_host_that_is_not_ours_is_refused(host: str) -> None:
    """A site whose name is made to point at loopback (DNS rebinding) learns nothing."""
    assert await answers_to(host, HttpSettings(Address("127.0.0.1", 0), None, None, None)) == (421, 421)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8070", "localhost.", "unpush.localhost", "127.0.0.1:1", "[::1]:8070", "Unpush.Example"],
)
async def test_without_a_token_this_machines_names_and_the_advertised_one_are_answered(host: str) -> None:
    settings = HttpSettings(Address("127.0.0.1", 0), "https://unpush.example:8443", None, None)
    assert await answers_to(host, settings) == (200, 200)


async def test_who_names_no_host_is_answered() -> None:
    """HTTP/1.0 of a probe; no browser leaves it out."""
    async with Front(HttpSettings(Address("127.0.0.1", 0), None, None, None), SIGHTS) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()


async def test_with_the_token_any_name_will_do() -> None:
    """A page of another site has no token to show; who has it may come through any proxy."""
    settings = HttpSettings(Address("127.0.0.1", 0), None, None, Secret("s3cret"))
    assert await answers_to("unpush.example", settings) == (401, 200)


async def test_an_id_may_hold_anything() -> None:
    """Ids are their producers' own: slashes, new lines, percent signs."""
    async with front() as session:
        async with session.get(URL("/api/messages/a%2Fb%0Ac%25", encoded=True)) as reply:
            assert (await reply.json())["error"] == "asked for a/b\nc%"
        async with session.get(URL("/api/violations/%0A", encoded=True)) as reply:
            assert (await reply.json())["asked"] == ["\n", None]


@pytest.mark.parametrize(
    "said",
    [
        b"GET /api/messages/" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nno HTTP\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_400_and_no_line_of_the_log(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Anybody who reaches the port could fill the log with tracebacks: no token is asked for by then."""
    async with Front(HttpSettings(Address("127.0.0.1", 0), None, None, Secret("s3cret")), SIGHTS) as server:
        reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
        writer.write(said)
        answered = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert b" 400 Bad Request\r\n" in answered
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize(
    "said", [b"", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
async def test_who_never_finishes_a_request_is_let_go_of(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slowly, a byte now and then (slow loris): it is the whole request that is waited for, not the next byte."""
    monkeypatch.setattr(http, "IDLE_S", 0.5)
    async with Front(HttpSettings(Address("127.0.0.1", 0), None, None, None), SIGHTS) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(said)
        for _ in range(4):
            await asyncio.sleep(0.1)
            writer.write(b"a" if said[-2:] == b": " else b"")
        async with asyncio.timeout(5):
            await reader.read()  # to the end of the connection
        writer.close()


async def test_a_port_in_use_is_one_sentence() -> None:
    """Exit 1: StartError that names the key and the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"^http.listen: cannot listen on 127.0.0.1:{port}: another process has"):
            await Front(HttpSettings(Address("127.0.0.1", port), None, None, None), SIGHTS).start()


async def test_a_dry_run_gives_way_to_whoever_has_the_port() -> None:
    """It stands beside the real service, with the same settings; and where it stands alone it listens as they say."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = HttpSettings(Address("127.0.0.1", port), None, None, None)
        async with Front(settings, SIGHTS, gives_way=True) as beside:
            assert beside.address.port not in (0, port)
    async with Front(settings, SIGHTS, gives_way=True) as alone:
        assert alone.address.port == port


async def test_an_address_that_is_not_ours_is_one_sentence() -> None:
    """A host without an address, or one of another machine."""
    for host, why in (("no-such-host.invalid", "no address"), ("192.0.2.1", "Cannot assign")):
        with pytest.raises(StartError, match=why):
            await Front(HttpSettings(Address(host, 8070), None, None, None), SIGHTS).start()
