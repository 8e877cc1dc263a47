"""What other instances own or know, with a group that is made up and real servers for its instances."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from socket import create_server
from threading import Event

import pytest
from aiohttp import web

from stream.kafka.fellows import Fellows, Instance
from stream.model import UnpushError
from stream.operate import neighbours
from stream.operate.http import Far, Json, Owner, Unknown
from stream.operate.neighbours import Neighbours, about_message, about_violation
from stream.service import elsewhere
from stream.service.elsewhere import Elsewhere
from stream.settings import Address, Secret

MINE = Unknown("message 'm' belongs to partition 2, which this instance does not own", 2)
NOT_HERE = Unknown("violation 'v' is not known here (this instance owns 1 of 4 partitions)")
VIOLATION: Json = {"violationId": "v", "state": "settled"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "HEAD_START_S", 0.02)
    monkeypatch.setattr(elsewhere, "LOOKED_WITHIN_S", 0.2)
    monkeypatch.setattr(neighbours, "WITHIN_S", 0.4)


class Server:
    """An instance that gives one answer, and keeps what it was asked."""

    def __init__(self, answer: Json | web.Response, status: int, wait_s: float) -> None:
        self.asked: list[web.Request] = []
        self.at = ""
        self._answer, self._status, self._wait_s = answer, status, wait_s

    async def reply(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        await asyncio.sleep(self._wait_s)
        if isinstance(self._answer, web.Response):
            given = self._answer
            return web.Response(status=given.status, body=given.body, headers=given.headers)
        return web.json_response(self._answer, status=self._status)


@asynccontextmanager
async def server(answer: Json | web.Response, status: int = 200, wait_s: float = 0.0) -> AsyncIterator[Server]:
    made = Server(answer, status, wait_s)
    app = web.Application()
    app.router.add_get(r"/{any:[\s\S]*}", made.reply)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.at = f"http://{Address(*runner.addresses[0])}"
    try:
        yield made
    finally:
        await runner.cleanup()


class Group:
    """What the brokers say, and how often they were asked."""

    def __init__(self, *ats: str | None, at_rest: bool = True, told: bool = True, wait_s: float = 0.0) -> None:
        others = tuple(Instance(frozenset({2 + place}), at) for place, at in enumerate(ats))
        self.fellows = Fellows(at_rest, others) if told else None
        self.wait_s = wait_s
        self.looks = 0

    def look(self) -> Fellows | None:
        self.looks += 1
        time.sleep(self.wait_s)
        return self.fellows


@asynccontextmanager
async def asking(group: Group, token: str | None = None) -> AsyncIterator[Elsewhere]:
    made = Elsewhere(group.look, Neighbours(None if token is None else Secret(token)))
    try:
        yield made
    finally:
        await made.close()


async def not_here() -> Json | Unknown:
    return NOT_HERE


async def anywhere(group: Group) -> Json | Unknown:
    """Violation v, which this instance does not know."""
    async with asking(group) as made:
        return await made.anywhere(about_violation("v", None), not_here())


def closed() -> str:
    """An address where nobody listens."""
    with closing(create_server(("127.0.0.1", 0))) as it:
        return f"http://127.0.0.1:{it.getsockname()[1]}"


# --- a message of another's


async def test_the_owner_is_pointed_to_or_asked_or_left_alone() -> None:
    """307; with ?follow=1 its answer; with ?local=1 the 404 that names the partition, and nobody is asked anything."""
    async with server({"messageId": "m"}) as owner:
        group = Group(owner.at)
        async with asking(group, "t") as made:
            question = about_message("m")
            assert await made.owned(MINE, question, Far.LOCAL) == MINE
            assert (group.looks, owner.asked) == (0, [])
            assert await made.owned(MINE, question, Far.POINT) == Owner(owner.at, 2)
            assert owner.asked == []
            assert await made.owned(MINE, question, Far.FOLLOW) == {"messageId": "m"}
        [asked] = owner.asked
        assert (asked.raw_path, asked.headers["Authorization"]) == ("/api/messages/m?local=1", "Bearer t")


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (Group(told=False), "the group does not tell which one does"),
        (Group("http://10.0.0.7:8070", wait_s=0.5), "the group does not tell which one does"),
        (Group(None), "names no address that can be reached from here: set its http.advertise"),
        (Group(), "no other does at this moment"),
        (Group(at_rest=False), "no other does at this moment"),
    ],
)
async def test_an_owner_that_cannot_be_named_is_404_with_the_partition_and_why(group: Group, words: str) -> None:
    """Contract: or 404 that names the partition. KIP-848's groups tell nothing; brokers may be away."""
    async with asking(group) as made:
        seen = await made.owned(MINE, about_message("m"), Far.POINT)
    assert isinstance(seen, Unknown)
    assert seen.partition == 2
    assert seen.why.startswith(MINE.why)
    assert words in seen.why


async def test_many_that_ask_at_once_look_at_the_group_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And for a few seconds after."""
    group = Group("http://10.0.0.7:8070", wait_s=0.05)
    async with asking(group) as made:
        await asyncio.gather(*(made.owned(MINE, about_message("m"), Far.POINT) for _ in range(20)))
        await made.owned(MINE, about_message("m"), Far.POINT)
        assert group.looks == 1
        made._stale_s = 0.0
        await made.owned(MINE, about_message("m"), Far.POINT)
        assert group.looks == 2


async def test_the_owners_404_is_passed_on_and_its_silence_is_503() -> None:
    """The partition has moved on meanwhile, or nobody answers there."""
    async with server({"error": "it moved", "partition": 2}, 404) as moved, asking(Group(moved.at, closed())) as made:
        assert await made.owned(MINE, about_message("m"), Far.FOLLOW) == Unknown("it moved", 2)
        with pytest.raises(UnpushError, match="connection refused"):
            await made.owned(MINE._replace(partition=3), about_message("m"), Far.FOLLOW)


# --- a violation that anybody may know


async def test_the_first_that_knows_a_violation_answers_for_all() -> None:
    """In parallel: who is slow or silent does not hold it up."""
    unknown: Json = {"error": "not known here"}
    async with server(unknown, 404) as one, server(VIOLATION) as knows, server(unknown, 404, wait_s=9) as slow:
        began_s = time.monotonic()
        assert await anywhere(Group(one.at, closed(), slow.at, knows.at, knows.at)) == VIOLATION
        assert time.monotonic() < began_s + 0.3
        assert [each.raw_path for each in knows.asked] == ["/api/violations/v?local=1"]


async def test_what_is_known_here_troubles_nobody_else() -> None:
    async def here() -> Json | Unknown:
        return VIOLATION

    group = Group("http://10.0.0.7:8070")
    async with asking(group) as made:
        assert await made.anywhere(about_violation("v", None), here()) == VIOLATION
    assert group.looks == 0


async def test_a_long_search_here_ends_where_another_knows_it() -> None:
    """And the other way round it is waited for."""
    ended = Event()

    async def here() -> Json | Unknown:
        try:
            await asyncio.sleep(9)
        finally:
            ended.set()
        return NOT_HERE

    async with server(VIOLATION) as knows, asking(Group(knows.at)) as made:
        assert await made.anywhere(about_violation("v", None), here()) == VIOLATION
        await asyncio.sleep(0)
        assert ended.is_set()


async def test_who_did_not_answer_is_named_and_unknown_is_not_said_then() -> None:
    """Who does not answer may be the one that knows: 503, not 404."""
    gone = closed()
    async with server({"error": "x"}, 404) as one, server(VIOLATION, wait_s=9) as slow, server({}) as none:
        with pytest.raises(UnpushError) as caught:
            await anywhere(Group(one.at, gone, slow.at, none.at))
    said = str(caught.value)
    assert said.startswith(NOT_HERE.why)
    assert f"{gone}: connection refused" in said
    assert f"{slow.at}: no answer in time" in said
    assert f"{none.at}: what answers there is no Unpush" in said
    assert one.at not in said


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (Group(told=False), "who else is in the group cannot be told"),
        (Group(None, None), "2 of the group could not be asked: http.advertise"),
        (Group(at_rest=False), "shards are moving just now"),
        (Group(), ""),
    ],
)
async def test_unknown_says_who_was_not_asked(group: Group, words: str) -> None:
    seen = await anywhere(group)
    assert isinstance(seen, Unknown)
    assert seen.why.startswith(NOT_HERE.why)
    assert words in seen.why


async def test_unknown_to_all_is_404_and_says_how_many_were_asked() -> None:
    async with server({"error": "x"}, 404) as one, server({"error": "x"}, 404) as other:
        assert await anywhere(Group(one.at, other.at)) == Unknown(
            f"{NOT_HERE.why}; nor by the others of the group (2 asked)"
        )


async def test_who_still_reads_the_past_may_know_it_later() -> None:
    """A 404 of the group says so, whoever of them it is."""
    async with server({"error": "x", "restoring": True}, 404) as one, server({"error": "x"}, 404) as other:
        seen = await anywhere(Group(one.at, other.at))
    assert isinstance(seen, Unknown)
    assert (seen.restoring, "2 asked, 1 of them still read the past" in seen.why) == (True, True)


async def test_a_search_here_that_took_too_long_is_said_where_nobody_else_knows_it() -> None:
    async def here() -> Json | Unknown:
        raise UnpushError("not found within 10 s of searching")

    async with server({"error": "x"}, 404) as one, asking(Group(one.at)) as made:
        with pytest.raises(UnpushError, match=r"^not found within 10 s of searching$"):
            await made.anywhere(about_violation("v", None), here())


# --- strangers at an address


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(text="<html>", content_type="text/html"),
        web.json_response({"violationId": "another"}),
        web.json_response(["v"]),
        web.json_response({"secret": "x"}, status=404),
        web.json_response({"error": "show the token"}, status=401),
        web.json_response({"violationId": "v", "reason": "x" * 2_000}),
    ],
)
async def test_what_is_not_about_what_was_asked_is_not_passed_on(
    answer: web.Response, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address comes from a member of the group: nothing of a stranger's answer gets through."""
    monkeypatch.setattr(neighbours, "MOST_BYTES", 1_000)
    async with server(answer) as stranger:
        with pytest.raises(UnpushError, match=stranger.at):
            await anywhere(Group(stranger.at))
        assert len(stranger.asked) == 1


async def test_no_redirect_is_followed() -> None:
    """Nobody in the group chooses where our token goes but by its own address."""
    async with server(VIOLATION) as further:
        there = web.Response(status=307, headers={"Location": f"{further.at}/api/violations/v"})
        async with server(there) as stranger:
            with pytest.raises(UnpushError, match="no Unpush"):
                await anywhere(Group(stranger.at))
        assert further.asked == []
