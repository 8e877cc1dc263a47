"""The promise in its full size. In CI a tenth of it; ``UNPUSH_SCENARIOS=full`` for all."""

from __future__ import annotations

import random
import string
import time

import pytest

from stream.model import Send
from tests.scenarios.conftest import FULL
from tests.scenarios.judge import calls_and_fewest, repeated
from tests.scenarios.making import now_ms
from tests.scenarios.town import Town

ONES, THOUSANDS, VIOLATIONS = (200_000, 2_000, 5_000) if FULL else (20_000, 200, 1_000)


def sends_of(town: Town) -> list[Send]:
    """A tenth of the one-token sends share messages, ten by ten."""
    maker = town.maker
    shared = [maker.message_id() for _ in range(ONES // 100)]
    sends = [maker.send(name) for name in shared for _ in range(10)]
    sends += [maker.send() for _ in range(ONES - len(sends))]
    return sends + [maker.send(tokens=1_000) for _ in range(THOUSANDS)]


@pytest.mark.timeout(1_800 if FULL else 240)
def test_every_token_of_every_violated_send_is_covered_exactly(town: Town) -> None:
    """One-token and thousand-token sends, violations in random order before, between and after them."""
    maker, sends = town.maker, sends_of(town)
    large = [send.head.message_id for send in sends[ONES:]]
    small = list({send.head.message_id: None for send in sends[:ONES]})
    guilty = maker.random.sample(large, VIOLATIONS // 10) + maker.random.sample(small, VIOLATIONS - VIOLATIONS // 10)
    violations = maker.mixed(maker.violations(guilty))
    third = VIOLATIONS // 3
    instance, began_s = town.run().wait_until_it_works(), time.monotonic()
    town.tell(violations[:third])
    town.tell(maker.mixed(sends, violations[third : 2 * third]))
    town.wait_until_stored(600)
    stored_s, since_ms = time.monotonic() - began_s, now_ms()
    town.tell(violations[2 * third :])
    town.wait_until_settled(600)
    settled_s = time.monotonic() - began_s
    town.judge()
    book = town.push_kit.book()
    calls, fewest = calls_and_fewest(town.story, book, since_ms)
    print(f"{len(sends)} sends, {VIOLATIONS} violations: stored {stored_s:.1f} s, settled {settled_s:.1f} s")
    print(f"resident {instance.memory_mb:.0f} MB, {len(book.calls)} calls, {town.push_kit.devices} devices")
    assert fewest >= third
    assert calls <= 1.05 * fewest
    assert not repeated(book)
    assert instance.stop() == 0


def noise(characters: int, seed: int) -> str:
    """Text that no compression makes much smaller."""
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=characters))


def test_violations_as_large_as_kafka_takes_are_revoked_and_reported(town: Town) -> None:
    """Ids of megabytes are whole in the results, a reason of a megabyte is cut; the topics here take 2 MB."""
    maker = town.maker
    sends = [maker.send(noise(400_000, 1), 3), maker.send(tokens=1_000), *(maker.send(tokens=2) for _ in range(20))]
    long_ids = maker.violation(sends[0].head.message_id, noise(1_190_000, 2))
    long_reason = maker.violation(sends[1].head.message_id)._replace(reason=noise(1_990_000, 3))
    instance = town.run().wait_until_it_works()
    town.tell(sends, [long_ids, long_reason], maker.violations(send.head.message_id for send in sends[2:]))
    town.wait_until_settled()
    results = [seen.result for seen in town.story.results]
    assert [r.violation_id for r in results if r.message_id == long_ids.message_id] == [long_ids.violation_id]
    [cut] = [r for r in results if r.message_id == long_reason.message_id]
    assert cut.reason.endswith("… (cut, 1990000 characters)")
    assert sum(r.tokens_revoked for r in results) == 3 + 1_000 + 40
    assert instance.stop() == 0
