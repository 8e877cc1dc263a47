"""``unpush topics``: creates the topics that are missing.

Promised: what exists is not touched, and a second run changes nothing; no topic is created whose partition count
would contradict another's. Not promised: that what exists is set well; ``unpush run`` and ``check`` look at that.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from stream.kafka.cluster import Cluster
from stream.kafka.preflight import refuse_wrong_properties
from stream.kafka.verdicts import different
from stream.model import StartError
from stream.operate import log
from stream.settings import Settings, load_settings

HELP = "create the topics that are missing"

_PARTITIONS: Final = 12
"""Where nothing says otherwise: many processes can share them evenly (1, 2, 3, 4, 6 or 12)."""

_MOST_PARTITIONS: Final = 100_000
_MOST_REPLICAS: Final = 10_000
"""What librdkafka takes. Source: rd_kafka_NewTopic_new, rdkafka_admin.c."""

_HOUR_MS: Final = 3_600_000
_DEAD_LETTERS_KEPT_MS: Final = 14 * 24 * _HOUR_MS
"""Time for people to find out what was wrong, and to replay."""

_BROKER_MAX_MESSAGE_BYTES: Final = 1_048_588
"""``message.max.bytes`` of a broker that was not told otherwise. Source: Apache Kafka, broker configuration."""

_ROOM_BYTES: Final = 1_048_576
"""Above the largest record that we read: a dead letter is that record and our headers, a result has its ids."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``unpush topics`` takes."""
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="the settings file")
    parser.add_argument(
        "--partitions",
        type=partial(_bounded, _MOST_PARTITIONS),
        metavar="N",
        help=f"of each new topic (default: as the topics that exist already, else {_PARTITIONS})",
    )
    parser.add_argument(
        "--replication-factor",
        type=partial(_bounded, _MOST_REPLICAS),
        default=-1,
        metavar="R",
        help="of each new topic (default: the broker's own)",
    )


def run(args: argparse.Namespace) -> int:
    """Raises StartError where counts differ or the broker refuses."""
    settings = load_settings(args.config, os.environ)
    log.configure(settings.log.level, settings.log.format)
    refuse_wrong_properties(settings)
    create_missing(Cluster(settings), settings, args.partitions, args.replication_factor)
    return 0


def create_missing(cluster: Cluster, settings: Settings, wished: int | None, replication_factor: int) -> None:
    """Prints one line a topic. ``wished`` None: the count that exists already, else the default."""
    names = settings.topics.partitioned_alike
    dead_letter = settings.topics.dead_letter
    counts = cluster.partition_counts()
    partitions = _agreed({name: counts[name] for name in names if name in counts}, wished)
    *read, results = names
    for name in read:
        _one(cluster, name, counts, partitions, replication_factor, _kept(settings))
    room = {"max.message.bytes": str(_largest_record_bytes(cluster, read, partitions) + _ROOM_BYTES)}
    _one(cluster, results, counts, partitions, replication_factor, _kept(settings) | room)
    _one(cluster, dead_letter, counts, partitions, replication_factor, _dead_letters_kept(settings) | room)


def _agreed(existing: Mapping[str, int], wished: int | None) -> int:
    if len(set(existing.values())) > 1:
        raise StartError(f"{different(existing)}; nothing was created")
    found = next(iter(existing.values()), wished or _PARTITIONS)
    if wished is not None and wished != found:
        raise StartError(
            f"{', '.join(existing)} exist with {found} partitions, not {wished}; all three need the same count, "
            f"and nothing was created: leave --partitions out, or say {found}"
        )
    return found


def _one(
    cluster: Cluster,
    name: str,
    counts: Mapping[str, int],
    partitions: int,
    replication_factor: int,
    config: Mapping[str, str],
) -> None:
    if name in counts:
        print(f"{name}: exists, {_spoken(counts[name])}")
    elif cluster.create(name, partitions, replication_factor, config):
        print(f"{name}: created, {_spoken(partitions)}")
    else:
        print(f"{name}: exists, somebody created it just now")


def _spoken(partitions: int) -> str:
    return "1 partition" if partitions == 1 else f"{partitions} partitions"


def _kept(settings: Settings) -> dict[str, str]:
    """A margin above the store's retention: what expires is still reported before Kafka drops it."""
    retention_ms = round(settings.store.retention_s * 1_000)
    return {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(retention_ms + max(_HOUR_MS, retention_ms // 10)),
    }


def _dead_letters_kept(settings: Settings) -> dict[str, str]:
    kept = _kept(settings)
    return kept | {"retention.ms": str(max(_DEAD_LETTERS_KEPT_MS, int(kept["retention.ms"])))}


def _largest_record_bytes(cluster: Cluster, names: list[str], partitions: int) -> int:
    described = cluster.describe(names, dict.fromkeys(names, partitions)).values()
    return max(int((topic.config or {}).get("max.message.bytes", _BROKER_MAX_MESSAGE_BYTES)) for topic in described)


def _bounded(most: int, text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
    if not 1 <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {most:,}")
    return number
