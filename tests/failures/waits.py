"""How long work waited because of a fault, from Kafka's own times.

Promised: pure. What counts is each call's result whose violation and sends had all come while the fault lasted, or a
moment before. Not promised: that nothing else held it up; where faults overlap, each is given all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tests.failures.faults import Struck
from tests.scenarios.story import Story

BEFORE_MS = 300
"""What came so shortly before a fault was probably still under way."""


class Wait(NamedTuple):
    """What one strike cost."""

    fault: str
    lasted_s: float
    longest_s: float
    """From the later of violation and sends to the result, at the most."""
    after_s: float
    """From the strike's end until the last of it was done; 0: nothing had to wait for its end."""


def waits(story: Story, struck: Iterable[Struck]) -> tuple[Wait, ...]:
    """One for each strike."""
    spans = list(_spans(story))
    return tuple(_wait(each, spans) for each in struck)


def _wait(struck: Struck, spans: list[tuple[int, int]]) -> Wait:
    met = [(due, done) for due, done in spans if struck.from_ms - BEFORE_MS <= due <= struck.to_ms]
    longest_ms = max((done - due for due, done in met), default=0)
    after_ms = max((done - struck.to_ms for _, done in met), default=0)
    return Wait(
        struck.strike.fault, (struck.to_ms - struck.from_ms) / 1_000, longest_ms / 1_000, max(0, after_ms) / 1_000
    )


def _spans(story: Story) -> Iterable[tuple[int, int]]:
    """When each call could first have been made, and when its first result came."""
    events = {name: said[0].timestamp_ms for name, said in story.events_of().items()}
    sends = {(sent.partition, sent.offset): sent.timestamp_ms for sent in story.sends}
    first: dict[str, tuple[int, int]] = {}
    for seen in story.results:
        if seen.result.attempts and seen.name in events:
            times = [sends.get((part.partition, part.offset), 0) for part in seen.result.sends]
            first.setdefault(seen.result.result_id, (max([events[seen.name], *times]), seen.timestamp_ms))
    return first.values()
