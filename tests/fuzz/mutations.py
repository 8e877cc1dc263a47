"""Inputs made of other inputs, by chance: what a damaged or hostile record, file or reply may look like.

Promised: the same chance gives the same input; none is longer than ``LONGEST``. Not promised: sense.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from stream.wire.primitives import long

LONGEST: Final = 1 << 16

WORDS: Final = (
    *(b"\0", b"\xff", b"\x80", b"\xff" * 10, b"\0" * 64, b"\x01", b"\x02", b"\xed\xa0\x80", "\u2028".encode()),
    *map(long, (-1, 2**31, -(2**31) - 1, 2**40, -(2**40), 2**63 - 1, -(2**63))),
    *(b"{", b"[", b'"', b"\\", b"[" * 200, b'{"a":' * 100, b"\r\n", b"\\ud800", b"1e999", b"-0", b"NaN", b"9" * 60),
)
"""Lengths and counts of terabytes, broken UTF-8, what nests, what ends a line."""

Change = Callable[[Random, bytearray, Sequence[bytes]], None]


def mutated(chance: Random, corpus: Sequence[bytes]) -> bytes:
    """One of these, changed one to six times."""
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.choice((1, 1, 2, 2, 3, 6))):
        chance.choice(CHANGES)(chance, data, corpus)
    return bytes(data[:LONGEST])


def _flip(chance: Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _overwrite(chance: Random, data: bytearray, _: Sequence[bytes]) -> None:
    word = chance.choice(WORDS)
    at = chance.randint(0, len(data))
    data[at : at + len(word)] = word


def _insert(chance: Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = chance.randint(0, len(data))
    data[at:at] = chance.choice((*WORDS, chance.randbytes(chance.randint(1, 8))))


def _take_out(chance: Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = chance.randint(0, len(data))
    del data[at : at + chance.choice((1, 1, 2, 5, 40))]


def _cut(chance: Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[chance.randint(0, len(data)) :]


def _repeat(chance: Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = chance.randint(0, len(data))
    data[at:at] = data[at : at + chance.randint(1, 64)] * chance.choice((1, 2, 50, 1_000))


def _splice(chance: Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    other = chance.choice(corpus)
    data[chance.randint(0, len(data)) :] = other[chance.randint(0, len(other)) :]


CHANGES: Final[tuple[Change, ...]] = (_flip, _flip, _overwrite, _insert, _take_out, _cut, _repeat, _splice)
