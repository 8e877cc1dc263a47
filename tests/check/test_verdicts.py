"""Contract, Topics and Commands: each verdict over what was found, with the value and what to do."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

import stream
from stream.brokers.mock import MockKafka
from stream.check import gateway, keys, records, registry, store
from stream.check.story import verdicts_of
from stream.kafka import rights, verdicts
from stream.kafka.cluster import Topic
from stream.kafka.sampling import newest, size, spread
from stream.model import Severity, Standing, Status, Verdict, ViolationEvent
from stream.model import Topic as Kind
from stream.pushkit.client import Answered
from stream.pushkit.simulator import make_key_file
from stream.settings import default_settings
from stream.state.glance import glance
from stream.state.shard import Shard
from stream.state.store import Store
from stream.wire.partitioners import Agreement, Partitioner
from stream.wire.registry import registry_of
from stream.wire.wire import Wire
from stream.work.judgement import Event
from tests.wire.schema_registry import SchemaRegistry

HOUR_MS = 3_600_000
GOOD, WARNING, BAD, UNKNOWN = Standing.GOOD, Standing.WARNING, Standing.BAD, Standing.UNKNOWN


def topic(name: str = "sent", **config: str) -> Topic:
    """One topic; ``retention_ms="1"`` is Kafka's retention.ms."""
    return Topic(name, 4, "id", {key.replace("_", "."): value for key, value in config.items()})


def only(found: list[Verdict], standing: Standing, *words: str) -> None:
    """One row, with these words in it."""
    assert [each.standing for each in found] == [standing], found
    assert all(word in f"{found[0].found} | {found[0].todo}" for word in words), found


# --- topics


@pytest.mark.parametrize(
    ("kept_ms", "standing"), [("259199999", BAD), ("259200000", GOOD), ("-1", GOOD), ("999999999999", GOOD)]
)
def test_a_topic_must_keep_its_records_as_long_as_the_store(kept_ms: str, standing: Standing) -> None:
    found = verdicts.retention([topic(retention_ms=kept_ms)], 72 * 3600.0)
    only(found, standing, *(["sent", "72h", "259199999ms", "259200000"] if standing is BAD else []))


def test_a_bound_by_size_is_a_warning_with_its_value() -> None:
    only(verdicts.bounded_by_size([topic(retention_bytes="1073741824")]), WARNING, "sent", "1,073,741,824", "-1")
    only(verdicts.bounded_by_size([topic(retention_bytes="-1")]), GOOD)


def test_compaction_of_the_three_fails_and_of_dead_letters_warns() -> None:
    compacted = topic(cleanup_policy="compact,delete")
    only(verdicts.compaction([compacted, topic("found", cleanup_policy="delete")]), BAD, "sent", "compact,delete")
    only(verdicts.dead_letters_kept(compacted), WARNING, "compact,delete")
    assert not verdicts.dead_letters_kept(topic(cleanup_policy="delete"))


def test_times_of_producers_are_a_warning() -> None:
    only(verdicts.timestamps([topic(message_timestamp_type="CreateTime")]), WARNING, "sent", "CreateTime", "LogAppend")
    only(verdicts.timestamps([topic(message_timestamp_type="LogAppendTime")]), GOOD)


def test_a_dead_letter_or_a_result_that_may_not_fit_is_a_warning() -> None:
    small, large = topic("small", max_message_bytes="900000"), topic("large", max_message_bytes="2000000")
    only(verdicts.room(small, large, [topic(max_message_bytes="1048588")]), WARNING, "small", "900,000", "1,048,588")
    only(verdicts.room(large, small, [topic(max_message_bytes="1048588")]), WARNING, "small", "900 kB")
    only(verdicts.room(large, large, [topic(max_message_bytes="1048588")]), GOOD)


def test_what_the_broker_does_not_tell_is_unknown_and_never_good() -> None:
    silent = Topic("sent", 4, None, None)
    for found in (
        verdicts.retention([silent], 60.0),
        verdicts.compaction([silent]),
        verdicts.timestamps([]),
        verdicts.room(silent, topic(max_message_bytes="2000000"), []),
    ):
        assert [each.standing for each in found] == [UNKNOWN]


def test_counts_that_differ_are_said_with_the_numbers() -> None:
    only([verdicts.co_partitioning({"a": 3, "b": 4})], BAD, "a has 3", "b has 4")
    only([verdicts.co_partitioning({"a": 3, "b": 3, "c": 3})], GOOD, "3 partitions")
    only([verdicts.co_partitioning({"a": 3})], UNKNOWN)


def test_a_missing_topic_is_named_with_the_command_that_makes_it() -> None:
    names = default_settings().topics
    only([verdicts.existing(names, {"push.message-sent": 3})], BAD, "push.revoke-dead-letter", "unpush topics")


# --- rights


def test_a_right_that_is_missing_is_named_by_operation_and_topic() -> None:
    settings = default_settings()
    every = frozenset({"READ", "WRITE", "DESCRIBE", "DESCRIBECONFIGS"})
    names = (*settings.topics.partitioned_alike, settings.topics.dead_letter)
    allowed = {("Topic", name): every for name in names} | {("Group", "unpush"): frozenset({"READ"})}
    needed = rights.needed(settings)
    only([rights.verdict(needed, allowed)], GOOD)
    read_only = allowed | {("Topic", "push.revoke-result"): frozenset({"READ", "DESCRIBECONFIGS"})}
    only([rights.verdict(needed, read_only)], BAD, "Write on push.revoke-result")
    only([rights.verdict(needed, allowed | {("Group", "unpush"): frozenset()})], BAD, "Read on unpush")
    silent = allowed | {("Topic", "push.message-sent"): frozenset({"READ"})}
    only([rights.verdict(needed, silent)], WARNING, "DescribeConfigs on push.message-sent")
    without_replay = allowed | {("Topic", "push.message-sent"): frozenset({"READ", "DESCRIBECONFIGS"})}
    only([rights.verdict(needed, without_replay)], GOOD)
    only([rights.verdict(needed, None)], UNKNOWN)


class Told:
    """What a consumer is told when it is polled: an error of that code, or nothing."""

    def __init__(self, code: int | None) -> None:
        self._code = code

    def poll(self, _: float) -> Told | None:
        return None if self._code is None else self

    def error(self) -> KafkaError | None:
        return None if self._code is None else KafkaError(self._code)


@pytest.mark.parametrize(
    ("answered", "told", "refused"),
    [
        (KafkaError.GROUP_AUTHORIZATION_FAILED, None, True),
        (KafkaError._TIMED_OUT, KafkaError.GROUP_AUTHORIZATION_FAILED, True),
        (KafkaError._TIMED_OUT, None, False),
        (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, False),
    ],
)
def test_a_group_is_refused_where_the_broker_says_so_and_not_where_nobody_answers(
    answered: int, told: int | None, refused: bool
) -> None:
    assert rights._refused(Told(told), KafkaError(answered)) is refused  # type: ignore[arg-type]


def test_no_admin_call_of_ours_goes_to_a_coordinator() -> None:
    """It aborts the process where a broker goes away meanwhile: https://github.com/confluentinc/librdkafka/issues/4605."""
    sources = {file: file.read_text() for file in Path(stream.__file__).parent.rglob("*.py")}
    assert len(sources) > 100
    calls = re.compile(r"\.(?:describe|list|delete|alter)_consumer_group(?:s|_offsets)\(")
    assert [str(file) for file, text in sources.items() if calls.search(text)] == []


# --- records


def event(violation: str, offset: int, status: Status = Status.CONFIRMED, detected_ms: int = 5 * HOUR_MS) -> Event:
    """One event of message m."""
    return Event(offset, 1, ViolationEvent(violation, "m", Severity.HIGH, status, "", None, detected_ms))


def count(events: list[Event], since_ms: int | None = None, results: int = 0, *, store: bool = False) -> Verdict:
    """The row for these events."""
    join = default_settings().join
    join = type(join)(join.not_found_after_s, since_ms)
    found = records.Violations(Wire(), 4, 0, events={"m": events})
    start = records.first_start(found, join, len(events), len(events), results)
    return records.acting(start, join, 72 * 3600.0, store=store)


def test_a_first_start_counts_what_stands_and_names_join_since() -> None:
    events = [event("a", 1), event("a", 2), event("b", 3), event("b", 4, Status.WITHDRAWN), event("c", 5)]
    only([count(events)], WARNING, "2 violations of 1 message", "72h", "1970-01-01T05:00:00+00:00", "join.since")


def test_join_since_is_heeded_as_the_service_heeds_it() -> None:
    old = event("a", 1, detected_ms=HOUR_MS)
    only([count([old, event("b", 2)], 2 * HOUR_MS)], GOOD, "1 violations", "join.since leaves out 1")


def test_a_later_start_is_no_warning() -> None:
    only([count([event("a", 1)], store=True)], GOOD, "not done again")
    only([count([event("a", 1)], results=1)], GOOD, "not done again")
    only([count([])], GOOD, "acts on none")


@pytest.mark.parametrize(
    ("of_violations", "standing"), [(Partitioner.CRC32, BAD), (Partitioner.MURMUR2, GOOD), (None, UNKNOWN)]
)
def test_two_partitioners_fail_from_twenty_keys_on(of_violations: Partitioner | None, standing: Standing) -> None:
    sends, violations = Agreement(), Agreement()
    for key in (f"m-{number}".encode() for number in range(60)):
        sends.observe(key, Partitioner.MURMUR2.place(key, 8), 8)
        if of_violations is not None:
            violations.observe(key, of_violations.place(key, 8), 8)
    words = ["MURMUR2", "CRC32", "60 of the last 60", "murmur2_random"] if standing is BAD else []
    only([records.partitioning(sends, violations)], standing, *words)


def test_producers_that_mix_partitioners_are_no_disagreement_and_not_called_good() -> None:
    """Contract: a record that contradicts every known partitioner is not an error, only a systematic disagreement."""
    sends, violations = Agreement(), Agreement()
    for number in range(60):
        key = f"m-{number}".encode()
        sends.observe(key, (Partitioner.CRC32, Partitioner.MURMUR2)[number % 2].place(key, 8), 8)
        violations.observe(key, Partitioner.MURMUR2.place(key, 8), 8)
    only([records.partitioning(sends, violations)], UNKNOWN, "where sends stand")


def test_of_a_long_log_the_newest_part_is_read_of_each_partition() -> None:
    wanted = {0: (0, 1_000), 1: (500, 600), 2: (7, 8)}
    part = newest(wanted, 110)
    assert all(part[number][1] == wanted[number][1] for number in wanted)
    assert all(part[number][0] >= wanted[number][0] for number in wanted)
    assert 90 < size(part) <= 112
    assert newest(wanted, 5_000) == wanted


def test_samples_are_taken_from_the_newest_to_the_oldest_within_the_log() -> None:
    taken = [part[0] for part in spread({0: (100, 500)}, 4, 10)]
    assert taken == [(490, 500), (390, 400), (290, 300), (190, 200)]
    assert all(first >= 100 for part in spread({0: (100, 103)}, 4, 10) for first, _ in part.values())


# --- keys, gateway, registry, store


def test_each_key_file_has_a_row_with_its_setting_and_shows_nothing_of_it(tmp_path: Path) -> None:
    make_key_file(tmp_path / "good.json", "project", "1")
    (tmp_path / "good.json").chmod(0o600)
    (tmp_path / "junk.json").write_text("hunter2")
    apps = {"1": {"key_file": "good.json"}, "2": {"key_file": "junk.json"}, "3": {"key_file": "gone.json"}, "4": {}}
    settings = default_settings(tmp_path, push_kit={"apps": apps}).push_kit
    found = keys.look(settings)
    said = {each.standing: each.found for each in found}
    assert [each.standing for each in found] == [BAD, GOOD, BAD, WARNING]
    assert "gone.json" in found[0].found
    assert 'push_kit.apps."2".key_file' in found[2].found
    assert said[WARNING] == "no key for 4"
    assert "hunter2" not in str(found)
    (tmp_path / "good.json").chmod(0o644)
    only(keys.look(default_settings(tmp_path, push_kit={"key_file": "good.json"}).push_kit), WARNING, "chmod 600")


def test_a_short_key_is_a_warning_with_its_bits(tmp_path: Path) -> None:
    """RFC 7518, 3.5: PS256 wants 2,048 bits or more; nothing stops a shorter key from signing."""
    make_key_file(tmp_path / "short.json", "project", "1", bits=1_024)
    settings = default_settings(tmp_path, push_kit={"key_file": "short.json"}).push_kit
    only(keys.look(settings), WARNING, "short.json", "1024 bits", "2,048 or more")
    (tmp_path / "short.json").chmod(0o644)
    assert [each.standing for each in keys.look(settings)] == [WARNING, WARNING], "each doubt is told"


@pytest.mark.parametrize(
    ("answered", "standing", "word"),
    [
        (Answered(404, 0.02, 3.0), GOOD, "20 ms"),
        (Answered(502, 0.02, None), WARNING, "502"),
        (Answered(404, 0.02, -300.0), WARNING, "300 s apart"),
        ("TLS: certificate verify failed: self-signed certificate", BAD, "trust"),
        ("connection refused", BAD, "firewall"),
    ],
)
def test_the_gateway_is_judged_by_its_answer(answered: Answered | str, standing: Standing, word: str) -> None:
    only([gateway.judged("https://gateway", answered)], standing, word)


def test_the_registry_is_looked_at_and_nothing_is_registered() -> None:
    with SchemaRegistry() as server:

        def look(**avro: object) -> Verdict:
            settings = default_settings(avro={"registry_url": server.url, **avro})
            return registry.look(settings.avro, registry_of(settings))

        only([look()], GOOD, "answers")
        only([look(write_format="confluent")], GOOD, "the first result registers")
        only([look(write_format="confluent", auto_register=False)], BAD, "auto_register is false")
        assert not server.subjects
        server.fault = (404, {"message": "another server"})
        only([look()], BAD, "avro.registry_url", "404")
    only([look()], BAD, "refused")


def test_a_store_is_held_against_the_topics_and_not_touched(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    stamp = {"version": 3, "bucket_ms": 1_000, "partitions": 4}
    (tmp_path / "state" / "stamp.json").write_text(json.dumps(stamp))
    opened = Store(tmp_path / "state" / "db")
    Shard(2, opened, 1_000).set_topic_ids({Kind.SENDS: "before"})
    opened.flush()  # and it stays open: a process has it
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "state").rglob("*")}
    seen = store.look(tmp_path / "state")
    assert not isinstance(seen, Verdict)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "state").rglob("*")} == before
    opened.close()
    same, other = {Kind.SENDS: ("sent", "before")}, {Kind.SENDS: ("sent", "after")}
    only(store.judged(tmp_path, seen, 4, same), GOOD, "4 partitions")
    only(store.judged(tmp_path, seen, 5, same), BAD, "had 4 partitions", "have 5")
    assert [each.standing for each in store.judged(tmp_path, seen, 4, other)] == [GOOD, WARNING]


def test_a_store_that_is_not_there_yet_is_good_where_it_can_be_made(tmp_path: Path) -> None:
    assert glance(tmp_path / "deep" / "state").stamp is None
    (tmp_path / "file").write_text("")
    assert not isinstance(store.look(tmp_path / "deep" / "state"), Verdict)
    blocked = store.look(tmp_path / "file" / "state")
    assert isinstance(blocked, Verdict)
    assert blocked.standing is BAD


def test_a_broker_that_tells_little_gives_rows_that_say_so(tmp_path: Path) -> None:
    """librdkafka's imitation describes nothing: no row may call that good, and none takes for ever."""
    names = ("sent", "found", "results", "dead")
    named = zip(("message_sent", "violation_detected", "revoke_result", "dead_letter"), names, strict=True)
    with MockKafka(dict.fromkeys(names, 3)) as broker:
        settings = default_settings(
            tmp_path,
            kafka={"bootstrap_servers": broker.bootstrap_servers},
            topics=dict(named),
            push_kit={"url": "http://127.0.0.1:9"},
        )
        start_s = time.monotonic()
        rows = {each.about: each.standing for each in verdicts_of(settings, lambda _: None)}
    assert rows["co-partitioning"] is GOOD
    assert {rows[about] for about in ("retention", "compaction", "timestamp type")} == {UNKNOWN}
    assert rows["gateway"] is BAD
    assert time.monotonic() - start_s < 30
