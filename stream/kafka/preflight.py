"""The look at the broker before anything starts.

Promised: whoever gets a World has all four topics, and the first three have one partition count and are not compacted.
Not promised: that it stays so; ``changed`` tells, now and then, and each arrival of a shard compares the topics' ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace

import structlog
from confluent_kafka import Consumer, KafkaException, Producer

from stream.kafka import properties, verdicts
from stream.kafka.cluster import SILENT, Cluster, Topic
from stream.model import SettingsError, Standing, StartError, Verdict
from stream.settings import Secret, Settings, duration_text
from stream.settings.wrong import Given, wrong

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class World:
    """What start-up found. None in a mapping: the broker does not tell. The mappings' keys are topic names."""

    partitions: int
    topic_ids: Mapping[str, str | None]
    log_append_time: Mapping[str, bool | None]
    dead_letter_id: str | None
    """The dead-letter topic's id."""


def look(settings: Settings) -> World:
    """Raises StartError where the broker or its topics do not do, SettingsError where librdkafka refuses a property."""
    refuse_wrong_properties(settings)
    cluster = Cluster(settings)
    counts = cluster.counts_once_known((*settings.topics.partitioned_alike, settings.topics.dead_letter))
    _refuse(verdicts.existing(settings.topics, counts))
    names = settings.topics.partitioned_alike
    _refuse(verdicts.co_partitioning({name: counts[name] for name in names}))
    dead_letters, topics = settings.topics.dead_letter, cluster.describe((*names, settings.topics.dead_letter), counts)
    letters = topics.pop(dead_letters)
    _say_what_does_not_fit(letters, [topics[name] for name in names[:2]])
    _refuse(*verdicts.compaction(topics.values()))
    _say_what_is_short(settings, topics)
    return World(
        partitions=counts[settings.topics.message_sent],
        topic_ids={name: topics[name].topic_id for name in names},
        log_append_time={name: _log_append_time(topics[name]) for name in names},
        dead_letter_id=letters.topic_id,
    )


def changed(world: World, now: Mapping[str, Topic]) -> str | None:
    """Why a service that found this world cannot go on in the present one; None: it can. A topic that is missing now
    may come back."""
    for name, before in world.topic_ids.items():
        topic = now.get(name)
        if topic is None or before is None or topic.topic_id is None:
            continue
        if topic.topic_id != before:
            return f"topic {name} was deleted and created again; start again, its shards then start anew"
        if topic.partitions != world.partitions:
            return (
                f"topic {name} had {world.partitions} partitions and has {topic.partitions} now: keys have moved, so "
                "earlier sends would not meet later violations, and what lies in the new ones is read by nobody; the "
                "next start says what to do"
            )
    return None


def refuse_wrong_properties(settings: Settings) -> None:
    """Makes each client once, without talking to anybody. Raises SettingsError with librdkafka's own words."""
    said = _refusal(settings)
    if said is None:
        return
    given = settings.kafka.properties
    # librdkafka may name an alias of what was written, or none; what helps when it is left out is the culprit.
    culprit = next((name for name in given if _refusal(_without(settings, name)) is None), None)
    if culprit is None:
        raise SettingsError(f"kafka.properties: librdkafka refuses these: {said}")
    right = f"librdkafka refuses it: {said}"
    raise wrong(("kafka", "properties", culprit), Given(given[culprit]), right)


def _refusal(settings: Settings) -> str | None:
    try:
        Producer(properties.producer(settings) | {"logger": SILENT})
        for consumer in (properties.member, properties.sends):
            with closing(Consumer(consumer(settings) | {"logger": SILENT})):
                pass
    except (KafkaException, ValueError, TypeError) as error:
        return _hushed(settings, error.args[0].str() if isinstance(error, KafkaException) else str(error))
    return None


def _without(settings: Settings, name: str) -> Settings:
    others = {other: value for other, value in settings.kafka.properties.items() if other != name}
    return replace(settings, kafka=replace(settings.kafka, properties=others))


def _hushed(settings: Settings, said: str) -> str:
    """librdkafka repeats values; a secret one is not passed on."""
    for value in settings.kafka.properties.values():
        if isinstance(value, Secret) and value.reveal():
            said = said.replace(value.reveal(), str(value))
    return said


def _refuse(*verdicts: Verdict) -> None:
    for verdict in verdicts:
        if verdict.standing is Standing.BAD:
            raise StartError(f"{verdict.found}; {verdict.todo}")


def _say_what_is_short(settings: Settings, topics: Mapping[str, Topic]) -> None:
    for topic in topics.values():
        if (kept_s := verdicts.shorter_than(topic, settings.store.retention_s)) is not None:
            _log.warning(
                "topic_retention_shorter_than_store",
                topic=topic.name,
                topic_retention=duration_text(kept_s),
                store_retention=duration_text(settings.store.retention_s),
            )


def _say_what_does_not_fit(dead_letters: Topic, read: list[Topic]) -> None:
    if short := verdicts.too_small(dead_letters, read):
        _log.warning(
            "dead_letters_may_not_fit",
            topic=dead_letters.name,
            max_message_bytes=short[0],
            sources_max_message_bytes=short[1],
            why="a bad record as large as that would stop its partition",
        )


def _log_append_time(topic: Topic) -> bool | None:
    if topic.config is None:
        return None
    return topic.config.get("message.timestamp.type") == "LogAppendTime"
