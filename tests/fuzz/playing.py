"""Targets played by chance, without a look at the code's branches: for a machine that has no atheris, and for CI.

Promised: the same seed gives the same inputs in the same order, for as long as the time lasts. Not promised: that rare
branches are found; ``guided`` looks for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from tests.fuzz.mutations import mutated
from tests.fuzz.promise import Broken
from tests.fuzz.targets import CHOICES_BYTES, Target

KEPT: Final = 500
"""Of inputs that are begun with again: all seeds, and now and then what was made of them."""


class Played(NamedTuple):
    """What came of a target. ``broken``: by what, and the input; None: by nothing."""

    inputs: int
    took_s: float
    broken: tuple[str, bytes] | None


def play(target: Target, seconds: float, seed: int, clock: Callable[[], float] = time.monotonic) -> Played:
    """All seeds, then inputs for the rest of the time; it ends with the first that breaks the promise."""
    chance = Random(seed)
    corpus = list(target.seeds())
    waiting, inputs, began_s = list(corpus), 0, clock()
    while waiting or clock() - began_s < seconds:
        data = waiting.pop() if waiting else _next(chance, corpus)
        inputs += 1
        try:
            target.take(data)
        except Broken as why:
            return Played(inputs, clock() - began_s, (str(why), data))
    return Played(inputs, clock() - began_s, None)


def _next(chance: Random, corpus: list[bytes]) -> bytes:
    if not corpus:
        return chance.randbytes(chance.randint(16, CHOICES_BYTES))
    data = mutated(chance, corpus)
    if len(corpus) < KEPT and chance.random() < 0.01:
        corpus.append(data)
    return data
