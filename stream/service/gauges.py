"""How the service is, in numbers and sentences: what ``/readyz``, ``/metrics`` and ``/api/status`` show.

Promised: all of it comes from counters that exist anyway, so looking costs no record anything. On the event loop.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from math import isfinite
from typing import Final

from stream.model import DeadReason, Outcome, Severity, Topic
from stream.operate.health import Health, Note
from stream.operate.http import Json
from stream.operate.metrics import Figures
from stream.service.guarding import HeldSeen
from stream.service.restoring import Restore
from stream.service.story import Service
from stream.state.shard import EVERYTHING, Shard
from stream.work.apps import App
from stream.work.breaker import State
from stream.work.reuse import Standing

HELD_LISTED: Final = 100
"""So many held violations are shown at a glance, the longest held first."""

TOPIC_WORDS: Final = {Topic.SENDS: "sends", Topic.VIOLATIONS: "violations", Topic.RESULTS: "results"}

NO_RESULTS: Final[dict[tuple[str, ...], float]] = {(how.name, each.name): 0 for how in Outcome for each in Severity}
"""Counters that are there from the start: Prometheus sees no increase in one that begins at 1."""


class Gauges:
    """See the module's words."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._since_ms = service.clock.now_ms()

    # --- health

    def health(self) -> Health:
        """Ready: a member of the group, not leaving, and no partition's reading stands still."""
        return Health(list(self._reasons()), list(self._notes()))

    def _reasons(self) -> Iterator[Note]:
        service = self._service
        if service.failure is not None:
            yield Note("failed", str(service.failure))
        if service.draining:
            yield Note("draining", "it is stopping: calls in flight end, no new one starts")
        elif not service.membership.joined:
            yield Note("joining", f"it is not yet a member of the group {service.settings.kafka.group_id}")
        if (silence := service.membership.silence) is not None:
            yield Note("no_broker", silence)
        for place, why in self._standing():
            yield Note("partition_stands_still", f"{service.names[place[0]]}/{place[1]}: {why}")
        if (stuck := service.outbox.stuck) is not None:
            yield Note("results_wait", f"no result could be written {stuck}")
        for why in set(service.settling.late.unburied.values()):
            yield Note("dead_letters_wait", f"letters for {service.settings.topics.dead_letter} wait: {why}")

    def _standing(self) -> Iterator[tuple[tuple[Topic, int], str]]:
        service = self._service
        for reader in (service.membership, service.tail, service.past):
            yield from reader.waiting.items()

    def _notes(self) -> Iterator[Note]:
        service = self._service
        if refused := service.outbox.too_large:
            yield Note(
                "results_too_large",
                f"{service.names[Topic.RESULTS]} refuses {refused} results for their size, so their places do not "
                "settle: their violations' ids leave no room; raise the topic's max.message.bytes",
            )
        for client_id, why in service.calls.stopped_apps().items():
            yield Note("app_waits", f"app {client_id} makes no calls: {why}")
        yield from self._notes_of_calls()
        for client_id, standing in service.sampling.reusing.items():
            yield Note("notify_id_reused", _reused(client_id, standing))
        if held := service.desk.guarding.held:
            devices = sum(service.desk.guarding.devices.values())
            yield Note("held", f"{held} violations of {devices} devices wait for unpush approve or unpush withdraw")
        if service.chores.disagreement is not None:
            yield Note("partitioners_differ", service.chores.disagreement)
        for topic, seen in self.restoring().items():
            yield Note("restoring", f"{service.names[topic]}: {_told(seen)}")

    def _notes_of_calls(self) -> Iterator[Note]:
        calls = self._service.calls
        if (silent_s := calls.gate.silence.since_s) is not None:
            since = f"for {self._service.clock.monotonic_s() - silent_s:.0f} s no call of any app has been answered"
            yield Note("gateway_silent", f"{since}, the last ended with: {calls.learning.silent_why}; it is probed")
            return
        for client_id, app in calls.apps.items():
            if app.breaker.state is State.OPEN:
                yield Note("app_fails", f"no call of app {client_id} is answered: {app.fails_with}; it is probed")

    # --- numbers

    def shards(self) -> list[Shard]:
        """Those that are here now."""
        return list(self._service.arrivals.shards.values())

    def restoring(self) -> dict[Topic, Restore]:
        """Of each topic whose past is still being read: how far it is."""
        seen = {topic: self._service.restoring.of(topic) for topic in Topic}
        return {topic: each for topic, each in seen.items() if each.remaining}

    def _dead_letters(self) -> dict[tuple[str, ...], float]:
        """By topic and reason: those found when they came, and stored sends found out later."""
        names = self._service.names
        inputs = names[Topic.SENDS], names[Topic.VIOLATIONS]
        found: dict[tuple[str, ...], float] = {(topic, why.value): 0 for topic in inputs for why in DeadReason}
        found.update(list(self._service.intake.dead.items()))
        for why, count in list(self._service.settling.late.dead.items()):
            place = names[Topic.SENDS], why
            found[place] = found.get(place, 0) + count
        return found

    def _dead_by_reason(self) -> Json:
        found = Counter[str]()
        for (_, reason), number in self._dead_letters().items():
            found[reason] += int(number)
        return dict(+found)

    def _unread(self) -> dict[tuple[Topic, int], int]:
        return {**self._service.membership.unread, **self._service.tail.unread}

    def figures(self) -> Figures:
        """Every metric of ``operate.metrics.METRICS``."""
        return {**self._figures_of_reading(), **self._figures_of_calls(), **self._figures_of_state()}

    def _figures_of_reading(self) -> Figures:
        intake, names = self._service.intake, self._service.names
        unread, standing = Counter[Topic](), Counter[Topic]()
        for (topic, _), lag in self._unread().items():
            unread[topic] += lag
        standing.update(topic for (topic, _), _ in set(self._standing()))
        return {
            "unpush_records_read": {(names[topic],): intake.stored[topic] for topic in Topic},
            "unpush_unread_records": {(names[topic],): unread[topic] for topic in Topic},
            "unpush_standing_partitions": {(names[topic],): standing[topic] for topic in Topic},
            "unpush_records_gone": {(names[topic],): n for topic, n in self._service.hearing.gone.items()},
            "unpush_dead_letters": self._dead_letters(),
            "unpush_partitioners_differ": {(): float(self._service.chores.disagreement is not None)},
            **self._figures_of_sampling(),
            **self._figures_of_restoring(),
        }

    def _figures_of_sampling(self) -> Figures:
        apps = self._service.sampling.apps
        return {
            "unpush_slots_sampled": {(name,): standing.looked_at for name, standing in apps.items()},
            "unpush_slots_reused": {(name,): standing.reused for name, standing in apps.items()},
        }

    def _figures_of_restoring(self) -> Figures:
        """Of what is over, or does not move, no time is shown."""
        seen = {self._service.names[topic]: self._service.restoring.of(topic) for topic in Topic}
        back_to: dict[tuple[str, ...], float] = {
            (name,): each.read_back_to_ms / 1000 for name, each in seen.items() if each.read_back_to_ms is not None
        }
        return {
            "unpush_restore_remaining_records": {(name,): each.remaining for name, each in seen.items()},
            "unpush_restore_records_per_second": {(name,): each.records_per_s for name, each in seen.items()},
            "unpush_restore_left_seconds": {
                (name,): each.left_s for name, each in seen.items() if each.left_s is not None
            },
            "unpush_restore_read_back_to_timestamp_seconds": back_to,
        }

    def _figures_of_calls(self) -> Figures:
        service, apps = self._service, self._service.calls.apps
        return {
            "unpush_results": NO_RESULTS
            | {(how.name, severity.name): n for (how, severity), n in service.settling.results.items()},
            "unpush_results_given_up": {(severity.name,): n for severity, n in service.settling.given_up.items()},
            "unpush_devices": {(name, how): n for (name, how), n in service.settling.devices.items()},
            "unpush_deliveries_refused": {(): service.outbox.refused},
            "unpush_results_too_large": {(): service.outbox.too_large},
            "unpush_calls_in_flight": {(): len(service.calls.in_flight)},
            "unpush_lane_depth": {(name,): depth for name, depth in self._lanes().items()},
            "unpush_oldest_call_age_seconds": self._oldest_s(),
            **self._figures_of_exposure(),
            "unpush_retries_waiting": {(): self._retries()},
            "unpush_held_violations": {(name,): n for name, n in service.desk.guarding.violations.items()},
            "unpush_held_devices": {(name,): n for name, n in service.desk.guarding.devices.items()},
            "unpush_guard_hour_devices": {(name,): n for name, n in service.desk.guarding.hour().items()},
            "unpush_guard_waiting_messages": {(): service.desk.guarding.waiting},
            "unpush_app_waits": {(name,): float(app.waits_for is not None) for name, app in apps.items()},
            "unpush_app_devices_per_second_limit": {(name,): app.bucket.devices_per_s for name, app in apps.items()},
            **self._figures_of_learning(),
        }

    def _figures_of_exposure(self) -> Figures:
        exposure, now_ms = self._service.calls.pending.exposure, self._service.clock.now_ms()
        return {
            "unpush_waiting_devices": {(each.name,): devices for each, devices in exposure.devices.items()},
            "unpush_waiting_exposure_device_seconds": {
                (each.name,): device_s for each, device_s in exposure.device_s(now_ms).items()
            },
        }

    def _figures_of_learning(self) -> Figures:
        calls = self._service.calls
        breakers = {name: app.breaker.state for name, app in calls.apps.items()}
        return {
            "unpush_app_devices_per_second_learned": {
                (name,): app.learned.devices_per_s for name, app in calls.apps.items()
            },
            "unpush_app_breaker": {
                (name, each.value): float(each is state) for name, state in breakers.items() for each in State
            },
            "unpush_calls": {(name, verdict.value): n for (name, verdict), n in calls.learning.answers.items()},
            "unpush_calls_in_flight_bound": {(): int(calls.gate.bound.calls)},
            "unpush_gateway_silent": {(): float(calls.gate.silence.since_s is not None)},
        }

    def _figures_of_state(self) -> Figures:
        service = self._service
        labels = (_version(), service.settings.kafka.group_id, str(service.dry).lower())
        return {
            "unpush_info": {labels: 1},
            "unpush_ready": {(): float(self.health().ready)},
            "unpush_shards": {(): len(service.arrivals.shards)},
            "unpush_partitions": {(): service.world.partitions},
            "unpush_jwt_age_seconds": {(path,): age_s for path, age_s in service.keys.ages_s().items()},
            "unpush_open_messages": {(): len(service.desk.docket.open)},
            "unpush_outbox_size": {(): service.outbox.size + service.letterbox.size},
            "unpush_store_bytes": {(): service.store.bytes_on_disk()},
            "unpush_store_free_bytes": {(): shutil.disk_usage(service.settings.store.path).free},
        }

    def _oldest_s(self) -> dict[tuple[str, ...], float]:
        now_ms, oldest = self._service.clock.now_ms(), self._service.calls.pending.oldest_ms()
        return {(each.name,): max(0, now_ms - oldest.get(each, now_ms)) / 1000 for each in Severity}

    def _lanes(self) -> dict[str, int]:
        lanes = self._service.calls.pending.lanes
        return {severity.name: lanes.depth(severity) for severity in sorted(Severity, reverse=True)}

    def _retries(self) -> int:
        return self._service.calls.pending.waiting - sum(self._lanes().values())

    # --- status

    def status(self) -> Json:
        """``/api/status``."""
        service = self._service
        return {
            "version": _version(),
            "groupId": service.settings.kafka.group_id,
            "dryRun": service.dry,
            "since": self._since_ms,
            **self.health().as_json(),
            "partitions": service.world.partitions,
            "shards": self._shards_seen(),
            "restore": {TOPIC_WORDS[topic]: _restore_seen(seen) for topic, seen in self.restoring().items()},
            "apps": self._apps_seen(),
            "lanes": self._lanes(),
            "retriesWaiting": self._retries(),
            "callsInFlight": len(service.calls.in_flight),
            "callsInFlightBound": int(service.calls.gate.bound.calls),
            "gatewaySilentSince": self._as_ms(service.calls.gate.silence.since_s),
            "guard": {**self.guard(), "held": [_held_seen(each) for each in self.held()]},
            "outbox": service.outbox.size + service.letterbox.size,
            "deadLetters": self._dead_by_reason(),
            "openMessages": len(service.desk.docket.open),
            "partitionersDiffer": service.chores.disagreement,
            "storeBytes": service.store.bytes_on_disk(),
        }

    def held(self) -> list[HeldSeen]:
        """The first of what the guard holds."""
        return list(islice(self._service.desk.guarding.seen(), HELD_LISTED))

    def guard(self) -> Json:
        """Its limits, and how much it has admitted and holds."""
        guarding, limits = self._service.desk.guarding, self._service.settings.guard
        return {
            "maxDevicesPerViolation": limits.max_devices_per_violation,
            "maxDevicesPerHour": limits.max_devices_per_hour,
            "hour": dict(guarding.hour()),
            "heldViolations": guarding.held,
            "heldDevices": +guarding.devices,
            "waiting": guarding.waiting,
        }

    def _shards_seen(self) -> list[Json]:
        unread = self._unread()
        return [
            {"partition": shard.number}
            | {
                word: _topic_seen(shard, topic, unread.get((topic, shard.number)))
                for topic, word in TOPIC_WORDS.items()
            }
            for shard in sorted(self.shards(), key=lambda each: each.number)
        ]

    def _apps_seen(self) -> list[Json]:
        calls, devices = self._service.calls, defaultdict[str, dict[str, int]](dict)
        in_flight = Counter(parcel.client_id for parcel in calls.in_flight)
        for (client_id, ending), number in self._service.settling.devices.items():
            devices[client_id][ending] = number
        return [self._app_seen(app, in_flight[name], devices[name]) for name, app in sorted(calls.apps.items())]

    def _app_seen(self, app: App, in_flight: int, devices: dict[str, int]) -> Json:
        return {
            "clientId": app.client_id,
            "waitsFor": app.waits_for,
            "since": self._paused_since_ms(app),
            "devicesPerSecond": app.bucket.devices_per_s,
            "learnedDevicesPerSecond": round(app.learned.devices_per_s, 1),
            "breaker": app.breaker.state.value,
            "largestCall": app.largest_call,
            "callsInFlight": in_flight,
            "devices": devices,
        }

    def _paused_since_ms(self, app: App) -> int | None:
        """None too where the settings stop it: then it never called."""
        return None if app.pause_reason is None else self._as_ms(app.paused_since_s)

    def _as_ms(self, monotonic_s: float | None) -> int | None:
        """A moment on the monotonic clock, as time of day."""
        clock = self._service.clock
        return None if monotonic_s is None else clock.now_ms() - int(1000 * (clock.monotonic_s() - monotonic_s))


def _reused(client_id: str, standing: Standing) -> str:
    seen = standing.latest
    if standing.reused:
        example = f", the last {seen}" if seen else ""
        found = f"of {standing.looked_at} sampled slots {standing.reused} times{example}"
    else:
        found = f"an earlier process found {seen}"
    return f"app {client_id} gives one notifyId to several messages: {found}; a revoke of one may take away another"


def _held_seen(seen: HeldSeen) -> Json:
    violation = seen.violation
    return {
        "violationId": violation.violation_id,
        "messageId": violation.message_id,
        "severity": violation.severity.name,
        "heldFor": seen.why,
        "devices": dict(seen.would),
    }


def _told(seen: Restore) -> str:
    told = f"{seen.remaining} offsets of the past are still to be read"
    return told if seen.left_s is None else f"{told}, in about {seen.left_s:.0f} s"


def _restore_seen(seen: Restore) -> Json:
    return {
        "remaining": seen.remaining,
        "recordsPerSecond": round(seen.records_per_s),
        "leftSeconds": None if seen.left_s is None else round(seen.left_s, 1),
        "readBackTo": seen.read_back_to_ms,
    }


def _topic_seen(shard: Shard, topic: Topic, unread: int | None) -> Json:
    """``readBackTo``: all records since then have been read (ms); None: all within retention, or not known."""
    back_ms = shard.read_back_ms.get(topic, EVERYTHING)
    return {
        "unread": unread,
        "restoring": shard.restoring(topic),
        "readBackTo": int(back_ms) if isfinite(back_ms) else None,
    }


def _version() -> str:
    try:
        return version("unpush")
    except PackageNotFoundError:
        return "from a folder, not installed"
