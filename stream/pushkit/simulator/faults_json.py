"""``Faults`` as JSON and back: the dataclasses' own fields in camelCase, enums by value.

Promised: ``from_json(Faults, to_json(faults)) == faults``; an unknown key, a wrong type or an impossible value raises
FaultsError that names it. Not promised: merging; what is left out has its default, or is named where there is none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from stream.pushkit.simulator.faults import FaultsError

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """A value of plain dicts, lists, strings and numbers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {_camel(each.name): to_json(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {name: to_json(each) for name, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return [to_json(each) for each in value] if isinstance(value, tuple) else value


def from_json(kind: type[T], value: object) -> T:
    """A dataclass of the given kind from its JSON form; raises FaultsError."""
    made = _read(kind, value, kind.__name__.lower())
    assert isinstance(made, kind)
    return made


def _read(kind: Any, value: object, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind, value, where)
    origin, args = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return None if value is None else _read(args[0], value, where)
    if origin is Mapping:
        return {name: _read(args[1], each, f"{where}.{name}") for name, each in _object(value, where).items()}
    if origin is not None:
        return origin(_read(args[0], each, f"{where}[{index}]") for index, each in enumerate(_array(value, where)))
    return _plain(kind, value, where)


def _dataclass(kind: Any, value: object, where: str) -> Any:
    hints = get_type_hints(kind)
    known = {_camel(each.name): each.name for each in dataclasses.fields(kind)}
    given = _object(value, where)
    if unknown := given.keys() - known.keys():
        raise FaultsError(f"{where}: unknown key {min(unknown)!r}; known are {', '.join(known)}")
    if missing := [key for key, name in known.items() if key not in given and name in _needed(kind)]:
        raise FaultsError(f"{where} lacks {' and '.join(missing)}")
    fields = {known[key]: _read(hints[known[key]], each, f"{where}.{key}") for key, each in given.items()}
    try:
        return kind(**fields)
    except FaultsError as error:
        raise FaultsError(f"{where}: {error}") from None


def _needed(kind: Any) -> set[str]:
    """The names of the fields that have no default."""
    return {
        each.name
        for each in dataclasses.fields(kind)
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    }


def _enum(kind: type[Enum], value: object, where: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        raise FaultsError(f"{where} must be one of {', '.join(str(each.value) for each in kind)}") from None


def _plain(kind: Any, value: object, where: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise FaultsError(f"{where} must be a {_NAMES[kind]}")
    return value


_NAMES = {bool: "boolean", int: "whole number", float: "number", str: "string"}


def _object(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise FaultsError(f"{where} must be an object")
    return value


def _array(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise FaultsError(f"{where} must be an array")
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
