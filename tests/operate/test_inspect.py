"""Contract, Commands: `unpush inspect` asks the running service; exit 1 for what is unknown, one sentence always."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, cast

import pytest
from aiohttp import web
from rich.console import Console

from stream.__main__ import main
from stream.model import StartError
from stream.operate import shown
from stream.operate.asking import ask, own_address
from stream.operate.paths import message_path
from stream.settings import Address, HttpSettings, Secret
from tests.operate.running import running
from tests.operate.test_running import state


class Said(NamedTuple):
    """How one command ended."""

    code: int
    out: str
    err: str


async def unpush(*arguments: str) -> Said:
    """One command line, in a thread of its own: it has a loop of its own."""

    def run() -> Said:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            code = main(arguments)
        return Said(code, out.getvalue(), err.getvalue())

    return await asyncio.to_thread(run)


async def test_a_message_and_a_violation_are_shown_by_a_running_service(tmp_path: Path) -> None:
    """Human output, --json, and exit 1 for what it does not know; odd ids; the token from the settings."""
    (tmp_path / "token").write_text("s3cret-token")
    settings = 'http.token_file = "token"'
    async with running(tmp_path, settings, headers={"Authorization": "Bearer s3cret-token"}) as rig:
        await rig.ready()
        rig.send("m/1 ü", 5)
        rig.event("v?1", "m/1 ü")
        seen = (await state(rig, "v%3F1", "settled")).json
        where = ("-c", str(tmp_path / "unpush.toml"), "--at", rig.address)
        told = await unpush("inspect", "violation", "v?1", "--json", *where)
        assert (told.code, json.loads(told.out)) == (0, seen)
        told = await unpush("inspect", "violation", "v?1", "--message", "m/1 ü", *where)
        assert told.code == 0
        assert "settled: every known place has its result" in told.out
        assert "5 settled of 5 matched" in told.out
        told = await unpush("inspect", *where, "message", "m/1 ü")
        assert told.code == 0
        assert "1, with 5 tokens" in told.out
        [row] = [line for line in told.out.splitlines() if line.lstrip().startswith("v?1")]
        assert row.split()[1:4] == ["settled", "HIGH", "CONFIRMED"]
        assert "-token-" not in told.out
        told = await unpush("inspect", "violation", "nobody", *where)
        assert (told.code, told.out) == (1, "")
        assert "'nobody' is not known here" in told.err
        told = await unpush("inspect", "message", "nobody", "--json", *where)
        assert (told.code, "nothing is known" in json.loads(told.out)["error"]) == (1, True)
        told = await unpush("inspect", "message", "m", "--at", rig.address)
        assert (told.code, "http.token_file" in told.err, told.err.count("\n")) == (1, True, 1)
        assert "s3cret" not in told.err


# --- instances that are made up


@asynccontextmanager
async def instance(*answers: web.Response) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """A server that gives these answers in turn, the last for ever; where it is, and what it was asked."""
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        at = answers[min(len(asked), len(answers)) - 1]
        return web.Response(status=at.status, body=at.body, headers=at.headers)

    app = web.Application()
    app.router.add_get(r"/{any:[\s\S]*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://{Address(*runner.addresses[0])}", asked
    finally:
        await runner.cleanup()


KNOWN = web.json_response({"violationId": "v"})
UNKNOWN = web.json_response({"error": "message 'm' belongs to partition 3", "partition": 3}, status=404)
SETTINGS = HttpSettings(Address("127.0.0.1", 8070), None, None, Secret("t"))


def elsewhere(url: str) -> web.Response:
    """307 to there."""
    return web.Response(status=307, headers={"Location": url})


def test_what_the_guard_holds_says_why() -> None:
    """The sentence that a person decides by."""
    console = Console(file=io.StringIO(), width=200)
    console.print(*shown.violation({"state": "held", "heldFor": "it would revoke 3 devices"}))
    console.print(*shown.violation({"state": "active", "waitsFor": "app 7 makes no calls: no key_file"}))
    assert isinstance(console.file, io.StringIO)
    assert "it would revoke 3 devices" in console.file.getvalue()
    assert "waits for  app 7 makes no calls: no key_file" in " ".join(console.file.getvalue().split("   "))


def test_nothing_that_a_producer_chose_commands_the_terminal() -> None:
    """Ids and reasons are others' texts: an escape sequence is shown, not obeyed."""
    console = Console(file=io.StringIO(), width=200)
    console.print(*shown.violation({"violationId": "v\x1b[31m", "reason": "a\nb\x07", "state": "active"}))
    console.print(*shown.message({"messageId": "m\x9b2J", "violations": [{"violationId": "\x1b]0;title\x07"}]}))
    told = cast(io.StringIO, console.file).getvalue()
    assert not {"\x1b", "\x07", "\x9b"} & set(told)
    assert "v\\x1b[31m" in told


async def test_the_owner_is_asked_with_the_token_where_another_points_to_it() -> None:
    """Contract: an instance that does not own the message answers 307 to the one that does."""
    async with instance(KNOWN) as (owner, asked), instance(elsewhere(f"{owner}/api/messages/a%2Fb")) as (other, _):
        assert await ask(SETTINGS, "/api/messages/a%2Fb", [other]) == (
            True,
            {"violationId": "v"},
            f"{owner}/api/messages/a%2Fb",
        )
        assert asked[0].headers["Authorization"] == "Bearer t"
        assert asked[0].raw_path == "/api/messages/a%2Fb"


async def test_who_points_where_nobody_answers_is_asked_to_ask_there_itself() -> None:
    """The instances reach each other, but their names mean nothing behind a forwarded port."""
    async with instance(elsewhere(f"{closed()}/x?local=1"), KNOWN) as (url, asked):
        assert (await ask(SETTINGS, "/x?messageId=m", [url])).known
        assert [each.raw_path for each in asked] == ["/x?messageId=m", "/x?messageId=m&follow=1"]
    async with instance(elsewhere(f"{closed()}/x?local=1")) as (url, asked):
        with pytest.raises(StartError, match="no running service"):
            await ask(SETTINGS, "/x", [url])
        assert len(asked) == 2


async def test_instances_that_point_at_each_other_for_ever_are_left() -> None:
    async with instance(elsewhere("/again")) as (url, asked):
        with pytest.raises(StartError, match="from one instance to another"):
            await ask(SETTINGS, "/x", [url])
        assert len(asked) == 5


async def test_the_first_that_knows_it_answers_and_else_the_404_names_the_partition() -> None:
    async with instance(UNKNOWN) as (one, _), instance(KNOWN) as (other, _):
        assert (await ask(SETTINGS, "/x", [one, other])).known
        answer = await ask(SETTINGS, "/x", [one])
        assert (answer.known, answer.body["partition"]) == (False, 3)


async def test_an_id_that_no_address_can_hold_is_said_to_be_too_long() -> None:
    """Else the server's 400 would read as if no Unpush were there."""
    with pytest.raises(StartError, match="its address has 9014 characters, 8000 are taken"):
        await ask(SETTINGS, message_path("ü" * 1_500), [closed()])


async def test_who_does_not_answer_may_be_the_one_that_knows() -> None:
    """Unknown would be a lie then."""
    async with instance(UNKNOWN) as (one, _):
        with pytest.raises(StartError, match="no running service"):
            await ask(SETTINGS, "/x", [closed(), one])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (web.json_response({"error": "the search took too long"}, status=503), "cannot tell now: the search took"),
        (web.Response(text="<html>", status=200), "is no Unpush"),
        (web.json_response({"status": "ok"}, status=404), "is no Unpush"),
        (web.json_response({"error": "show the token"}, status=401), "http.token_file"),
    ],
)
async def test_what_cannot_tell_is_one_sentence(answer: web.Response, words: str) -> None:
    async with instance(answer) as (url, _):
        with pytest.raises(StartError, match=words):
            await ask(SETTINGS, "/x", [url])


def closed() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_nothing_running_is_exit_1_and_one_sentence() -> None:
    told = await unpush("inspect", "message", "m", "--at", closed())
    assert (told.code, told.out, told.err.count("\n")) == (1, "", 1)
    assert "is `unpush run` up" in told.err


def test_a_service_is_reached_from_its_own_machine() -> None:
    assert own_address(Address("0.0.0.0", 8070)) == "http://127.0.0.1:8070"
    assert own_address(Address("::", 8070)) == "http://[::1]:8070"
    assert own_address(Address("10.0.0.7", 80)) == "http://10.0.0.7:80"
    with pytest.raises(StartError, match="--at"):
        own_address(Address("127.0.0.1", 0))


def test_a_message_has_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "message", "x", "--message", "y"]) == 2
    assert "--message y" in capsys.readouterr().err


def test_what_is_missing_is_called_as_help_calls_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["inspect"])
    assert "required: {message,violation}, ID" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [[], ["message"], ["thing", "x"], ["message", "x", "--at", "nowhere"]])
def test_wrong_usage_is_exit_2(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["inspect", *wrong])
    assert caught.value.code == 2


@pytest.mark.parametrize("wrong", ["", "\udcff"])
@pytest.mark.parametrize(
    "asked",
    [
        ("inspect", "violation", "{}"),
        ("inspect", "violation", "v", "--message", "{}"),
        ("approve", "v", "{}", "-c", "unpush.toml"),
        ("withdraw", "{}", "--message", "m", "-c", "unpush.toml"),
        ("withdraw", "v", "--message", "{}", "-c", "unpush.toml"),
    ],
    ids=" ".join,
)
def test_an_id_that_no_record_can_have_is_exit_2(asked: tuple[str, ...], wrong: str) -> None:
    """No traceback, and no event that would be a dead letter."""
    with pytest.raises(SystemExit) as caught:
        main([word.format(wrong) for word in asked])
    assert caught.value.code == 2
