"""The choices in a record of a stranger's schema: branches of unions, symbols of enums.

fastavro takes a negative one for one from the end: bytes that mean nothing would be a status, or a notifyId.
Promised: linear in the bytes. Not promised: that the rest decodes; fastavro says that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from stream.wire.primitives import read_count, read_length, read_long

Walk = Callable[[bytes, int], int]
"""Goes through one value; gives the position behind it. Raises IndexError, ValueError."""


def walk_of(schema: Any) -> Walk:
    """How to go through a record of this schema, one that ``require_harmless`` has passed. Raises ValueError for a name
    that it does not define."""
    return _walk(schema, {})


def _walk(schema: Any, named: dict[str, Walk]) -> Walk:
    if isinstance(schema, list):
        return partial(_branch, [_walk(branch, named) for branch in schema])
    if isinstance(schema, str):
        return _known(schema, named)
    match schema["type"]:
        case "record" | "error":
            walk: Walk = partial(_each, [_walk(field["type"], named) for field in schema["fields"]])
        case "enum":
            walk = partial(_symbol, len(schema["symbols"]))
        case "fixed":
            walk = partial(_bytes, schema["size"])
        case "array":
            return partial(_blocks, _walk(schema["items"], named))
        case "map":
            return partial(_blocks, partial(_each, [_text, _walk(schema["values"], named)]))
        case kind:
            return _walk(kind, named)
    named[schema["name"]] = walk
    return walk


def _known(name: str, named: dict[str, Walk]) -> Walk:
    walk = _PRIMITIVES.get(name) or named.get(name)
    if walk is None:
        raise ValueError(f"the writer's schema does not define {name}")
    return walk


def _branch(branches: Sequence[Walk], data: bytes, at: int) -> int:
    index, at = read_long(data, at)
    if not 0 <= index < len(branches):
        raise ValueError("a union names a branch that does not exist")
    return branches[index](data, at)


def _symbol(symbols: int, data: bytes, at: int) -> int:
    index, at = read_long(data, at)
    if not 0 <= index < symbols:
        raise ValueError(f"an enum has no symbol with the index {index}")
    return at


def _each(walks: Sequence[Walk], data: bytes, at: int) -> int:
    for walk in walks:
        at = walk(data, at)
    return at


def _blocks(item: Walk, data: bytes, at: int) -> int:
    count, at = read_count(data, at)
    while count:
        for _ in range(count):
            at = item(data, at)
        count, at = read_count(data, at)
    return at


def _bytes(size: int, data: bytes, at: int) -> int:
    if at + size > len(data):
        raise IndexError("the record ends within a value")
    return at + size


def _text(data: bytes, at: int) -> int:
    length, at = read_length(data, at)
    return _bytes(length, data, at)


def _number(data: bytes, at: int) -> int:
    return read_long(data, at)[1]


_PRIMITIVES: Final[dict[str, Walk]] = {
    "null": partial(_bytes, 0),
    "boolean": partial(_bytes, 1),
    "float": partial(_bytes, 4),
    "double": partial(_bytes, 8),
    "int": _number,
    "long": _number,
    "bytes": _text,
    "string": _text,
}
