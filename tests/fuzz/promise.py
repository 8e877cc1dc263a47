"""What every input is held to, whoever made it up.

Promised: ``held`` returns what was read, or None where it was refused with a declared error; anything else that comes
of an input is Broken: another exception, more than its share of time, more than its share of memory. Not promised:
that each input is weighed. That costs several times the work itself, so one in ``WEIGHED`` is.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Final, TypeVar

T = TypeVar("T")

IDLE_S: Final = 0.25
S_PER_BYTE: Final = 20e-6
"""Processor time, since the machine may be busy with something else. Reading takes some 0.01 µs a byte by hand, 1 µs by
fastavro, 5 µs of a schema; under a coverage tracer ten times that."""

IDLE_BYTES: Final = 2_000_000
BYTES_PER_BYTE: Final = 60
"""A list of empty texts is eight bytes an entry in Python, one byte in Avro; a parsed schema is the heaviest."""

WEIGHED: Final = 40
SHOWN_BYTES: Final = 400

Declared = tuple[type[Exception], ...]

_taken = count()


class Broken(AssertionError):
    """The promise is broken; says by what, and shows the input."""


def held(what: str, read: Callable[[], T], declared: Declared, size_bytes: int, shown: object) -> T | None:
    """What ``read`` makes of an input of so many bytes. Raises Broken."""
    value, took_s = _timed(what, read, declared, shown)
    most_s = IDLE_S + S_PER_BYTE * size_bytes
    if took_s > most_s:  # again, since it may have been the first of its kind, or the collector's turn
        took_s = min(took_s, _timed(what, read, declared, shown)[1])
    if took_s > most_s:
        raise Broken(f"{what} took {took_s:.2f} s of processor time for {size_bytes} bytes: {said(shown)}")
    if next(_taken) % WEIGHED == 0:
        _weigh(what, read, declared, size_bytes, shown)
    return value


def must(holds: bool, what: str, shown: object) -> None:
    """Raises Broken with what should have been true."""
    if not holds:
        raise Broken(f"{what}: {said(shown)}")


def said(shown: object) -> str:
    """An input as it can be pasted into a test."""
    text = repr(shown)
    return text if len(text) <= SHOWN_BYTES else f"{text[:SHOWN_BYTES]}… ({len(text)} characters)"


def _timed(what: str, read: Callable[[], T], declared: Declared, shown: object) -> tuple[T | None, float]:
    value: T | None = None
    began_s = time.thread_time()
    try:
        value = read()
    except declared:
        pass
    except Exception as error:
        raise Broken(f"{what} raised {type(error).__name__}: {error} for {said(shown)}") from error
    return value, time.thread_time() - began_s


def _weigh(what: str, read: Callable[[], object], declared: Declared, size_bytes: int, shown: object) -> None:
    tracemalloc.start()
    try:
        with suppress(*declared):
            read()
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if peak_bytes > IDLE_BYTES + BYTES_PER_BYTE * size_bytes:
        raise Broken(f"{what} took {peak_bytes:,} bytes of memory for {size_bytes} bytes: {said(shown)}")
