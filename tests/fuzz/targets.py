"""All that comes from outside, by name: bytes as they are read, or values near what is right.

Promised: ``take`` raises Broken for an input that breaks the promise, and nothing else for any bytes whatever. Bytes of
a target without ``seeds`` are not what is read: they are the choices by which hypothesis makes a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz import configuring, replies, wire

CHOICES_BYTES: Final = 4_096


class Target(NamedTuple):
    """One door. ``seeds``: inputs to begin with; none: see the module's words."""

    take: Callable[[bytes], None]
    seeds: Callable[[], tuple[bytes, ...]]


def _read(take: Callable[[bytes], None], seeds: Callable[[], tuple[bytes, ...]]) -> Target:
    return Target(take, seeds)


def _made(strategy: st.SearchStrategy[Any], take: Callable[[Any], None]) -> Target:
    """Values of a strategy, made of bytes by hypothesis' own door for fuzzers."""

    @settings(database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def one(value: Any) -> None:
        take(value)

    from_bytes: Callable[[bytes], bytes | None] = one.hypothesis.fuzz_one_input  # type: ignore[attr-defined]

    def choose(choices: bytes) -> None:
        from_bytes(choices)

    return Target(choose, tuple)


TARGETS: Final = {
    "sends": _read(wire.send, lambda: wire.SENDS),
    "violations": _read(wire.violation, lambda: wire.EVENTS),
    "results": _read(wire.result, lambda: wire.RESULTS),
    "framing": _read(wire.framing, lambda: wire.FRAMED),
    "foreign": _made(wire.foreign_inputs, wire.foreign),
    "dead-letters": _made(wire.dead_inputs, wire.dead_letter),
    "settings-file": _read(configuring.file, lambda: configuring.FILES),
    "settings": _made(configuring.inputs, configuring.settings),
    "key-file": _read(configuring.key_file, configuring.key_files),
    "reply-bodies": _read(replies.body, lambda: replies.BODIES),
    "replies": _made(replies.inputs, replies.sorting),
    "connections": _read(replies.connection, lambda: replies.ANSWERS),
}
