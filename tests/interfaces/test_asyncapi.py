"""docs/asyncapi.yaml: the four topics as they are in the schemas, in the code and in the settings' defaults."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import reduce
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastavro import schemaless_writer
from fastavro.schema import load_schema
from jsonschema import Draft202012Validator

from stream.model import BadRecord, DeadReason, Position
from stream.service.intake import _TRACED as TRACED
from stream.settings import load_settings
from stream.wire.dead_letters import MAX_MESSAGE_CHARACTERS, headers
from stream.wire.wire import Wire

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "asyncapi.yaml"
SHAPE = Path(__file__).parent / "asyncapi-shape.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
RECORDS = [name for name in MESSAGES if name != "DeadLetter"]


def pointers(node: Any) -> Iterator[str]:
    """Every `$ref` below."""
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from pointers(each)
    if isinstance(node, dict) and "$ref" in node:
        yield node["$ref"]


def resolved(pointer: str) -> Any:
    """What it points to: a place in the document, or a file beside it."""
    if not pointer.startswith("#/"):
        return (FILE.parent / pointer).resolve(strict=True)
    return reduce(lambda node, word: node[word], pointer.removeprefix("#/").split("/"), DOCUMENT)


def whole(node: dict[str, Any]) -> dict[str, Any]:
    """A part, where it only points to another: that one."""
    return resolved(node["$ref"]) if "$ref" in node else node


def schema_of(name: str) -> Any:
    """The Avro schema of a message."""
    return load_schema(resolved(MESSAGES[name]["payload"]["schema"]["$ref"]))


def single_object(name: str, record: dict[str, Any]) -> bytes:
    """A record as the document says it is written."""
    value = BytesIO(bytes.fromhex(MESSAGES[name]["x-single-object-header"]))
    value.seek(0, 2)
    schemaless_writer(value, schema_of(name), record)
    return value.getvalue()


def test_it_speaks_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert DOCUMENT["info"]["version"] == project["version"]


def test_it_has_the_shape_of_asyncapi_3() -> None:
    """No word of it is misspelt or in the wrong place."""
    validator = Draft202012Validator(yaml.safe_load(SHAPE.read_text("utf-8")))
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(DOCUMENT)] == []
    misspelt = {**DOCUMENT, "operations": {"write": {"action": "sent", "channel": {"$ref": "#"}, "messages": []}}}
    assert [error.json_path for error in validator.iter_errors(misspelt)] == ["$.operations.write.action"]


def test_all_that_it_points_to_is_there() -> None:
    """Places in the document, and the schemas' files."""
    assert all(resolved(pointer) is not None for pointer in pointers(DOCUMENT))
    for operation in DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"]
        assert all(each["$ref"].startswith(f"{channel}/messages/") for each in operation["messages"])


def test_the_topics_are_the_settings_defaults(tmp_path: Path) -> None:
    (tmp_path / "unpush.toml").write_text("")
    topics = load_settings(tmp_path / "unpush.toml", {}).topics
    addresses = [channel["address"] for channel in DOCUMENT["channels"].values()]
    assert addresses == [*topics.partitioned_alike, topics.dead_letter]
    for channel in DOCUMENT["channels"].values():
        assert whole(channel["bindings"])["kafka"]["topicConfiguration"]["cleanup.policy"] == ["delete"]


def test_every_schema_belongs_to_one_topic() -> None:
    """The files in schemas/, each once, under its own record's name."""
    files = [resolved(MESSAGES[name]["payload"]["schema"]["$ref"]) for name in RECORDS]
    assert sorted(files) == sorted((ROOT / "schemas").glob("*.avsc"))
    assert [schema_of(name)["name"] for name in RECORDS] == [f"unpush.{name}" for name in RECORDS]


def test_what_the_examples_write_is_read() -> None:
    """Each as its schema has it, under the header that the document names."""
    wire = Wire()
    for example in MESSAGES["MessageSent"]["examples"]:
        record = example["payload"]
        value = single_object("MessageSent", record)
        wire.check_send(record["messageId"].encode(), value)
        assert [token.decode() for token in wire.send(value).tokens] == record["tokens"]
    for example in MESSAGES["ViolationDetected"]["examples"]:
        record = example["payload"]
        event = wire.violation(record["messageId"].encode(), single_object("ViolationDetected", record))
        assert (event.violation_id, event.status.value) == (record["violationId"], record["status"])
    for example in MESSAGES["RevokeResult"]["examples"]:
        record = example["payload"]
        result = wire.result(single_object("RevokeResult", record))
        assert wire.encode_result(result) == single_object("RevokeResult", record)


def test_every_field_is_in_an_example() -> None:
    for name in RECORDS:
        fields = [field["name"] for field in schema_of(name)["fields"]]
        for example in MESSAGES[name]["examples"]:
            assert list(example["payload"]) == fields


def test_the_headers_of_a_dead_letter_are_those_that_are_written() -> None:
    schema = MESSAGES["DeadLetter"]["headers"]
    validator = Draft202012Validator({**schema, "additionalProperties": False})
    bad = BadRecord(DeadReason.DECODE, "the record ends before its last field " * 20)
    written = headers([], bad, Position("push.message-sent", 3, 4711, 1_795_867_200_000))
    validator.validate({name: (value or b"").decode() for name, value in written})
    assert schema["properties"]["unpush.error.reason"]["enum"] == [reason.value for reason in DeadReason]
    assert schema["properties"]["unpush.error.message"]["maxLength"] == MAX_MESSAGE_CHARACTERS
    assert list(schema["properties"]) == schema["required"] == [name for name, _ in written]


def test_the_headers_of_the_trace_are_those_that_are_copied() -> None:
    assert set(DOCUMENT["components"]["schemas"]["traceContext"]["properties"]) == TRACED
    for message in MESSAGES.values():
        validator = Draft202012Validator(whole(message.get("headers", {})))
        for example in message["examples"]:
            validator.validate(example.get("headers", {}))


def test_its_own_validator_agrees() -> None:
    """AsyncAPI's parser finds neither an error nor a warning; `make interfaces` fetches it."""
    there = (Path(__file__).parent / "node_modules").is_dir()
    if not there or (node := shutil.which("node")) is None:
        pytest.skip("AsyncAPI's parser is not here: `make interfaces` fetches it, where there is npm")
    said = subprocess.run([node, "validate.mjs", str(FILE)], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "4 topics" in said.stdout
