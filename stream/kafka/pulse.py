"""Whether any broker still answers a client, by librdkafka's own statistics: nothing is asked of anybody for it.

Promised: silence is said only when looks that follow each other all saw it; a process that was frozen or busy is not
taken for one whose brokers are away. Not promised: that a broker which answers is of use.
Source: https://github.com/confluentinc/librdkafka/blob/master/STATISTICS.md (``rx``: responses received).
"""

from __future__ import annotations

import re
from typing import Final

import orjson
from confluent_kafka import KafkaError

EVERY_MS: Final = 5_000
SILENT_S: Final = 30.0
"""A member hears from its coordinator at every heartbeat: each second here, each 15 s at the most that brokers ask."""

_AFTER_A_WHILE: Final = re.compile(r" \(after .*?\)")


class Pulse:
    """See the module's words. ``look`` and ``trouble`` are the client's callbacks; ``why`` may be asked by any
    thread."""

    def __init__(self) -> None:
        self._received = 0
        self._silent_since_s: float | None = None
        self._looked_s = 0.0
        self._trouble = "they do not say why"

    def look(self, statistics: str, now_s: float) -> None:
        """The client's statistics, at regular times; ``now_s`` is monotonic."""
        received: int = orjson.loads(statistics)["rx"]
        frozen, self._looked_s = now_s - self._looked_s >= SILENT_S, now_s
        if received != self._received:
            self._received, self._silent_since_s = received, None
        elif self._silent_since_s is None or frozen:
            self._silent_since_s = now_s

    def trouble(self, error: KafkaError) -> None:
        """What the client says went wrong."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._trouble = _AFTER_A_WHILE.sub("", error.str())

    def why(self, now_s: float) -> str | None:
        """The sentence for people; None: somebody answers, or has done so not long ago. A time without looks is no
        silence: then nobody could have heard an answer."""
        since_s = self._silent_since_s
        if since_s is None or self._looked_s - since_s < SILENT_S:
            return None
        return f"no broker has answered for {now_s - since_s:.0f} s: {self._trouble}"
