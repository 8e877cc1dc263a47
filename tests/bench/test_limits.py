"""The limits must really do what they are said to do: else every ratio to them is flattery."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from stream.bench.children import Children
from stream.bench.gateway import Gateway, calls_per_s, gateway
from stream.bench.load import CLIENT_ID, Writer, campaign, message_id, sends, violations
from stream.model import StartError
from stream.wire.wire import Wire
from tests.topics import FreshTopics


@pytest.fixture
def children() -> Iterator[Children]:
    with Children() as running:
        yield running


@pytest.fixture
def simulator(children: Children) -> Iterator[Gateway]:
    with gateway(children, children.folder) as running:
        yield running


@pytest.mark.parametrize("mode", ["asyncio", "uvloop", "raw"])
def test_a_bare_client_calls_as_often_as_it_was_told(children: Children, simulator: Gateway, mode: str) -> None:
    """Same simulator, same bodies as the service's: each call accepted, none twice."""
    children.run("stream.bench.bare_calls", mode, simulator.url, simulator.key_file, 30, 7, 4)
    calls = simulator.calls()
    assert sorted(call.notify_id for call in calls) == list(range(30))
    assert {call.tokens for call in calls} == {7}
    assert simulator.devices() == 210
    assert calls_per_s(calls) > 0
    simulator.forget()
    assert simulator.calls() == []


def test_a_refused_call_is_no_figure(children: Children, simulator: Gateway) -> None:
    """A client that is refused may be quick; its rate must not be taken for one."""
    with pytest.raises(StartError, match="ended with status"):
        children.run("stream.bench.bare_calls", "raw", simulator.url, simulator.key_file, 5, 1_001, 1)
    with pytest.raises(StartError, match="refused 1 calls"):
        simulator.calls()


def test_the_bare_loop_stores_every_record_as_it_came(children: Children, topics: FreshTopics, tmp_path: Path) -> None:
    """The limit of (a) writes what the service writes: each record's bytes."""
    [topic] = topics.create("sends", partitions=2)
    records = list(sends(range(1_200), 1))
    Writer(topics.bootstrap_servers, linger_ms=5).write(topic, records)
    for mode in ("consume", "store"):
        folder = tmp_path / mode
        said = children.run("stream.bench.bare_reading", mode, topics.bootstrap_servers, topic, 2, 1_200, folder)
        assert float(said) > 0
    store = Rdict(str(tmp_path / "store"), Options(raw_mode=True))
    assert sorted(store.values()) == sorted(value for _, value in records)
    store.close()


def test_a_writer_that_finds_no_broker_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, before anything is timed."""
    monkeypatch.setattr("stream.bench.load._CONNECT_WITHIN_S", 0.2)
    with pytest.raises(StartError, match="who leads bench\\.violations"):
        Writer("127.0.0.1:9", linger_ms=0).connect("bench.violations")


def test_sends_of_the_load_are_what_the_service_reads() -> None:
    """Valid records: keys are messageIds, tokens 112 characters, notifyIds their numbers."""
    wire = Wire()
    for tokens in (1, 3):
        for number, (key, value) in enumerate(sends(range(2), tokens)):
            wire.check_send(key, value)
            send = wire.send(value)
            assert (key.decode(), send.head.notify_id, send.head.client_id) == (message_id(number), number, CLIENT_ID)
            assert [len(token) for token in dict.fromkeys(send.tokens)] == [112] * tokens
    assert wire.violation(*next(violations([5]))).message_id == message_id(5)


def test_a_campaigns_tokens_are_all_different() -> None:
    """Else they would travel in fewer calls than ten."""
    sent = [Wire().send(value) for _, value in campaign(4, 50)]
    assert len({send.tokens for send in sent}) == 50
    assert {send.head.notify_id for send in sent} == {4}


def test_a_child_that_fails_says_why(children: Children) -> None:
    """One sentence with the end of what it complained about."""
    with pytest.raises(StartError, match=r"(?s)stream-\d+ ended with status 2: .*--no-such-flag"):
        children.run("stream", "simulate", "--no-such-flag")


def test_children_end_with_us(tmp_path: Path) -> None:
    """However we end: a watcher takes processes and folder."""
    code = (
        "import os, sys; from stream.bench.children import Children; c = Children();"
        "child = c.start('http.server', '0', '--bind', '127.0.0.1');"
        "print(c.folder, child.process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False).stdout
    folder, pid = said.split()
    for path in (Path(folder), Path(f"/proc/{pid}/exe")):
        _gone(path)


def _gone(path: Path) -> None:
    until_s = time.monotonic() + 5
    while path.exists():
        assert time.monotonic() < until_s, f"{path} is still there"
        time.sleep(0.02)
