"""Records written with another schema than the present one: older, newer, or a stranger's.

Promised: Avro's schema resolution by fastavro, behind the guards of ``schemas.require_harmless`` and of ``choices``;
symbols of enums are looked up here, so that one that we do not know is told from bytes that mean nothing.
Not promised: speed; the present schemas are read by hand elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

from fastavro import schemaless_reader
from fastavro.schema import parse_schema

from stream.wire.choices import Walk, walk_of
from stream.wire.schemas import Schema, require_harmless
from stream.wire.validity import invalid


@dataclass(frozen=True, slots=True)
class EnumField:
    """What an index in a writer's record means to us."""

    name: str
    written: list[str]
    ours: list[str]
    default: str | None

    def symbol(self, index: int) -> str:
        """Raises ValueError for an index without a symbol, BadRecord ``invalid`` for a symbol that we do not know."""
        if not 0 <= index < len(self.written):
            raise ValueError(f"{self.name} has no symbol with the index {index}")
        symbol = self.written[index]
        if symbol in self.ours:
            return symbol
        if self.default is None:
            raise invalid(f"{self.name} is none of {', '.join(self.ours)}")
        return self.default


@dataclass(frozen=True, slots=True)
class Resolution:
    """A writer's schema beside ours, enums as the numbers that stand for them."""

    writer: Schema
    reader: Schema
    enums: tuple[EnumField, ...]
    choices: Walk

    def read(self, data: bytes, at: int) -> tuple[dict[str, Any], int]:
        """The record's fields and the position behind them. Raises what fastavro raises where the two do not fit."""
        self.choices(data, at, 0)
        stream = BytesIO(data)
        stream.seek(at)
        fields = cast("dict[str, Any]", schemaless_reader(stream, cast("Any", self.writer), cast("Any", self.reader)))
        for enum in self.enums:
            fields[enum.name] = enum.symbol(fields[enum.name])
        return fields, stream.tell()

    def read_whole(self, data: bytes, at: int) -> dict[str, Any]:
        """The record's fields. Raises ValueError for bytes behind them: fastavro would not mind."""
        fields, at = self.read(data, at)
        if at != len(data):
            raise ValueError(f"{len(data) - at} bytes follow the last field")
        return fields


def resolution(writer: Schema, reader: Schema) -> Resolution:
    """Raises ValueError for a writer's schema that must not be read with."""
    require_harmless(writer)
    written, ours = dict(_enums_in(writer)), _enum_fields(reader, dict(_enums_in(reader)))
    shared = {name: enum for name, enum in _enum_fields(writer, written).items() if name in ours}
    fields = tuple(_enum_field(name, enum, ours[name]) for name, enum in shared.items())
    return Resolution(
        _numbered(writer, {enum["name"] for enum in shared.values()}),
        _numbered(reader, {ours[name]["name"] for name in shared}),
        fields,
        walk_of(writer),
    )


def _enums_in(schema: Any) -> Iterator[tuple[str, Schema]]:
    """Every enum that a type defines, by its full name."""
    if isinstance(schema, list):
        for branch in schema:
            yield from _enums_in(branch)
    elif isinstance(schema, dict):
        if schema["type"] == "enum":
            yield schema["name"], schema
        for part in (schema.get("items"), schema.get("values"), *(each["type"] for each in schema.get("fields", ()))):
            yield from _enums_in(part)


def _enum_fields(record: Schema, enums: dict[str, Schema]) -> dict[str, Schema]:
    """The record's own fields that are enums, defined there or named."""
    kinds = {field["name"]: field["type"] for field in record["fields"]}
    names = {name: kind["name"] if _is_enum(kind) else kind for name, kind in kinds.items()}
    return {name: enums[kind] for name, kind in names.items() if isinstance(kind, str) and kind in enums}


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, dict) and kind["type"] == "enum"


def _enum_field(name: str, written: Schema, ours: Schema) -> EnumField:
    if written["name"].rpartition(".")[2] != ours["name"].rpartition(".")[2]:
        raise ValueError(f"the writer's {name} is another enum: {written['name']}")
    return EnumField(name, written["symbols"], ours["symbols"], ours.get("default"))


def _numbered(record: Schema, names: set[str]) -> Schema:
    """The same record with ints in place of the enums of these names: both are written alike."""
    return cast("Schema", parse_schema(_with_ints(record, names)))


def _with_ints(schema: Any, names: set[str]) -> Any:
    if isinstance(schema, list):
        return [_with_ints(branch, names) for branch in schema]
    if isinstance(schema, str) or (_is_enum(schema) and schema["name"] in names):
        name = schema if isinstance(schema, str) else schema["name"]
        return "int" if name in names else schema
    parts = {key: _with_ints(schema[key], names) for key in ("items", "values") if key in schema}
    if "fields" in schema:
        parts["fields"] = [_field_with_ints(field, names) for field in schema["fields"]]
    return {key: value for key, value in schema.items() if not key.startswith("__")} | parts


def _field_with_ints(field: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """A default that was a symbol is left out: such a field is in every record, or it would not be here."""
    kind = _with_ints(field["type"], names)
    return {key: value for key, value in field.items() if key != "default" or kind == field["type"]} | {"type": kind}
