"""Several instances: whichever is asked, what one of the group knows is found."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from socket import create_server
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest

from stream.__main__ import main
from tests.scenarios.town import Town

TOKEN = "s3cret-of-all-instances"


class Reply(NamedTuple):
    """An answer: 307 is not followed."""

    status: int
    location: str | None
    body: dict[str, Any]


def ask(at: str, path: str) -> Reply:
    """GET with the token, from ``host:port``."""
    with closing(HTTPConnection(at, timeout=15)) as connection:
        connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        reply = connection.getresponse()
        return Reply(reply.status, reply.getheader("Location"), json.loads(reply.read()))


def until(right: Callable[[], bool], what: str, within_s: float = 15.0) -> None:
    """Ask until it is so."""
    until_s = time.monotonic() + within_s
    while not right():
        assert time.monotonic() < until_s, f"{what} did not come"
        time.sleep(0.1)


def two_ports() -> list[str]:
    """Addresses that nobody has, as far as can be known."""
    with ExitStack() as held:
        taken = [held.enter_context(create_server(("127.0.0.1", 0))) for _ in range(2)]
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in taken]


def shards(at: str) -> list[int]:
    """Those that an instance owns."""
    reply = ask(at, "/api/status")
    assert reply.status == 200, reply
    return [each["partition"] for each in reply.body["shards"]]


def test_whichever_instance_is_asked_the_owner_is_found_and_a_violation_by_its_id_alone(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """Contract: an instance that does not own the message's partition answers 307 to the one that does, or 404 that
    names the partition; a violationId is no key, so all are asked."""
    (town.folder / "token").write_text(TOKEN)
    a, b = two_ports()
    for name, at in (("a", a), ("b", b)):
        town.run(name, http={"listen": at, "token_file": "token"}).wait_for("listening")
    until(lambda: len(shards(a)) == len(shards(b)) == 2, "a share for each")
    sends = [town.maker.send("id with / and ? and €", 2), *(town.maker.send(tokens=2) for _ in range(9))]
    violations = town.maker.violations([each.head.message_id for each in sends])
    town.tell(sends, violations)
    town.wait_until_settled()

    owned: dict[str, set[str]] = {a: set(), b: set()}
    for each in violations:
        path = f"/api/messages/{quote(each.message_id, safe='')}"
        replies = {at: ask(at, path) for at in (a, b)}
        [owner] = [at for at, reply in replies.items() if reply.status == 200]
        [other] = {a, b} - {owner}
        owned[owner].add(each.violation_id)
        assert replies[other][:2] == (307, f"http://{owner}{path}?local=1")
        assert replies[other].body == {"partition": replies[owner].body["partition"], "owner": f"http://{owner}"}
        assert ask(other, f"{path}?local=1").body["partition"] == replies[owner].body["partition"]
        assert ask(other, f"{path}?follow=1").body["messageId"] == each.message_id
        assert urlsplit(replies[other].location).netloc == owner
        violation = f"/api/violations/{quote(each.violation_id, safe='')}"
        seen = [ask(at, violation) for at in (a, b)]
        assert [(reply.status, reply.body["messageId"]) for reply in seen] == [(200, each.message_id)] * 2
        assert ask(other, f"{violation}?local=1").status == 404
        assert ask(other, f"{violation}?messageId={quote(each.message_id, safe='')}").status == 307
    assert owned[a]
    assert owned[b]

    unknown = ask(a, "/api/violations/nobody")
    assert unknown.status == 404
    assert "nor by the others of the group (1 asked)" in unknown.body["error"]
    theirs = next(each for each in violations if each.violation_id in owned[b])
    for words in (("violation", theirs.violation_id), ("message", theirs.message_id)):
        assert main(["inspect", *words, "--json", "-c", str(town.folder / "a.toml")]) == 0
        assert json.loads(capsys.readouterr().out)["messageId"] == theirs.message_id

    town.instances[1].kill()
    silent = ask(a, "/api/violations/nobody")
    assert (silent.status, f"http://{b}: connection refused" in silent.body["error"]) == (503, True)
    until(lambda: len(shards(a)) == 4, "the other's share")
    path = f"/api/violations/{quote(theirs.violation_id, safe='')}"
    until(lambda: ask(a, path).status == 200, "what the other knew")
    assert TOKEN not in "".join(each.text for each in town.instances)
