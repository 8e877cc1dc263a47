"""How far back the past has been read, as operators see it."""

from __future__ import annotations

from typing import Any, cast

from structlog.testing import capture_logs

from stream.model import Topic
from stream.service.restoring import Restore, Restoring
from stream.state.shard import EVERYTHING, NOTHING, Shard

NAMES = {Topic.SENDS: "sent", Topic.VIOLATIONS: "detected", Topic.RESULTS: "results"}


class _Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def monotonic_s(self) -> float:
        return self.s


class _Shard:
    """One whose sends are being read back; the other topics are done."""

    def __init__(self, number: int, left: int, back_ms: float) -> None:
        self.number, self.left = number, left
        self.read_back_ms = {Topic.SENDS: back_ms}

    def restoring(self, topic: Topic) -> int:
        return self.left if topic is Topic.SENDS else 0


def _restoring(clock: _Clock, *shards: _Shard) -> Restoring:
    return Restoring(cast("dict[int, Shard]", {each.number: each for each in shards}), NAMES, cast(Any, clock))


def test_the_shard_that_is_least_far_counts_and_the_rate_is_of_all() -> None:
    """Offsets still to be read, records a second, seconds left, and since when everything has been read."""
    clock, first, second = _Clock(), _Shard(0, 3_000, 5_000.0), _Shard(1, 1_000, 9_000.0)
    restoring = _restoring(clock, first, second)
    restoring.look()
    assert restoring.of(Topic.SENDS) == Restore(4_000, 0.0, None, 9_000)
    clock.s, first.left, second.left = 110.0, 2_000, 0
    restoring.look()
    assert restoring.of(Topic.SENDS) == Restore(2_000, 200.0, 10.0, 5_000)
    assert restoring.of(Topic.RESULTS) == Restore(0, 0.0, 0.0, None)


def test_how_far_back_is_unknown_until_every_shard_has_read_a_chunk() -> None:
    """None: not known."""
    for unknown in (EVERYTHING, NOTHING):
        told = _restoring(_Clock(), _Shard(0, 5, unknown), _Shard(1, 5, 7.0)).of(Topic.SENDS)
        assert told.read_back_to_ms is None


def test_it_is_said_every_ten_seconds_and_at_the_end_how_long_it_took() -> None:
    """In logs: how far back, records a second, time left. Nothing where there is no past to read."""
    clock, shard = _Clock(), _Shard(0, 10_000, 5_000.0)
    restoring = _restoring(clock, shard)
    with capture_logs() as said:
        for _ in range(45):
            restoring.look()
            clock.s, shard.left = clock.s + 0.5, max(0, shard.left - 250)
    goes_on = {
        "event": "restoring",
        "log_level": "info",
        "topic": "sent",
        "records_per_s": 500,
        "read_back_to_ms": 5_000,
    }
    assert said == [
        goes_on | {"remaining": 5_000, "left_s": 10},
        {"event": "restored", "log_level": "info", "topic": "sent", "took_s": 20.0},
    ]


def test_shards_that_come_while_it_is_asked_disturb_nobody() -> None:
    """They come in another thread: /api/status answered 500 where one came just then."""
    shards: dict[int, Any] = {}

    class Coming:
        """A shard; another comes whenever it is asked."""

        read_back_ms: dict[Topic, float] = {}  # noqa: RUF012

        def __init__(self) -> None:
            self.number = len(shards)
            shards[self.number] = self

        def restoring(self, topic: Topic) -> int:
            """One more comes."""
            return Coming().number

    Coming()
    restoring = Restoring(shards, {topic: topic.name for topic in Topic}, cast(Any, _Clock()))
    restoring.look()
    assert restoring.of(Topic.SENDS).remaining > 0
