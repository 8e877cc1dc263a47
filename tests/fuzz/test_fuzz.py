"""A smoke of ``make fuzz``; and that it would tell, were the promise broken."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import pytest

from stream.model import BadRecord
from tests.fuzz import promise, wire
from tests.fuzz.playing import play
from tests.fuzz.promise import Broken, held
from tests.fuzz.targets import CHOICES_BYTES, TARGETS, Target

SECONDS = 2.0 / len(TARGETS)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_garbage_raises_nothing_but_the_declared_error_and_costs_what_it_weighs(name: str) -> None:
    """Wire, settings and replies: the seeds, and what chance makes of them within two seconds in all."""
    played = play(TARGETS[name], SECONDS, seed=20261128)
    assert played.broken is None
    assert played.inputs >= max(1, len(TARGETS[name].seeds()))


def a_thousand(reading: Callable[[bytes], object]) -> str:
    """Why it broke; empty: it did not."""
    ticks = count()

    def take(data: bytes) -> None:
        held("it", lambda: reading(data), (BadRecord,), len(data), data)

    played = play(Target(take, lambda: (b"seed" * 8,)), 1_000, seed=1, clock=lambda: float(next(ticks)))
    return played.broken[0] if played.broken else ""


def test_a_reader_that_keeps_the_promise_is_not_blamed() -> None:
    """Declared errors are as good as a record."""
    assert a_thousand(wire.WIRE.send) == ""


def test_another_error_is_told_with_its_input() -> None:
    said = a_thousand(lambda data: data.index(b"e"))
    assert said.startswith("it raised ValueError: subsection not found for b")


def test_memory_out_of_proportion_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a claimed length were believed."""
    monkeypatch.setattr(promise, "WEIGHED", 1)
    assert "bytes of memory for" in a_thousand(lambda data: bytes(10_000_000) if data.startswith(b"\xff") else None)


def test_time_out_of_proportion_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a claimed count were believed."""
    monkeypatch.setattr(promise, "IDLE_S", 0.01)

    def slowly(data: bytes) -> None:
        until_s = time.thread_time() + (0.05 if data.startswith(b"\xff") else 0.0)
        while time.thread_time() < until_s:
            pass

    assert "of processor time for" in a_thousand(slowly)


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if not target.seeds()])
def test_choices_make_values_of_many_kinds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that refused all choices would hold for ever."""
    taken: list[str] = []
    module = {"foreign": "wire", "dead-letters": "wire", "settings": "configuring", "replies": "replies"}[name]
    monkeypatch.setattr(f"tests.fuzz.{module}.held", lambda *told, **named: taken.append(repr(told[-1] if told else 0)))
    for at in range(40):
        with suppress(Broken):  # nothing was read, so nothing holds
            TARGETS[name].take(bytes((at * 37 + place * place) % 256 for place in range(CHOICES_BYTES)))
    assert len(set(taken)) > 10
