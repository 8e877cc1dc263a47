"""What Prometheus reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream.model import Severity
from stream.operate.metrics import EXPOSURE, METRICS, TO_REVOKED, Figures, Metrics

DOCUMENT = Path(__file__).parents[2] / "docs" / "http.md"


def figures() -> Figures:
    """A value for every metric, its labels named after themselves."""
    return {each.name: {each.labels: 3.0} for each in METRICS}


def shown(metrics: Metrics, accept: str = "") -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels."""
    text = metrics.render(accept)[0].decode()
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_every_metric_is_shown_with_its_labels_and_counters_end_in_total() -> None:
    """Prometheus conventions: counters ``_total``, base units."""
    samples = shown(Metrics(figures))
    for each in METRICS:
        name = f"{each.name}_total" if each.kind == "counter" else each.name
        assert samples[name, tuple(sorted((label, label) for label in each.labels))] == 3.0


def test_the_time_to_revoke_is_kept_by_severity_and_never_negative() -> None:
    """Violation to revoked, seconds, by severity; clocks that differ do not break it."""
    metrics = Metrics(figures)
    metrics.revoked(Severity.CRITICAL, 0.3, 10)
    metrics.revoked(Severity.CRITICAL, -5.0, 10)
    samples = shown(metrics)
    severity = ("severity", "CRITICAL")
    assert samples[f"{TO_REVOKED}_count", (severity,)] == 2
    assert samples[f"{TO_REVOKED}_sum", (severity,)] == pytest.approx(0.3)
    assert samples[f"{TO_REVOKED}_bucket", (("le", "0.25"), severity)] == 1
    assert samples[f"{TO_REVOKED}_bucket", (("le", "0.5"), severity)] == 2
    assert samples[f"{TO_REVOKED}_count", (("severity", "LOW"),)] == 0


def test_exposure_is_the_time_to_revoke_times_the_devices() -> None:
    """Device-seconds between detection and revocation; clocks that differ make it no smaller."""
    metrics = Metrics(figures)
    metrics.revoked(Severity.HIGH, 1.5, 1_000)
    metrics.revoked(Severity.HIGH, 0.5, 10)
    metrics.revoked(Severity.HIGH, -5.0, 1_000)
    samples = shown(metrics)
    assert samples[f"{EXPOSURE}_total", (("severity", "HIGH"),)] == pytest.approx(1_505.0)
    assert samples[f"{EXPOSURE}_total", (("severity", "CRITICAL"),)] == 0


def test_numbers_are_looked_up_at_the_scrape_and_not_before() -> None:
    """Computed at scrape time from counters that exist."""
    asked = []

    def counted() -> Figures:
        asked.append(1)
        return figures()

    metrics = Metrics(counted)
    assert asked == []
    metrics.render("")
    assert len(asked) == 1


def test_two_services_in_one_process_do_not_share_a_registry() -> None:
    """An own registry."""
    one, other = Metrics(figures), Metrics(figures)
    one.revoked(Severity.LOW, 1.0, 1)
    assert shown(other)[f"{TO_REVOKED}_count", (("severity", "LOW"),)] == 0


def test_who_asks_for_openmetrics_gets_it() -> None:
    """Prometheus asks by Accept."""
    body, content_type = Metrics(figures).render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_the_document_names_every_metric_and_no_other() -> None:
    """docs/http.md is complete."""
    wanted = {f"{each.name}_total" if each.kind == "counter" else each.name for each in METRICS}
    wanted |= {TO_REVOKED, f"{EXPOSURE}_total"}
    rows = (line.split("`")[1] for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith("| `unpush_"))
    assert set(rows) == wanted
