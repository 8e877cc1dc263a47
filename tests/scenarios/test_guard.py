"""The guard on real processes: held, killed, still held, approved and withdrawn by command."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stream.model import Outcome, Send, Severity
from tests.scenarios.conftest import MakeTown
from tests.scenarios.gateway import ROOT
from tests.scenarios.service import Instance
from tests.scenarios.town import Town

APP, OTHER = "101000001", "101000002"
HELD, REVOKED = Outcome.HELD, Outcome.REVOKED


def command(*words: str, settings: Path) -> subprocess.CompletedProcess[str]:
    """``unpush …``, to its end."""
    line = [sys.executable, "-m", "stream", *words, "-c", str(settings)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def listening(instance: Instance) -> str:
    """Where its HTTP is."""
    return str(instance.wait_for("listening")["address"])


def asked_at(town: Town, instance: Instance, **guard: object) -> Path:
    """Settings that name where the instance listens."""
    return town.settings("asked", guard=guard, http={"listen": listening(instance), "token_file": "token"})


def metric(instance: Instance, name: str) -> str:
    """A line of its metrics."""
    request = urllib.request.Request(f"http://{listening(instance)}/metrics", headers={"Authorization": "Bearer abc"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        text = reply.read().decode()
    return next(line for line in text.splitlines() if line.startswith(name))


def outcomes(town: Town, message: str) -> list[Outcome]:
    """How its violations ended, result by result."""
    return [seen.result.outcome for seen in town.story.results if seen.result.message_id == message]


def message_of(*sends: Send) -> str:
    """Whose they are."""
    return sends[0].head.message_id


def ended(town: Town, *expected: tuple[str, list[Outcome]]) -> Callable[[], bool]:
    """Whether messages have exactly these results."""
    return lambda: all(outcomes(town, message) == found for message, found in expected)


def test_a_held_violation_waits_for_a_persons_word_through_kill_9(make_town: MakeTown) -> None:
    """Held whole, nothing of it called, others go on; after kill -9 held still and not said again, the hour remembered;
    approved by command it is revoked, withdrawn by command it ends."""
    town = make_town(apps=(APP,))
    (town.folder / "token").write_text("abc\n")
    limits: dict[str, Any] = {"max_devices_per_violation": 50, "max_devices_per_hour": 60}
    http = {"token_file": "token"}
    first = town.run(guard=limits, http=http).wait_until_it_works()
    big, other = (town.maker.send(tokens=80, app=APP) for _ in range(2))
    small = [town.maker.send(tokens=10, app=APP) for _ in range(5)]
    violations = [town.maker.violation(message_of(send), severity=Severity.HIGH) for send in (big, other, *small)]
    town.tell([big, other, *small], violations)
    results = [(message_of(big), [HELD]), (message_of(other), [HELD])]
    revoked = [(message_of(send), [REVOKED]) for send in small]
    town.wait_until(ended(town, *results, *revoked), 30, "what is held and what is not")
    assert town.push_kit.calls == 5
    said = first.wait_for("held", message_id=message_of(big))
    assert (said["devices"], said["allowed"]) == (80, 50)
    assert metric(first, "unpush_held_violations") == f'unpush_held_violations{{app="{APP}"}} 2.0'
    assert metric(first, "unpush_held_devices") == f'unpush_held_devices{{app="{APP}"}} 160.0'
    first.kill()
    town.lose_store()
    second = town.run(guard=limits, http=http).wait_until_it_works()
    hour = town.maker.send(tokens=11, app=APP)
    town.tell([hour], [town.maker.violation(message_of(hour), "v-hour")])
    town.wait_until(ended(town, (message_of(hour), [HELD]), *results), 30, "the hour's hold")
    assert "would come to 61 devices" in str(town.story.results[-1].result.detail)
    assert town.push_kit.calls == 5
    settings = asked_at(town, second, **limits)
    approving = command("approve", violations[0].violation_id, settings=settings)
    assert (approving.returncode, approving.stderr) == (0, "")
    assert "it was held, 0 of 80 settled" in approving.stdout
    assert command("withdraw", violations[1].violation_id, settings=settings).returncode == 0
    unknown = command("approve", "nobody", settings=settings)
    assert unknown.returncode == 1
    assert "violation 'nobody' is not known here" in unknown.stderr
    results = [(message_of(big), [HELD, REVOKED]), (message_of(other), [HELD, Outcome.WITHDRAWN])]
    town.wait_until(ended(town, *results), 30, "what the commands said")
    assert town.push_kit.calls == 6
    assert second.stop() == 0
    blind = command("withdraw", "v-hour", "--message", message_of(hour), settings=settings)
    assert blind.returncode == 0, blind.stderr
    town.run(guard=limits, http=http)
    town.wait_until(ended(town, (message_of(hour), [HELD, Outcome.WITHDRAWN])), 30, "the blind withdrawal")
    town.pass_time(0.5)
    assert ended(town, *results, *revoked)()
    town.judge_logs()


def test_an_app_that_shares_notify_ids_is_held_by_the_next_process_too(make_town: MakeTown) -> None:
    """Found by one process, which kill -9 ends; the next holds its violations, and calls those of other apps."""
    town = make_town(apps=(APP, OTHER))
    asked: dict[str, Any] = {f'push_kit__apps__"{APP}"': {"hold_shared_notify_ids": True}}
    first = town.run(**asked).wait_until_it_works()
    pairs = [_one_slot_twice(town, app) for app in (APP, OTHER)]
    town.tell(send for pair in pairs for send in pair)
    for app in (APP, OTHER):
        assert first.wait_for("notify_id_reused", client_id=app)["notify_id"] == _slot_of(pairs, app)
    first.kill()
    second = town.run(**asked).wait_until_it_works()
    town.tell([town.maker.violation(message_of(send)) for send, _ in pairs])
    held, called = (message_of(send) for send, _ in pairs)
    town.wait_until(ended(town, (held, [HELD]), (called, [REVOKED])), 30, "what is held and what is not")
    assert town.push_kit.calls == 1
    assert f"push_kit.apps.{APP}.hold_shared_notify_ids" in second.wait_for("held", message_id=held)["cause"]


def _one_slot_twice(town: Town, app: str) -> tuple[Send, Send]:
    """Two messages for one device under one notifyId."""
    first = town.maker.send(app=app)
    second = town.maker.send(tokens=first.tokens, app=app)
    return first, second._replace(head=second.head._replace(notify_id=first.head.notify_id))


def _slot_of(pairs: list[tuple[Send, Send]], app: str) -> int | None:
    return next(send.head.notify_id for send, _ in pairs if send.head.client_id == app)
