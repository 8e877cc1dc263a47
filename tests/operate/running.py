"""A whole service in this process: the mock cluster, the simulator, the HTTP server in front."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from confluent_kafka import Producer
from yarl import URL

from stream.brokers.mock import MockKafka
from stream.kafka.preflight import look
from stream.model import Send, SendHead, Severity, Status, ViolationEvent
from stream.operate.http import Front
from stream.pushkit.simulator import Simulator, make_key_file
from stream.service.story import Service
from stream.service.views import Views
from stream.settings import load_settings
from stream.wire.wire import Wire
from tests.operate.described import check

APP = "100200300"
PARTITIONS = 4
TOPICS = {
    "push.message-sent": PARTITIONS,
    "push.violation-detected": PARTITIONS,
    "push.revoke-result": PARTITIONS,
    "push.revoke-dead-letter": 1,
}
PATIENCE_S = 30.0


@dataclass(slots=True)
class Reply:
    """What came back: ``text`` always, ``json`` where it is JSON."""

    status: int
    text: str
    json: Any
    headers: dict[str, str]


@dataclass(slots=True)
class Rig:
    """A running service and its surroundings."""

    service: Service
    simulator: Simulator
    address: str
    session: aiohttp.ClientSession
    producer: Producer
    wire: Wire
    views: Views
    work: asyncio.Task[None] | None = None

    async def get(self, path: str, **more: Any) -> Reply:
        """``path`` goes out as it is written; the answer must be as docs/openapi.yaml has it."""
        async with self.session.get(URL(f"http://{self.address}{path}", encoded=True), **more) as reply:
            text = await reply.text()
            json = await reply.json() if reply.content_type == "application/json" else None
            check(path, reply.status, reply.content_type, text if json is None else json)
            return Reply(reply.status, text, json, dict(reply.headers))

    async def until(self, path: str, right: Callable[[Reply], bool]) -> Reply:
        """Ask until the answer is right."""
        end_s = time.monotonic() + PATIENCE_S
        while not right(reply := await self.get(path)):
            assert time.monotonic() < end_s, f"{path} still says {reply.status} {reply.text}"
            await asyncio.sleep(0.05)
        return reply

    async def ready(self) -> Reply:
        """Let the service work, and wait for /readyz."""
        self.work = asyncio.create_task(self.service.run())
        return await self.until("/readyz", lambda reply: reply.status == 200)

    def send(self, message_id: str, tokens: int, *, app: str = APP, notify_id: int | None = 7) -> None:
        """One MessageSent; its tokens begin with the messageId."""
        names = tuple(f"{message_id}-token-{place:04}".encode() for place in range(tokens))
        send = Send(SendHead(message_id, app, notify_id, 0, int(time.time() * 1000), None), names)
        self.produce("push.message-sent", message_id, self.wire.encode_send(send))

    def event(
        self,
        violation_id: str,
        message_id: str,
        status: Status = Status.CONFIRMED,
        partition: int = -1,
        headers: dict[str, str | bytes | None] | None = None,
    ) -> int:
        """One ViolationDetected; when it was detected."""
        now_ms = int(time.time() * 1000)
        event = ViolationEvent(violation_id, message_id, Severity.HIGH, status, "spam", "model-7", now_ms)
        self.produce("push.violation-detected", message_id, self.wire.encode_violation(event), partition, headers)
        return now_ms

    def produce(
        self,
        topic: str,
        key: str,
        value: bytes,
        partition: int = -1,
        headers: dict[str, str | bytes | None] | None = None,
    ) -> None:
        """One record, delivered; into the partition of its key, or another."""
        self.producer.produce(topic, value, key.encode(), partition, headers=headers)
        assert self.producer.flush(10) == 0


def written_settings(folder: Path, bootstrap_servers: str, push_kit_url: str, more: str = "") -> Path:
    """A settings file for a service on any free port."""
    file = folder / "unpush.toml"
    file.write_text(
        f"""
        kafka.bootstrap_servers = "{bootstrap_servers}"
        push_kit.url = "{push_kit_url}"
        push_kit.key_file = "key.json"
        join.not_found_after = "300ms"
        http.listen = "127.0.0.1:0"
        {more}
        """
    )
    return file


@asynccontextmanager
async def running(
    folder: Path, more: str = "", *, headers: dict[str, str] | None = None, spans: Any = None
) -> AsyncIterator[Rig]:
    """A service that works once ``ready`` was awaited. ``more``: lines of the settings file. ``spans``: where traces
    go."""
    app = make_key_file(folder / "key.json", "project", APP)
    with MockKafka(TOPICS) as kafka:
        async with Simulator([app]) as simulator:
            settings = load_settings(written_settings(folder, kafka.bootstrap_servers, simulator.url, more), {})
            world = await asyncio.to_thread(look, settings)
            async with (
                Service(settings, world, spans=spans) as service,
                Views(service) as views,
                Front(settings.http, views.sights) as front,
                aiohttp.ClientSession(headers=headers) as session,
            ):
                producer = Producer(
                    {"bootstrap.servers": kafka.bootstrap_servers, "partitioner": "murmur2_random", "linger.ms": 0}
                )
                rig = Rig(service, simulator, str(front.address), session, producer, service.wire, views)
                try:
                    yield rig
                finally:
                    service.stop()
                    if rig.work is not None:
                        await rig.work
