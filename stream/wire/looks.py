"""The cheap look at a send: its format, its schema, its key and its end, without decoding anything.

Promised: a look that says yes means a known schema, a key equal to the record's first field, and an end where a token
list can end. Not promised: that the record decodes; a look that does not say yes means nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from operator import add, itemgetter
from typing import TYPE_CHECKING, Final, TypeAlias

from stream.wire.primitives import long
from stream.wire.readers import CONFLUENT_HEADER_BYTES, SINGLE_OBJECT_HEADER_BYTES, header_of, writer_schema
from stream.wire.schemas import header, is_plain_send, present

if TYPE_CHECKING:
    from stream.wire.registry import Registry

_TABLED_KEY_BYTES: Final = 1_024
"""Sends with longer keys are decoded instead."""

_NEVER: Final = b"\xff"
"""No record that we read begins so: what stands for a key of no bytes."""

Beginnings: TypeAlias = tuple[bytes, ...]
"""By the key's length: what stands before the key in a send of one schema, header and length together."""


class Looks:
    """What sends of each known schema must begin with."""

    def __init__(self, name: str, registry: Registry | None) -> None:
        self._registry = registry
        ours = header(present(name))
        self._by_header: dict[bytes, Beginnings] = {ours: _beginnings(ours)}

    def all_plain(self, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> bool:
        """Whether every record of the batch passes, all in one schema learned before."""
        if not values or values[0] is None or len(keys) != len(values):
            return not values and not keys
        beginnings = self._seen(values[0])
        try:
            if alike := _alike(beginnings, keys, values):
                return alike
            starts = map(add, map(beginnings.__getitem__, map(len, keys)), keys)  # type: ignore[arg-type]
            return all(map(bytes.startswith, values, starts)) and all(map(bytes.endswith, values, repeat(b"\0")))  # type: ignore[arg-type]
        except (TypeError, IndexError):  # a null; a key longer than the table, a schema not learned
            return False

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


def _alike(beginnings: Beginnings, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> bool:
    """The same look at twice the speed, where all keys are of one length: one comparison for the whole batch.

    Raises TypeError, IndexError as the look at each does. False says nothing.
    """
    length = len(keys[0])  # type: ignore[arg-type]
    if set(map(len, keys)) != {length}:  # type: ignore[arg-type]
        return False
    start = beginnings[length]
    seen = map(itemgetter(slice(len(start) + length)), values)  # type: ignore[arg-type]
    return b"".join(seen) == start + start.join(keys) and not any(map(itemgetter(-1), values))  # type: ignore[arg-type]


def _beginnings(head: bytes) -> Beginnings:
    return _NEVER, *(head + long(length) for length in range(1, _TABLED_KEY_BYTES))
