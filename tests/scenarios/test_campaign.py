"""A campaign of ten million tokens, streamed: what stops it, and where it goes on. A hundredth of it in CI;
``UNPUSH_SCENARIOS=full`` for all, which takes half an hour on two cores."""

from __future__ import annotations

import pytest

from stream.bench.children import Children
from stream.bench.figures import Rounds
from stream.bench.points.campaign import Campaign
from stream.bench.town import Town
from stream.brokers.apache import ApacheKafka
from stream.model import MAX_CALL_TOKENS
from tests.scenarios.conftest import FULL

QUICK = '[kafka.properties]\n"session.timeout.ms" = "1500"\n"heartbeat.interval.ms" = "300"\n'
"""After kill -9 the group waits no longer than that."""
TOKENS = 10_000_000 if FULL else 100_000


@pytest.mark.timeout(7_200 if FULL else 240)
@pytest.mark.parametrize("tokens", [1, MAX_CALL_TOKENS] if FULL else [1])
def test_a_campaign_is_streamed_stopped_and_gone_on_with(kafka: ApacheKafka, tokens: int) -> None:
    """A more severe violation, SIGTERM, kill -9 and WITHDRAWN come in the middle: each place is covered once, calls are
    as few as can be, memory does not follow the campaign's size."""
    found = Rounds("9")
    with Children() as children:
        Campaign(Town(children, kafka), TOKENS, tokens, found, QUICK).measure()
    seen = {figure.what.partition(": ")[2]: figure.median for figure in found.figures()}
    assert seen["places without a result"] == 0
    assert seen["places with two"] == 0
    assert 0 <= seen["calls more than tokens ÷ 1,000, for kill -9 and SIGTERM"] <= 60
    assert seen["settled by then, as the API says"] > 0
    assert seen["called of it by then"] < 90
    assert seen["resident above idle, the most until all is done"] < 150
