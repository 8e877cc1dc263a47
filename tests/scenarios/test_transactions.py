"""A sender that writes in transactions: what is open is unread, what was aborted was never there."""

from __future__ import annotations

from stream.model import Outcome
from tests.scenarios.town import Town
from tests.scenarios.transaction import Transaction


def test_a_transaction_left_open_is_waited_for_and_then_acted_on_or_not_as_it_ended(town: Town) -> None:
    """NOT_FOUND waits for it; committed, all of it is revoked; aborted, none of it was ever there."""
    instance = town.run().wait_until_it_works()
    maker = town.maker
    sends, sent_before = [maker.send(tokens=2) for _ in range(40)], [maker.send(tokens=2) for _ in range(20)]
    kept, dropped = Transaction(town, "kept"), Transaction(town, "dropped")
    kept.write(*sends[:20], *maker.violations(send.head.message_id for send in sent_before[:10]))
    dropped.write(*sends[20:], *maker.violations(send.head.message_id for send in sent_before[10:]))
    town.tell(sent_before, maker.violations(send.head.message_id for send in sends))
    town.pass_time(4)
    assert town.push_kit.calls == 0
    assert not town.story.results
    kept.commit()
    dropped.abort()
    town.wait_until_settled()
    town.judge()
    not_found = {seen.result.message_id for seen in town.story.results if seen.result.outcome is Outcome.NOT_FOUND}
    assert not_found == {send.head.message_id for send in sends[20:]}
    assert len(town.covered_by_calls()) == 30
    assert instance.stop() == 0
