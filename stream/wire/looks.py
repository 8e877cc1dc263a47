"""The cheap look at a send: its format, its schema, its key and its end, without decoding anything.

Promised: a look that says yes means a known schema, a key equal to the record's first field, and an end where a token
list can end. Not promised: that the record decodes; a look that does not say yes means nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from operator import add
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from stream.wire.primitives import long
from stream.wire.readers import CONFLUENT_HEADER_BYTES, SINGLE_OBJECT_HEADER_BYTES, header_of, writer_schema
from stream.wire.schemas import header, is_plain_send, present

if TYPE_CHECKING:
    from stream.wire.registry import Registry

_TABLED_KEY_BYTES: Final = 1_024
"""Sends with longer keys are decoded instead."""

_SMALL_BYTES: Final = 4_096
"""On average: larger records cost more to be copied together than to be looked at one by one."""

_TAIL_BYTES: Final = 8
_LAST_FIVE: Final = np.uint64(24)
_NO_END: Final = np.uint64(1 << 32)
"""A list of tokens ends with one byte of 0, so that no tail is as great."""

_NEVER: Final = b"\xff"
"""No record that we read begins so: what stands for a key of no bytes."""

Beginnings: TypeAlias = tuple[bytes, ...]
"""By the key's length: what stands before the key in a send of one schema, header and length together."""


class Records(NamedTuple):
    """The values of a batch, as they are looked at and stored."""

    values: Sequence[bytes]
    sizes: np.ndarray
    """In bytes, of each."""
    ends: np.ndarray
    """Where each ends, if they lie side by side."""
    joined: bytes
    """All of them, where they are small: then one look is enough, and one copy. Else nothing."""
    tails: np.ndarray | None
    """Then too, of each the last five bytes as a number: read while the processor has just written them."""


def records_of(values: Sequence[bytes]) -> Records:
    """Raises TypeError for a null."""
    sizes = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
    ends = sizes.cumsum()
    small = not values or ends[-1] <= _SMALL_BYTES * len(values)
    joined = b"".join(values) if small else b""
    return Records(values, sizes, ends, joined, _tails(joined, ends))


def _tails(joined: bytes, ends: np.ndarray) -> np.ndarray | None:
    """Of a record of fewer bytes they begin in the one before."""
    if not joined or ends[0] < _TAIL_BYTES:
        return None
    everywhere = np.ndarray(len(joined) - _TAIL_BYTES + 1, "<u8", joined, strides=(1,))
    tails: np.ndarray = everywhere[ends - _TAIL_BYTES]
    tails >>= _LAST_FIVE
    return tails


class Looks:
    """What sends of each known schema must begin with."""

    def __init__(self, name: str, registry: Registry | None) -> None:
        self._registry = registry
        ours = header(present(name))
        self._by_header: dict[bytes, Beginnings] = {ours: _beginnings(ours)}

    def all_plain(self, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> Records | None:
        """The batch, if every record of it passes, all in one schema learned before; else None."""
        if len(keys) != len(values):
            return None
        try:
            records = records_of(values)  # type: ignore[arg-type]  # nulls: see below
            return records if not keys or self._pass(keys, records) else None  # type: ignore[arg-type]
        except (TypeError, IndexError):  # a null; a key longer than the table, a schema not learned
            return None

    def _pass(self, keys: Sequence[bytes], records: Records) -> bool:
        beginnings = self._seen(records.values[0])
        if records.joined and _alike(beginnings, keys, records):
            return True
        starts = map(add, map(beginnings.__getitem__, map(len, keys)), keys)
        return all(map(bytes.startswith, records.values, starts)) and all(
            map(bytes.endswith, records.values, repeat(b"\0"))
        )

    def plain(self, key: bytes, value: bytes) -> bool:
        """Whether this record passes, in any schema learned before."""
        beginnings = self._seen(value)
        return len(key) < len(beginnings) and value.startswith(beginnings[len(key)] + key) and value.endswith(b"\0")

    def learn(self, value: bytes) -> None:
        """Looks at sends of this record's schema from now on. Only for a record that was decoded whole.

        A schema that no record of can become ours is so never trusted for its looks.
        """
        head = header_of(value)
        if head not in self._by_header:
            plain = is_plain_send(writer_schema(head, self._registry))
            self._by_header[head] = _beginnings(head) if plain else ()

    def _seen(self, value: bytes) -> Beginnings:
        by_header = self._by_header
        return by_header.get(value[:SINGLE_OBJECT_HEADER_BYTES]) or by_header.get(value[:CONFLUENT_HEADER_BYTES]) or ()


def _alike(beginnings: Beginnings, keys: Sequence[bytes], records: Records) -> bool:
    """The same look at a third of the cost, for small records whose keys are of one length: all are compared at once.

    Raises TypeError, IndexError as the look at each does. False says nothing.
    """
    length, ends = len(keys[0]), records.ends
    start = beginnings[length]
    width = len(start) + length
    if set(map(len, keys)) != {length} or records.sizes.min() <= width:  # too short: it would go on in the next record
        return False
    assert records.tails is not None
    everywhere = np.ndarray(len(records.joined) - width + 1, f"V{width}", records.joined, strides=(1,))
    seen, ended = everywhere[ends - records.sizes], records.tails.max() < _NO_END
    return seen.tobytes() == start + start.join(keys) and bool(ended)


def _beginnings(head: bytes) -> Beginnings:
    return _NEVER, *(head + long(length) for length in range(1, _TABLED_KEY_BYTES))
