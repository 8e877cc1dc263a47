"""Reuse of notifyIds, as it is found while sends are read: live and of a backlog."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from structlog.testing import capture_logs

from stream.block import turn_of
from stream.model import Topic
from stream.service import sampling
from stream.service.gauges import _reused as reused_told
from stream.work.reuse import Found, Message, Reuse
from tests.service.small_world import RETENTION_MS, SmallWorld

TOKENS = [Random(number).randbytes(56).hex() for number in range(3_000)]


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    return SmallWorld(tmp_path)


def test_an_app_that_gives_one_notify_id_to_two_messages_is_named_once(world: SmallWorld) -> None:
    """Live, with few slots, every one is looked at; the log says it once, not at each send."""
    with capture_logs() as said:
        for number, token in enumerate(TOKENS[:40]):
            world.send(f"m-{number}", [token, TOKENS[-1]])
            world.send(f"n-{number}", [token], app="other", notify_id=number)
            world.read(Topic.SENDS)
    assert world.sampling.reusing.keys() == {"app"}
    [warning] = [each for each in said if each["event"] == "notify_id_reused"]
    assert (warning["client_id"], warning["notify_id"], warning["messages"]) == ("app", 7, ["m-0", "m-1"])
    assert not any(token in str(said) for token in TOKENS)


def test_in_a_backlog_the_part_that_is_asked_for_is_found(world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of longer runs one slot in 2⁶ here: what is found is found in both of its messages."""
    monkeypatch.setattr(sampling, "BULK_HALVINGS", 6)
    for message in ("first", "second"):
        for number, token in enumerate(TOKENS):
            world.send(f"{message}-{number}", [token], notify_id=number)
            if number % 150 == 149:
                world.read(Topic.SENDS)
    seen = world.sampling.apps["app"]
    assert world.sampling.reusing.keys() == {"app"}
    assert seen.reused == seen.looked_at == sum(turn_of(token.encode()) < 2**32 >> 6 for token in TOKENS)


def test_a_campaign_and_sends_that_cannot_be_revoked_are_no_reuse(world: SmallWorld) -> None:
    """One message in many sends; and where no revoke can be made none takes anything away."""
    for number, token in enumerate(TOKENS):
        world.send("campaign", [token, TOKENS[number - 1]])
        world.send(f"m-{number}", [TOKENS[0]], notify_id=None)
        world.send(f"n-{number}", [TOKENS[0]], push_type=1)
        if number % 70 == 0:
            world.read(Topic.SENDS)
    world.read(Topic.SENDS)
    assert not world.sampling.reusing


def test_an_app_that_was_mended_is_forgiven_after_the_retention(world: SmallWorld) -> None:
    """Then no message of those can be revoked any more."""
    for message in "mn":
        world.send(message, [TOKENS[0]])
        world.read(Topic.SENDS)
    assert world.sampling.reusing.keys() == {"app"}
    world.clock.ms += RETENTION_MS + 1
    assert not world.sampling.reusing


def test_what_an_earlier_process_found_is_said_as_that() -> None:
    """Not "of 0 sampled slots 0 times"."""
    reuse = Reuse(RETENTION_MS, 0)
    reuse.recall(Found("app", 7, "m", "n"), 1)
    said = reused_told("app", reuse.apps["app"])
    assert "an earlier process found notifyId 7 for messages m and n; a revoke" in said
    reuse.look("app", 8, Message(b"o", "o"), [b"t"], 2)
    assert reused_told("app", reuse.apps["app"]) == said, "a slot more says nothing yet"
    reuse.look("app", 8, Message(b"p", "p"), [b"t"], 3)
    assert "of 1 sampled slots 1 times, the last notifyId 8 for messages o and p; a revoke" in reused_told(
        "app", reuse.apps["app"]
    )
