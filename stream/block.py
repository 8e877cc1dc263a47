"""A send's tokens as one piece of memory: a thousand of one length, which nobody may ever have to look at one by one.

Promised: a :class:`TokenBlock` is the sequence of its tokens, equal to the tuple of them; what it says of them all at
once (lengths, distinctness, JSON) costs tens of microseconds a thousand, not hundreds. Not promised: a block for every
list; tokens of several lengths, short ones, and such as JSON escapes are better off as a tuple.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final, overload

import numpy as np

FEWEST: Final = 32
"""Fewer tokens than this are quicker one by one."""
SHORTEST: Final = 8
"""One word of the fingerprints; no real token is as short."""
_BEFORE: Final = b'","'
_QUOTE, _BACKSLASH = 0x22, 0x5C
_FACTORS: Final = np.frombuffer(secrets.token_bytes(8 * 2_048), dtype="<u8") | np.uint64(1)
"""Odd and random, so that nobody can write tokens that look alike."""


class TokenBlock(Sequence[bytes]):
    """Printable ASCII tokens of one ``length``, in order, repeats kept. Made by :func:`block_of`; never changes."""

    __slots__ = ("_text", "length")

    def __init__(self, text: bytes, length: int) -> None:
        """``text`` has, for each token, what parts it from the one before in JSON, and the token."""
        self._text = text
        self.length = length

    def __repr__(self) -> str:
        return f"TokenBlock({len(self)} tokens of {self.length} bytes)"

    def __len__(self) -> int:
        return len(self._text) // (len(_BEFORE) + self.length)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        stride = len(_BEFORE) + self.length
        if isinstance(place, int):
            at = range(len(self))[place] * stride
            return self._text[at + len(_BEFORE) : at + stride]
        start, stop, step = place.indices(len(self))
        if step != 1:
            return tuple(self)[place]
        if stop - start == len(self):
            return self
        return TokenBlock(self._text[start * stride : max(start, stop) * stride], self.length)

    def __iter__(self) -> Iterator[bytes]:
        row = Struct(f"{len(_BEFORE)}x{self.length}s")
        return (token for (token,) in row.iter_unpack(self._text))

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, tuple | TokenBlock) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def json(self) -> memoryview:
        """What stands in a JSON array between its first quote and its last."""
        return memoryview(self._text)[len(_BEFORE) :]

    def all_distinct(self) -> bool:
        """Whether no token stands twice."""
        prints = np.sort(self._fingerprints())
        return bool((prints[1:] != prints[:-1]).all()) or len(set(self)) == len(self)

    def _fingerprints(self) -> np.ndarray:
        """A number a token: alike for equal tokens, and nearly always for no others."""
        stride, words = len(_BEFORE) + self.length, self.length // 8
        found: np.ndarray = self._words(len(_BEFORE), words) @ _FACTORS[:words]
        if self.length % 8:
            found += self._words(stride - 8, 1)[:, 0] * _FACTORS[words]
        return found

    def _words(self, at: int, count: int) -> np.ndarray:
        stride = len(_BEFORE) + self.length
        return np.ndarray((len(self), count), "<u8", self._text, at, (stride, 8))


def block_of(data: bytes, at: int, count: int, before: int, length: int) -> TokenBlock | None:
    """The ``count`` tokens from ``at`` on in ``data``, each of ``length`` bytes with ``before`` bytes before it that
    are none of its own; None where they are better off as a tuple."""
    if count < FEWEST or not SHORTEST <= length <= 8 * (len(_FACTORS) - 1):
        return None
    rows = np.frombuffer(data, np.uint8, count * (before + length), at).reshape(count, before + length)
    text = np.empty((count, len(_BEFORE) + length), np.uint8)
    text[:, : len(_BEFORE)] = np.frombuffer(_BEFORE, np.uint8)
    text[:, len(_BEFORE) :] = rows[:, before:]
    return TokenBlock(text.tobytes(), length) if _is_plain(text, count) else None


def _is_plain(text: np.ndarray, count: int) -> bool:
    """Whether JSON needs no escape for the tokens, quotes around them apart."""
    return bool(
        text.min() >= 0x20
        and text.max() < 0x7F
        and np.count_nonzero(text == _QUOTE) == 2 * count
        and not (text == _BACKSLASH).any()
    )


def all_distinct(tokens: Sequence[bytes]) -> bool:
    """Whether no token stands twice."""
    return tokens.all_distinct() if isinstance(tokens, TokenBlock) else len(set(tokens)) == len(tokens)


def lengths(tokens: Sequence[bytes]) -> set[int]:
    """The lengths that occur."""
    return {tokens.length} if isinstance(tokens, TokenBlock) else set(map(len, tokens))


def total_bytes(tokens: Sequence[bytes]) -> int:
    """Of all tokens together."""
    return tokens.length * len(tokens) if isinstance(tokens, TokenBlock) else sum(map(len, tokens))
