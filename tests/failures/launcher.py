"""``python -m tests.failures.launcher COMMAND ...``: Unpush's own command, in a process that a test has prepared.

The service has no hooks for tests: functions are wrapped here before it starts. Promised: with a control that asks for
nothing, and no break, the instance does what ``python -m stream`` does, but checkpoints more often. Not promised: the
same speed to the last microsecond.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from confluent_kafka import Producer

from stream.__main__ import main
from stream.service import chores, story
from tests.failures.control import VARIABLE, Control

BREAK: Final = "FAILURES_BREAK"
"""Names a module of ``tests.failures.breaks`` that spoils the code on purpose."""


class Point(NamedTuple):
    """A moment of the work: a method begins, or has just ended."""

    says: str
    module: str
    method: str
    ended: bool


POINTS: Final[Mapping[str, Point]] = {
    "answered": Point("between call and result", "stream.service.replies", "Replies.sort", False),
    "written": Point("between result and delivery", "stream.service.outbox", "Outbox._produce", True),
    "delivered": Point("between delivery and store", "stream.service.outbox", "Outbox._mark", False),
    "flushed": Point("between store flush and commit", "stream.state.store", "Store.flush", True),
    "restoring": Point("during restore", "stream.kafka.past", "Past._chunk_done", False),
    "draining": Point("during drain", "stream.service.outbox", "Outbox.flush", False),
    "dropping": Point("during a bucket's drop", "stream.state.store", "Store.drop_bucket", True),
}


def watch(control: Control) -> None:
    """Die at the point that the control names."""
    for name, point in POINTS.items():
        of, method = point.method.split(".")
        owner = getattr(import_module(point.module), of)
        setattr(owner, method, _watched(getattr(owner, method), functools.partial(control.comes_by, name), point.ended))


def _watched(method: Callable[..., Any], comes_by: Callable[[], None], ended: bool) -> Callable[..., Any]:
    def before(*args: Any, **named: Any) -> Any:
        comes_by()
        return method(*args, **named)

    def after(*args: Any, **named: Any) -> Any:
        found = method(*args, **named)
        comes_by()
        return found

    return after if ended else before


def hold_results(control: Control) -> None:
    """While the control says so, results wait in the client, as they do when nobody leads their partitions."""

    class Holding(Producer):
        def __init__(self, properties: dict[str, Any]) -> None:
            super().__init__(properties)
            self._held: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        def produce(self, *args: Any, **named: Any) -> None:
            if control.results_held and args[0].endswith("revoke-result"):
                self._held.append((args, named))
            else:
                super().produce(*args, **named)

        def poll(self, *args: Any) -> int:
            if not control.results_held:
                held, self._held = self._held, []
                for each, named in held:
                    super().produce(*each, **named)
            return int(super().poll(*args))

    vars(story)["Producer"] = Holding


def step_clock(control: Control) -> None:
    """The wall clock is as far ahead as the control says; what is waited for goes by another one."""
    true_ns = time.time_ns
    time.time_ns = lambda: true_ns() + control.clock_ms * 1_000_000
    time.time = lambda: time.time_ns() / 1e9


def hurry() -> None:
    """A schedule is over before an ordinary instance would have checkpointed twice."""
    chores.FLUSH_EVERY_S = 2.0  # type: ignore[misc]


if __name__ == "__main__":
    hurry()
    of_this_seat = Control(Path(os.environ[VARIABLE]))
    step_clock(of_this_seat)
    hold_results(of_this_seat)
    watch(of_this_seat)
    if name := os.environ.get(BREAK):
        import_module(f"tests.failures.breaks.{name}").spoil()
    sys.exit(main())
