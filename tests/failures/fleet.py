"""The instances of a schedule, each on a seat of its own, with whoever starts them again when they end by themselves.

Promised: what has ended by itself is started again as an operator's supervisor would, and written down; two threads
never start or end one seat at once. Not promised: that an end was right; ``verdict`` judges that.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from tests.failures.control import Control
from tests.failures.faults import MAX_POLL_S
from tests.failures.plan import Plan
from tests.scenarios.making import now_ms
from tests.scenarios.service import Instance
from tests.scenarios.town import Town

AGAIN_AFTER_S = 0.5
MOST_ENDS = 12
"""Then nobody starts it again: it will never work."""

STOPS_WITHIN_S = 90.0
"""Far beyond any drain: a busy machine is no fault."""


Changes = Mapping[str, Mapping[str, object]]
"""Settings that differ from the town's, by section."""


SHIPPED: Changes = {
    "kafka__properties": {"session.timeout.ms": "6000", "heartbeat.interval.ms": "1000"},
    "push_kit": {"timeout": "10s", "retry_first": "500ms", "retry_longest": "60s"},
}
"""What a town's own settings make quicker than it is."""


def changes_of(plan: Plan, seat: str) -> Changes:
    """The settings of a seat's instances."""
    if plan.shipped:
        return SHIPPED
    changes: dict[str, Mapping[str, object]] = {
        "kafka": {"group_protocol": plan.protocol},
        "push_kit": {"timeout": f"{plan.timeout_s}s"},
        "shutdown": {"drain": "3s"},
    }
    # Under the other protocol the broker alone says when a member is gone: after four seconds, as it was started.
    # librdkafka wants the polling interval above its own default of a session, 45 s.
    if plan.protocol == "classic":
        properties = {"max.poll.interval.ms": str(int(MAX_POLL_S * 1_000))}
        changes["kafka__properties"] = properties | ({"group.instance.id": seat} if plan.static else {})
    return changes


class Ended(NamedTuple):
    """An instance that ended by itself, or wrongly."""

    seat: str
    code: int
    started: bool
    """Whether it had said so: its look at the world was over."""
    last_words: str
    spoiled: bool
    """Whether its store had been spoiled."""


class Freeze(NamedTuple):
    """How long a process stood still."""

    seat: str
    from_ms: int
    to_ms: int


class Seat:
    """One instance after the other, all with one store."""

    def __init__(self, town: Town, name: str, changes: Changes) -> None:
        self.name, self.store = name, town.folder / f"state-{name}"
        self.spoiled = False
        self.ended: list[Ended] = []
        self.freezes: list[Freeze] = []
        self.control = Control(town.folder / f"control-{name}")
        self._town, self._changes = town, changes
        self._lock = threading.Lock()
        self._instance: Instance | None = None
        self._wanted = False
        self._again_s = 0.0

    @contextmanager
    def left_alone(self) -> Iterator[bool]:
        """Nobody starts or ends it meanwhile; whether it runs and holds its store."""
        with self._lock:
            yield self._instance is not None and self._instance.running and any(self._instance.said("shards_came"))

    def start(self) -> None:
        """From now on somebody is to sit here."""
        with self._lock:
            self._wanted = True
            self._run()

    def kill(self) -> None:
        """kill -9, and nobody until the next start."""
        with self._lock:
            self._wanted = False
            if self._instance is not None:
                self._instance.kill()

    @contextmanager
    def doomed(self, point: str, nth: int = 1) -> Iterator[Instance]:
        """Whoever sits here, or is put here, dies at this point, if it comes by; nobody starts it again meanwhile."""
        with self._lock:
            self._tend()
            self.control.doom(point, nth)
            instance = self._run()
            instance.dismissed = True
            try:
                yield instance
            finally:
                self.control.spare()
            code = instance.process.poll()
            if code not in (None, 0, -signal.SIGKILL):
                self._note(instance, code)

    def stop(self) -> None:
        """SIGTERM, and nobody until the next start."""
        with self._lock:
            self._wanted = False
            if self._instance is not None and self._instance.running:
                self._stopped(self._instance)

    def _stopped(self, instance: Instance) -> None:
        try:
            code = instance.stop(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            instance.kill()
            code = -signal.SIGKILL
        if code:
            self._note(instance, code)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP, then SIGCONT."""
        with self._lock:
            instance, from_ms = self._instance, now_ms()
            if instance is not None and instance.running:
                instance.process.send_signal(signal.SIGSTOP)
        yield
        if instance is not None:
            instance.process.send_signal(signal.SIGCONT)
        self.freezes.append(Freeze(self.name, from_ms, now_ms()))

    def tend(self) -> None:
        """Start it again where it has ended by itself; a seat that is being struck is looked at the next time."""
        if self._lock.acquire(blocking=False):
            try:
                self._tend()
            finally:
                self._lock.release()

    def _tend(self) -> None:
        instance = self._instance
        if not self._wanted or instance is None or instance.running:
            return
        if not instance.dismissed:
            instance.dismissed = True
            self._note(instance, instance.process.returncode)
            self._again_s = time.monotonic() + AGAIN_AFTER_S
        if time.monotonic() >= self._again_s and len(self.ended) < MOST_ENDS:
            self._run()

    def _run(self) -> Instance:
        if self._instance is None or not self._instance.running:
            self._instance = self._town.launch(self.name, self.control, **self._changes)
        return self._instance

    def _note(self, instance: Instance, code: int) -> None:
        lines = instance.text.strip().splitlines() or [""]
        started = any(instance.said("started"))
        self.ended.append(Ended(self.name, code, started, lines[-1][:600], self.spoiled))


class Fleet:
    """All seats."""

    def __init__(self, town: Town, plan: Plan, names: Sequence[str], wire: Changes) -> None:
        self.seats = {name: Seat(town, name, {**changes_of(plan, name), **wire}) for name in names}

    def tend(self) -> None:
        """Start again whoever ended by itself."""
        for seat in self.seats.values():
            seat.tend()

    def stop(self) -> None:
        """SIGTERM for all, one after the other."""
        for seat in self.seats.values():
            seat.stop()

    @property
    def ended(self) -> list[Ended]:
        return [ended for seat in self.seats.values() for ended in seat.ended]

    @property
    def freezes(self) -> list[Freeze]:
        return [freeze for seat in self.seats.values() for freeze in seat.freezes]
