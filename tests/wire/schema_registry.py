"""A small Schema Registry that answers over HTTP as Confluent's does, and breaks when told to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import unquote

Reference: TypeAlias = dict[str, Any]
"""Name, subject and version, as a schema's answer lists them."""


@dataclass
class SchemaRegistry:
    """Promised: ids by schema, schemas by id, the documented errors. Not promised: compatibility rules."""

    schemas: dict[int, dict[str, Any]] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    authorizations: set[str | None] = field(default_factory=set)
    fault: tuple[int, Any] | None = None
    """Status and body that answer every request instead."""
    port: int = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Listens, on the same port as before if it has listened before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _answering(self))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuses connections from here on."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def add(
        self, schema: Any, kind: str = "AVRO", schema_id: int | None = None, references: Sequence[Reference] = ()
    ) -> int:
        """A schema under an id, of no subject."""
        schema_id = schema_id or 100_000 + len(self.schemas)
        self.schemas[schema_id] = {"schema": json.dumps(schema)} | ({} if kind == "AVRO" else {"schemaType": kind})
        if references:
            self.schemas[schema_id]["references"] = list(references)
        return schema_id

    def refer(self, name: str, schema: Any, references: Sequence[Reference] = ()) -> Reference:
        """A schema that others may refer to by this name; a further version of it if there is one."""
        ids = self.subjects.setdefault(f"subject of {name}", [])
        ids.append(self.add(schema, references=references))
        return {"name": name, "subject": f"subject of {name}", "version": len(ids)}

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON."""
        path = path.partition("?")[0]
        self.asked[f"{method} {path}"] += 1
        if self.fault is not None:
            return self.fault
        match method, path.strip("/").split("/"):
            case "GET", ["schemas", "ids", number]:
                found = self.schemas.get(int(number))
                return (200, found) if found else (404, {"error_code": 40403, "message": "Schema not found"})
            case "GET", ["subjects", subject, "versions", version]:
                return self._version(unquote(subject), int(version))
            case "POST", ["subjects", subject, "versions"]:
                return 200, {"id": self._registered(subject, body["schema"])}
            case "POST", ["subjects", subject]:
                return self._looked_up(subject, body["schema"])
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _version(self, subject: str, version: int) -> tuple[int, Any]:
        ids = self.subjects.get(subject)
        if ids is None:
            return 404, {"error_code": 40401, "message": f"Subject '{subject}' not found."}
        if version < 1:
            return 422, {
                "error_code": 42202,
                "message": f"The specified version '{version}' is not a valid version id.",
            }
        if version > len(ids):
            return 404, {"error_code": 40402, "message": f"Version {version} not found."}
        return 200, {"subject": subject, "version": version, "id": ids[version - 1], **self.schemas[ids[version - 1]]}

    def _registered(self, subject: str, schema: str) -> int:
        ids = self.subjects.setdefault(subject, [])
        found = next((each for each in ids if self.schemas[each]["schema"] == schema), None)
        if found is None:
            found = len(self.schemas) + 1
            self.schemas[found] = {"schema": schema}
            ids.append(found)
        return found

    def _looked_up(self, subject: str, schema: str) -> tuple[int, Any]:
        for version, each in enumerate(self.subjects.get(subject, []), 1):
            if self.schemas[each]["schema"] == schema:
                return 200, {"id": each, "subject": subject, "version": version, "schema": schema}
        return 404, {"error_code": 40403, "message": "Schema not found"}


def _answering(registry: SchemaRegistry) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Any) -> None:
            registry.authorizations.add(self.headers["Authorization"])
            status, answer = registry.answer(self.command, self.path, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    return Answering
