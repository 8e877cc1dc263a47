"""Issue 7.6: W3C trace context to outgoing calls, OpenTelemetry spans where the extra is installed and configured."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from confluent_kafka import Producer
from structlog.testing import capture_logs

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason='the extra "otel" is not installed')

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from stream.brokers.mock import MockKafka
from stream.commands.run import serve
from stream.model import Severity, Status, ViolationEvent
from stream.operate import otel
from stream.operate.otel import Spans
from stream.operate.tracing import spans_of
from stream.pushkit.simulator import AppFaults, End, Failure, Faults, make_key_file
from stream.settings import load_settings
from stream.wire.wire import Wire
from tests.operate.running import APP, TOPICS, Rig, running, written_settings
from tests.pushkit.tunnel import Tunnel, tunnel

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"
HEADERS: dict[str, str | bytes | None] = {"traceparent": TRACEPARENT, "tracestate": "vendor=secret-tenant"}


class Kept:
    """Spans that a test can look at."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.spans = Spans(provider)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@asynccontextmanager
async def traced(folder: Path, spans: Spans | None, more: str = "") -> AsyncIterator[tuple[Rig, Tunnel]]:
    """A service whose calls go through a proxy of the test's, which sees their headers."""
    async with (
        tunnel() as way,
        running(folder, f'push_kit.proxy = "{way.url}"\npush_kit.retry_first = "20ms"\n{more}', spans=spans) as rig,
    ):
        await rig.ready()
        yield rig, way


async def settled(rig: Rig, violation: str = "v") -> None:
    await rig.until(
        f"/api/violations/{violation}", lambda reply: reply.status == 200 and reply.json["state"] == "settled"
    )


def ids(span: ReadableSpan) -> tuple[str, str, str | None]:
    """Trace, span, parent."""
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", None if parent is None else f"{parent.span_id:016x}"


async def test_a_violation_is_a_span_from_its_record_to_its_end_and_each_call_a_child(tmp_path: Path) -> None:
    """The trace of whoever found it goes on: to the violation, to its calls, and to what the gateway is told."""
    kept = Kept()
    async with traced(tmp_path, kept.spans) as (rig, way):
        await rig.simulator.set_faults(Faults(all=AppFaults(failures=(Failure(End.CUT_BEFORE, calls=1),))))
        rig.send("m", 3)
        rig.event("v", "m", headers=HEADERS)
        await settled(rig)
        ((violation,), calls) = kept.named("violation"), kept.named("revoke")
    told = [headers["traceparent"] for _, headers in way.asked]
    assert ids(violation)[::2] == (TRACE_ID, PARENT_ID)
    assert [ids(call)[::2] for call in calls] == [(TRACE_ID, ids(violation)[1])] * 2
    assert told == [f"00-{TRACE_ID}-{ids(call)[1]}-01" for call in calls]
    assert [call.status.status_code for call in calls] == [StatusCode.ERROR, StatusCode.UNSET]
    about, answered = dict(violation.attributes or {}), dict(calls[1].attributes or {})
    assert (about["unpush.violation_id"], about["unpush.end"], about["unpush.tokens_settled"]) == ("v", "settled", 3)
    assert (answered["unpush.tokens"], answered["unpush.attempt"]) == (3, 2)
    assert (answered["unpush.client_id"], answered["http.response.status_code"]) == (APP, 200)
    assert f"http://{answered['server.address']}:{answered['server.port']}" == rig.simulator.url
    assert violation.start_time is not None
    assert all(violation.start_time <= (call.start_time or 0) for call in calls)
    assert all((call.end_time or 0) <= (violation.end_time or 0) for call in calls)
    assert "m-token-" not in "".join(span.to_json() for span in (violation, *calls))


async def test_what_ends_without_a_call_is_a_span_too_and_a_late_send_another(tmp_path: Path) -> None:
    kept = Kept()
    async with traced(tmp_path, kept.spans) as (rig, _):
        rig.event("v", "m")
        await rig.until("/metrics", lambda reply: 'outcome="NOT_FOUND",severity="HIGH"} 1.0' in reply.text)
        rig.send("m", 1)
        await settled(rig)
    missing, found = kept.named("violation")
    assert [(span.attributes or {})["unpush.end"] for span in (missing, found)] == ["not_found", "settled"]
    assert (missing.parent, found.parent, (found.attributes or {})["unpush.late"]) == (None, None, True)
    assert (found.start_time or 0) > (missing.start_time or 0), "from the send that came late"
    assert [ids(call)[2] for call in kept.named("revoke")] == [ids(found)[1]]


async def test_without_spans_a_call_carries_the_violations_own_traceparent_and_no_tracestate(tmp_path: Path) -> None:
    """Push Kit is a stranger: ids say nothing, what vendors tell each other may."""
    async with traced(tmp_path, None) as (rig, way):
        rig.send("m", 1)
        rig.event("v", "m", headers=HEADERS)
        await settled(rig)
    (headers,) = [headers for _, headers in way.asked]
    assert headers["traceparent"] == TRACEPARENT
    assert "tracestate" not in headers


async def test_by_setting_the_gateway_is_told_no_trace(tmp_path: Path) -> None:
    """push_kit.send_trace = false: the spans are ours all the same."""
    kept = Kept()
    async with traced(tmp_path, kept.spans, "push_kit.send_trace = false") as (rig, way):
        rig.send("m", 1)
        rig.event("v", "m", headers=HEADERS)
        await settled(rig)
    assert "traceparent" not in way.asked[0][1]
    assert len(kept.named("revoke")) == 1


def test_a_long_id_is_cut() -> None:
    kept = Kept()
    kept.spans.violation({}, 1, {"unpush.violation_id": "x" * 900_000}).end({})
    assert len(str((kept.named("violation")[0].attributes or {})["unpush.violation_id"])) == otel.MAX_CHARACTERS


# --- whether, and where to


class Collector:
    """An OTLP collector of a few lines; ``hang``: it takes and never answers."""

    def __init__(self, *, hang: bool = False) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self._over = over = Event()
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
                if hang:
                    over.wait(30)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()


def configured(monkeypatch: pytest.MonkeyPatch, **environ: str) -> dict[str, str]:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


def test_spans_go_to_the_collector_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTLP over HTTP, as ``unpush`` unless it is told another name; what is left is sent at the end."""
    collector = Collector()
    try:
        for more, name in (({}, b"unpush"), ({"OTEL_SERVICE_NAME": "another"}, b"another")):
            environ = configured(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **more)
            spans = spans_of(environ)
            assert spans is not None
            spans.violation({}, 1, {"unpush.violation_id": "v-7"}).end({})
            spans.close()
            path, body = collector.bodies.pop()
            assert path == "/v1/traces"
            assert all(word in body for word in (b"violation", b"v-7", name))
            assert b"unknown_service" not in body
    finally:
        collector.close()


def test_a_collector_that_does_not_answer_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the loop nor the end of the process."""
    monkeypatch.setattr(otel, "CLOSES_WITHIN_S", 0.3)
    collector = Collector(hang=True)
    try:
        spans = spans_of(configured(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url))
        assert spans is not None
        begun_s = time.monotonic()
        for _ in range(5_000):
            spans.violation({}, 1, {}).end({})
        spans.close()
        assert time.monotonic() - begun_s < 10
    finally:
        collector.close()


async def test_unpush_run_sends_spans_where_its_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command itself: from a record to the collector, and an end that waits for nobody."""
    collector = Collector()
    configured(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="100")
    make_key_file(tmp_path / "key.json", "project", APP)
    event = ViolationEvent("v-7", "m", Severity.HIGH, Status.CONFIRMED, "spam", None, int(time.time() * 1000))
    try:
        with MockKafka(TOPICS) as kafka:
            settings = load_settings(written_settings(tmp_path, kafka.bootstrap_servers, "http://127.0.0.1:1"), {})
            work = asyncio.create_task(serve(settings, dry_run=False, last_words=lambda: None))
            producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "partitioner": "murmur2_random"})
            producer.produce("push.violation-detected", Wire().encode_violation(event), b"m")
            assert producer.flush(10) == 0
            async with asyncio.timeout(20):
                while not any(b"v-7" in body and b"not_found" in body for _, body in collector.bodies):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                os.kill(os.getpid(), signal.SIGTERM)
                await work
    finally:
        collector.close()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_where_nothing_asks_for_spans_there_are_none_and_nothing_is_said(environ: dict[str, str]) -> None:
    with capture_logs() as said:
        assert spans_of(environ) is None
    assert said == []


def test_what_is_asked_for_and_cannot_be_done_is_said_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4317"}
    with capture_logs() as said:
        assert spans_of(endpoint | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) is None
        monkeypatch.delitem(sys.modules, "stream.operate.otel")
        monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
        assert spans_of(endpoint) is None
    assert [(line["event"], line["log_level"]) for line in said] == [("tracing_off", "warning")] * 2
    assert "grpc" in said[0]["why"]
    assert 'pip install "unpush[otel]"' in said[1]["why"]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10", "max_export_batch_size must be less than or equal to max_queue_size"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must be a non-negative integer"),
        ("OTEL_TRACES_EXPORTER", "otlp,console", "OTEL_TRACES_EXPORTER asks for otlp,console"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER asks for zipkin"),
    ],
)
def test_a_variable_that_cannot_be_followed_is_said_and_stops_nothing(
    name: str, value: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Violations are revoked without spans too."""
    environ = configured(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", **{name: value})
    with capture_logs() as said:
        assert spans_of(environ) is None
    assert [line["event"] for line in said] == ["tracing_off"]
    assert why in said[0]["why"]
