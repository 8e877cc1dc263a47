"""A disk that is full, and has room again: a small tmpfs of the test's own."""

from __future__ import annotations

import json
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.disk import fill
from tests.scenarios.service import Instance
from tests.scenarios.town import Town

SEND_TOKENS, SENDS = 1_000, 1_000
"""Some 42 MB: more than RocksDB keeps in memory before it must write."""


def ask(instance: Instance, path: str) -> tuple[int, str]:
    """Status and body, within a second."""
    address = instance.wait_for("listening")["address"]
    try:
        with urlopen(f"http://{address}{path}", timeout=1) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def until_it_stands_still(town: Town, small_disk: Path) -> tuple[Instance, Path]:
    """A service that has done some work, and whose disk is full."""
    instance = town.run(store={"path": str(small_disk / "state")}).wait_until_it_works()
    sends, violations = town.maker.all_kinds(100)
    town.tell(sends, violations)
    town.wait_until_settled()
    ballast = fill(small_disk)
    more = [town.maker.send(tokens=SEND_TOKENS) for _ in range(SENDS)]
    town.tell(more, town.maker.violations(send.head.message_id for send in more[::10]))
    instance.wait_for("reading_waits")
    return instance, ballast


def test_on_a_full_disk_reading_stands_still_and_goes_on_when_there_is_room(town: Town, small_disk: Path) -> None:
    """The event loop and /livez stay alive, /readyz says why; nothing is lost."""
    instance, ballast = until_it_stands_still(town, small_disk)
    for _ in range(20):
        assert ask(instance, "/livez")[0] == 200
        time.sleep(0.1)
    status, body = ask(instance, "/readyz")
    assert status == 503
    assert "store refuses writes for now" in str(json.loads(body)["reasons"])
    ballast.unlink()
    town.wait_until_settled()
    instance.wait_for("reading_goes_on")
    town.judge()
    town.wait_until(lambda: ask(instance, "/readyz")[0] == 200, what="readiness")
    assert instance.stop() == 0


def test_sigterm_on_a_full_disk_drains_and_the_next_start_finishes(town: Town, small_disk: Path) -> None:
    """SIGTERM stays alive: exit 0 within the drain; the next start, with room, goes on."""
    instance, ballast = until_it_stands_still(town, small_disk)
    began_s = time.monotonic()
    assert instance.stop() == 0
    assert time.monotonic() - began_s < 25
    full = town.run(store={"path": str(small_disk / "state")})
    full.dismissed = True
    assert full.ended() == 1
    said = full.text.strip().splitlines()[-1]
    assert said.startswith(f"unpush: the store {small_disk / 'state'}"), said
    assert "No space left on device" in said
    ballast.unlink()
    again = town.run(store={"path": str(small_disk / "state")})
    town.wait_until_settled()
    town.judge()
    assert again.stop() == 0
