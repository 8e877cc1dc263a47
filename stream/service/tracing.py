"""Spans: a violation from its record to its end, and each revoke call as a child of it.

Promised: a call carries its own span's traceparent, and a span names no push token. Not promised: a span of what was
under way when the process or the shard went, whose calls then name a parent that nobody has; nor one that repeats: work
that another process does again has spans of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stream.pushkit.reply import Reply, Verdict
from stream.work.apps import App
from stream.work.condemned import Condemned
from stream.work.judgement import Violation
from stream.work.packing import Parcel
from stream.work.tally import Tally

if TYPE_CHECKING:
    from stream.operate.otel import Attributes, Span, Spans

_ACCEPTED: Final = frozenset({Verdict.REVOKED, Verdict.PARTIAL})


class Tracing:
    """See the module's words. On the event loop."""

    def __init__(self, spans: Spans, topic: str, gateway: str) -> None:
        """``topic``: the violations'. ``gateway``: its URL."""
        self._spans = spans
        self._topic = topic
        self._gateway = _server(gateway)

    def call(self, app: App, parcel: Parcel) -> Span | None:
        """A revoke call leaves now; None: its message is not known here any more."""
        it = parcel.owner
        if it is None:
            return None
        violation = it.violations.get(parcel.violation.violation_id, parcel.violation)
        tally = it.tally(violation.violation_id)
        if tally.span is None:
            tally.span = self._begin(it, violation, parcel.since_ms if parcel.late else violation.latest_ms)
        return self._spans.call(tally.span, self._about(app, parcel))

    def _about(self, app: App, parcel: Parcel) -> Attributes:
        return {
            "http.request.method": "POST",
            **self._gateway,
            "unpush.client_id": app.client_id,
            "unpush.notify_id": parcel.notify_id or 0,
            "unpush.push_type": parcel.push_type or 0,
            "unpush.tokens": len(parcel.tokens),
            "unpush.attempt": parcel.attempts,
        }

    def answered(self, span: Span, reply: Reply) -> None:
        """It came back."""
        found = {
            "http.response.status_code": reply.http_status,
            "unpush.answer": reply.verdict.value,
            "unpush.code": reply.code,
            "unpush.push_request_id": reply.push_request_id,
            "unpush.sent": reply.calls,
        }
        trouble = None if reply.verdict in _ACCEPTED else reply.detail or reply.code or reply.verdict.value
        span.end({name: value for name, value in found.items() if value is not None}, trouble)

    def ended(self, it: Condemned, violation: Violation, tally: Tally | None, attributes: Attributes) -> None:
        """A violation's end, as its line in the log has it."""
        span: Span | None = tally.span if tally is not None else None
        if span is None:
            span = self._begin(it, violation, violation.latest_ms)
        span.end({f"unpush.{name}": value for name, value in attributes.items()})

    def _begin(self, it: Condemned, violation: Violation, since_ms: int) -> Span:
        trace = {name: value.decode("latin-1") for name, value in violation.trace}
        about: dict[str, str | int] = {"messaging.system": "kafka", "messaging.destination.name": self._topic}
        about |= {f"unpush.{name}": value for name, value in it.named(violation).items()}
        return self._spans.violation(trace, since_ms, about)


def _server(gateway: str) -> Attributes:
    """Source of the names: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span"""
    url = urlsplit(gateway)
    return {"server.address": url.hostname or "", "server.port": url.port or (443 if url.scheme == "https" else 80)}
