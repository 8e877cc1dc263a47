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
LONGEST: Final = 4_096
_WORD_BYTES: Final = 8
_BEFORE: Final = b'","'
_FRONT, _BACK = 40, 8
"""Room for what stands around the tokens in a request: it need not be copied to be sent."""
_FACTORS: Final = np.frombuffer(secrets.token_bytes(LONGEST + _WORD_BYTES), dtype="<u8") | np.uint64(1)
"""Odd and random, so that nobody can write tokens that look alike."""

_SCATTER: Final = int(_FACTORS[-1]) & 0xFFFFFFFF
_SCATTER_HIGH: Final = np.uint64(_SCATTER << 32)
TAIL_BYTES: Final = 4


class TokenBlock(Sequence[bytes]):
    """Printable ASCII tokens of one ``length``, in order, repeats kept. Made by :func:`block_of`; never changes."""

    __slots__ = ("_around", "_rows", "length")

    def __init__(self, rows: np.ndarray, around: np.ndarray | None = None) -> None:
        """A row a token: what parts it from the one before in JSON, and its bytes. ``around``: the memory they lie in,
        if there is room before and behind all of them."""
        self._rows, self._around = rows, around
        self.length = rows.shape[1] - len(_BEFORE)

    def __repr__(self) -> str:
        return f"TokenBlock({len(self)} tokens of {self.length} bytes)"

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(place, int):
            return self._rows[place, len(_BEFORE) :].tobytes()
        if place.indices(len(self)) == (0, len(self), 1):
            return self  # with what lies around it
        return TokenBlock(self._rows[place]) if place.step in (None, 1) else tuple(self)[place]

    def __iter__(self) -> Iterator[bytes]:
        row = Struct(f"{len(_BEFORE)}x{self.length}s")
        return (token for (token,) in row.iter_unpack(self._flat()))

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, tuple | TokenBlock) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def json(self, before: bytes, behind: bytes) -> bytes | memoryview:
        """What stands in a JSON array between its first quote and its last, with that around it. What one call gave is
        no longer true after another with other words."""
        if self._around is None or len(before) > _FRONT + len(_BEFORE) or len(behind) > _BACK:
            return b"".join((before, self._flat()[len(_BEFORE) :], behind))
        first, end = _FRONT + len(_BEFORE) - len(before), _FRONT + self._rows.size + len(behind)
        whole = memoryview(self._around)  # type: ignore[arg-type]  # an array is a buffer
        whole[first : first + len(before)] = before
        whole[end - len(behind) : end] = behind
        return whole[first:end]

    def _flat(self) -> memoryview:
        return memoryview(self._rows.reshape(-1))  # type: ignore[arg-type]  # an array is a buffer

    def tails(self) -> bytes:
        """The last four bytes of each token, joined."""
        return self._rows[:, -TAIL_BYTES:].tobytes()

    def all_distinct(self) -> bool:
        """Whether no token stands twice."""
        return _differ(self._ends()) or _differ(self._words()) or len(set(self)) == len(self)

    def _ends(self) -> np.ndarray:
        """A number for each token, by its first two words and its last: mostly they tell it from the others, and
        reading them is a third of the price. Equal tokens have the same."""
        stride, longest = len(_BEFORE) + self.length, self.length - _WORD_BYTES
        prints = np.zeros(len(self), np.uint64)
        for start, factor in zip((0, min(_WORD_BYTES, longest), longest), _FACTORS[:3], strict=True):
            prints += np.ndarray(len(self), "<u8", self._rows, len(_BEFORE) + start, stride) * factor
        return prints

    def _words(self) -> np.ndarray:
        """The same by all of its words, but for what stands before a whole number of them."""
        stride, words = len(_BEFORE) + self.length, self.length // _WORD_BYTES
        seen = np.ndarray((len(self), words), "<u8", self._rows, stride - words * _WORD_BYTES, (stride, _WORD_BYTES))
        found: np.ndarray = seen @ _FACTORS[:words]
        return found


def _differ(prints: np.ndarray) -> bool:
    """Whether no number stands twice; they are sorted where they lie."""
    prints.sort()
    return not np.count_nonzero(prints[1:] == prints[:-1])


def block_of(data: bytes, at: int, count: int, before: int, length: int) -> TokenBlock | None:
    """The ``count`` tokens from ``at`` on in ``data``, each of ``length`` bytes with ``before`` bytes before it that
    are none of its own; None where they are better off as a tuple."""
    if count < FEWEST or not _WORD_BYTES <= length <= LONGEST:
        return None
    end = at + count * (before + length)
    if data.find(b'"', at, end) >= 0 or data.find(b"\\", at, end) >= 0:  # perhaps before a token: a tuple will do then
        return None
    around = np.empty(_FRONT + count * (len(_BEFORE) + length) + _BACK, np.uint8)
    rows = around[_FRONT : len(around) - _BACK].reshape(count, -1)
    rows[:, : len(_BEFORE)] = np.frombuffer(_BEFORE, np.uint8)
    rows[:, len(_BEFORE) :] = np.frombuffer(data, np.uint8, end - at, at).reshape(count, -1)[:, before:]
    return TokenBlock(rows, around) if rows.view(np.int8).min() >= 0x20 else None  # beyond ASCII it is negative


def all_distinct(tokens: Sequence[bytes]) -> bool:
    """Whether no token stands twice."""
    return tokens.all_distinct() if isinstance(tokens, TokenBlock) else len(set(tokens)) == len(tokens)


def lengths(tokens: Sequence[bytes]) -> set[int]:
    """The lengths that occur."""
    return {tokens.length} if isinstance(tokens, TokenBlock) else set(map(len, tokens))


def total_bytes(tokens: Sequence[bytes]) -> int:
    """Of all tokens together."""
    return tokens.length * len(tokens) if isinstance(tokens, TokenBlock) else sum(map(len, tokens))


def turns(tokens: Sequence[bytes]) -> np.ndarray:
    """A number below 2³² for each token, by its last four bytes: as good as drawn, another in each process, the same
    whenever the token comes."""
    tails = tokens.tails() if isinstance(tokens, TokenBlock) else b"".join([tail_of(token) for token in tokens])
    return turns_of(np.frombuffer(tails, "<u4"))


def turn_of(token: bytes) -> int:
    """The same of one token."""
    return int.from_bytes(tail_of(token), "little") * _SCATTER & 0xFFFFFFFF


def turns_of(tails: np.ndarray) -> np.ndarray:
    """The same of tokens that end so."""
    found: np.ndarray = tails * np.uint32(_SCATTER)
    return found


def high_turns_of(tails: np.ndarray) -> np.ndarray:
    """The same of tokens that end in the lowest four bytes of each number, as the highest four bytes of another:
    whatever stands above them has no part in it, and need not be cut away."""
    found: np.ndarray = tails * _SCATTER_HIGH
    return found


def tail_of(token: bytes) -> bytes:
    """Its last four bytes; of a shorter one, what there is behind zeros."""
    return token[-TAIL_BYTES:].rjust(TAIL_BYTES, b"\0")
