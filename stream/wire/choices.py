"""The choices in a record of a stranger's schema: branches of unions, symbols of enums, records within themselves.

fastavro takes a negative one for one from the end: bytes that mean nothing would be a status, or a notifyId. And it
goes as deep as a record nests, which may be as deep as it is long. Promised: linear in the bytes, and nothing nested
deeper than ``MAX_DEPTH`` passes. Not promised: that the rest decodes; fastavro says that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from stream.wire.primitives import read_count, read_length, read_long

Walk = Callable[[bytes, int, int], int]
"""Goes through the value at a position, so many records within themselves deep (0 for the whole); gives the position
behind it. Raises IndexError, ValueError."""

MAX_DEPTH: Final = 32


def walk_of(schema: Any) -> Walk:
    """How to go through a record of this schema, one that ``require_harmless`` has passed. Raises ValueError for a name
    that it does not define."""
    return _walk(schema, {})


def _walk(schema: Any, named: dict[str, Walk | None]) -> Walk:
    """``named``: None while it is being made, so that whoever names it then is within it."""
    if isinstance(schema, list):
        return partial(_branch, [_walk(branch, named) for branch in schema])
    if isinstance(schema, str):
        return _known(schema, named)
    match schema["type"]:
        case "record" | "error":
            named[schema["name"]] = None
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


def _known(name: str, named: dict[str, Walk | None]) -> Walk:
    if name not in named and name not in _PRIMITIVES:
        raise ValueError(f"the writer's schema does not define {name}")
    return _PRIMITIVES.get(name) or named[name] or partial(_deeper, name, named)


def _deeper(name: str, named: dict[str, Walk | None], data: bytes, at: int, depth: int) -> int:
    walk = named[name]
    if walk is None or depth == MAX_DEPTH:
        raise ValueError(f"the record holds {name} within itself more than {MAX_DEPTH} deep")
    return walk(data, at, depth + 1)


def _branch(branches: Sequence[Walk], data: bytes, at: int, depth: int) -> int:
    index, at = read_long(data, at)
    if not 0 <= index < len(branches):
        raise ValueError("a union names a branch that does not exist")
    return branches[index](data, at, depth)


def _symbol(symbols: int, data: bytes, at: int, _depth: int) -> int:
    index, at = read_long(data, at)
    if not 0 <= index < symbols:
        raise ValueError(f"an enum has no symbol with the index {index}")
    return at


def _each(walks: Sequence[Walk], data: bytes, at: int, depth: int) -> int:
    for walk in walks:
        at = walk(data, at, depth)
    return at


def _blocks(item: Walk, data: bytes, at: int, depth: int) -> int:
    count, at = read_count(data, at)
    while count:
        for _ in range(count):
            at = item(data, at, depth)
        count, at = read_count(data, at)
    return at


def _bytes(size: int, data: bytes, at: int, _depth: int) -> int:
    if at + size > len(data):
        raise IndexError("the record ends within a value")
    return at + size


def _text(data: bytes, at: int, depth: int) -> int:
    length, at = read_length(data, at)
    return _bytes(length, data, at, depth)


def _number(data: bytes, at: int, _depth: int) -> int:
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
