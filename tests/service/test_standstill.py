"""A process that thaws knows for a second that it knows too little."""

from __future__ import annotations

from stream.service.standstill import CATCHING_UP_S, STILL_S, Standstill


def test_who_looks_regularly_never_stood_still() -> None:
    still = Standstill(0.0)
    assert not any(still.look(0.25 * turn) for turn in range(40))


def test_after_a_standstill_what_was_known_is_not_trusted_for_a_second() -> None:
    """No result says complete while earlier sends may be unread; a process that was frozen has not heard of them."""
    still = Standstill(0.0)
    thawed_s = STILL_S + 3.0
    assert still.look(thawed_s)
    assert still.look(thawed_s + CATCHING_UP_S - 0.1)
    assert not still.look(thawed_s + CATCHING_UP_S)
