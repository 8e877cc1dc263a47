"""The stream that the page listens to, in front of a service that is made up."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import aiohttp
import orjson
import pytest

from stream.operate import live
from stream.operate.http import SHUTDOWN_S, Front, Json
from stream.settings import Address, HttpSettings
from tests.operate.test_http import SIGHTS, front, status

Looks = list[float]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is a hundredth of one."""
    monkeypatch.setattr(live, "EVERY_S", 0.01)


def counting(looks: Looks, padding: int = 0) -> Callable[[], Awaitable[Json]]:
    """A look that says which one it is."""

    async def look() -> Json:
        looks.append(time.monotonic())
        return {"look": len(looks), "padding": "x" * padding}

    return look


async def first(reply: aiohttp.ClientResponse, many: int = 1) -> list[int]:
    """The numbers of the first looks that are told."""
    return await numbers(reply.content, many)


async def numbers(lines: AsyncIterable[bytes], many: int) -> list[int]:
    """The same, of any lines."""
    found: list[int] = []
    async for line in lines:
        if line.startswith(b"data: "):
            found.append(orjson.loads(line[6:])["look"])
            if len(found) == many:
                break
    return found


@asynccontextmanager
async def slow_listener(server: Front) -> AsyncIterator[asyncio.StreamReader]:
    """One that takes nothing but when it reads; the network holds a few kilobytes for it."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (server.address.host, server.address.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=2_000_000)
        writer.write(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield reader
        writer.close()


def serving(look: Callable[[], Awaitable[Json]]) -> Front:
    """A server on a free port."""
    return Front(HttpSettings(Address("127.0.0.1", 0), None, None, None), SIGHTS._replace(overview=look))


async def test_it_is_a_stream_of_events_that_nobody_keeps(quick: None) -> None:
    """Server-sent events, and a hint when to come again."""
    looks: Looks = []
    async with front(SIGHTS._replace(overview=counting(looks))) as session, session.get("/api/live") as reply:
        assert (reply.status, reply.content_type) == (200, "text/event-stream")
        assert reply.headers["Cache-Control"] == "no-store"
        assert (await reply.content.readline()).startswith(b"retry: ")
        assert await first(reply, 3) == [1, 2, 3]


async def test_the_overview_is_answered_once_as_json(quick: None) -> None:
    """/api/overview: the same, for programs."""
    looks: Looks = []
    async with (
        front(SIGHTS._replace(overview=counting(looks))) as session,
        session.get("/api/overview") as reply,
    ):
        assert (await reply.json())["look"] == 1


async def test_one_look_serves_all_who_listen(quick: None) -> None:
    """Aggregated once for all clients."""
    looks: Looks = []
    async with front(SIGHTS._replace(overview=counting(looks))) as session:
        replies = [await session.get("/api/live") for _ in range(20)]
        seen = await asyncio.gather(*(first(reply, 10) for reply in replies))
        assert all(numbers == sorted(numbers) for numbers in seen)
        assert len(looks) < 40  # a look for each would be two hundred
        for reply in replies:
            reply.close()


async def test_nothing_is_looked_at_while_nobody_listens(quick: None) -> None:
    """Only while somebody listens; who comes later is told at once, of now."""
    looks: Looks = []
    async with front(SIGHTS._replace(overview=counting(looks))) as session:
        await asyncio.sleep(0.05)
        assert looks == []
        async with session.get("/api/live") as reply:
            await first(reply)
        await quiet(looks)
        before = len(looks)
        async with session.get("/api/live") as reply:
            assert await first(reply) == [before + 1]


async def quiet(looks: Looks) -> None:
    """Until nobody looks any more."""
    seen = -1
    while seen != len(looks) or not looks:
        seen = len(looks)
        await asyncio.sleep(0.3)


async def test_looking_takes_a_fifth_of_the_time_at_most(quick: None) -> None:
    """A look that takes long is made less often."""
    ends: list[float] = []

    async def slow() -> Json:
        await asyncio.sleep(0.02)
        ends.append(time.monotonic())
        return {"look": len(ends)}

    async with front(SIGHTS._replace(overview=slow)) as session, session.get("/api/live") as reply:
        await first(reply, 3)
    assert min(later - before for before, later in pairwise(ends)) >= 0.099


async def test_who_reads_slowly_misses_some_and_holds_up_nobody(quick: None) -> None:
    """A slow client costs nothing: what it did not take is not kept for it."""
    looks: Looks = []
    async with (
        serving(counting(looks, 400_000)) as server,
        aiohttp.ClientSession(f"http://{server.address}") as session,
        slow_listener(server) as slow,
    ):
        async with session.get("/api/live") as reply:
            in_time = await first(reply, 60)
        assert in_time == list(range(in_time[0], in_time[0] + 60))
        late = await numbers(slow, 50)
        assert late == sorted(late)
        assert late[-1] - late[0] > 50


async def test_who_takes_nothing_any_more_is_let_go_of(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gone client costs nothing, also where the network does not say that it has gone."""
    monkeypatch.setattr(live, "STUCK_S", 0.1)
    looks: Looks = []
    async with serving(counting(looks, 1_500_000)) as server, slow_listener(server), asyncio.timeout(10):
        await quiet(looks)  # which is, once nobody listens
    assert looks


async def test_it_ends_when_the_server_stops_and_does_not_hold_that_up() -> None:
    """Ends at drain."""
    server = serving(counting([]))
    await server.start()
    async with (
        aiohttp.ClientSession(f"http://{server.address}") as session,
        session.get("/api/live") as reply,
    ):
        assert await first(reply) == [1]
        began_s = time.monotonic()
        await server.stop()
        assert time.monotonic() - began_s < SHUTDOWN_S / 2
        assert await first(reply) == []


async def test_one_too_many_is_told_so(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded; and who goes makes room."""
    monkeypatch.setattr(live, "MOST", 2)
    async with front(SIGHTS._replace(overview=counting([]))) as session:
        kept = [await session.get("/api/live") for _ in range(2)]
        async with session.get("/api/live") as refused:
            assert refused.status == 503
            assert await refused.json() == {"error": "2 pages listen already; close one of them"}
        kept.pop().close()
        await asyncio.sleep(0.1)
        assert await status(session, "/api/live") == 200
        kept.pop().close()


async def test_a_look_that_fails_ends_the_stream_and_the_next_begins_anew(quick: None) -> None:
    """A fault of ours is in the log; the page comes again."""
    looks: Looks = []

    async def broken_once() -> Json:
        looks.append(0.0)
        if len(looks) == 2:
            raise KeyError("inside")
        return {"look": len(looks)}

    async with front(SIGHTS._replace(overview=broken_once)) as session:
        async with session.get("/api/live") as reply:
            assert await first(reply, 5) == [1]
        async with session.get("/api/live") as reply:
            assert await first(reply) == [3]


async def test_the_stream_is_guarded_by_the_token(quick: None) -> None:
    """As all else."""
    async with front(SIGHTS._replace(overview=counting([])), token="s3cret") as session:
        assert await status(session, "/api/live") == 401
        assert await status(session, "/api/overview") == 401
        assert await status(session, "/api/live", "Bearer s3cret") == 200


async def test_no_task_is_left_behind(quick: None) -> None:
    """Streams that end leave nothing that runs on."""
    before = asyncio.all_tasks()
    async with front(SIGHTS._replace(overview=counting([]))) as session, session.get("/api/live") as reply:
        await first(reply)
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == before
