"""The schemas as files: what other teams build against, and how they may change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from fastavro import schemaless_reader
from fastavro.schema import parse_schema

from stream.wire import Wire, schemas
from tests.wire import records

NAMES = "MessageSent", "ViolationDetected", "RevokeResult"
HEADERS = {
    "MessageSent": "c3019a656810eae58f4b",
    "ViolationDetected": "c3017ba501d31251b464",
    "RevokeResult": "c30183b85f548485e640",
}
INT: dict[str, Any] = {"name": "added", "type": "int"}


def source(name: str) -> Any:
    """The file as it stands."""
    return json.loads(schemas.text_of(name))


def last_released(name: str) -> Any:
    """The schema of that name in the latest release, which knew it."""
    files = (schemas.folder() / "released").glob(f"*/{name}.avsc")
    return json.loads(
        max(files, key=lambda file: [int(part) for part in file.parent.name.split(".")]).read_text("utf-8")
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_records_header_is_the_contracts(name: str) -> None:
    """Values: the three single-object headers, byte for byte."""
    assert schemas.header(schemas.present(name)).hex() == HEADERS[name]


def test_an_installed_wheel_brings_its_schemas_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names: the repository's schemas/ is stream/_schemas in the wheel."""
    monkeypatch.setattr(schemas, "__file__", str(tmp_path / "stream" / "wire" / "schemas.py"))
    assert schemas.folder() == tmp_path.resolve() / "schemas"
    (tmp_path / "stream" / "_schemas").mkdir(parents=True)
    assert schemas.folder() == tmp_path.resolve() / "stream" / "_schemas"


@pytest.mark.parametrize("name", NAMES)
def test_every_field_and_type_says_what_it_is(name: str) -> None:
    """The schemas are read by other teams."""
    assert all(len(doc) > 8 for doc in docs(source(name)))


def docs(schema: Any) -> Iterator[str]:
    """The docs of a type and of all within it; an empty one where there is none."""
    if isinstance(schema, dict) and ("fields" in schema or "symbols" in schema):
        yield schema.get("doc", "")
    for field in schema.get("fields", []) if isinstance(schema, dict) else []:
        yield field.get("doc", "")
        yield from docs(field["type"])
    if isinstance(schema, dict) and "items" in schema:
        yield from docs(schema["items"])


def test_the_enums_defaults_are_the_contracts() -> None:
    """Values: an unknown severity reads as MEDIUM, an unknown outcome as FAILED, an unknown status is a bad record."""
    enums = {
        field["type"]["name"]: field["type"]
        for name in NAMES
        for field in source(name)["fields"]
        if isinstance(field["type"], dict) and field["type"]["type"] == "enum"
    }
    assert enums["Severity"]["default"] == "MEDIUM"
    assert enums["Outcome"]["default"] == "FAILED"
    assert "default" not in enums["ViolationStatus"]


def test_a_send_begins_with_its_message_and_ends_with_its_tokens() -> None:
    """Values: tokens is the last field, so that all before it is read cheaply."""
    assert schemas.is_plain_send(schemas.present("MessageSent"))


def samples(schema: Any) -> Iterator[Any]:
    """Values of a type that show a reader every branch and symbol in it, one after the other."""
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(schema, list):
        for branch in schema:
            yield from samples(branch)
    elif kind == "record":
        yield from record_samples(schema)
    elif kind == "enum":
        yield from schema["symbols"]
    elif kind == "array":
        yield from ([item] for item in samples(schema["items"]))
    elif kind == "map":
        yield from ({"key": value} for value in samples(schema["values"]))
    else:
        yield {"null": None, "string": "s", "int": 5, "long": 6, "boolean": True}[kind]


def record_samples(schema: Any) -> Iterator[dict[str, Any]]:
    """Every field's samples, the other fields at their first."""
    firsts = {field["name"]: next(samples(field["type"])) for field in schema["fields"]}
    for field in schema["fields"]:
        yield from (firsts | {field["name"]: value} for value in samples(field["type"]))


def require_readable(writer: Any, reader: Any) -> None:
    """Raises what fastavro raises for the first record of the writer's that the reader cannot read."""
    writer, reader = (schemas.parsed(json.dumps(schema)) for schema in (writer, reader))
    for fields in samples(writer):
        schemaless_reader(BytesIO(records.body(writer, fields)), cast(Any, writer), cast(Any, reader))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_written_with_the_last_release_is_read_today(name: str) -> None:
    """Values: all three evolve backward-compatibly."""
    require_readable(last_released(name), source(name))


def test_what_is_written_today_is_read_with_the_last_release() -> None:
    """Values: RevokeResult evolves fully compatibly, its readers are others."""
    require_readable(source("RevokeResult"), last_released("RevokeResult"))


@pytest.mark.parametrize("name", NAMES)
def test_a_change_that_breaks_readers_would_be_noticed(name: str) -> None:
    """The two tests above can fail: a field without a default, a type changed, a symbol taken away."""
    added, changed, renamed = (deepcopy(source(name)) for _ in range(3))
    added["fields"].insert(0, INT)
    changed["fields"][0]["type"] = "int"
    renamed["fields"][1]["name"] = "other"
    for broken in (added, changed, renamed):
        with pytest.raises(Exception, match=r"default|mismatch"):
            require_readable(source(name), broken)


@pytest.mark.parametrize("name", NAMES)
def test_no_later_release_dropped_the_namespace_or_a_field_from_its_place(name: str) -> None:
    """Field order is part of the fingerprint; what was released keeps its order."""
    now = [field["name"] for field in source(name)["fields"]]
    before = [field["name"] for field in last_released(name)["fields"]]
    assert source(name)["namespace"] == "unpush"
    assert [field for field in now if field in before] == before


@pytest.fixture
def old_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the schemas with an older release beside the last."""
    folder = tmp_path / "schemas"
    shutil.copytree(schemas.folder(), folder)
    (folder / "released" / "0.0.1").mkdir()
    monkeypatch.setattr(schemas, "folder", lambda: folder)
    yield folder / "released" / "0.0.1"
    schemas.known.cache_clear()


def test_a_send_of_an_older_release_is_read_by_its_fingerprint(old_release: Path) -> None:
    """Wire formats: older versions included."""
    older = source("MessageSent")
    older["fields"] = [field for field in older["fields"] if field["name"] != "requestId"]
    (old_release / "MessageSent.avsc").write_text(json.dumps(older), "utf-8")
    schemas.known.cache_clear()
    wire, writer = Wire(), schemas.parsed(json.dumps(older))
    fields = {"messageId": "m", "clientId": "c", "notifyId": 1, "pushType": 2, "sentAt": 3, "attributes": {"a": "b"}}
    value = records.written(writer, fields | {"tokens": ["t", "ü"]})
    assert wire.send(value).tokens == (b"t", "ü".encode())
    assert wire.send_head(value) == ("m", "c", 1, 2, 3, None)
    wire.check_send(b"m", value)
    assert wire.plain_sends([b"m", b"m"], [value, value])


def harmless(fields: list[dict[str, Any]]) -> bool:
    """Whether a writer's schema with these fields would be read with."""
    schema = cast(Any, parse_schema(cast(Any, {"type": "record", "name": "unpush.R", "fields": fields})))
    try:
        schemas.require_harmless(schema)
    except ValueError:
        return False
    return True


def unfolding(depth: int) -> dict[str, Any]:
    """A record with ten of a record with ten of a record …"""
    inner: Any = "null" if depth == 0 else unfolding(depth - 1)
    name = inner["name"] if depth else "null"
    fields = [{"name": f"f{n}", "type": inner if n == 0 else name} for n in range(10)]
    return {"type": "record", "name": f"D{depth}", "fields": fields}


NOTHINGS = {"type": "array", "items": "null"}
EMPTY = {"type": "record", "name": "E", "fields": [{"name": "n", "type": "null"}]}


@pytest.mark.parametrize(
    "kind",
    [
        NOTHINGS,
        {"type": "array", "items": EMPTY},
        {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
        {"type": "map", "values": {"type": "array", "items": "null"}},
        ["null", {"type": "array", "items": "null"}],
        {"type": "record", "name": "L", "fields": [{"name": "bomb", "type": NOTHINGS}, {"name": "next", "type": "L"}]},
        unfolding(4),
    ],
)
def test_a_writers_schema_that_could_cost_without_end_is_not_read_with(kind: Any) -> None:
    """Five bytes of an array of null made sixteen million entries."""
    assert not harmless([{"name": "f", "type": kind}])


@pytest.mark.parametrize(
    "kind",
    [
        "null",
        EMPTY,
        {"type": "array", "items": ["null", "string"]},
        {"type": "map", "values": "null"},
        {"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]},
        {"type": "record", "name": "L", "fields": [{"name": "all", "type": {"type": "array", "items": "L"}}]},
        unfolding(1),
    ],
)
def test_a_writers_schema_that_merely_differs_is_read_with(kind: Any) -> None:
    """Only what could cost without end is refused."""
    assert harmless([{"name": "f", "type": kind}])
    assert all(harmless(schemas.present(name)["fields"]) for name in NAMES)
