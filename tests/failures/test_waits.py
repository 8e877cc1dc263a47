"""How long work waited for a fault: by Kafka's own times, of what came while it lasted."""

from __future__ import annotations

from pathlib import Path

from stream.model import Outcome, RevokeResult, Send, SendHead, SendPart, Severity, Status, ViolationEvent
from tests.failures import report
from tests.failures.faults import Strike, Struck
from tests.failures.plan import each_alone
from tests.failures.table import FAULTS
from tests.failures.verdict import Verdict
from tests.failures.waits import Wait, waits
from tests.scenarios.story import Said, Seen, Sent, Story


def story(sent_ms: int, told_ms: int, *done_ms: int) -> Story:
    """One send, one violation, and the same result at these times."""
    send = Send(SendHead("m", "app", 7, 0, 1, None), (b"a",))
    event = ViolationEvent("v", "m", Severity.HIGH, Status.CONFIRMED, "spam", None, 1)
    result = RevokeResult(
        "1", "v", "m", Severity.HIGH, "spam", 1, Outcome.REVOKED, "app", 7, 0, (SendPart(2, 10, 0, 1),), 1, 1, (), 1,
        200, None, None, None, 1, 1, False, 1, 2,
    )  # fmt: skip
    seen = [Seen(result, b"m", 2, offset, (), at_ms) for offset, at_ms in enumerate(done_ms)]
    return Story([Sent(send, 2, 10, sent_ms)], [Said(event, 2, 0, told_ms)], seen)


STRUCK = Struck(Strike("kill", "a", 0.0, 1.0, 1), 10_000, 12_000)


def test_work_waits_from_the_later_of_send_and_violation_to_its_first_result() -> None:
    assert waits(story(10_500, 11_000, 14_000, 20_000), [STRUCK]) == (Wait("kill", 2.0, 3.0, 2.0),)
    assert waits(story(11_500, 9_000, 11_600), [STRUCK]) == (Wait("kill", 2.0, 0.1, 0.0),)


def test_what_came_before_or_after_the_fault_did_not_wait_for_it() -> None:
    for due_ms in (9_000, 12_001):
        assert waits(story(due_ms, due_ms, 30_000), [STRUCK]) == (Wait("kill", 2.0, 0.0, 0.0),)


def test_each_fault_is_played_alone_and_the_report_says_what_it_cost(tmp_path: Path) -> None:
    plans = list(each_alone(brokers=3))
    assert [strike.fault for plan in plans for strike in plan.strikes] == list(FAULTS)
    alone = {strike.fault for plan in each_alone() for strike in plan.strikes}
    assert FAULTS.keys() - alone == {"controller killed", "all brokers killed"}
    cost = (Wait("kill", 2.0, 3.0, 2.0), Wait("kill", 2.0, 4.0, 1.0))
    verdict = Verdict(plans[0], 21.0, 2.0, 300, 100, 120, 110, 9_000, 7, 0, (), (), (), cost)
    report.write(tmp_path / "found", [verdict])
    assert "| kill | 2.0 | 3.0 | 2.0 |" in (tmp_path / "found.md").read_text("utf-8")
