"""The look, in the order in which ``run`` would meet the world.

Promised: a row for each verdict of the contract, also where what it speaks of cannot be reached; every wait is bounded.
Not promised: that what was found stays so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from confluent_kafka import KafkaException

from stream.check import gateway, keys, records, registry, store
from stream.kafka import rights, sampling, verdicts
from stream.kafka.cluster import Cluster, Topic
from stream.kafka.preflight import refuse_wrong_properties
from stream.model import SettingsError, Standing, StartError, Verdict
from stream.model import Topic as Kind
from stream.settings import Settings
from stream.state.glance import Glance
from stream.wire.partitioners import WINDOW_KEYS, Agreement
from stream.wire.registry import registry_of
from stream.wire.wire import Wire

READ_WITHIN_S: Final = 10.0
MOST_RECORDS: Final = 200_000
"""Violations that are looked at one by one, the newest; some ten seconds' work."""
SAMPLED_WITHIN_S: Final = 5.0
SAMPLES: Final = 4
"""At so many places between a topic's end and its start sends are looked at."""

_AFTER_BROKER: Final = (
    "topics", "rights", "co-partitioning", "compaction", "retention", "retention.bytes", "timestamp type",
    "record sizes", "partitioners", records.FIRST_START,
)  # fmt: skip

Say = Callable[[str], None]


def verdicts_of(settings: Settings, say: Say) -> Iterator[Verdict]:
    """Every verdict, one after the other; ``say`` is told what is being looked at."""
    yield Verdict("settings", Standing.GOOD, "every key is known and makes sense")
    say("key files")
    yield from keys.look(settings.push_kit)
    say("the broker")
    yield from _broker(settings, say)
    say("the Schema Registry")
    yield registry.look(settings.avro, registry_of(settings))
    say("the gateway")
    yield gateway.look(settings.push_kit)


def _broker(settings: Settings, say: Say) -> Iterator[Verdict]:
    seen = store.look(settings.store.path)
    try:
        refuse_wrong_properties(settings)
        cluster = Cluster(settings)
        names = (*settings.topics.partitioned_alike, settings.topics.dead_letter)
        topics = cluster.describe(names, cluster.counts_once_known(names))
    except (SettingsError, StartError, KafkaException) as error:
        yield Verdict("broker", Standing.BAD, *_halves(error))
        yield from (Verdict(about, Standing.UNKNOWN, "not looked at: no broker") for about in _AFTER_BROKER)
        yield from _store(settings, seen, {})
        return
    yield Verdict("broker", Standing.GOOD, f"{settings.kafka.bootstrap_servers} answers")
    yield from _topics(settings, topics)
    yield from _store(settings, seen, topics)
    say("records of both inputs")
    yield from _records(settings, topics, store_there=isinstance(seen, Glance) and seen.stamp is not None)


def _halves(error: Exception) -> tuple[str, str]:
    """A sentence with its cure behind a semicolon; else the cure that fits any broker."""
    found, _, todo = " ".join(str(error).split()).partition("; ")
    if isinstance(error, SettingsError):
        return found, todo or "mend it in the settings"
    return found, todo or "is the address right, and do security.protocol, ssl.* and sasl.* fit the listener?"


def _topics(settings: Settings, topics: Mapping[str, Topic]) -> Iterator[Verdict]:
    names = settings.topics.partitioned_alike
    alike = [topics[name] for name in names if name in topics]
    letters, results = topics.get(settings.topics.dead_letter), topics.get(settings.topics.revoke_result)
    yield verdicts.existing(settings.topics, {name: topic.partitions for name, topic in topics.items()})
    tells = any(topic.topic_id is not None for topic in topics.values())  # else it would only time out
    yield rights.verdict(rights.needed(settings), rights.allowed(settings, topics) if tells else None)
    yield verdicts.co_partitioning({topic.name: topic.partitions for topic in alike})
    yield from verdicts.compaction(alike)
    yield from verdicts.dead_letters_kept(letters) if letters is not None else ()
    yield from verdicts.retention(alike, settings.store.retention_s)
    yield from verdicts.bounded_by_size(alike)
    yield from verdicts.timestamps(alike)
    yield from verdicts.room(letters, results, [topics[name] for name in names[:2] if name in topics])


def _store(settings: Settings, seen: Glance | Verdict, topics: Mapping[str, Topic]) -> Iterator[Verdict]:
    if isinstance(seen, Verdict):
        yield seen
        return
    named = dict(zip((Kind.SENDS, Kind.VIOLATIONS, Kind.RESULTS), settings.topics.partitioned_alike, strict=True))
    counts = {topics[name].partitions for name in named.values() if name in topics}
    ids = {kind: (name, topics[name].topic_id) for kind, name in named.items() if name in topics}
    yield from store.judged(settings.store.path, seen, counts.pop() if len(counts) == 1 else None, ids)


# --- what stands in the topics


def _records(settings: Settings, topics: Mapping[str, Topic], *, store_there: bool) -> Iterator[Verdict]:
    sent, violations, results = settings.topics.partitioned_alike
    try:
        found, start = _violations(settings, topics[violations], topics.get(results))
        sends = _sends(settings, topics[sent])
    except (KeyError, StartError, KafkaException) as error:
        why = "a topic is missing" if isinstance(error, KeyError) else str(error)
        yield from (Verdict(about, Standing.UNKNOWN, f"not looked at: {why}") for about in _AFTER_BROKER[-2:])
        return
    yield records.partitioning(sends, found.agreement)
    yield records.acting(start, settings.join, settings.store.retention_s, store=store_there)


def _violations(
    settings: Settings, topic: Topic, results: Topic | None
) -> tuple[records.Violations, records.FirstStart]:
    oldest_ms = int((time.time() - settings.store.retention_s) * 1000)
    found = records.Violations(_wire(settings), topic.partitions, oldest_ms)
    whole = sampling.spans(settings, topic.name, topic.partitions, oldest_ms if _by_broker(topic) else None)
    done = sampling.spans(settings, results.name, results.partitions) if results is not None else {}
    newest = sampling.newest(whole, MOST_RECORDS)
    with sampling.reader(settings) as consumer:
        seen = sampling.read(consumer, topic.name, newest, time.monotonic() + READ_WITHIN_S, found.take)
    counted = sampling.size(newest) if seen else found.seen
    return found, records.first_start(found, settings.join, sampling.size(whole), counted, sampling.size(done))


def _by_broker(topic: Topic) -> bool:
    return (topic.config or {}).get("message.timestamp.type") == "LogAppendTime"


def _wire(settings: Settings) -> Wire:
    return Wire(settings.avro.write_format, registry_of(settings))


def _sends(settings: Settings, topic: Topic) -> Agreement:
    agreement = Agreement()
    whole = sampling.spans(settings, topic.name, topic.partitions)
    each, until_s = 1 + 2 * WINDOW_KEYS // topic.partitions, time.monotonic() + SAMPLED_WITHIN_S
    with sampling.reader(settings) as consumer:
        for part in sampling.spread(whole, SAMPLES, each):
            if agreement.keys >= WINDOW_KEYS:
                break
            sampling.read(
                consumer,
                topic.name,
                part,
                until_s,
                lambda message: records.observe(agreement, message, topic.partitions),
            )
    return agreement
