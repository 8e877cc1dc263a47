"""The settings as the rest of the program sees them: one frozen value a section, durations as float seconds.

Promised: a value of these types that came from ``load_settings`` has passed every check.
Not promised: that for values put together in code. What each key means is written once, in ``keys.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, NamedTuple

from stream.model import Severity
from stream.settings.secret import Secret


class Address(NamedTuple):
    """Where to listen. ``port`` 0 takes any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it; a name other than ``localhost`` counts as beyond."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """``[kafka]``. ``properties``: librdkafka's names, the refused ones not among them."""

    bootstrap_servers: str
    group_id: str
    group_protocol: Literal["classic", "consumer"]
    properties: Mapping[str, str | Secret]


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """``[topics]``: four different names."""

    message_sent: str
    violation_detected: str
    revoke_result: str
    dead_letter: str

    @property
    def partitioned_alike(self) -> tuple[str, str, str]:
        """The three topics whose partition p makes up shard p."""
        return (self.message_sent, self.violation_detected, self.revoke_result)


@dataclass(frozen=True, slots=True)
class AvroSettings:
    """``[avro]``. ``registry_url`` None: no Schema Registry."""

    write_format: Literal["single-object", "confluent"]
    registry_url: str | None
    auto_register: bool
    registry_user: str | None
    registry_password: Secret | None


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """``[store]``."""

    path: Path
    retention_s: float


@dataclass(frozen=True, slots=True)
class JoinSettings:
    """``[join]``. ``since_ms``: violations detected before it are ignored; None: none are."""

    not_found_after_s: float
    since_ms: int | None


@dataclass(frozen=True, slots=True)
class AppSettings:
    """``[push_kit.apps."CLIENT_ID"]``. ``devices_per_second`` 0: no limit of our own."""

    key_file: Path | None
    devices_per_second: int
    paused: bool
    hold_shared_notify_ids: bool = False


@dataclass(frozen=True, slots=True)
class PushKitSettings:
    """``[push_kit]``. ``apps`` holds what was written; ask ``app`` for what counts. ``proxy`` None: no proxy."""

    url: str
    timeout_s: float
    max_in_flight: int
    give_up_after_s: float
    retry_first_s: float
    retry_longest_s: float
    retry_share: float
    paused: bool
    key_file: Path | None
    apps: Mapping[str, AppSettings]
    max_in_flight_per_app: int = 0
    proxy: str | None = None
    proxy_user: str | None = None
    proxy_password: Secret | None = None
    send_trace: bool = True

    def app(self, client_id: str) -> AppSettings:
        """What counts for an app, listed or not: its own values, else those of ``[push_kit]``."""
        own = self.apps.get(client_id, AppSettings(None, 0, False))
        return replace(own, key_file=own.key_file or self.key_file, paused=own.paused or self.paused)

    @property
    def hold_shared_notify_ids(self) -> frozenset[str]:
        """The apps that say so."""
        return frozenset(client_id for client_id, app in self.apps.items() if app.hold_shared_notify_ids)


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """``[lanes]``: parts of all calls, 0 to 1, that are a severity's own while it has any waiting."""

    high: float
    medium: float
    low: float

    @property
    def shares(self) -> Mapping[Severity, float]:
        """By severity; what is most severe needs none."""
        return {Severity.HIGH: self.high, Severity.MEDIUM: self.medium, Severity.LOW: self.low}


@dataclass(frozen=True, slots=True)
class DeadLetterSettings:
    """``[dead_letters]``. ``max_bad_share``: 0 to 1, of the last 1,000 records of a topic."""

    max_bad_share: float


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """``[guard]``. 0: off."""

    max_devices_per_violation: int
    max_devices_per_hour: int


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """``[http]``. ``advertise``: ``http(s)://host:port``; None: as listened; empty: nobody is told. ``token``: what
    ``token_file`` held."""

    listen: Address
    advertise: str | None
    token_file: Path | None
    token: Secret | None

    @property
    def told(self) -> str | None:
        """The base URL that other instances are told; its host may stand for any (0.0.0.0). None: there is none."""
        listened = f"http://{self.listen}" if self.listen.port else None
        return listened if self.advertise is None else self.advertise or None


@dataclass(frozen=True, slots=True)
class LogSettings:
    """``[log]``."""

    level: Literal["debug", "info", "warning", "error"]
    format: Literal["auto", "console", "json"]


@dataclass(frozen=True, slots=True)
class ShutdownSettings:
    """``[shutdown]``."""

    drain_s: float


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it; change a value in code with ``dataclasses.replace``."""

    kafka: KafkaSettings
    topics: TopicSettings
    avro: AvroSettings
    store: StoreSettings
    join: JoinSettings
    push_kit: PushKitSettings
    lanes: LaneSettings
    dead_letters: DeadLetterSettings
    guard: GuardSettings
    http: HttpSettings
    log: LogSettings
    shutdown: ShutdownSettings
