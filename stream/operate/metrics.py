"""The metrics: one list of names with their meaning, filled at the moment of a scrape.

Promised: nothing is done on the way of a record: a scrape looks at counters that exist anyway; only the time to revoke
and the exposure are observed when it happens. Not promised: a value kept over a restart; counters begin at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from stream.model import Severity

Figures = Mapping[str, Mapping[tuple[str, ...], float]]
"""By metric, the value of each combination of its labels; ``()`` where it has none."""


class Meaning(NamedTuple):
    """One metric. Times in seconds, sizes in bytes; a counter's name gets ``_total``."""

    name: str
    kind: Literal["counter", "gauge"]
    says: str
    labels: tuple[str, ...] = ()


METRICS: Final = (
    Meaning("unpush_info", "gauge", "Always 1; which version runs, in which group.", ("version", "group", "dry_run")),
    Meaning("unpush_ready", "gauge", "1 while /readyz answers 200."),
    Meaning("unpush_shards", "gauge", "Shards (partitions of all three topics) that this instance owns."),
    Meaning("unpush_partitions", "gauge", "Partitions of each topic: so many shards all instances own together."),
    Meaning("unpush_records_read", "counter", "Records read since the start, the past included.", ("topic",)),
    Meaning("unpush_unread_records", "gauge", "Live lag: offsets behind what has been read.", ("topic",)),
    Meaning("unpush_restore_remaining_records", "gauge", "Offsets of the past that are still to be read.", ("topic",)),
    Meaning("unpush_restore_records_per_second", "gauge", "How fast that goes, by the last half minute.", ("topic",)),
    Meaning("unpush_restore_left_seconds", "gauge", "How long it takes still; missing: not known.", ("topic",)),
    Meaning(
        "unpush_restore_read_back_to_timestamp_seconds",
        "gauge",
        "While the past is read: all records since then have been, of every shard here.",
        ("topic",),
    ),
    Meaning("unpush_standing_partitions", "gauge", "Partitions that stand still; /readyz says why.", ("topic",)),
    Meaning("unpush_records_gone", "counter", "Offsets that retention took before they were read.", ("topic",)),
    Meaning("unpush_dead_letters", "counter", "Bad records written to the dead-letter topic.", ("topic", "reason")),
    Meaning("unpush_partitioners_differ", "gauge", "1 while sends and violations are partitioned differently."),
    Meaning("unpush_slots_sampled", "counter", "Slots (app, token, notifyId) looked at for reuse, a sample.", ("app",)),
    Meaning("unpush_slots_reused", "counter", "Times one of them was given to another message.", ("app",)),
    Meaning("unpush_results", "counter", "Results delivered and marked.", ("outcome", "severity")),
    Meaning(
        "unpush_results_given_up",
        "counter",
        "Of them, FAILED that name no refused token: given up, expired or unreadable.",
        ("severity",),
    ),
    Meaning("unpush_devices", "counter", "Distinct tokens called: revoked, rejected, failed.", ("app", "ending")),
    Meaning("unpush_calls", "counter", "Calls that came back, by what the reply asks of us.", ("app", "answer")),
    Meaning("unpush_deliveries_refused", "counter", "Results that Kafka did not take at once; each is tried again."),
    Meaning("unpush_results_too_large", "gauge", "Results that their topic refuses for their size; the log has ids."),
    Meaning("unpush_calls_in_flight", "gauge", "Revoke calls under way."),
    Meaning("unpush_lane_depth", "gauge", "Calls that wait in a lane.", ("severity",)),
    Meaning(
        "unpush_oldest_call_age_seconds",
        "gauge",
        "Of the calls not yet ended, in lanes, retries and flight: how long the oldest could have been made; 0: none.",
        ("severity",),
    ),
    Meaning(
        "unpush_waiting_devices",
        "gauge",
        "Distinct tokens of those calls. What is not planned yet, as most of a campaign, or is held, is not in it.",
        ("severity",),
    ),
    Meaning(
        "unpush_waiting_exposure_device_seconds",
        "gauge",
        "Of these devices: for how long all of them together have shown by now what they should not.",
        ("severity",),
    ),
    Meaning("unpush_retries_waiting", "gauge", "Calls that wait to be tried again."),
    Meaning("unpush_app_waits", "gauge", "1 for an app that makes no ordinary call; /api/status says why.", ("app",)),
    Meaning("unpush_app_devices_per_second_limit", "gauge", "This instance's share of its limit; 0: none.", ("app",)),
    Meaning("unpush_jwt_age_seconds", "gauge", "Of the JWT of each key file; it is renewed at 3300.", ("key_file",)),
    Meaning("unpush_held_violations", "gauge", "Violations that the guard holds until a person's word.", ("app",)),
    Meaning("unpush_held_devices", "gauge", "Places in sends' lists that these would call.", ("app",)),
    Meaning("unpush_guard_hour_devices", "gauge", "Places admitted within 60 minutes, as the guard counts.", ("app",)),
    Meaning("unpush_guard_waiting_messages", "gauge", "Messages that wait until the guard can count them."),
    Meaning("unpush_app_devices_per_second_learned", "gauge", "What Push Kit takes, as learned; 0: no limit", ("app",)),
    Meaning("unpush_app_breaker", "gauge", "1 for the state it is in: closed, open, opening.", ("app", "state")),
    Meaning("unpush_calls_in_flight_bound", "gauge", "Calls at once that the gateway bears, as learned."),
    Meaning("unpush_gateway_silent", "gauge", "1 while no call of any app is answered; /readyz says why."),
    Meaning("unpush_open_messages", "gauge", "Messages with a violation that is not settled, in memory."),
    Meaning("unpush_outbox_size", "gauge", "Results and dead letters that are not yet delivered and marked."),
    Meaning("unpush_store_bytes", "gauge", "What the store takes on disk and in its write buffers."),
    Meaning("unpush_store_free_bytes", "gauge", "What is free for it on its disk."),
)  # fmt: skip

TO_REVOKED: Final = "unpush_violation_to_revoked_seconds"
TO_REVOKED_SAYS: Final = (
    "From the later of the violation's and the sends' record time (or the event that had it tried again) "
    "to Push Kit's acceptance; one observation a result."
)
EXPOSURE: Final = "unpush_exposure_device_seconds"
EXPOSURE_SAYS: Final = (
    "Devices revoked, each times the same seconds: how long all of them together showed what they should not."
)
BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 43200, 86400)


class Metrics:
    """All that ``/metrics`` shows, in a registry of its own."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        """``figures`` is asked at each scrape; it gives every metric of ``METRICS``."""
        self._figures = figures
        self._registry = CollectorRegistry()
        to_revoked = Histogram(TO_REVOKED, TO_REVOKED_SAYS, ("severity",), registry=self._registry, buckets=BUCKETS_S)
        self._to_revoked = {severity: to_revoked.labels(severity.name) for severity in Severity}
        exposure = Counter(EXPOSURE, EXPOSURE_SAYS, ("severity",), registry=self._registry)
        self._exposure = {severity: exposure.labels(severity.name) for severity in Severity}
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def revoked(self, severity: Severity, took_s: float, devices: int) -> None:
        """A call was accepted for so many devices, so long after it could first have been made; clocks that differ
        never make it negative."""
        took_s = max(0.0, took_s)
        self._to_revoked[severity].observe(took_s)
        self._exposure[severity].inc(took_s * devices)

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks of a collector."""
        figures = self._figures()
        for meaning in METRICS:
            yield _family(meaning, figures[meaning.name])

    def describe(self) -> list[Metric]:
        """Nothing: so that registering asks for no figures."""
        return []

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body in the format that ``Accept`` asks for (Prometheus text or OpenMetrics), and its content type."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type


def _family(meaning: Meaning, values: Mapping[tuple[str, ...], float]) -> Metric:
    of_kind = CounterMetricFamily if meaning.kind == "counter" else GaugeMetricFamily
    family = of_kind(meaning.name, meaning.says, labels=meaning.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
