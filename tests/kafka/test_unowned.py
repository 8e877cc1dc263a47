"""Shards that nobody has, on Apache Kafka itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain

import pytest
from confluent_kafka import Consumer

from stream.kafka import properties, unowned
from stream.kafka.cluster import Cluster
from stream.kafka.unowned import Unowned, assigned, visit
from stream.settings import Settings, default_settings
from tests.topics import FreshTopics

ALL = frozenset(range(4))


def settings_of(topics: FreshTopics, name: str) -> Settings:
    """A static member; its session outlasts a new start."""
    given = {"group.instance.id": name, "session.timeout.ms": "30000"}
    return default_settings(
        kafka={"bootstrap_servers": topics.bootstrap_servers, "group_id": topics.group_id, "properties": given}
    )


def let_go_and_hang(bootstrap_servers: str, prefix: str) -> None:
    """A process of its own, which is killed in the moment that matters: it has let shards go and not joined again."""
    topics = FreshTopics(bootstrap_servers, prefix)

    def hang(*_: object) -> None:
        print("gone", flush=True)
        time.sleep(300)

    member = Consumer(properties.member(settings_of(topics, "a")))
    member.subscribe([topics.name("violations")], on_assign=lambda *_: print("came", flush=True), on_revoke=hang)
    while True:
        member.poll(0.1)


@contextmanager
def dying(topics: FreshTopics) -> Iterator[subprocess.Popen[str]]:
    given = f"{topics.bootstrap_servers!r}, {topics.prefix!r}"
    script = f"from tests.kafka import test_unowned as t; t.let_go_and_hang({given})"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def joined(topics: FreshTopics, name: str) -> Iterator[Consumer]:
    member = Consumer(properties.member(settings_of(topics, name)))
    visit(member, topics.name("violations"))
    try:
        yield member
    finally:
        member.close()


def polled_until(members: list[Consumer], true: Callable[[], bool], within_s: float = 40.0) -> bool:
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        if true():
            return True
        for member in members:
            member.poll(0.05)
    return False


def test_a_shard_that_a_killed_static_member_left_to_nobody_is_shared_out_again(
    topics: FreshTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between letting it go and joining again, it comes back to what the last round gave it; no round follows
    by itself."""
    monkeypatch.setattr(unowned, "LOOK_EVERY_S", 0.0)
    topics.create("violations", "results")
    settings = settings_of(topics, "look")
    cluster, violations = Cluster(settings), topics.name("violations")

    def given() -> list[bytes] | None:
        return cluster.assignments(topics.group_id)

    def owned() -> frozenset[int] | None:
        found = given()
        return None if found is None else frozenset(chain.from_iterable(assigned(each, violations) for each in found))

    look = Unowned(properties.member(settings), violations, len(ALL), topics.name("results"), given)
    with ExitStack() as stack:
        first = stack.enter_context(dying(topics))
        assert first.stdout is not None
        assert first.stdout.readline() == "came\n"
        look.look(time.monotonic())
        second = stack.enter_context(joined(topics, "b"))
        assert polled_until([second], lambda: owned() is not None and len(owned() or ()) < len(ALL))
        assert first.stdout.readline() == "gone\n"
        first.send_signal(signal.SIGKILL)
        members = [second, stack.enter_context(joined(topics, "a"))]
        assert not polled_until(members, lambda: owned() == ALL, within_s=4.0)
        now_s = time.monotonic()
        look.look(now_s)
        look.look(now_s + unowned.PATIENCE_S[0] - 0.1)
        assert owned() != ALL, "it may be settled by itself yet"
        looking = stack.enter_context(ThreadPoolExecutor(1)).submit(look.look, now_s + unowned.PATIENCE_S[1])
        assert polled_until(members, lambda: looking.done() and owned() == ALL)


def test_a_guest_that_waits_holds_up_no_end() -> None:
    """SIGTERM drains within its time: a group that answers nobody must not keep the process."""
    kafka = {"bootstrap_servers": "127.0.0.1:1", "properties": {"group.instance.id": "a"}}
    member = properties.member(default_settings(kafka=kafka))
    look = Unowned(member, "violations", 1, "results", lambda: [b""])
    look.look(unowned.LOOK_EVERY_S)
    begun_s = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look.look, 2 * unowned.LOOK_EVERY_S + unowned.PATIENCE_S[1])
        time.sleep(0.5)
        assert not looking.done()
        look.stop()
    assert time.monotonic() - begun_s < unowned.JOINED_WITHIN_S / 2
