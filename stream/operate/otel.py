"""OpenTelemetry's side of tracing: the only file that imports it, and only where the extra ``otel`` is installed.

Promised: a span costs the loop a few dozen microseconds and never waits for the collector: what its queue cannot hold
is dropped (``OTEL_BSP_…``). Not promised: that a span arrives; ``OTEL_TRACES_SAMPLER`` tells which are kept at all.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final, Self

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Attributes = Mapping[str, str | int | bool | float]

MAX_CHARACTERS: Final = 256
"""Of an attribute: an id may be as long as a record."""
CLOSES_WITHIN_S: Final = 5.0
"""A collector that does not answer keeps no process from ending."""

_TRACE_CONTEXT: Final = TraceContextTextMapPropagator()


class Span:
    """One that has begun. ``traceparent``: what an outgoing call of it carries."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: OtelSpan) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    @property
    def context(self) -> Context:
        """What children of it begin in."""
        return set_span_in_context(self._span)

    def end(self, attributes: Attributes, trouble: str | None = None) -> None:
        """It is over; ``trouble``: it did not do what it was for."""
        self._span.set_attributes(_shortened(attributes))
        if trouble is not None:
            self._span.set_status(StatusCode.ERROR, trouble)
        self._span.end()


class Spans:
    """Where spans begin, and go."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("unpush")

    def violation(self, trace: Mapping[str, str], since_ms: int, attributes: Attributes) -> Span:
        """A violation, since it was asked for; a child of whatever its record's trace headers name."""
        return Span(
            self._tracer.start_span(
                "violation",
                _TRACE_CONTEXT.extract(trace, Context()),
                SpanKind.CONSUMER,
                _shortened(attributes),
                start_time=since_ms * 1_000_000,
            )
        )

    def call(self, parent: Span, attributes: Attributes) -> Span:
        """A revoke call of a violation, from now on."""
        return Span(self._tracer.start_span("revoke", parent.context, SpanKind.CLIENT, _shortened(attributes)))

    def close(self) -> None:
        """Send what is still here, as far as the collector takes it in time. Blocks."""
        ending = threading.Thread(target=self._provider.shutdown, name="spans-end", daemon=True)
        ending.start()
        ending.join(CLOSES_WITHIN_S)

    @classmethod
    def to_collector(cls, *, named: bool) -> Self:
        """By OTLP over HTTP, as the ``OTEL_…`` variables of this process have it; ``named``: they name the service."""
        resource = Resource.create({} if named else {"service.name": "unpush"})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)


def _shortened(attributes: Attributes) -> Attributes:
    return {name: each[:MAX_CHARACTERS] if isinstance(each, str) else each for name, each in attributes.items()}
