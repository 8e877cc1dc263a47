"""`unpush run --dry-run`: everything but the calls, beside the real service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from stream.model import Outcome, Status
from tests.scenarios.judge import dry_breaches
from tests.scenarios.story import Name
from tests.scenarios.town import Town


def places(town: Town) -> Mapping[Name, int]:
    """How many each violation has."""
    by_message: Counter[str] = Counter()
    for sent in town.story.sends:
        by_message[sent.send.head.message_id] += len(sent.send.tokens)
    return {name: by_message[name[0]] for name in town.story.events_of()}


def test_a_dry_run_calls_nobody_and_the_real_one_still_revokes(town: Town) -> None:
    """DRY_RUN lists what it would have called, and never counts as done in a real run; nor the other way round."""
    sends, violations = town.maker.all_kinds(200)
    third = len(violations) // 3
    settings = town.settings()
    dry = town.run("dry", "--dry-run", settings=settings).wait_until_it_works()
    town.tell(sends, violations[:third])
    town.wait_until(lambda: town.progress.dry == Counter(places(town)), what="the dry run")
    assert town.push_kit.calls == 0
    real = town.run(settings=settings).wait_until_it_works()
    town.tell(violations[third : 2 * third])
    town.wait_until_settled()
    assert dry.stop() == 0
    town.tell(violations[2 * third :])
    town.wait_until_settled()
    again = town.run("dry", "--dry-run", settings=settings).wait_until_it_works()
    town.wait_until(lambda: town.progress.dry == Counter(places(town)), what="the dry run")
    town.pass_time(0.5)
    town.judge()
    assert not dry_breaches(town.story)
    assert real.stop() == again.stop() == 0


def test_a_dry_run_says_nothing_that_readers_would_take_for_real(town: Town) -> None:
    """NOT_FOUND is said once per violation, WITHDRAWN once per withdrawal, by the real service alone."""
    found = town.maker.violations([town.maker.message_id() for _ in range(6)])
    settings = town.settings()
    town.run("dry", "--dry-run", settings=settings).wait_until_it_works()
    town.tell(found, [each._replace(status=Status.WITHDRAWN) for each in found[:3]])
    town.wait_until(lambda: len(town.story.results) == len(found), what="the dry run")
    assert {seen.result.outcome for seen in town.story.results} == {Outcome.DRY_RUN}
    town.run(settings=settings)
    town.wait_until_settled()
    town.judge()
