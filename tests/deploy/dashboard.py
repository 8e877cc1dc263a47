"""Draws Grafana's dashboard: ``python -m tests.deploy.dashboard`` writes config/grafana/dashboards/unpush.json.

Two thousand lines of JSON, of which all but titles, words, queries and units are the same over and over: here are
those. A test holds the file against this drawing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

FILE: Final = Path(__file__).parents[2] / "config" / "grafana" / "dashboards" / "unpush.json"
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
QUANTILE: Final = (
    "histogram_quantile(0.95, sum by (severity, le) (rate(unpush_violation_to_revoked_seconds_bucket{S}[R])))"
)
REUSED: Final = (
    "sum by (app) (rate(unpush_slots_reused_total{S}[15m])) / sum by (app) (rate(unpush_slots_sampled_total{S}[15m]))"
)
COLUMNS: Final = 24
COLOURS: Final = {"CRITICAL": "dark-red", "HIGH": "orange", "MEDIUM": "yellow", "LOW": "blue"}
CHOSEN: Final = 'job="$job",instance=~"$instance"'
"""What is chosen above the panels; in the queries below ``{S}`` stands for it, and ``[R]`` for the range of a rate."""

Json = dict[str, Any]


class Number(NamedTuple):
    """One figure. Red from ``wrong_from`` on; ``right_from``: red below it."""

    title: str
    says: str
    query: str
    unit: str = "short"
    wrong_from: float | None = None
    right_from: float | None = None


class Graph(NamedTuple):
    """Lines over time, one for each labels' values of each query: (query, legend)."""

    title: str
    says: str
    queries: list[tuple[str, str]]
    unit: str = "short"
    stacked: bool = False
    logarithmic: bool = False


class Table(NamedTuple):
    """The labels of what a query finds now."""

    title: str
    says: str
    query: str


class Line(NamedTuple):
    """Panels side by side."""

    height: int
    panels: list[Number | Graph | Table]


def board() -> list[str | Line]:
    """What is shown, from above; a text begins a section."""
    return [
        "Now",
        Line(4, [
            Number("Ready", "Instances that answer /readyz with 200.", "sum(unpush_ready{S})", right_from=1),
            Number("Shards without an owner", "Partitions that no instance answers for; their violations wait.",
                   'max(unpush_partitions{job="$job"}) - sum(unpush_shards{job="$job"})', wrong_from=1),
            Number("Oldest CRITICAL call", "How long the oldest call of a CRITICAL violation could have been made.",
                   'max(unpush_oldest_call_age_seconds{S,severity="CRITICAL"})', "s", wrong_from=60),
            Number("Apps that wait", "Apps that make no calls; /api/status says why.",
                   "sum(max by (app) (unpush_app_waits{S}))", wrong_from=1),
            Number("Open messages", "Messages with a violation that is not settled.", "sum(unpush_open_messages{S})"),
            Number("Partitions that stand still", "Their reading waits; /readyz says for what.",
                   "sum(unpush_standing_partitions{S})", wrong_from=1),
        ]),
        "Revoking",
        Line(8, [
            Graph("Time to revoke, by severity",
                  "From the later of the violation's and the send's record time to Push Kit's acceptance: 95 of 100 "
                  "calls are quicker.",
                  [(QUANTILE, "{{severity}}")],
                  "s", logarithmic=True),
            Graph("Devices per second",
                  "Distinct tokens called: revoked, refused by Push Kit (rejected), given up (failed).",
                  [("sum by (ending) (rate(unpush_devices_total{S}[R]))", "{{ending}}")], "cps", stacked=True),
            Graph("Exposure", "Device-seconds a second: so many devices, on average, showed what they should not.",
                  [("sum by (severity) (rate(unpush_exposure_device_seconds_total{S}[R]))", "{{severity}}")],
                  stacked=True),
        ]),
        Line(8, [
            Graph("Answers of Push Kit", "Calls that came back, by what the reply asks of us.",
                  [("sum by (answer) (rate(unpush_calls_total{S}[R]))", "{{answer}}")], "reqps", stacked=True),
            Graph("Results by outcome", "Results delivered and marked.",
                  [("sum by (outcome) (rate(unpush_results_total{S}[R]))", "{{outcome}}"),
                   ("sum(rate(unpush_results_given_up_total{S}[R]))", "given up, expired, unreadable")], "cps"),
            Graph("Devices per second by app, and the limit",
                  "Revoked devices, the shares of all instances of the app's limit, and what they have learned.",
                  [('sum by (app) (rate(unpush_devices_total{S,ending="revoked"}[R]))', "{{app}}"),
                   ("sum by (app) (unpush_app_devices_per_second_limit{S}) > 0", "{{app}} limit"),
                   ("sum by (app) (unpush_app_devices_per_second_learned{S}) > 0", "{{app}} learned")], "cps"),
        ]),
        "Waiting",
        Line(8, [
            Graph("Calls in lanes", "Calls that are planned and wait for their turn.",
                  [("sum by (severity) (unpush_lane_depth{S})", "{{severity}}")], stacked=True),
            Graph("Oldest call", "In lanes, retries and flight.",
                  [("max by (severity) (unpush_oldest_call_age_seconds{S})", "{{severity}}")], "s"),
            Graph("In flight, to be tried again, to be delivered",
                  "Revoke calls under way; calls that wait for their retry; results and dead letters to deliver.",
                  [("sum(unpush_calls_in_flight{S})", "calls in flight"),
                   ("sum(unpush_calls_in_flight_bound{S})", "as many as the gateway bears"),
                   ("sum(unpush_retries_waiting{S})", "to be tried again"),
                   ("sum(unpush_outbox_size{S})", "to be delivered")]),
            Graph("Apps that wait", "1: the app makes no ordinary call, or its calls come to nothing and it is probed.",
                  [("max by (app) (unpush_app_waits{S})", "{{app}} waits"),
                   ('max by (app) (unpush_app_breaker{S,state="open"})', "{{app}} is probed"),
                   ("max(unpush_gateway_silent{S})", "nobody is answered")]),
        ]),
        Line(8, [
            Graph("Devices that wait", "Distinct tokens of the calls that are planned and have not ended.",
                  [("sum by (severity) (unpush_waiting_devices{S})", "{{severity}}")], stacked=True),
            Graph("Exposure so far of devices that wait",
                  "Device-seconds until now; what is revoked leaves it, and has its part in Exposure.",
                  [("sum by (severity) (unpush_waiting_exposure_device_seconds{S})", "{{severity}}")], stacked=True),
        ]),
        Line(8, [
            Graph("Held by the guard",
                  "Violations that wait for a person's word, and messages that the guard cannot count yet.",
                  [("sum by (app) (unpush_held_violations{S})", "{{app}}"),
                   ("sum(unpush_guard_waiting_messages{S})", "not counted yet")]),
            Graph("Devices before the guard", "Places that what is held would call, and those admitted in 60 minutes.",
                  [("sum by (app) (unpush_held_devices{S})", "{{app}} held"),
                   ("max by (app) (unpush_guard_hour_devices{S})", "{{app}} in the hour")]),
            Graph("One notifyId for several messages",
                  "Of the slots looked at, the part that was given to another message.",
                  [(REUSED, "{{app}}")], "percentunit"),
        ]),
        "Reading",
        Line(8, [
            Graph("Unread, by topic", "Live lag in offsets.",
                  [("sum by (topic) (unpush_unread_records{S})", "{{topic}}")]),
            Graph("Records read per second", "The past included.",
                  [("sum by (topic) (rate(unpush_records_read_total{S}[R]))", "{{topic}}")], "cps"),
            Graph("The past: left to read",
                  "Offsets of the past that are still to be read, by all instances; how long the slowest takes still.",
                  [("sum by (topic) (unpush_restore_remaining_records{S})", "{{topic}}"),
                   ("max(unpush_restore_left_seconds{S})", "seconds left")]),
            Graph("Bad records", "Dead letters by topic and reason, in five minutes.",
                  [("sum by (topic, reason) (increase(unpush_dead_letters_total{S}[5m])) > 0",
                    "{{topic}} {{reason}}")]),
        ]),
        Line(8, [
            Graph("The past: speed", "Offsets a second, by the last half minute.",
                  [("sum by (topic) (unpush_restore_records_per_second{S})", "{{topic}}")], "cps"),
            Graph("The past: read back to", "All records since then have been read.",
                  [("min by (topic) (unpush_restore_read_back_to_timestamp_seconds{S}) * 1000", "{{topic}}")],
                  "dateTimeAsIso"),
            Graph("Trouble with topics",
                  "Deliveries that Kafka refused in five minutes (each is tried again), results too large for their "
                  "topic, whether sends and violations are partitioned differently, offsets that retention took.",
                  [("sum(increase(unpush_deliveries_refused_total{S}[5m]))", "refused"),
                   ("sum(unpush_results_too_large{S})", "too large"),
                   ("max(unpush_partitioners_differ{S})", "partitioners differ"),
                   ("sum(increase(unpush_records_gone_total{S}[5m]))", "gone unread")]),
        ]),
        "Processes",
        Line(8, [
            Graph("Shards", "Owned by each instance.", [("unpush_shards{S}", "{{instance}}")], stacked=True),
            Graph("CPU", "Of one core each.",
                  [("rate(process_cpu_seconds_total{S}[R])", "{{instance}}")], "percentunit"),
            Graph("Memory", "Resident.", [("process_resident_memory_bytes{S}", "{{instance}}")], "bytes"),
            Graph("Store", "On disk and in write buffers, and what is free.",
                  [("unpush_store_bytes{S}", "{{instance}}"),
                   ("unpush_store_free_bytes{S}", "{{instance}} free")], "bytes"),
        ]),
        Line(7, [
            Table("Versions", "What runs, in which group.", "unpush_info{S}"),
            Graph("JWT age", "Of each key file; renewed at 3300 s.",
                  [("max by (key_file) (unpush_jwt_age_seconds{S})", "{{key_file}}")], "s"),
            Graph("Open files", "Kafka, RocksDB and HTTP together.", [("process_open_fds{S}", "{{instance}}")]),
        ]),
    ]  # fmt: skip


def drawn() -> str:
    """The file's text."""
    said: Json = {
        "uid": "unpush",
        "title": "Unpush",
        "tags": ["unpush"],
        "description": "What is being revoked, what waits and why. Its words: docs/http.md; runbook: docs/operating.md",
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "id": None,
        "annotations": {"list": [_alerts()]},
        "templating": {"list": list(_variables())},
        "links": [],
        "panels": list(_panels()),
    }
    return json.dumps(said, indent=1, ensure_ascii=False) + "\n"


def _panels() -> Iterator[Json]:
    numbers, y = count(1), 0
    for item in board():
        if isinstance(item, str):
            at = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
            yield {"id": next(numbers), "type": "row", "title": item, "collapsed": False, "panels": [], "gridPos": at}
            y += 1
            continue
        width = COLUMNS // len(item.panels)
        for place, panel in enumerate(item.panels):
            at = {"h": item.height, "w": width, "x": place * width, "y": y}
            words = {"title": panel.title, "description": panel.says, "datasource": SOURCE, "gridPos": at}
            yield {"id": next(numbers), **words, **_shown(panel)}
        y += item.height


def _shown(panel: Number | Graph | Table) -> Json:
    if isinstance(panel, Number):
        return _number(panel)
    return _graph(panel) if isinstance(panel, Graph) else _table(panel)


def _number(panel: Number) -> Json:
    wrong, right = panel.wrong_from, panel.right_from
    steps: list[Json] = [
        {"color": "blue" if wrong is right is None else "green" if right is None else "red", "value": None}
    ]
    if wrong is not None or right is not None:
        steps.append({"color": "red" if right is None else "green", "value": wrong if right is None else right})
    look = {"unit": panel.unit, "color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "type": "stat",
        "targets": [_target(panel.query, now=True)],
        "fieldConfig": {"defaults": look, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "graphMode": "none"},
    }


def _graph(panel: Graph) -> Json:
    custom: Json = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 20 if panel.stacked else 5,
        "showPoints": "never",
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
    }
    look: Json = {"unit": panel.unit, "custom": custom}
    if panel.logarithmic:
        custom["scaleDistribution"] = {"type": "log", "log": 10}
    else:
        look["min"] = 0
    by_severity = any("severity" in legend for _, legend in panel.queries)
    return {
        "type": "timeseries",
        "targets": [_target(query, legend, chr(ord("A") + i)) for i, (query, legend) in enumerate(panel.queries)],
        "fieldConfig": {"defaults": look, "overrides": list(_colours()) if by_severity else []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _colours() -> Iterator[Json]:
    """A severity looks the same everywhere."""
    for severity, colour in COLOURS.items():
        fixed = {"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}
        yield {"matcher": {"id": "byName", "options": severity}, "properties": [fixed]}


def _table(panel: Table) -> Json:
    hidden = dict.fromkeys(("Time", "Value", "__name__", "job"), True)
    return {
        "type": "table",
        "targets": [_target(panel.query, now=True) | {"format": "table"}],
        "fieldConfig": {"defaults": {}, "overrides": []},
        "options": {"showHeader": True},
        "transformations": [{"id": "organize", "options": {"excludeByName": hidden}}],
    }


def _target(query: str, legend: str = "", name: str = "A", *, now: bool = False) -> Json:
    query = query.replace("{S", "{" + CHOSEN).replace("[R]", "[$__rate_interval]")
    asked = {"expr": query, "legendFormat": legend, "range": not now, "instant": now}
    return {"datasource": SOURCE, "refId": name, "editorMode": "code", **asked}


def _alerts() -> Json:
    """Alerts that fire are marked in every graph."""
    query = 'ALERTS{job="$job",alertstate="firing"}'
    look = {"enable": True, "iconColor": "red", "titleFormat": "{{alertname}}", "tagKeys": "urgency"}
    return {"name": "Alerts", "datasource": SOURCE, "expr": query, **look}


def _variables() -> Iterator[Json]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}
    yield _variable("job", "Job", "label_values(unpush_info, job)")
    every = {"multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    yield _variable("instance", "Instance", 'label_values(unpush_info{job="$job"}, instance)') | every


def _variable(name: str, label: str, query: str) -> Json:
    asked = {"definition": query, "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1}
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, **asked}


if __name__ == "__main__":
    FILE.write_text(drawn(), "utf-8")
