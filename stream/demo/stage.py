"""The stage: a broker with the four topics, the Push Kit simulator as a process of its own, and the settings for both.

Promised: when ``gateway`` is entered the simulator answers, knows the apps and the tokens it must refuse, and limits
one app; it ends with us, however we end. Not promised: Windows, whose shell cannot watch over a process this way.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import orjson

from stream.brokers.apache import ApacheKafka
from stream.brokers.mock import MockKafka
from stream.demo.judge import Book, Tokens
from stream.demo.plan import APPS, FLOW_CONTROLLED, Plan
from stream.kafka.cluster import Cluster
from stream.model import MAX_CALL_TOKENS, StartError
from stream.pushkit.simulator import AppFaults, Faults, Latency, Shape, faults_json, make_key_file
from stream.settings import Settings, default_settings

PARTITIONS: Final = 12
MOCK_KEEPS_BYTES: Final = 4_500_000
"""Of each partition: the embedded broker drops what is older than its last 5 MB; this leaves a margin."""

_PROJECT: Final = "unpush-demo"
_LATENCY: Final = Latency(Shape.LOGNORMAL, p50_ms=6, p99_ms=40)
_FLOW_CONTROL_S: Final = 5
"""About as long as the flow-controlled app needs for what it must revoke, at any size."""
_UP_WITHIN_S: Final = 20.0

# Kills the simulator when our end of the pipe closes: after kill -9 nobody else would.
_WATCH: Final = '"$@" & cat >/dev/null; kill $! 2>/dev/null; wait $!'


class Broker(Protocol):
    """The embedded broker, or a real one."""

    @property
    def bootstrap_servers(self) -> str:
        """Where clients find it."""

    def start(self) -> None:
        """Raises StartError."""

    def stop(self) -> None:
        """End it and all its records."""


def broker(*, kafka: bool) -> Broker:
    """The broker to play on, not started yet."""
    return ApacheKafka() if kafka else MockKafka(dict.fromkeys(_topics(default_settings()), PARTITIONS))


def ready(stage: Broker, settings: Settings) -> int:
    """The partitions of each topic, which are there from now on. Raises StartError."""
    if isinstance(stage, MockKafka):
        return min(stage.partitions.values())
    cluster = Cluster(settings)
    for topic in _topics(settings):
        cluster.create(topic, PARTITIONS, -1, {"message.timestamp.type": "LogAppendTime"})
    return PARTITIONS


def _topics(settings: Settings) -> tuple[str, ...]:
    return (*settings.topics.partitioned_alike, settings.topics.dead_letter)


def settings_for(folder: Path, stage: Broker, url: str) -> Settings:
    """What ``unpush run`` would read from a file; the waiting times are those of a story, not of a night."""
    # The mock answers a fetch that finds nothing when its time is over, whatever comes meanwhile.
    properties = {"fetch.wait.max.ms": 5} if isinstance(stage, MockKafka) else {}
    return default_settings(
        folder,
        kafka={"bootstrap_servers": stage.bootstrap_servers, "properties": properties},
        store={"path": "state"},
        join={"not_found_after": "2s"},
        push_kit={"url": url, "key_file": "key.json", "retry_first": "200ms", "retry_longest": "2s"},
        http={"listen": "127.0.0.1:0"},
        shutdown={"drain": "3s"},
    )


@contextlib.asynccontextmanager
async def gateway(plan: Plan, folder: Path) -> AsyncIterator[Gateway]:
    """The simulator, set for the plan. Raises StartError where it does not come up."""
    key = folder / "key.json"
    await asyncio.to_thread(make_key_file, key, _PROJECT, APPS[0].client_id)
    process = await _started(key)
    try:
        url = await _url_of(process)
        async with aiohttp.ClientSession(url, raise_for_status=True) as session:
            control = Gateway(url, session)
            await control.set_for(plan)
            yield control
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def _started(key: Path) -> asyncio.subprocess.Process:
    apps = [part for app in APPS for part in ("--app", f"{app.client_id}={key}")]
    command = [sys.executable, "-m", "stream", "simulate", "--port", "0", *apps]
    return await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", _WATCH, "unpush-demo-gateway", *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


async def _url_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    with contextlib.suppress(TimeoutError):
        line = await asyncio.wait_for(process.stdout.readline(), _UP_WITHIN_S)
        before, _, url = line.decode().strip().partition("listening on ")
        if url and not before:
            return url
    raise StartError("the Push Kit simulator did not start; `unpush simulate --app 1 --make-keys DIR` says why")


class Gateway:
    """The simulator's other door, ``/_sim``: where it is told what to refuse, and asked what happened."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def set_for(self, plan: Plan) -> None:
        """Tell it the plan's bad tokens and the one app's limit."""
        for send in plan.sends:
            if send.bad_places:
                tokens = plan.tokens(send.number)
                for place in send.bad_places:
                    fact = {"reason": send.refused[place]} if place in send.refused else {"app": "another-app"}
                    told = {"clientId": send.head.client_id, "tokens": [tokens[place].decode()], **fact}
                    await self._session.post("/_sim/tokens", data=orjson.dumps(told))
        await self._session.put("/_sim/faults", data=orjson.dumps(faults_json.to_json(_faults(plan))))

    async def book(self) -> Book:
        """What calls have revoked, and what they named in vain."""
        revoked: dict[tuple[str, int], dict[str, int]] = {}
        refused: dict[tuple[str, int], dict[str, int]] = {}
        for app in APPS:
            book = await self._get(f"/_sim/book?clientId={app.client_id}")
            _enter(book["revoked"], revoked)
            _enter(book["refused"], refused)
        return Book(revoked, refused)

    async def counts(self) -> Mapping[str, Mapping[str, Any]]:
        """What each app's calls came to, as the simulator counts them."""
        counts: Mapping[str, Mapping[str, Any]] = await self._get("/_sim/counts")
        return counts

    async def _get(self, path: str) -> Any:
        async with self._session.get(path) as reply:
            return orjson.loads(await reply.read())


def _faults(plan: Plan) -> Faults:
    devices = sum(send.token_count for send in plan.called() if send.head.client_id == FLOW_CONTROLLED.client_id)
    limit = max(1.2 * MAX_CALL_TOKENS, devices / _FLOW_CONTROL_S)
    flow_controlled = AppFaults(latency=_LATENCY, devices_per_s=limit)
    return Faults(all=AppFaults(latency=_LATENCY), apps={FLOW_CONTROLLED.client_id: flow_controlled})


def _enter(marks: list[dict[str, Any]], into: dict[tuple[str, int], dict[str, int]]) -> Tokens:
    for mark in marks:
        into.setdefault((mark["clientId"], mark["notifyId"]), {})[mark["token"]] = mark["calls"]
    return into
