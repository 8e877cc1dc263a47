"""The schemas that we know, and what a stranger's schema must be like before we read with it.

Promised: the present schemas and every released one are found by fingerprint, in an installed wheel as in the
repository. Not promised: that a writer's schema fits ours; reading a record with it says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

Schema: TypeAlias = dict[str, Any]
"""A record's schema as parsed by fastavro: names are full, logical types gone."""

SINGLE_OBJECT: Final = b"\xc3\x01"
"""What every record in single-object encoding begins with. Source: Avro specification 1.12, section of that name."""

CONFLUENT: Final = b"\0"
"""What every record in Confluent's wire format begins with; four bytes of schema id follow, big-endian."""

MAX_LEAVES: Final = 1_000
"""A writer's schema with more fields than this, records within records unfolded, is not read with: see below."""


def folder() -> Path:
    """Where the ``.avsc`` files are: inside the installed package, else in the repository."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_schemas"
    return installed if installed.is_dir() else package.parent / "schemas"


def text_of(name: str) -> str:
    """The present schema of that name as it stands in its file, docs and all: what a registry is given."""
    return (folder() / f"{name}.avsc").read_text("utf-8")


@cache
def present(name: str) -> Schema:
    """The present schema of that name; not to be changed by the caller."""
    return parsed(text_of(name))


@cache
def known() -> dict[bytes, Schema]:
    """Every present and released schema by its single-object header."""
    files = chain(folder().glob("*.avsc"), (folder() / "released").glob("**/*.avsc"))
    return {header(schema): schema for schema in (parsed(file.read_text("utf-8")) for file in files)}


def parsed(text: str, others: Sequence[str] = ()) -> Schema:
    """A record's schema out of its JSON, times as plain longs. ``others``: what it refers to, each behind what it
    refers to itself. Raises what json and fastavro raise, ValueError."""
    named: dict[str, Any] = {}
    for other in others:
        parse_schema(without_logical_types(json.loads(other)), named)
    schema = parse_schema(without_logical_types(json.loads(text)), dict(named))
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise ValueError("the schema is not a record's")
    return cast("Schema", parse_schema(_whole(schema, named, set()))) if named else schema


def _whole(schema: Any, named: dict[str, Any], defined: set[str]) -> Any:
    """The same schema with each of the ``named`` types defined where it is met first. All parsed: names are full."""
    if isinstance(schema, list):
        return [_whole(branch, named, defined) for branch in schema]
    if isinstance(schema, str):
        return _whole(named[schema], named, defined) if schema in named and schema not in defined else schema
    if schema.get("name") in defined:
        return schema["name"]
    if "name" in schema:
        defined.add(schema["name"])
    parts = {key: _whole(schema[key], named, defined) for key in ("items", "values") if key in schema}
    if "fields" in schema:
        parts["fields"] = [field | {"type": _whole(field["type"], named, defined)} for field in schema["fields"]]
    return {key: value for key, value in schema.items() if not key.startswith("__")} | parts


def without_logical_types(schema: Any) -> Any:
    """The same schema with plain numbers for times: datetimes cost time and raise errors of their own."""
    if isinstance(schema, dict):
        return {key: without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    if isinstance(schema, list):
        return [without_logical_types(part) for part in schema]
    return schema


def header(schema: Schema) -> bytes:
    """The ten bytes that a record of this schema begins with in single-object encoding.

    fastavro's hex digits are in the order in which the bytes are written.
    """
    return SINGLE_OBJECT + bytes.fromhex(fingerprint(to_parsing_canonical_form(cast("Any", schema)), "CRC-64-AVRO"))


def cut(schema: Schema, *names: str) -> Schema:
    """The same record without the fields of these names."""
    shorter = deepcopy(schema)
    shorter["fields"] = [field for field in shorter["fields"] if field["name"] not in names]
    return cast("Schema", parse_schema({k: v for k, v in shorter.items() if not k.startswith("__")}))


def is_plain_send(schema: Schema) -> bool:
    """Whether a send written so can be looked at cheaply: messageId is the first field, the list of tokens the last."""
    fields = [(field["name"], field["type"]) for field in schema["fields"]]
    return len(fields) > 1 and fields[0] == ("messageId", "string") and _is_token_list(*fields[-1])


def _is_token_list(name: str, kind: Any) -> bool:
    return name == "tokens" and isinstance(kind, dict) and kind.get("type") == "array" and kind["items"] == "string"


def require_harmless(schema: Schema) -> None:
    """Raises ValueError for a schema whose records could cost memory or time out of proportion to their bytes.

    Lists of things that take no bytes (five bytes would make millions of entries), and records of records of records
    without end. A type within itself is one leaf: ``choices`` bounds how deep its values nest.
    """
    if _Measure().leaves(schema)[0] > MAX_LEAVES:
        raise ValueError(f"the writer's schema has more than {MAX_LEAVES} fields")


class _Measure:
    """How many leaves a type has, its records unfolded, and how many bytes its smallest value takes."""

    def __init__(self) -> None:
        self._sizes: dict[str, tuple[int, int]] = {}
        self._open: set[str] = set()

    def leaves(self, schema: Any) -> tuple[int, int]:
        if isinstance(schema, list):
            return sum(self.leaves(branch)[0] for branch in schema), 1
        kind = schema if isinstance(schema, str) else schema["type"]
        if kind in self._open:
            return 1, 1  # the choice or the count at least that ends it
        match kind:
            case "null":
                return 1, 0
            case "array" | "map":
                return self._list(schema["items" if kind == "array" else "values"], kind == "array")
            case "record" | "error":
                return self._record(schema)
            case "fixed" | "enum":
                self._sizes[schema["name"]] = 1, schema.get("size", 1)
                return self._sizes[schema["name"]]
        return self._sizes.get(kind, (1, 1))

    def _list(self, items: Any, is_array: bool) -> tuple[int, int]:
        leaves, smallest = self.leaves(items)
        if is_array and smallest == 0:
            raise ValueError("the writer's schema has a list of things that take no bytes")
        return leaves, 1

    def _record(self, schema: Any) -> tuple[int, int]:
        name = schema["name"]
        self._open.add(name)
        parts = [self.leaves(field["type"]) for field in schema["fields"]]
        self._open.discard(name)
        self._sizes[name] = 1 + sum(leaves for leaves, _ in parts), sum(smallest for _, smallest in parts)
        return self._sizes[name]
