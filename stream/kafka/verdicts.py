"""Whether topics do, as verdicts over what was found. Pure.

Promised: each says the value that was found, and what to do where that is not good; the same words stop ``unpush run``
and stand in the table of ``unpush check``. Not promised: a verdict where the broker does not tell how a topic is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from stream.kafka.cluster import Topic
from stream.model import Standing, Verdict
from stream.settings import TopicSettings, duration_text

CREATE: Final = "unpush topics -c FILE"
RESULT_BYTES: Final = 921_600
"""The largest result that we write (contract, Limits), with room for what the broker counts beside it."""

_RETENTION: Final = "retention"
_COMPACTION: Final = "compaction"
_TIMESTAMPS: Final = "timestamp type"
_SIZES: Final = "record sizes"


def existing(topics: TopicSettings, counts: Mapping[str, int]) -> Verdict:
    """All four are there."""
    names = (*topics.partitioned_alike, topics.dead_letter)
    missing = [name for name in names if name not in counts]
    if not missing:
        return Verdict("topics", Standing.GOOD, ", ".join(names))
    what = "topic is" if len(missing) == 1 else "topics are"
    found = f"{what} missing, or hidden by ACLs: {', '.join(missing)}"
    return Verdict("topics", Standing.BAD, found, f"{CREATE} creates what is missing")


def co_partitioning(counts: Mapping[str, int]) -> Verdict:
    """The first three have one partition count; ``counts`` has those of them that exist."""
    about = "co-partitioning"
    if len(set(counts.values())) > 1:
        return Verdict(about, Standing.BAD, different(counts), "make them equal before any send is to be revocable")
    if len(counts) < 2:
        return Verdict(about, Standing.UNKNOWN, "there are not two topics to compare")
    return Verdict(about, Standing.GOOD, f"{next(iter(counts.values()))} partitions each")


def different(counts: Mapping[str, int]) -> str:
    """The sentence that says by how much partition counts differ."""
    numbers = ", ".join(f"{name} has {count}" for name, count in counts.items())
    return f"the partition counts differ, so a message's records would not meet: {numbers}"


def compaction(topics: Iterable[Topic]) -> list[Verdict]:
    """None of the first three is compacted."""
    return _of_each(_COMPACTION, topics, _compacted, "cleanup.policy is delete")


def _compacted(topic: Topic, config: Mapping[str, str]) -> Verdict | None:
    policy = config.get("cleanup.policy", "delete")
    if "compact" not in policy:
        return None
    found = f"topic {topic.name} has cleanup.policy {policy}: compaction removes records that still count"
    return Verdict(_COMPACTION, Standing.BAD, found, "set it to delete")


def retention(topics: Iterable[Topic], retention_s: float) -> list[Verdict]:
    """The first three keep their records as long as the store does."""

    def short(topic: Topic, _: Mapping[str, str]) -> Verdict | None:
        if (kept_s := shorter_than(topic, retention_s)) is None:
            return None
        kept, wanted = duration_text(kept_s), duration_text(retention_s)
        found = f"topic {topic.name} keeps records for {kept} (retention.ms), shorter than store.retention, {wanted}"
        return Verdict(_RETENTION, Standing.BAD, found, f"set its retention.ms to {_ms(retention_s)} or more")

    return _of_each(_RETENTION, topics, short, f"as long as store.retention, {duration_text(retention_s)}, or longer")


def shorter_than(topic: Topic, retention_s: float) -> float | None:
    """How long the topic keeps its records (s) where that is too short, else None."""
    kept_ms = int((topic.config or {}).get("retention.ms", -1))
    return kept_ms / 1_000 if 0 <= kept_ms < _ms(retention_s) else None


def bounded_by_size(topics: Iterable[Topic]) -> list[Verdict]:
    """Warns of ``retention.bytes``: it takes records away whatever their age."""
    about = "retention.bytes"

    def bounded(topic: Topic, config: Mapping[str, str]) -> Verdict | None:
        if (most := int(config.get(about, -1))) < 0:
            return None
        found = (
            f"topic {topic.name} keeps {most:,} bytes a partition at most: a burst takes records away before their time"
        )
        return Verdict(about, Standing.WARNING, found, "set it to -1, or to far more than comes within store.retention")

    return _of_each(about, topics, bounded, "no bound by size")


def timestamps(topics: Iterable[Topic]) -> list[Verdict]:
    """Warns where the times of records are their producers' own."""

    def by_producers(topic: Topic, config: Mapping[str, str]) -> Verdict | None:
        kind = config.get("message.timestamp.type", "CreateTime")
        if kind == "LogAppendTime":
            return None
        found = (
            f"topic {topic.name} has message.timestamp.type {kind}: a record's age is what its producer says, and a "
            "lost store is read anew from the log's start"
        )
        return Verdict(_TIMESTAMPS, Standing.WARNING, found, "set it to LogAppendTime")

    return _of_each(_TIMESTAMPS, topics, by_producers, "LogAppendTime")


def room(dead_letters: Topic | None, results: Topic | None, read: Sequence[Topic]) -> list[Verdict]:
    """Warns where a dead letter (the record that we read, and our headers) or a result may be larger than its topic
    takes."""
    if dead_letters is None and results is None:
        return [Verdict(_SIZES, Standing.UNKNOWN, "there is no topic to look at")]
    found = [verdict for verdict in (_letters_room(dead_letters, read), _results_room(results)) if verdict is not None]
    silent = [each.name for each in (dead_letters, results, *read) if each is not None and each.config is None]
    if silent and not found:
        return [_untold(_SIZES, silent)]
    return found or [Verdict(_SIZES, Standing.GOOD, "dead letters and results have room")]


def _letters_room(dead_letters: Topic | None, read: Iterable[Topic]) -> Verdict | None:
    if dead_letters is None or not (short := too_small(dead_letters, read)):
        return None
    most, needed = short
    found = (
        f"topic {dead_letters.name} takes {most:,} bytes (max.message.bytes), the topics that are read {needed:,}: a "
        "bad record as large as that would stop its partition"
    )
    return Verdict(_SIZES, Standing.WARNING, found, f"set its max.message.bytes to {needed + 1_048_576} or more")


def _results_room(results: Topic | None) -> Verdict | None:
    if results is None or not 0 < (most := most_bytes(results)) < RESULT_BYTES:
        return None
    found = f"topic {results.name} takes {most:,} bytes (max.message.bytes), a result may have 900 kB"
    return Verdict(_SIZES, Standing.WARNING, found, f"set its max.message.bytes to {RESULT_BYTES} or more")


def too_small(dead_letters: Topic, read: Iterable[Topic]) -> tuple[int, int] | None:
    """What the dead-letter topic takes and what its sources take (bytes), where that may be too much for it."""
    most, needed = most_bytes(dead_letters), max(map(most_bytes, read), default=0)
    return (most, needed) if 0 < most <= needed else None


def most_bytes(topic: Topic) -> int:
    """The largest record that the topic takes; 0: not known."""
    return int((topic.config or {}).get("max.message.bytes", 0))


def dead_letters_kept(topic: Topic) -> list[Verdict]:
    """Warns where dead letters are compacted: of two bad records with one key the first would be gone."""
    policy = (topic.config or {}).get("cleanup.policy", "delete")
    if "compact" not in policy:
        return []
    found = f"topic {topic.name} has cleanup.policy {policy}: of two dead letters with one key one would be gone"
    return [Verdict(_COMPACTION, Standing.WARNING, found, "set it to delete")]


def _of_each(
    about: str, topics: Iterable[Topic], look: Callable[[Topic, Mapping[str, str]], Verdict | None], good: str
) -> list[Verdict]:
    """One row for each topic that is not good, or one for all."""
    known = [(topic, topic.config) for topic in topics]
    if not known:
        return [Verdict(about, Standing.UNKNOWN, "there is no topic to look at")]
    silent = [topic.name for topic, config in known if config is None]
    found = [verdict for topic, config in known if config is not None and (verdict := look(topic, config)) is not None]
    if silent:
        found.append(_untold(about, silent))
    return found or [Verdict(about, Standing.GOOD, good)]


def _untold(about: str, names: Iterable[str]) -> Verdict:
    found = f"the broker does not tell how these are set: {', '.join(names)}"
    return Verdict(about, Standing.UNKNOWN, found, "allow DescribeConfigs on them")


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)
