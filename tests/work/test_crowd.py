"""How much is planned and not ended: enough for each, and not without end for all."""

from __future__ import annotations

from stream.model import Severity
from stream.work.crowd import Crowd

HEAVY, MOST, IN_ALL = 5_000, 20_000, 30_000


def planned(crowd: Crowd, app: str) -> int:
    """Tokens of an app that stands still, as who plans asks before each call of a thousand."""
    tokens = 0
    while not (crowd.heavy(app, Severity.LOW) or crowd.enough(app, Severity.LOW)):
        crowd.came(app, Severity.LOW, 1_000)
        tokens += 1_000
    return tokens


def test_an_app_that_may_not_call_has_room_again_when_half_of_it_has_ended() -> None:
    crowd = Crowd(1_000, HEAVY, MOST, IN_ALL)
    assert planned(crowd, "app") == HEAVY
    crowd.went("app", Severity.LOW, 1_000)
    assert crowd.heavy("app", Severity.LOW)
    crowd.went("app", Severity.LOW, 1_500)
    assert not crowd.heavy("app", Severity.LOW)
    assert not crowd.heavy("app", Severity.HIGH), "another lane's room is its own"


def test_of_very_many_apps_that_may_not_call_each_more_has_a_single_call() -> None:
    """An outage of a thousand apps with a campaign each must not hold all their tokens in memory."""
    crowd = Crowd(1_000, HEAVY, MOST, IN_ALL)
    assert [planned(crowd, f"app-{number}") for number in range(10)] == [HEAVY] * 6 + [1_000] * 4
    crowd.went("app-0", Severity.LOW, HEAVY)
    crowd.went("app-1", Severity.LOW, HEAVY)
    assert not crowd.enough("app-9", Severity.LOW)
