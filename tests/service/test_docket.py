"""The docket tells one message from another of the same name."""

from __future__ import annotations

from stream.service.docket import Docket
from stream.work.condemned import Condemned


def test_who_was_forgotten_does_not_close_another_of_its_name() -> None:
    """It was done and evicted, and its message was loaded anew: that one's work must not be lost with it."""
    docket = Docket()
    forgotten, present = (Condemned(0, "m", b"digest 8", 0.0) for _ in range(2))
    docket.reopen(forgotten)
    docket.drop(forgotten)
    docket.reopen(present)
    docket.close(forgotten)
    assert docket.has_open(present)
    docket.close(present)
    assert docket.get(0, "m") is present
    assert not docket.open
