"""Where a point takes place: the bench's place with a running service, a writer of findings, and what came of them.

Promised: messages and notifyIds are one number, so that a call tells its message. Not promised: times finer than what
the simulator's timeline has.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

import orjson

from stream.bench import load
from stream.bench.load import message_id
from stream.bench.service import Service
from stream.bench.town import Place, Town, Wish
from stream.model import Send, SendHead, Severity, StartError, Status, ViolationEvent
from stream.wire.wire import Wire

LARGE: Final = load.CLIENT_ID
"""The app of most that is written."""
SMALL: Final = "small"
BOTH: Final = (LARGE, SMALL)
WITHIN_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much the points do; every one can be set by a flag."""

    campaign_tokens: int = 1_000_000
    """(9) in each of the two campaigns: sends of one token, and of a thousand."""
    backlog_tokens: int = 1_000_000
    """(1) a campaign that others must not wait for."""
    backlog_findings: int = 20_000
    """(1) findings of one token each that others must not wait for."""
    urgent: int = 40
    """(1) findings that are timed."""
    rate_s: int = 20
    """(2) how long a set device rate is watched."""
    shared_s: int = 20
    """(2) how long it is watched with two instances, then with three, then with the two that are left."""
    quota_s: int = 30
    """(3) how long a quota may be learned, and then is watched."""
    outage_s: int = 60
    """(4) without an answer."""
    outage_findings: int = 10_000
    """(4) of one token each, due meanwhile."""
    held_tokens: int = 100_000
    """(7) of a campaign that the guard holds."""
    sampled_sends: int = 300_000
    """(10) read in bulk."""


SMALLEST: Final = Sizes(
    campaign_tokens=100_000,
    backlog_tokens=40_000,
    backlog_findings=600,
    urgent=5,
    rate_s=5,
    shared_s=5,
    quota_s=10,
    outage_s=12,
    outage_findings=600,
    held_tokens=20_000,
    sampled_sends=100_000,
)
"""Shows that all of it runs, not how well."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A place while its service runs."""

    place: Place
    service: Service
    writer: load.Writer
    wire: Wire

    @classmethod
    def ready(cls, place: Place, service: Service) -> Stage:
        """Wait until the service is. Raises StartError."""
        service.wait_until_ready()
        return cls(place, service, load.Writer(place.bootstrap_servers, linger_ms=0), Wire())

    def send(self, number: int, tokens: int = 1, app: str = LARGE, first: int = 0) -> None:
        """One message in one send."""
        head = SendHead(message_id(number), app, number, 0, time.time_ns() // 1_000_000, None)
        listed = tuple(map(load.token, range(first, first + tokens)))
        self.writer.put(self.place.sends, head.message_id.encode(), self.wire.encode_send(Send(head, listed)))

    def campaign(self, number: int, sends: int, tokens: int = 1, app: str = LARGE) -> None:
        """One message in many sends; its tokens are all different."""
        where = self.place.bootstrap_servers, self.place.sends
        self.place.children.run(
            "stream.bench.campaign", *where, message_id(number), app, number, sends, tokens, sends * tokens
        )

    def find(
        self, number: int, severity: Severity, name: str = "v", status: Status = Status.CONFIRMED, *, wait: bool = True
    ) -> int:
        """A finding on a message; the moment it was handed over (``time.time_ns``)."""
        now_ms = time.time_ns() // 1_000_000
        event = ViolationEvent(f"{name}-{number}", message_id(number), severity, status, "spam", None, now_ms)
        key, value = event.message_id.encode(), self.wire.encode_violation(event)
        now_ns = time.time_ns()
        self.writer.put(self.place.violations, key, value)
        if wait:
            self.writer.flush()
        return now_ns

    def stored(self, count: int) -> None:
        """Wait until so many sends were stored since the service's start."""
        self.writer.flush()
        self.service.wait_until_stored(self.place.sends, count)

    def state(self, number: int, name: str = "v") -> dict[str, object]:
        """The violation as the API shows it; empty while it is unknown there."""
        path = f"/api/violations/{name}-{number}?messageId={message_id(number)}"
        status, body = self.service.get(path)
        found: dict[str, object] = orjson.loads(body) if status == 200 else {}
        return found

    def settled(self, number: int, name: str = "v", within_s: float = WITHIN_S) -> dict[str, object]:
        """Wait until the API says so; what it says."""
        until(lambda: self.state(number, name).get("state") == "settled", f"{name}-{number} to settle", within_s)
        return self.state(number, name)

    def called_ns(self, numbers: Collection[int]) -> dict[int, int]:
        """When the first call of each of the messages came, once all have one."""
        found: dict[int, int] = {}

        def all_called() -> bool:
            for call in self.place.gateway.calls():
                if call.notify_id in numbers:
                    found.setdefault(call.notify_id, call.wall_ns)
            return len(found) == len(numbers)

        until(all_called, f"{len(numbers)} messages to be called")
        return found


@contextlib.contextmanager
def stage(town: Town, name: str, wish: Wish) -> Iterator[Stage]:
    """With a service that is ready."""
    with town.place(name, wish) as place, place.service() as service:
        yield Stage.ready(place, service)


def until(done: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> float:
    """Seconds until it is so. Raises StartError where it does not come."""
    begun_s = time.monotonic()
    while not done():
        if time.monotonic() - begun_s > within_s:
            raise StartError(f"waited {within_s:.0f} s for {what}")
        time.sleep(_LOOK_EVERY_S)
    return time.monotonic() - begun_s
