"""Apache Kafka itself, one or three KRaft nodes in a temporary folder, for tests, ``demo --kafka`` and the benchmark.

Promised: when ``start`` returns, every node answers and sees all the others; ``stop`` leaves no process and no file,
and when our own process is killed, a watcher does the same. Data survives ``kill_node``, not ``stop``.
Not promised: durability beyond the process (nothing is fsynced), Windows; nor a word about who may listen in, since
there always is a plain listener.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream.brokers.jars import class_path, java
from stream.model import StartError, UnpushError

READY_WITHIN_S: Final = 90
_CLUSTER_ID: Final = "MkU3OEVBNTcwNTJENDM2Qk"
_PORT_TRIES: Final = 4
_LOG_TAIL_BYTES: Final = 1_500

_LOG4J: Final = """\
log4j.rootLogger=WARN, S
log4j.appender.S=org.apache.log4j.ConsoleAppender
log4j.appender.S.layout=org.apache.log4j.PatternLayout
log4j.appender.S.layout.ConversionPattern=%d{ISO8601} %p %m (%c)%n
"""

_JVM_FLAGS: Final = (
    "-Xms64m",
    "-XX:TieredStopAtLevel=1",  # a test's broker lives too short for the second compiler
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "--sun-misc-unsafe-memory-access=allow",
)

_QUICK: Final[Mapping[str, str | int]] = {
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": 4,
    "log.cleaner.dedupe.buffer.size": 8 << 20,  # of 128 MB by default, on the heap from the start
    # Groups: assigned at once, failures noticed in seconds.
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1_000,
    "group.consumer.min.session.timeout.ms": 1_000,
    "group.consumer.session.timeout.ms": 4_000,
    "group.consumer.min.heartbeat.interval.ms": 200,
    "group.consumer.heartbeat.interval.ms": 500,
    # Nodes: a dead leader is replaced in some 5 s instead of 12.
    "broker.session.timeout.ms": 2_500,
    "broker.heartbeat.interval.ms": 500,
    "controller.quorum.fetch.timeout.ms": 1_000,
}

# Kafka is in sessions of its own, so neither Ctrl-C nor our death reaches it: this shell ends when our end of its
# standard input closes, however we die, and then takes the nodes and their folder with it.
_REAPER: Final = """
read -r _
for pid in "$1"/*/pid; do kill -s KILL -- "-$(cat "$pid")"; done
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
"""


class _PortTaken(UnpushError):
    """Somebody took a port between our look and Kafka's bind: choose others."""


@dataclass(frozen=True, slots=True)
class _Node:
    """Where one node lives. ``number`` is Kafka's own node id, from 1."""

    number: int
    folder: Path
    port: int
    controller_port: int
    secure_port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def settings(self) -> Path:
        return self.folder / "server.properties"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def quorum(self) -> Path:
        return self.folder / "data" / "__cluster_metadata-0" / "quorum-state"

    @property
    def pid_file(self) -> Path:
        return self.folder / "pid"


class ApacheKafka:
    """A Kafka cluster of ``nodes`` combined KRaft nodes, numbered from 1 as in Kafka's own metadata.

    ``properties`` are server properties and win over the defaults here (``{"message.max.bytes": 2_000_000}``).
    ``heap_mb`` is the heap of each node, at most; ``port`` the first node's, 0: a free one, as those of all others are.
    ``secure`` adds a listener SASL_SSL to the plain one; its certificate and its mechanisms are the properties' affair.
    May be started again after ``stop``, empty and at other ports.
    """

    def __init__(
        self,
        nodes: int = 1,
        properties: Mapping[str, str | int] | None = None,
        *,
        heap_mb: int = 512,
        port: int = 0,
        secure: bool = False,
    ) -> None:
        self._count, self._port, self._secure = nodes, port, secure
        self._properties = dict(properties or {})
        self._heap_mb = heap_mb
        self._nodes: dict[int, _Node] = {}
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._folder: Path | None = None
        self._reaper: subprocess.Popen[bytes] | None = None
        self._java: tuple[str, ...] = ()

    @property
    def bootstrap_servers(self) -> str:
        """Every node's address, those that are down at the moment included."""
        return ",".join(node.address for node in self._nodes.values())

    @property
    def secure_servers(self) -> str:
        """The same by the listener that ``secure`` adds; nobody answers there without it."""
        return ",".join(f"127.0.0.1:{node.secure_port}" for node in self._nodes.values())

    @property
    def controller(self) -> int:
        """The node that leads the metadata, as the running nodes have noted it: clients are told of any broker
        instead. It may have died a moment ago."""
        noted = [json.loads(self._nodes[number].quorum.read_text()) for number in self._running]
        led = [state for state in noted if state["leaderId"] > 0]
        return int(max(led, key=lambda state: state["leaderEpoch"])["leaderId"])

    def start(self) -> None:
        """Starts every node and waits until all see each other. Raises StartError, with the end of the log."""
        self._java = (str(java()), f"-Xmx{self._heap_mb}m", *_JVM_FLAGS, "-cp", class_path())
        for _ in range(_PORT_TRIES):
            with ExitStack() as undo, suppress(_PortTaken):
                undo.callback(self.stop)
                self._start_at_free_ports()
                undo.pop_all()
                return
        raise StartError(f"Kafka found its ports taken {_PORT_TRIES} times in a row.")

    def stop(self) -> None:
        """Ends every node at once and removes the folder. Does nothing where nothing runs."""
        for number in list(self._running):
            self.kill_node(number)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._reaper is not None:
            self._reaper.communicate()  # closes its input: it finds nothing left to do
        self._nodes, self._folder, self._reaper = {}, None, None

    def kill_node(self, number: int) -> None:
        """kill -9; returns when the process is gone. The others notice within some seconds."""
        process = self._running.pop(number)
        if process.poll() is None:  # else its number may be somebody else's by now
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._nodes[number].pid_file.unlink(missing_ok=True)

    def restart_node(self, number: int) -> None:
        """Starts a killed node with its data at its old ports. Raises StartError when it does not come back."""
        self.restart_nodes(number)

    def restart_nodes(self, *numbers: int) -> None:
        """The same for several at once: one of three alone waits for a quorum in vain."""
        if running := set(numbers) & self._running.keys():
            raise StartError(f"Kafka's nodes {sorted(running)} still run.")
        for _ in range(_PORT_TRIES):  # a client that dials a dead node may hold its port for a moment
            with suppress(_PortTaken):
                for number in set(numbers) - self._running.keys():
                    self._launch(self._nodes[number])
                self._wait_until_ready()
                return
            for number in [each for each in numbers if self._running[each].poll() is not None]:
                self.kill_node(number)
        raise StartError(f"A port of Kafka's nodes {sorted(numbers)} is taken.")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _start_at_free_ports(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="unpush-kafka-"))
        self._reaper = _reap_with_us(self._folder)
        self._nodes = _lay_out(self._folder, _free_ports(3 * self._count, self._port), self._properties, self._secure)
        self._format()
        for node in self._nodes.values():
            self._launch(node)
        self._wait_until_ready()

    def _format(self) -> None:
        """Gives each node's folder its identity, all at once: it costs a JVM each."""
        tool = ("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c")
        runs = {node: self._run(node, *tool, str(node.settings)) for node in self._nodes.values()}
        for node, run in runs.items():
            if run.wait() != 0:
                raise StartError(f"Kafka could not prepare its folder:\n{_tail(node.log)}")

    def _launch(self, node: _Node) -> None:
        process = self._run(node, "kafka.Kafka", str(node.settings))
        node.pid_file.write_text(str(process.pid))
        self._running[node.number] = process

    def _run(self, node: _Node, *arguments: str) -> subprocess.Popen[bytes]:
        logging = f"-Dlog4j.configuration=file:{node.folder / 'log4j.properties'}"
        java, *flags = self._java
        with node.log.open("wb") as log:
            return subprocess.Popen(
                [java, logging, *flags, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_until_ready(self) -> None:
        """Asks each running node by itself: a dead one stays in the others' metadata until its session ends."""
        deadline_s = time.monotonic() + READY_WITHIN_S
        for number in self._running:
            node = self._nodes[number]
            client = AdminClient({"bootstrap.servers": node.address, "reconnect.backoff.max.ms": 100, "log_level": 0})
            while not _sees(client, set(self._running)):
                self._raise_if_dead()
                if time.monotonic() > deadline_s:
                    raise StartError(f"Kafka was not ready after {READY_WITHIN_S} s:\n{_tail(node.log)}")

    def _raise_if_dead(self) -> None:
        for number, process in self._running.items():
            status = process.poll()
            if status is None:
                continue
            log = self._nodes[number].log
            if b"Address already in use" in log.read_bytes():
                raise _PortTaken
            raise StartError(f"Kafka's node {number} ended with status {status} before it was ready:\n{_tail(log)}")


def _sees(client: AdminClient, numbers: set[int]) -> bool:
    try:
        return numbers <= set(client.list_topics(timeout=1).brokers)
    except KafkaException:
        return False


def _reap_with_us(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", _REAPER, "unpush-kafka-reaper", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _lay_out(folder: Path, ports: Sequence[int], properties: Mapping[str, str | int], secure: bool) -> dict[int, _Node]:
    """Writes the files of each node, one for every three ports."""
    shares = enumerate(zip(ports[::3], ports[1::3], ports[2::3], strict=True), 1)
    nodes = {number: _Node(number, folder / f"node-{number}", *share) for number, share in shares}
    voters = ",".join(f"{node.number}@127.0.0.1:{node.controller_port}" for node in nodes.values())
    for node in nodes.values():
        node.folder.mkdir()
        settings = {**_QUICK, **_identity(node, voters), **_listeners(node, secure), **_replication(len(nodes))}
        settings |= properties
        node.settings.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        (node.folder / "log4j.properties").write_text(_LOG4J)
    return nodes


def _identity(node: _Node, voters: str) -> dict[str, str | int]:
    return {
        "process.roles": "broker,controller",
        "node.id": node.number,
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(node.folder / "data"),
    }


def _listeners(node: _Node, secure: bool) -> dict[str, str | int]:
    told = f"PLAINTEXT://{node.address}" + (f",SASL_SSL://127.0.0.1:{node.secure_port}" if secure else "")
    return {
        "listeners": f"{told},CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": told,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
    }


def _replication(count: int) -> dict[str, str | int]:
    copies, in_sync = min(count, 3), max(1, min(count, 3) - 1)
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
    }


def _free_ports(count: int, first: int = 0) -> list[int]:
    """Ports that nobody holds at this moment, all different. Raises StartError where somebody holds the first."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Kafka: what is closing is nobody's
        for each, port in zip(sockets, [first, *repeat(0, count - 1)], strict=True):
            try:
                each.bind(("127.0.0.1", port))
            except OSError as refused:
                raise StartError(
                    f"Kafka cannot listen on 127.0.0.1:{port}: {refused.strerror}; choose another port"
                ) from None
        return [each.getsockname()[1] for each in sockets]


def _tail(log: Path) -> str:
    return log.read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace").strip()
