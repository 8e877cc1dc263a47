"""A log that cannot be written: it ends nothing, holds nobody up, and says afterwards what is missing."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from confluent_kafka import Producer

from stream.brokers.mock import MockKafka
from stream.model import Send, SendHead, Severity, Status, ViolationEvent
from stream.operate import log_lines
from stream.operate.log_lines import Lines
from stream.pushkit.simulator import AppFaults, End, Failure, Faults, Simulator, make_key_file
from stream.wire.wire import Wire
from tests.operate.running import APP, TOPICS, written_settings

ROOT = Path(__file__).parents[2]
FULL_DISK = Path("/dev/full")

needs_full_disk = pytest.mark.skipif(not FULL_DISK.exists(), reason="no /dev/full on this machine")


def full_pipe() -> tuple[int, int]:
    """One that nobody reads."""
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETFL, os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(writes, b"x" * 4096)
    fcntl.fcntl(writes, fcntl.F_SETFL, 0)
    return reads, writes


def read_until(reads: int, end: bytes, within_s: float = 10) -> bytes:
    os.set_blocking(reads, False)
    found, until_s = b"", time.monotonic() + within_s
    while not found.endswith(end):
        assert time.monotonic() < until_s, found[-200:]
        with suppress(BlockingIOError):
            found += os.read(reads, 2**20)
        time.sleep(0.005)
    return found


class Log:
    """Lines to a file, as the service has them."""

    def __init__(self, fd: int, max_bytes: int = 1_000) -> None:
        self.lines = Lines(fd, lambda lost: self.lines.write(f"lost {lost}\n"), max_bytes)

    def say(self, *numbers: int) -> None:
        for number in numbers:
            self.lines.write(f"{number:09}\n")


def numbered(*numbers: int) -> str:
    return "".join(f"{number:09}\n" for number in numbers)


def test_lines_come_out_in_their_order_however_many() -> None:
    reads, writes = os.pipe()
    log = Log(writes, max_bytes=2**20)
    log.say(*range(20_000))
    expected = numbered(*range(20_000))
    assert read_until(reads, b"000019999\n").decode() == expected
    assert log.lines.settle(5)


def test_a_reader_that_reads_nothing_holds_nobody_up_and_is_told_later_what_is_missing() -> None:
    """The oldest are kept, up to the bound; the gap is said where it is."""
    reads, writes = full_pipe()
    log = Log(writes)
    before_s = time.monotonic()
    log.say(*range(250))
    assert not log.lines.settle(0.05)
    assert time.monotonic() - before_s < 1
    said = read_until(reads, b"lost 150\n").decode()
    assert said.lstrip("x") == numbered(*range(100)) + "lost 150\n"
    log.say(250)
    assert read_until(reads, numbered(250).encode()).decode() == numbered(250)


@needs_full_disk
def test_on_a_full_disk_lines_wait_and_come_out_when_there_is_room(tmp_path: Path) -> None:
    fd = os.open(FULL_DISK, os.O_WRONLY)
    log = Log(fd)
    log.say(*range(120))
    assert not log.lines.settle(0.05)
    room = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(room, fd)
    assert log.lines.settle(5)
    assert (tmp_path / "log").read_text() == numbered(*range(100)) + "lost 20\n"


def test_a_line_that_a_full_disk_tore_is_ended_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk takes the first half of a write, and refuses the next."""
    reads, writes = os.pipe()
    given: list[int | OSError] = [4, OSError(28, "No space left on device"), 3]
    write = os.write

    def torn(fd: int, data: bytes) -> int:
        now = given.pop(0) if given and fd == writes else len(data)
        if isinstance(now, OSError):
            raise now
        return write(fd, data[:now])

    monkeypatch.setattr(os, "write", torn)
    log = Log(writes)
    log.say(1, 2)
    assert log.lines.settle(5)
    assert read_until(reads, b"2\n").decode() == numbered(1, 2)


def test_at_the_end_all_is_written() -> None:
    reads, writes = os.pipe()
    with Log(writes).lines as lines:
        lines.write("the last words\n")
    assert os.read(reads, 100) == b"the last words\n"


def test_an_end_waits_for_nobody_and_what_is_printed_after_it_neither() -> None:
    reads, writes = full_pipe()
    before_s = time.monotonic()
    with Log(writes).lines as lines:
        lines.write("the last words\n")
    os.write(writes, b"unpush: a sentence\n" * 10_000)
    assert time.monotonic() - before_s < 2
    read_until(reads, b"the last words\n")


# --- the service itself


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_what_has_piled_up_comes_out_without_pauses_for_a_reader_who_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the last sentence of a process would not come out within the time that its end has."""
    monkeypatch.setattr(log_lines, "TOGETHER_S", 60.0)
    reads, writes = os.pipe()
    lines = Lines(writes, lambda _: None)
    for letter in "abcdefgh":
        lines.write(letter * 100_000 + "\n")
    assert len(read_until(reads, b"h" * 100_000 + b"\n")) == 800_008


class Town:
    """A service in a process of its own, whose log goes where the test says."""

    def __init__(self, process: asyncio.subprocess.Process, address: str, simulator: Simulator, servers: str) -> None:
        self.process, self.address, self.simulator = process, address, simulator
        self._producer = Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random", "linger.ms": 0})

    def tell(self, first: int, last: int) -> None:
        """So many messages with a violation each: a line of the log each."""
        now_ms, wire = int(time.time() * 1000), Wire()
        for number in range(first, last):
            name = f"m-{number}"
            send = Send(SendHead(name, APP, 7, 0, now_ms, None), (f"token-{number:04}".encode(),))
            event = ViolationEvent(f"v-{number}", name, Severity.HIGH, Status.CONFIRMED, "spam", None, now_ms)
            self._producer.produce("push.message-sent", wire.encode_send(send), name.encode())
            self._producer.produce("push.violation-detected", wire.encode_violation(event), name.encode())
        assert self._producer.flush(10) == 0

    async def until(self, right: Callable[[], object], within_s: float = 30) -> None:
        async with asyncio.timeout(within_s):
            while not right():
                assert self.process.returncode is None
                await asyncio.sleep(0.05)

    async def until_it_answers(self, path: str, within_s: float = 30) -> None:
        async with asyncio.timeout(within_s), aiohttp.ClientSession() as session:
            while True:
                assert self.process.returncode is None
                with suppress(aiohttp.ClientConnectionError):
                    async with session.get(f"http://{self.address}{path}") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    @property
    def called(self) -> int:
        """Tokens that Push Kit was asked to take back."""
        return sum(call.tokens for call in self.simulator.book.calls())


@asynccontextmanager
async def service(folder: Path, stderr: int) -> AsyncIterator[Town]:
    """`unpush run`, ready."""
    app = make_key_file(folder / "key.json", "project", APP)
    address = f"127.0.0.1:{free_port()}"
    with MockKafka(TOPICS) as kafka:
        async with Simulator([app]) as simulator:
            file = written_settings(folder, kafka.bootstrap_servers, simulator.url)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "stream", "run", "-c", str(file)),
                stderr=stderr,
                cwd=ROOT,
                env={**os.environ, "UNPUSH__HTTP__LISTEN": address},
            )
            town = Town(process, address, simulator, kafka.bootstrap_servers)
            try:
                await town.until_it_answers("/readyz")
                yield town
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


def full_disk() -> tuple[int, int]:
    return os.open(os.devnull, os.O_RDONLY), os.open(FULL_DISK, os.O_WRONLY)


def reader_gone() -> tuple[int, int]:
    reads, writes = os.pipe()
    os.close(reads)
    return os.open(os.devnull, os.O_RDONLY), writes


@pytest.mark.parametrize("broken", [pytest.param(full_disk, marks=needs_full_disk), reader_gone, full_pipe])
async def test_a_log_that_cannot_be_written_stops_no_revoking_and_no_end(
    tmp_path: Path, broken: Callable[[], tuple[int, int]]
) -> None:
    """It revokes, answers, drains at SIGTERM and exits 0."""
    reads, writes = broken()
    async with service(tmp_path, writes) as town:
        town.tell(0, 100)
        await town.until(lambda: town.called >= 100)
        await town.until_it_answers("/livez", 2)
        town.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(town.process.wait(), 10) == 0
    os.close(reads)
    os.close(writes)


@pytest.mark.parametrize("broken", [pytest.param(full_disk, marks=needs_full_disk), reader_gone, full_pipe])
@pytest.mark.parametrize(("setting", "code"), [("kafka.bootstrap = 1", 2), ('push_kit.key_file = "none.json"', 2)])
def test_a_start_that_fails_ends_though_nobody_can_be_told(
    tmp_path: Path, broken: Callable[[], tuple[int, int]], setting: str, code: int
) -> None:
    """With its own exit code."""
    (tmp_path / "unpush.toml").write_text(f'kafka.bootstrap_servers = "127.0.0.1:1"\n{setting}\n')
    reads, writes = broken()
    command = [sys.executable, "-m", "stream", "run", "-c", str(tmp_path / "unpush.toml")]
    assert subprocess.run(command, stderr=writes, cwd=ROOT, timeout=20, check=False).returncode == code
    os.close(reads)
    os.close(writes)


async def test_a_second_signal_ends_it_though_nobody_reads_its_log(tmp_path: Path) -> None:
    reads, writes = full_pipe()
    async with service(tmp_path, writes) as town:
        await town.simulator.set_faults(Faults(apps={APP: AppFaults(failures=(Failure(End.HANG_BEFORE),))}))
        town.tell(0, 10)
        await town.until(lambda: town.called >= 1)
        town.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        assert town.process.returncode is None
        town.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(town.process.wait(), 2) == 1
    os.close(reads)
    os.close(writes)


async def test_once_its_log_is_read_again_it_says_what_happened_meanwhile(tmp_path: Path) -> None:
    """All of it here, since it fitted; to the last words."""
    reads, writes = full_pipe()
    async with service(tmp_path, writes) as town:
        town.tell(0, 100)
        await town.until(lambda: town.called >= 100)
        town.process.send_signal(signal.SIGTERM)
        said = await asyncio.to_thread(read_until, reads, b"}\n")
        assert await asyncio.wait_for(town.process.wait(), 10) == 0
    said += os.read(reads, 2**20)
    events = [json.loads(line)["event"] for line in said.decode().lstrip("x").splitlines()]
    assert (events[0], events[-1], events.count("violation_ended")) == ("listening", "stopped", 100)
