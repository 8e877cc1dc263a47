"""Whether spans are made: where OpenTelemetry's own variables name a collector, and the extra ``otel`` is installed.

Promised: none, and no cost, elsewhere; a configuration that cannot be followed is said, and stops nothing. Not
promised: variables beyond those that OpenTelemetry's SDK for Python reads:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from stream.operate.otel import Spans

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

log = structlog.get_logger(__name__)


def spans_of(environ: Mapping[str, str]) -> Spans | None:
    """Where spans go by these variables, which must be this process's own; None: nowhere."""
    if not _asked_for(environ):
        return None
    protocol = next((environ[name] for name in PROTOCOLS if environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        return _off(f"OTLP is sent by http/protobuf alone, and the environment asks for {protocol}")
    try:
        from stream.operate.otel import Spans
    except ImportError as error:
        return _off(f'the extra is not installed ({error.name} is missing): pip install "unpush[otel]"')
    return Spans.to_collector(named="OTEL_SERVICE_NAME" in environ or "service.name=" in _resource(environ))


def _asked_for(environ: Mapping[str, str]) -> bool:
    off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = environ.get("OTEL_TRACES_EXPORTER", "") or "otlp"
    return not off and exporter == "otlp" and any(environ.get(name) for name in ENDPOINTS)


def _resource(environ: Mapping[str, str]) -> str:
    return environ.get("OTEL_RESOURCE_ATTRIBUTES", "")


def _off(why: str) -> Spans | None:
    log.warning("tracing_off", why=why)
    return None
