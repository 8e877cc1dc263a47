"""Where the benchmark takes place: one real Kafka, topics for each part, and the settings file that the service reads.

Promised: each part has topics, a group and a store of its own, and they are gone when it is over. Not promised: an
idle machine; whoever reads the figures should know what else ran.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from confluent_kafka.admin import AdminClient

from stream.bench.children import Children
from stream.bench.gateway import Gateway, gateway
from stream.bench.load import CLIENT_ID
from stream.bench.service import Service
from stream.brokers.apache import ApacheKafka

PARTITIONS: Final = 4
IN_FLIGHT: Final = 64
_BROKER_HEAP_MB: Final = 1_024

_SETTINGS: Final = """\
[kafka]
bootstrap_servers = "{bootstrap_servers}"
group_id = "{name}"
[topics]
message_sent = "{name}.sends"
violation_detected = "{name}.violations"
revoke_result = "{name}.results"
dead_letter = "{name}.dead"
[store]
path = "state"
[push_kit]
url = "{url}"
key_file = "{key_file}"
max_in_flight = {in_flight}
{push_kit}
[http]
listen = "127.0.0.1:{port}"
[log]
level = "warning"
format = "json"
{sections}
"""


class Wish(NamedTuple):
    """What a part wants otherwise than the others: its apps, and settings of its own, as TOML."""

    apps: tuple[str, ...] = (CLIENT_ID,)
    partitions: int = PARTITIONS
    in_flight: int = IN_FLIGHT
    push_kit: str = ""
    """More keys of that section."""
    sections: str = ""


NONE: Final = Wish()


class Place(NamedTuple):
    """One part's: its folder, its topics, its gateway."""

    children: Children
    bootstrap_servers: str
    name: str
    folder: Path
    gateway: Gateway
    http_port: int

    @property
    def sends(self) -> str:
        """The topic."""
        return f"{self.name}.sends"

    @property
    def violations(self) -> str:
        """The topic."""
        return f"{self.name}.violations"

    @property
    def settings(self) -> Path:
        """The service's settings file."""
        return self.folder / "unpush.toml"

    def lose_store(self) -> None:
        """As if the disk had been lost; only while no service runs."""
        shutil.rmtree(self.folder / "state")

    def beside(self, name: str) -> Place:
        """The same place for another instance: of the same group, with a store and a port of its own."""
        folder, port = self.folder / name, _free_port()
        folder.mkdir()
        other = self._replace(folder=folder, http_port=port)
        listens = 'listen = "127.0.0.1:{}"'
        other.settings.write_text(
            self.settings.read_text().replace(listens.format(self.http_port), listens.format(port))
        )
        return other

    @contextlib.contextmanager
    def service(self) -> Iterator[Service]:
        """``unpush run``, just started; stopped when this is left, and its store stays."""
        service = Service(self.children, self.settings, self.http_port)
        try:
            yield service
            service.stop()
        finally:
            service.end()

    def write_sends(self, first: int, count: int, tokens: int = 1) -> None:
        """By a process of its own; returns when all are delivered."""
        self.children.run("stream.bench.load", self.bootstrap_servers, self.sends, first, count, tokens)


class Town:
    """The broker, and what every part needs of it."""

    def __init__(self, children: Children, kafka: ApacheKafka) -> None:
        self._children = children
        self._kafka = kafka

    @contextlib.contextmanager
    def place(self, name: str, wish: Wish = NONE) -> Iterator[Place]:
        """Fresh topics and a fresh simulator; all gone afterwards."""
        folder = self._children.folder / name
        folder.mkdir()
        with gateway(self._children, folder, wish.apps) as simulator:
            place = Place(self._children, self._kafka.bootstrap_servers, name, folder, simulator, _free_port())
            self._write_settings(place, wish)
            self._children.run("stream", "topics", "-c", place.settings, "--partitions", wish.partitions)
            try:
                yield place
            finally:
                self._clear(place)

    def _write_settings(self, place: Place, wish: Wish) -> None:
        place.settings.write_text(
            _SETTINGS.format(
                bootstrap_servers=place.bootstrap_servers,
                name=place.name,
                url=place.gateway.url,
                key_file=place.gateway.key_file,
                in_flight=wish.in_flight,
                port=place.http_port,
                push_kit=wish.push_kit,
                sections=_keys_of(place, wish) + wish.sections,
            )
        )

    def _clear(self, place: Place) -> None:
        """The disk is needed by the next part."""
        shutil.rmtree(place.folder, ignore_errors=True)
        client = AdminClient({"bootstrap.servers": place.bootstrap_servers, "log_level": 0})
        names = [f"{place.name}.{topic}" for topic in ("sends", "violations", "results", "dead")]
        for deleted in client.delete_topics(names).values():
            deleted.result(timeout=20)


@contextlib.contextmanager
def town() -> Iterator[Town]:
    """The broker runs until this is left, by SIGTERM too. Raises StartError."""
    before = signal.signal(signal.SIGTERM, _interrupted)
    try:
        with Children() as children, ApacheKafka(heap_mb=_BROKER_HEAP_MB) as kafka:
            yield Town(children, kafka)
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _keys_of(place: Place, wish: Wish) -> str:
    """A key file to each app but the first, whose key serves where nothing is said."""
    return "".join(f'[push_kit.apps."{app}"]\nkey_file = "{place.folder / app}.json"\n' for app in wish.apps[1:])
