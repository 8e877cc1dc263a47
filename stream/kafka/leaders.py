"""Whether somebody answers for each partition that is read, by librdkafka's own statistics: nothing is asked for it.

A broker that dies leaves its partitions without a leader for a second or two, while others go on: what was written to
them just before has not been heard of, and nothing that was read says so.

Promised: silence is noticed within ``EVERY_MS``, and for ``TRUSTED_AFTER_S`` after its end it still counts: the new
leader has been asked by then. Not promised: what is not heard within that first moment; nor anything of a partition
that has never been answered for. Source: https://github.com/confluentinc/librdkafka/blob/master/STATISTICS.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

EVERY_MS: Final = 500
TRUSTED_AFTER_S: Final = 1.0
SILENT_US: Final = 1_000_000
"""A fetch is answered at least every 50 ms, and a while later where the broker is busy."""

_READ: Final = frozenset({"active", "offset-query", "offset-wait", "validate-epoch-wait"})
"""States of a partition that is being read."""


class Leaders:
    """See the module's words. ``look`` is the reader's callback; ``silent`` may be asked by any thread."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._heard: set[int] = set()
        """Partitions that are read and have been answered for."""
        self._doubtful_until_s = float("-inf")

    def look(self, statistics: str, now_s: float) -> None:
        """The client's statistics, at regular times; ``now_s`` is monotonic."""
        said = orjson.loads(statistics)
        answering = {each["nodeid"] for each in said["brokers"].values() if _answers(each)}
        partitions = said["topics"].get(self._topic, {}).get("partitions", {}).values()
        read = {each["partition"]: each["broker"] in answering for each in partitions if _is_read(each)}
        if any(not read[number] for number in self._heard & read.keys()):
            self._doubtful_until_s = now_s + TRUSTED_AFTER_S
        self._heard = {number for number, heard in read.items() if heard or number in self._heard}

    def silent(self, now_s: float) -> bool:
        """Whether nobody answers for one of them, or did so only just now."""
        return now_s < self._doubtful_until_s


def _answers(broker: Mapping[str, Any]) -> bool:
    return bool(broker["nodeid"] >= 0 and broker["state"] == "UP" and 0 <= broker.get("rxidle", -1) < SILENT_US)


def _is_read(partition: Mapping[str, Any]) -> bool:
    return bool(partition["desired"]) and partition["fetch_state"] in _READ
