"""The list of tokens at the end of a send: a thousand of one length in the time that ten of mixed lengths take.

Promised: exactly what Avro says the bytes mean, or an exception (see ``primitives``); never more memory than the bytes.
Not promised: that a token is one that Push Kit would know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from struct import Struct
from typing import Final

from stream.block import TokenBlock, block_of
from stream.wire.primitives import blob, long, read_count, read_length

_RUN: Final = 64
"""Tokens cut out in one go: big enough to be fast, small enough that 64 cached layouts per length cost nothing."""

_ONE: Final = long(1)
_NO_MORE: Final = long(0)


def read_tokens(data: bytes, at: int) -> Sequence[bytes]:
    """The tokens from ``at`` to the end of ``data``, a tuple or a TokenBlock.

    Raises ValueError for bytes behind them or a token not UTF-8.
    """
    if data[at : at + 1] == _ONE and (token := _only_token(data, at + 1)) is not None:
        return (token,)
    tokens, at = _read_blocks(data, at)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes follow the last field")
    if isinstance(tokens, tuple) and not b"".join(tokens).isascii():
        for token in tokens:
            token.decode()
    return tokens


def _only_token(data: bytes, at: int) -> bytes | None:
    """What most sends have: one token, in ASCII, and no other block. None: read it as any other list."""
    length, begin = read_length(data, at)
    if begin + length + 1 != len(data) or data[-1:] != _NO_MORE:
        return None
    token = data[begin:-1]
    return token if token.isascii() else None


def _read_blocks(data: bytes, at: int) -> tuple[tuple[bytes, ...] | TokenBlock, int]:
    count, at = read_count(data, at)
    tokens: list[bytes] = []
    while count:
        block, at = _read_block(data, at, count)
        count, at = read_count(data, at)
        if not count and not tokens:
            return block if isinstance(block, TokenBlock) else tuple(block), at
        tokens.extend(block)
    return tuple(tokens), at


def _read_block(data: bytes, at: int, count: int) -> tuple[Iterable[bytes], int]:
    """``count`` tokens and the position behind them.

    If the length before the first token stands again at every place where a token would begin if all were equally
    long, then they are: each such place follows from the one before it. Comparing those places is one slice a byte.
    """
    length, begin = read_length(data, at)
    width = begin - at
    stride = width + length
    end = at + count * stride
    if count == 1:
        return (data[begin:end],), end
    if end <= len(data) and _repeats(data, at, end, stride, width):
        return block_of(data, at, count, width, length) or _cut_equal(data[at:end], width, length), end
    return _cut_mixed(data, at, count)


def _repeats(data: bytes, at: int, end: int, stride: int, width: int) -> bool:
    count = (end - at) // stride
    return all(data[place:end:stride] == data[place : place + 1] * count for place in range(at, at + width))


def _cut_equal(block: bytes, width: int, length: int) -> Iterator[bytes]:
    whole = len(block) - len(block) % ((width + length) * _RUN)
    runs = _layout(width, length, _RUN).iter_unpack(block[:whole])
    rest = _layout(width, length, (len(block) - whole) // (width + length)).unpack_from(block, whole)
    return chain(chain.from_iterable(runs), rest)


@lru_cache(256)
def _layout(width: int, length: int, count: int) -> Struct:
    return Struct(f"{width}x{length}s" * count)


def _cut_mixed(data: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    tokens: list[bytes] = []
    add = tokens.append
    for _ in range(count):
        low = data[at]
        if low & 0x81 == 0x80 and data[at + 1] < 0x80:  # two bytes, the case that counts: 64 to 8,191 bytes a token
            begin = at + 2
            at = begin + (low >> 1 & 0x3F | data[at + 1] << 6)
        else:
            length, begin = read_length(data, at)
            at = begin + length
        add(data[begin:at])
    return tokens, at


def tokens_written(tokens: Sequence[bytes]) -> bytes:
    """The list as Avro writes it: one block and its end."""
    return b"".join((long(len(tokens)), *map(blob, tokens), b"\0")) if tokens else b"\0"
