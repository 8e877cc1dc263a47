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
OTLP: Final = "otlp"
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

log = structlog.get_logger(__name__)


def spans_of(environ: Mapping[str, str]) -> Spans | None:
    """Where spans go by these variables, which must be this process's own; None: nowhere."""
    if not _asked_for(environ):
        return None
    if (exporter := _exporter(environ)) != OTLP:
        return _off(f"spans go to a collector by {OTLP} alone, and OTEL_TRACES_EXPORTER asks for {exporter}")
    protocol = next((environ[name] for name in PROTOCOLS if environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        return _off(f"OTLP is sent by http/protobuf alone, and the environment asks for {protocol}")
    return _to_collector(environ)


def _to_collector(environ: Mapping[str, str]) -> Spans | None:
    try:
        from stream.operate.otel import Spans

        return Spans.to_collector(named="OTEL_SERVICE_NAME" in environ or "service.name=" in _resource(environ))
    except ImportError as error:
        return _off(f'the extra is not installed ({error.name} is missing): pip install "unpush[otel]"')
    except (ValueError, TypeError, OSError) as error:  # a wrong number, say: no reason to revoke nothing
        return _off(f"OpenTelemetry does not take the OTEL_ variables of this process: {error}")


def _asked_for(environ: Mapping[str, str]) -> bool:
    off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not off and _exporter(environ) != "none" and any(environ.get(name) for name in ENDPOINTS)


def _exporter(environ: Mapping[str, str]) -> str:
    return environ.get("OTEL_TRACES_EXPORTER", "").strip() or OTLP


def _resource(environ: Mapping[str, str]) -> str:
    return environ.get("OTEL_RESOURCE_ATTRIBUTES", "")


def _off(why: str) -> Spans | None:
    log.warning("tracing_off", why=why)
    return None
