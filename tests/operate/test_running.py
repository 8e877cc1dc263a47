"""What people see of a real service over HTTP: mock cluster, simulator, all in this process."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import confluent_kafka
import pytest

from stream.brokers.mock import MockKafka
from stream.model import Status, Topic
from stream.operate.metrics import METRICS
from stream.pushkit.simulator import AppFaults, End, Failure, Faults, make_key_file
from stream.service import lookup
from stream.service.views import Views
from stream.wire.partitioners import Partitioner
from stream.work import breaker
from tests.operate.running import APP, PARTITIONS, TOPICS, Reply, Rig, running, written_settings

HANGING = Faults(all=AppFaults(failures=(Failure(end=End.HANG_BEFORE),)))


def partition_of(message_id: str) -> int:
    """Where the house rule puts it."""
    return int(confluent_kafka.murmur2(message_id.encode(), PARTITIONS))


def _crc32_of(message_id: str) -> int:
    return Partitioner.CRC32.place(message_id.encode(), PARTITIONS)


def words(reply: Reply, of: str) -> list[str]:
    """The words of /readyz's reasons or notes."""
    return [each["word"] for each in reply.json[of]]


async def state(rig: Rig, violation_id: str, wanted: str) -> Reply:
    """Ask for a violation until it is in this state."""
    return await rig.until(f"/api/violations/{violation_id}", lambda r: r.status == 200 and r.json["state"] == wanted)


async def test_it_answers_before_it_is_a_member_and_is_ready_once_it_is(tmp_path: Path) -> None:
    """/readyz: 200 once a member of the group; the server is up before that."""
    async with running(tmp_path) as rig:
        early = await rig.get("/readyz")
        assert (early.status, words(early, "reasons")) == (503, ["joining"])
        assert (await rig.get("/livez")).status == 200
        ready = await rig.ready()
        assert ready.json["reasons"] == []


async def test_a_member_without_shards_is_ready(tmp_path: Path) -> None:
    """With or without shards."""
    async with running(tmp_path) as rig:
        await rig.ready()
        shards = dict(rig.service.intake.shards)
        rig.service.intake.shards.clear()
        assert (await rig.get("/readyz")).status == 200
        rig.service.intake.shards.update(shards)


async def test_a_member_that_was_thrown_out_is_not_ready_until_it_is_back(tmp_path: Path) -> None:
    """200 once a member of the group."""
    async with running(tmp_path) as rig:
        await rig.ready()
        rig.service.membership._were_lost(Mock(), [])
        reply = await rig.get("/readyz")
        assert (reply.status, words(reply, "reasons")) == (503, ["joining"])


async def test_brokers_that_are_away_for_long_make_it_not_ready_until_one_answers(tmp_path: Path) -> None:
    """200 once able to act; else 503 with the reasons, and 200 again by itself."""
    async with running(tmp_path) as rig:
        await rig.ready()
        pulse = rig.service.membership._pulse
        pulse._looked_s = time.monotonic()  # the client's own first look may be up to five seconds away
        pulse._silent_since_s = pulse._looked_s - 42
        reply = await rig.get("/readyz")
        assert (reply.status, words(reply, "reasons")) == (503, ["no_broker"])
        assert reply.json["reasons"][0]["why"].startswith("no broker has answered for 42 s: ")
        await rig.until("/readyz", lambda r: r.status == 200)


async def test_a_violation_is_followed_to_its_end_and_no_token_is_shown(tmp_path: Path) -> None:
    """Fields at least as the contract lists; no push token in any answer."""
    async with running(tmp_path) as rig:
        await rig.ready()
        rig.send("m/1 ü", 5)
        detected_ms = rig.event("v1", "m/1 ü")
        seen = (await state(rig, "v1", "settled")).json
        assert (
            seen
            | {
                "violationId": "v1",
                "messageId": "m/1 ü",
                "severity": "HIGH",
                "status": "CONFIRMED",
                "reason": "spam",
                "detector": "model-7",
                "detectedAt": detected_ms,
                "tokensMatched": 5,
                "tokensSettled": 5,
                "partition": partition_of("m/1 ü"),
            }
            == seen
        )
        message = await rig.get("/api/messages/m%2F1%20%C3%BC")
        assert (message.json["sends"], message.json["tokens"], message.json["violations"]) == (1, 5, [seen])
        assert message.json["firstSends"][0]["clientId"] == APP
        for path in ("/readyz", "/metrics", "/api/status", "/api/violations/v1", "/api/messages/m%2F1%20%C3%BC"):
            assert "-token-" not in (await rig.get(path)).text


async def test_a_violation_without_sends_waits_and_a_late_send_settles_it(tmp_path: Path) -> None:
    """waiting: also after NOT_FOUND."""
    async with running(tmp_path) as rig:
        await rig.ready()
        rig.event("v1", "m1")
        await rig.until("/metrics", lambda r: 'unpush_results_total{outcome="NOT_FOUND",severity="HIGH"} 1.0' in r.text)
        waiting = (await rig.get("/api/violations/v1")).json
        assert (waiting["state"], waiting["tokensMatched"], waiting["tokensSettled"]) == ("waiting", 0, 0)
        rig.send("m1", 3)
        assert (await state(rig, "v1", "settled")).json["tokensSettled"] == 3


async def test_a_withdrawn_violation_says_so(tmp_path: Path) -> None:
    """state withdrawn, status WITHDRAWN."""
    async with running(tmp_path) as rig:
        await rig.ready()
        rig.send("m1", 3)
        rig.event("v1", "m1")
        await state(rig, "v1", "settled")
        rig.event("v1", "m1", Status.WITHDRAWN)
        assert (await state(rig, "v1", "withdrawn")).json["status"] == "WITHDRAWN"


async def test_what_was_settled_of_a_violation_stays_settled_when_it_is_withdrawn(tmp_path: Path) -> None:
    """Places of its sends, and those with a result: whatever else stands of its message, and is counted anew for it."""
    async with running(tmp_path) as rig:
        await rig.ready()
        rig.send("m1", 3)
        for name in ("v1", "v2"):
            rig.event(name, "m1")
            await state(rig, name, "settled")
        rig.event("v2", "m1", Status.WITHDRAWN)
        await state(rig, "v2", "withdrawn")
        rig.event("v3", "m1")
        await state(rig, "v3", "settled")
        seen = (await rig.get("/api/messages/m1")).json["violations"]
        assert [(each["tokensMatched"], each["tokensSettled"]) for each in seen] == [(3, 3)] * 3


async def test_what_memory_has_forgotten_is_counted_from_the_store(tmp_path: Path) -> None:
    """From memory or else from the store; a violationId alone is searched for."""
    async with running(tmp_path) as rig:
        await rig.ready()
        for tokens in (2, 3):
            rig.send("m1", tokens)
        rig.event("v1", "m1")
        rig.event("v2", "m1")
        remembered = [(await state(rig, name, "settled")).json for name in ("v1", "v2")]
        rig.service.desk.docket.done.clear()
        assert [(await rig.get(f"/api/violations/{name}")).json for name in ("v1", "v2")] == remembered
        assert (await rig.get("/api/messages/m1")).json["violations"] == remembered
        assert (await rig.get("/api/violations/v1?messageId=m1")).json == remembered[0]
        assert (await rig.get("/api/violations/v1?messageId=m2")).status == 404


async def test_an_id_that_is_part_of_another_is_not_taken_for_it(tmp_path: Path) -> None:
    """A violationId is no key: the search compares it whole."""
    async with running(tmp_path) as rig:
        await rig.ready()
        for number in range(10):
            rig.event(f"v1{number}", f"other-{number}")
        rig.event("v1", "m1")
        await state(rig, "v1", "waiting")
        await rig.until("/metrics", lambda r: "unpush_open_messages 0.0" in r.text.splitlines())
        assert not rig.service.desk.docket.done
        assert (await rig.get("/api/violations/v1")).json["messageId"] == "m1"


async def test_what_memory_has_not_counted_yet_is_counted_from_the_store(tmp_path: Path) -> None:
    """A message that waits for its past to be read is in memory, but only the store knows its places."""
    async with running(tmp_path) as rig:
        await rig.ready()
        rig.send("m1", 2)
        rig.event("v1", "m1")
        await state(rig, "v1", "settled")
        [it] = rig.service.desk.docket
        it.walk, it.counted, it.matched, it.settled = None, False, 0, {}
        seen = (await rig.get("/api/violations/v1")).json
        assert (seen["state"], seen["tokensMatched"], seen["tokensSettled"]) == ("settled", 2, 2)


async def test_a_message_with_more_sends_than_can_be_counted_is_not_called_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded work; while stored sends are still to be counted, matched is at least settled + 1."""
    async with running(tmp_path) as rig:
        await rig.ready()
        rig.send("m1", 2)
        rig.event("v1", "m1")
        await state(rig, "v1", "settled")
        rig.service.desk.docket.done.clear()
        monkeypatch.setattr(lookup, "CHUNK_SENDS", 1)
        monkeypatch.setattr(lookup, "COUNT_S", 0.0)
        message = (await rig.get("/api/messages/m1")).json
        [seen] = message["violations"]
        assert not message["counted"]
        assert seen["state"] != "settled"
        assert seen["tokensMatched"] >= seen["tokensSettled"] + 1


async def test_a_place_without_a_mark_is_open_in_the_store_too(tmp_path: Path) -> None:
    """tokensMatched and tokensSettled counted from sends and marks."""
    async with running(tmp_path, 'shutdown.drain = "100ms"') as rig:
        await rig.ready()
        rig.send("m1", 2)
        rig.event("v1", "m1")
        await state(rig, "v1", "settled")
        await rig.simulator.set_faults(HANGING)
        rig.send("m1", 3)
        await state(rig, "v1", "active")
        rig.service.desk.docket.open.clear()
        seen = (await rig.get("/api/violations/v1")).json
        assert (seen["state"], seen["tokensMatched"], seen["tokensSettled"]) == ("active", 5, 2)


async def test_the_unknown_is_404_in_one_sentence(tmp_path: Path) -> None:
    """Unknown → 404 with a JSON sentence; an id in no event, a message in no record."""
    async with running(tmp_path) as rig:
        await rig.ready()
        await rig.until("/api/status", lambda r: not any(s["sends"]["restoring"] for s in r.json["shards"]))
        violation, message = await rig.get("/api/violations/v9"), await rig.get("/api/messages/m9")
        assert (violation.status, message.status) == (404, 404)
        assert "'v9' is not known here" in violation.json["error"]
        assert message.json == {"error": "nothing is known of message 'm9'", "partition": partition_of("m9")}


async def test_a_message_of_another_instance_is_404_that_names_the_partition(tmp_path: Path) -> None:
    """An instance that does not own the message's partition answers 404 that names it."""
    async with running(tmp_path) as rig:
        await rig.ready()
        partition = partition_of("m1")
        shard = rig.service.intake.shards.pop(partition)
        for path in ("/api/messages/m1", "/api/violations/v1?messageId=m1"):
            reply = await rig.get(path)
            assert (reply.status, reply.json["partition"]) == (404, partition)
            assert f"belongs to partition {partition}" in reply.json["error"]
        rig.service.intake.shards[partition] = shard


async def test_a_violation_beside_its_keys_partition_is_found_all_the_same(tmp_path: Path) -> None:
    """A record whose partition contradicts its key is not an error."""
    async with running(tmp_path) as rig:
        await rig.ready()
        elsewhere = (partition_of("m1") + 1) % PARTITIONS
        rig.event("v1", "m1", partition=elsewhere)
        assert (await state(rig, "v1", "waiting")).json["partition"] == elsewhere
        assert (await rig.get("/api/messages/m1")).json["partition"] == elsewhere


async def test_topics_that_disagree_are_told_and_the_senders_partitioner_names_the_partition(tmp_path: Path) -> None:
    """A systematic disagreement is said (metric, /readyz detail); which partition a message is in follows the sends."""
    async with running(tmp_path) as rig:
        await rig.ready()
        for topic, partitioner in ((Topic.SENDS, Partitioner.CRC32), (Topic.VIOLATIONS, Partitioner.MURMUR2)):
            for key in (b"key-%d" % number for number in range(60)):
                partition = partitioner.place(key, PARTITIONS)
                rig.service.intake.agreement[topic].observe(key, partition, PARTITIONS)
        ready = await rig.until("/readyz", lambda r: "partitioners_differ" in words(r, "notes"))
        assert ready.status == 200
        assert "unpush_partitioners_differ 1.0" in (await rig.get("/metrics")).text
        assert "partitioned differently" in (await rig.get("/api/status")).json["partitionersDiffer"]
        unknown = next(f"m{n}" for n in range(99) if _crc32_of(f"m{n}") != partition_of(f"m{n}"))
        assert (await rig.get(f"/api/messages/{unknown}")).json["partition"] == _crc32_of(unknown)


async def test_while_earlier_sends_are_unread_nothing_is_called_settled(tmp_path: Path) -> None:
    """Earlier sends unread: matched is at least settled + 1; restoring is listed and does not make it unready."""
    async with running(tmp_path) as rig:
        await rig.ready()
        rig.send("m1", 3)
        rig.event("v1", "m1")
        await state(rig, "v1", "settled")
        shard = rig.service.intake.shards[partition_of("m1")]
        shard.read_back_ms[Topic.SENDS], shard.floor[Topic.SENDS], shard.live_start[Topic.SENDS] = 0.0, 10, 1_010
        for _ in ("from memory", "from the store"):
            seen = (await rig.get("/api/violations/v1")).json
            assert (seen["state"], seen["tokensMatched"], seen["tokensSettled"]) == ("active", 4, 3)
            rig.service.desk.docket.done.clear()
        ready = await rig.get("/readyz")
        why = "push.message-sent: 1000 offsets of the past are still to be read"
        assert (ready.status, ready.json["notes"]) == (200, [{"word": "restoring", "why": why}])
        metrics = (await rig.get("/metrics")).text
        assert 'unpush_restore_remaining_records{topic="push.message-sent"} 1000.0' in metrics
        told = (await rig.get("/api/status")).json["restore"]
        assert told == {"sends": {"remaining": 1_000, "recordsPerSecond": 0, "leftSeconds": None, "readBackTo": 0}}
        assert "; the past is still being read" in (await rig.get("/api/violations/v9")).json["error"]


async def test_while_nobody_answers_for_a_partition_of_sends_nothing_is_called_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier sends may be unread then, and nobody has heard of them."""
    async with running(tmp_path) as rig:
        await rig.ready()
        rig.send("m1", 3)
        rig.event("v1", "m1")
        await state(rig, "v1", "settled")
        with monkeypatch.context() as silence:
            silence.setattr(rig.service.tail, "silent", lambda now_s: True)
            seen = (await rig.get("/api/violations/v1")).json
        assert (seen["state"], seen["tokensMatched"], seen["tokensSettled"]) == ("active", 4, 3)
        await state(rig, "v1", "settled")


async def test_who_owns_all_shards_asks_nobody_for_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then no other can know it."""
    async with running(tmp_path) as rig:
        await rig.ready()
        await rig.until("/api/status", lambda reply: len(reply.json["shards"]) == PARTITIONS)
        monkeypatch.setattr(rig.service, "cluster", None)
        assert (await rig.get("/api/violations/v9")).status == 404


async def test_metrics_watch_beside_others(tmp_path: Path) -> None:
    """Whoever watches results goes on doing so, whoever else comes or goes."""
    line = 'unpush_violation_to_revoked_seconds_count{severity="HIGH"} 1.0'
    async with running(tmp_path) as rig:
        async with Views(rig.service) as second, Views(rig.service):
            pass
        async with Views(rig.service) as third:
            await rig.ready()
            rig.send("m1", 1)
            rig.event("v1", "m1")
            await state(rig, "v1", "settled")
            assert line in (await rig.get("/metrics")).text
            assert line in third.sights.metrics("")[0].decode()
            assert line not in second.sights.metrics("")[0].decode()


async def test_a_paused_app_is_told_and_does_not_make_it_unready(tmp_path: Path) -> None:
    """Paused apps are listed; a paused app does not make it not ready. Its violations are active, and say why."""
    async with running(tmp_path, "push_kit.paused = true") as rig:
        await rig.ready()
        rig.send("m1", 4)
        rig.event("v1", "m1")
        seen = (await state(rig, "v1", "active")).json
        assert (seen["tokensMatched"], seen["tokensSettled"]) == (4, 0)
        assert seen["waitsFor"] == f"app {APP} makes no calls: paused by the settings"
        ready = await rig.get("/readyz")
        assert (ready.status, words(ready, "notes")) == (200, ["app_waits"])
        status = (await rig.get("/api/status")).json
        assert (status["apps"][0]["clientId"], status["apps"][0]["waitsFor"]) == (APP, "paused by the settings")
        assert (status["lanes"]["HIGH"], status["openMessages"]) == (1, 1)
        rig.event("v1", "m1", status=Status.WITHDRAWN)
        assert (await state(rig, "v1", "withdrawn")).json["waitsFor"] is None


async def test_a_gateway_that_answers_nobody_is_told_and_how_calls_fare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Learned limits and breakers are visible: /readyz, /api/status, metrics; and over when the gateway answers."""
    monkeypatch.setattr(breaker, "SILENT_AFTER", breaker.OPENS_AFTER)  # by one app's probes it would take a minute
    async with running(tmp_path) as rig:
        await rig.ready()
        await rig.simulator.set_faults(Faults(all=AppFaults(failures=(Failure(status=502),))))
        for number in range(40):
            rig.send(f"m{number}", 1)
            rig.event(f"v{number}", f"m{number}")
        ready = await rig.until("/readyz", lambda r: "gateway_silent" in words(r, "notes"))
        assert ready.status == 200
        assert "no call of any app has been answered" in ready.text
        status = (await rig.get("/api/status")).json
        assert (status["apps"][0]["breaker"], status["callsInFlightBound"] < 64) == ("open", True)
        assert abs(status["gatewaySilentSince"] - time.time() * 1000) < 20_000
        lines = (await rig.get("/metrics")).text.splitlines()
        assert f'unpush_app_breaker{{app="{APP}",state="open"}} 1.0' in lines
        assert "unpush_gateway_silent 1.0" in lines
        assert any(line.startswith(f'unpush_calls_total{{answer="retry",app="{APP}"}}') for line in lines)
        await rig.simulator.set_faults(Faults())
        await rig.until("/api/status", lambda r: r.json["apps"][0]["devices"].get("revoked") == 40)
        assert words(await rig.get("/readyz"), "notes") == []


async def test_a_quota_that_is_met_is_learned_and_told(tmp_path: Path) -> None:
    """learned devices per second by app: /api/status, metrics."""
    async with running(tmp_path) as rig:
        await rig.ready()
        await rig.simulator.set_faults(Faults(all=AppFaults(devices_per_s=400.0)))
        rig.send("m", 1_000)
        rig.event("v", "m")
        learned = (await rig.until("/api/status", lambda r: _learned(r) > 0)).json["apps"][0]
        assert learned["devicesPerSecond"] == 0
        assert learned["largestCall"] < 400
        metrics = (await rig.get("/metrics")).text
        assert f'unpush_app_devices_per_second_learned{{app="{APP}"}} 0.0' not in metrics
        await state(rig, "v", "settled")
        assert rig.service.calls.gate.bound.calls == 64


def _learned(status: Reply) -> float:
    return sum(float(app["learnedDevicesPerSecond"]) for app in status.json["apps"])


async def test_a_dead_letter_topic_that_takes_nothing_makes_it_not_ready(tmp_path: Path) -> None:
    """Promise 4: reading stops and waits, not ready, and says why."""
    async with running(tmp_path, 'kafka.properties."message.max.bytes" = "2000"') as rig:
        await rig.ready()
        rig.produce("push.violation-detected", "m1", b"no record at all" * 300)
        reply = await rig.until("/readyz", lambda r: r.status == 503)
        [reason] = reply.json["reasons"]
        assert reason["word"] == "partition_stands_still"
        assert reason["why"].startswith(
            f"push.violation-detected/{partition_of('m1')}: the dead-letter topic refuses the record at offset 0 for"
        )
        metrics = (await rig.get("/metrics")).text
        assert 'unpush_standing_partitions{topic="push.violation-detected"} 1.0' in metrics
        assert "unpush_ready 0.0" in metrics


async def test_bulk_reading_gives_way_to_calls_and_not_to_results_with_the_broker(tmp_path: Path) -> None:
    """A call in flight is urgent; a result that waits to be delivered needs nothing of us."""
    async with running(tmp_path, 'shutdown.drain = "1s"\nkafka.properties."linger.ms" = "5000"') as rig:
        await rig.ready()
        assert not rig.service.busy()
        rig.send("m1", 1)
        rig.event("v1", "m1")
        await rig.until("/api/status", lambda _: rig.service.outbox.size == 1)
        assert not rig.service.busy()
        await rig.simulator.set_faults(HANGING)
        rig.send("m2", 1)
        rig.event("v2", "m2")
        await rig.until("/api/status", lambda r: r.json["callsInFlight"] == 1)
        assert rig.service.busy()


async def test_it_answers_while_it_drains(tmp_path: Path) -> None:
    """Stays up during drain: /readyz 503 draining, /livez 200."""
    async with running(tmp_path, 'shutdown.drain = "1s"') as rig:
        await rig.ready()
        await rig.simulator.set_faults(HANGING)
        rig.send("m1", 1)
        rig.event("v1", "m1")
        await rig.until("/api/status", lambda r: r.json["callsInFlight"] == 1)
        rig.service.stop()
        reply = await rig.until("/readyz", lambda r: r.status == 503)
        assert words(reply, "reasons") == ["draining"]
        assert (await rig.get("/livez")).status == 200


async def test_the_metrics_count_what_happened(tmp_path: Path) -> None:
    """Results by outcome and severity, devices by app and ending, records, dead letters, lag, time to revoke."""
    async with running(tmp_path) as rig:
        await rig.ready()
        before = (await rig.get("/metrics")).text  # Prometheus sees no increase in a counter that begins at 1
        assert 'unpush_results_total{outcome="REVOKED",severity="HIGH"} 0.0' in before
        assert 'unpush_dead_letters_total{reason="wire_format",topic="push.message-sent"} 0.0' in before
        rig.send("m1", 5)
        rig.event("v1", "m1")
        rig.produce("push.message-sent", "m2", b"no record")
        await state(rig, "v1", "settled")
        wanted = [
            'unpush_results_total{outcome="REVOKED",severity="HIGH"} 1.0',
            f'unpush_devices_total{{app="{APP}",ending="revoked"}} 5.0',
            'unpush_violation_to_revoked_seconds_count{severity="HIGH"} 1.0',
            'unpush_records_read_total{topic="push.message-sent"} 2.0',
            'unpush_dead_letters_total{reason="wire_format",topic="push.message-sent"} 1.0',
            'unpush_unread_records{topic="push.message-sent"} 0.0',
            f"unpush_shards {PARTITIONS:.1f}",
            f"unpush_partitions {PARTITIONS:.1f}",
            f'unpush_calls_total{{answer="revoked",app="{APP}"}} 1.0',
            'unpush_oldest_call_age_seconds{severity="HIGH"} 0.0',
        ]
        await rig.until("/metrics", lambda r: all(line in r.text.splitlines() for line in wanted))
        assert (await rig.get("/api/status")).json["deadLetters"] == {"wire_format": 1}


async def test_the_service_gives_a_figure_for_every_metric(tmp_path: Path) -> None:
    """No metric is promised that is not given, none given that is not promised."""
    async with running(tmp_path) as rig:
        assert set(rig.views.gauges.figures()) == {each.name for each in METRICS}


async def test_status_tells_of_every_shard(tmp_path: Path) -> None:
    """Version, group, dry run, since, shards with what is unread and how far back reading has come."""
    async with running(tmp_path) as rig:
        await rig.ready()
        reply = await rig.until("/api/status", lambda r: not any(s["sends"]["restoring"] for s in r.json["shards"]))
        assert (reply.json["groupId"], reply.json["dryRun"], reply.json["partitions"]) == ("unpush", False, PARTITIONS)
        assert [shard["partition"] for shard in reply.json["shards"]] == list(range(PARTITIONS))
        assert reply.json["shards"][0]["violations"].keys() == {"unread", "restoring", "readBackTo"}


async def test_run_ends_with_one_sentence_where_its_port_is_taken(tmp_path: Path) -> None:
    """Port in use: exit 1, one sentence, before it joins the group."""
    make_key_file(tmp_path / "key.json", "project", APP)
    with MockKafka(TOPICS) as kafka, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = written_settings(tmp_path, kafka.bootstrap_servers, "http://127.0.0.1:9")
        file.write_text(file.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        arguments = ("-m", "stream", "run", "-c", str(file))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        _, said = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 1
        assert f"http.listen: cannot listen on 127.0.0.1:{port}: another process has this port" in said.decode()
        assert "Traceback" not in said.decode()
        assert "shards_came" not in said.decode()


@pytest.mark.parametrize(("shown", "answer"), [(None, 401), ("Bearer s3cret", 200)])
async def test_the_token_of_the_settings_is_asked_for(tmp_path: Path, shown: str | None, answer: int) -> None:
    """http.token_file."""
    (tmp_path / "token").write_text("s3cret\n")
    async with running(tmp_path, 'http.token_file = "token"') as rig:
        headers = {} if shown is None else {"Authorization": shown}
        assert (await rig.get("/api/status", headers=headers)).status == answer
        assert (await rig.get("/readyz")).status == 503
