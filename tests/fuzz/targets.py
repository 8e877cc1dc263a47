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
    "sends": Target(wire.send, lambda: wire.SENDS),
    "violations": Target(wire.violation, lambda: wire.EVENTS),
    "results": Target(wire.result, lambda: wire.RESULTS),
    "framing": Target(wire.framing, lambda: wire.FRAMED),
    "foreign": _made(wire.foreign_inputs, wire.foreign),
    "dead-letters": _made(wire.dead_inputs, wire.dead_letter),
    "settings-file": Target(configuring.file, lambda: configuring.FILES),
    "settings": _made(configuring.inputs, configuring.settings),
    "key-file": Target(configuring.key_file, configuring.key_files),
    "reply-bodies": Target(replies.body, lambda: replies.BODIES),
    "replies": _made(replies.inputs, replies.sorting),
    "connections": Target(replies.connection, lambda: replies.ANSWERS),
}
