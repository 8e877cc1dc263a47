"""Answers held against docs/openapi.yaml: nothing is answered that is not described there.

Promised: the path, the status, the kind of content and every property of an answer must be described; objects are
closed here, though the document leaves them open for its readers. Not promised: that what is described is answered;
``seen`` collects what was, for the one test that asks for all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

FILE: Final = Path(__file__).parents[2] / "docs" / "openapi.yaml"
SCHEMAS: Final = "#/components/schemas/"

seen: set[str] = set()
"""``Schema.property`` of everything that was answered so far, in this process."""


@cache
def document() -> dict[str, Any]:
    """As it is written."""
    return yaml.safe_load(FILE.read_text("utf-8"))


def check(path: str, status: int, content_type: str, body: Any) -> None:
    """One answer to GET; ``body`` is the JSON, or the text. Raises AssertionError."""
    response = _resolved(_response(path.partition("?")[0], status))
    assert content_type in response["content"], f"GET {path}: {status} as {content_type} is not in docs/openapi.yaml"
    schema = response["content"][content_type]["schema"]
    wrong = [f"{error.json_path}: {error.message}" for error in _validator(_key(schema)).iter_errors(body)]
    assert not wrong, f"GET {path}: {status} is not as docs/openapi.yaml has it: {wrong}"
    seen.update(_met(schema, body))


def described() -> dict[str, Mapping[str, Any]]:
    """Every ``Schema.property`` that the document has."""
    inside = ((name, schema, "") for name, schema in document()["components"]["schemas"].items())
    return {f"{name}.{way}": schema for name, top, at in inside for way, schema in _properties(top, at)}


def _properties(schema: Mapping[str, Any], at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{at}{name}", inner
        yield from _properties(inner, f"{at}{name}.")


def _response(path: str, status: int) -> Mapping[str, Any]:
    for template, item in document()["paths"].items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", r"[\\s\\S]+", re.escape(template)), path):
            responses = item["get"]["responses"]
            return responses.get(str(status), responses["default"])
    assert status in (401, 404), f"GET {path} is not in docs/openapi.yaml"
    return {"$ref": "#/components/responses/Refused"}


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where it only points to another, that one."""
    if (pointer := schema.get("$ref")) is None:
        return schema
    found: Any = document()
    for word in pointer.removeprefix("#/").split("/"):
        found = found[word]
    return found


def _key(schema: Mapping[str, Any]) -> str:
    return schema["$ref"] if "$ref" in schema else schema["type"]


@cache
def _validator(key: str) -> Draft202012Validator:
    """Of one of the components, by its pointer, or of a plain type."""
    everything = DRAFT202012.create_resource(_closed(document()))
    schema = {"$ref": f"urn:openapi{key}"} if key.startswith("#") else {"type": key}
    return Draft202012Validator(schema, registry=Registry().with_resource("urn:openapi", everything))


def _closed(node: Any) -> Any:
    """The same with no property beside those that are named, so that what nobody described is noticed."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    closed = {name: _closed(each) for name, each in node.items()}
    return {"additionalProperties": False, **closed} if node.get("type") == "object" else closed


def _met(schema: Mapping[str, Any], value: Any, at: str = "") -> Iterator[str]:
    """``Schema.property`` of all that a right value has."""
    at = schema["$ref"].removeprefix(SCHEMAS) if "$ref" in schema else at
    schema = _resolved(schema)
    if branches := schema.get("anyOf"):
        yield from _met(next(each for each in branches if _validator(_key(each)).is_valid(value)), value)
    elif isinstance(value, list):
        for each in value:
            yield from _met(schema["items"], each, at)
    elif isinstance(value, dict):
        named, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, each in value.items():
            yield f"{at}.{name}"
            yield from _met(named.get(name, others), each, f"{at}.{name}")
