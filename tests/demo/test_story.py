"""``unpush demo``, played: the real service on the embedded broker, the simulator as a process of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import structlog
from rich.console import Console

from stream.__main__ import main
from stream.brokers.mock import MockKafka
from stream.commands import demo
from stream.demo import author
from stream.demo.author import write
from stream.demo.judge import Book, Kind
from stream.demo.stage import Gateway, broker
from stream.demo.story import tell
from stream.demo.view import PlainView
from stream.model import Outcome, StartError
from stream.service.story import Service

ROOT = Path(__file__).parents[2]
SMALL = ("--sends", "120", "--violations", "40")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A story of a second, and a folder where its files would stay; the log is as before afterwards."""
    monkeypatch.setattr(demo, "SPAN_S", 1.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    root = logging.getLogger()
    handlers, level, interval_s = list(root.handlers), root.level, sys.getswitchinterval()
    yield tmp_path
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    sys.setswitchinterval(interval_s)


class Visiting(PlainView):
    """Opens the page as soon as its address is said."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.visit: asyncio.Task[list[str]] | None = None

    def say(self, line: str) -> None:
        super().say(line)
        if found := re.search(r"What the service says of itself: (http://\S+/) ", line):
            self.visit = asyncio.create_task(visited(found[1]))


async def visited(address: str) -> list[str]:
    """What stands at the page's address, and where it asks for more."""
    async with aiohttp.ClientSession(address, raise_for_status=True) as session:
        return [await (await session.get(path)).text() for path in ("/", "/api/overview")]


async def test_the_whole_story_is_told_and_the_judge_finds_nothing(tmp_path: Path) -> None:
    """Issue 4, point 5: the real pipeline, checked against the simulator's book; with the page that it serves."""
    plan = write(5, 120, 40, 1.0)
    stage = broker(kafka=False)
    stage.start()
    try:
        with (tmp_path / "view").open("w") as out:
            view = Visiting(Console(file=out))
            ended = await tell(plan, stage, tmp_path, view)
    finally:
        stage.stop()
    assert view.visit is not None
    page, overview = await view.visit
    assert "<title>Unpush</title>" in page
    assert '"violations":{"CRITICAL"' in overview
    assert ended.breaches == []
    assert ended.standing.done
    assert {Outcome.PARTIALLY_REVOKED, Outcome.NOT_FOUND, Outcome.WITHDRAWN} <= ended.standing.outcomes.keys()
    assert ended.standing.devices == sum(counts["devices"] for counts in ended.counts.values())


def test_all_is_well_is_exit_0_and_no_file_stays(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *SMALL]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1].startswith("All is well: 40 of 40 violations settled")
    assert said.err == ""
    assert list(quick.iterdir()) == []


def test_a_book_that_disagrees_is_exit_1_and_says_what_and_where_the_log_is(
    quick: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Gateway.book

    async def one_innocent(gateway: Gateway) -> Book:
        book = await honest(gateway)
        return book._replace(revoked={**book.revoked, ("an app", 1): {"t" * 112: 1}})

    monkeypatch.setattr(Gateway, "book", one_innocent)
    assert main(["demo", *SMALL]) == 1
    out = capsys.readouterr().out
    assert f"1 × {Kind.INNOCENT.value}:" in out
    assert "NOT well: 40 of 40 violations settled; 1 tokens called that were not to be." in out
    (log,) = quick.iterdir()
    assert f"The service's log: {log}" in out
    assert "shards_came" in log.read_text()


def test_a_service_that_fails_is_exit_1_with_its_reason_and_its_log(
    quick: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(service: Service) -> None:
        structlog.get_logger().error("disk_full")
        raise StartError("the store cannot be written")

    monkeypatch.setattr(Service, "run", fails)
    assert main(["demo", *SMALL]) == 1
    (log,) = quick.iterdir()
    assert capsys.readouterr().err == f"unpush: the store cannot be written (the service's log: {log})\n"
    assert "disk_full" in log.read_text()


def test_a_broker_that_does_not_start_is_exit_1_and_leaves_no_empty_log(
    quick: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(broker: MockKafka) -> None:
        raise StartError("no broker today")

    monkeypatch.setattr(MockKafka, "start", refuses)
    assert main(["demo", *SMALL]) == 1
    assert capsys.readouterr().err == "unpush: no broker today\n"
    assert list(quick.iterdir()) == []


def test_a_size_that_the_embedded_broker_cannot_keep_is_refused_with_the_way_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit 2, before anything starts."""
    assert main(["demo", "--sends", "20000"]) == 2
    said = capsys.readouterr()
    assert re.fullmatch(r"unpush: --sends 20000 --violations 400 would put \d+\.\d MB .* --kafka for .*\n", said.err)
    assert said.out == ""


@pytest.mark.parametrize("broker", [[], ["--kafka"]])
def test_a_size_that_no_memory_holds_is_refused_before_it_is_written(
    broker: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2; else the kernel kills it while the plan is made, and nobody is told why."""
    monkeypatch.setattr(author, "_Author", None)
    assert main(["demo", "--sends", "100000000", "--violations", "30", *broker]) == 2
    assert capsys.readouterr().err == (
        "unpush: --sends 100000000: at most 200,000, since the whole story is kept in memory\n"
    )


# --- how it ends when it is not let finish


@pytest.fixture
def playing(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command as a process of its own, its service at work, and where its simulator is."""
    with subprocess.Popen(
        [sys.executable, "-m", "stream", "demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = ""
        for line in process.stdout:
            url = line.split()[-1] if "simulator at" in line else url
            if re.search(r"settled [1-9]", line):
                break
        yield process, url
        process.kill()


def refuses(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) != 0


@pytest.mark.parametrize("pressed", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly_within_seconds(
    playing: tuple[subprocess.Popen[str], str], tmp_path: Path, pressed: signal.Signals
) -> None:
    """Exit 1, no traceback, no file, no simulator left."""
    process, url = playing
    started_s = time.monotonic()
    process.send_signal(pressed)
    said = process.communicate(timeout=30)[0]
    assert time.monotonic() - started_s < 5
    assert process.returncode == 1
    assert said.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
    assert refuses(url)


def test_the_simulator_ends_with_us_even_by_kill_9(playing: tuple[subprocess.Popen[str], str]) -> None:
    process, url = playing
    assert not refuses(url)
    process.kill()
    process.wait()
    deadline_s = time.monotonic() + 5
    while not refuses(url) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert refuses(url)
