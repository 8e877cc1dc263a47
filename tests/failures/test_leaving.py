"""Drain, then fence: a shard leaves, its calls answer late, and the others go on meanwhile."""

from __future__ import annotations

from datetime import datetime

from stream.pushkit.simulator import AppFaults, Faults, Latency, Shape
from tests.failures.conftest import APPS
from tests.failures.control import Control
from tests.scenarios.service import Instance
from tests.scenarios.story import Seen, Sent
from tests.scenarios.town import Town

SLOW, QUICK = APPS[:2]
ANSWERS_MS = 4_500
LEAVES_MS = 2_500
"""Two seconds are promised; the rest is for a busy machine."""


def test_a_call_that_answers_after_its_shard_left_leaves_no_trace_and_other_shards_go_on(town: Town) -> None:
    """A leaving shard gets a deadline shared by all that it does; other shards go on; a call that returns after the
    fence leaves no trace here: no result of the old owner's, and one of the new owner's, who calls again."""
    town.push_kit.fail(Faults(apps={SLOW: AppFaults(latency=Latency(Shape.FIXED, low_ms=ANSWERS_MS))}))
    old = launched(town, "a").wait_until_it_works()
    slow = [town.maker.send(app=SLOW) for _ in range(30)]
    quick = [town.maker.send(app=QUICK) for _ in range(20)]
    town.tell(slow, quick, town.maker.violations(each.head.message_id for each in quick))
    town.wait_until_settled()
    new = launched(town, "b")
    new.wait_for("listening")  # it joins in a moment
    town.tell(town.maker.violations(each.head.message_id for each in slow))
    came_ms = now_of(town)
    while not any(old.said("shards_went")):  # sends of messages whose violations are known need nobody but their shard
        town.tell([town.maker.send(each.head.message_id) for each in quick])
        town.pass_time(0.1)
    went = next(old.said("shards_went"))
    went_ms = int(datetime.fromisoformat(went["timestamp"]).timestamp() * 1_000)
    assert went_ms < came_ms + ANSWERS_MS, "it did not wait for its calls"
    town.wait_until_settled()
    town.judge()
    gone, results = set(went["partitions"]), {seen.result.message_id: seen for seen in town.story.results}
    of_slow = [results[each.head.message_id] for each in slow]
    assert gone
    assert {seen.partition for seen in of_slow} > gone
    for seen in of_slow:
        assert (seen.result.started_at_ms >= went_ms) == (seen.partition in gone)
    assert all(count == 1 for count in written(town).values())
    meanwhile = [each for each in town.story.sends[50:] if went_ms - LEAVES_MS < each.timestamp_ms < went_ms - 300]
    staying = [each for each in meanwhile if each.partition not in gone]
    assert staying
    assert max(waited_ms(town, each) for each in staying) < 1_000


def launched(town: Town, name: str) -> Instance:
    """An instance that waits for Push Kit longer than this takes to answer."""
    return town.launch(name, Control(town.folder / f"control-{name}"), push_kit={"timeout": "9s"})


def now_of(town: Town) -> int:
    """When the last violation came, by the broker's clock."""
    return town.story.events[-1].timestamp_ms


def written(town: Town) -> dict[str, int]:
    """How often each result stands in the topic."""
    found: dict[str, int] = {}
    for seen in town.story.results:
        found[seen.result.result_id] = found.get(seen.result.result_id, 0) + 1
    return found


def waited_ms(town: Town, sent: Sent) -> int:
    """From a send's coming to the result that covers it."""
    [found] = [seen for seen in town.story.results if covers(seen, sent)]
    return found.timestamp_ms - sent.timestamp_ms


def covers(seen: Seen, sent: Sent) -> bool:
    return any((part.partition, part.offset) == (sent.partition, sent.offset) for part in seen.result.sends)
