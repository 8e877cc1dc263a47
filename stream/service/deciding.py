"""``unpush approve`` and ``unpush withdraw``: from ids to events.

Promised: each id is tried, whatever becomes of the others; what is not known is named in the end, and then it failed.
Not promised: one event where the command is repeated; a later one of the same status changes nothing, but that an
APPROVED tries again what was given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from stream.model import StartError, Status, UnpushError, ViolationEvent
from stream.operate.asking import ask
from stream.operate.paths import violation_path
from stream.operate.shown import visible
from stream.service.decisions import Decisions, blind_event, event_of
from stream.service.placing import placed
from stream.settings import Settings


def decide(
    settings: Settings, status: Status, violation_ids: Iterable[str], message_id: str | None, at: Sequence[str] = ()
) -> None:
    """For violations that the running service knows; ``message_id``: where several messages have one of such an id;
    ``at``: whom to ask, as of ``ask``. Prints a line for each. Raises StartError where any was not written."""
    decisions, wrong = None, list[UnpushError]()
    for violation_id in violation_ids:
        try:
            seen = _known(settings, violation_id, message_id, at)
            decisions = decisions or Decisions(settings)
            was = f"it was {seen['state']}, {seen['tokensSettled']} of {seen['tokensMatched']} settled"
            _write(decisions, event_of(seen, status), seen["partition"], was)
        except UnpushError as error:
            wrong.append(error)
    _raise(wrong)


def decide_blindly(
    settings: Settings, status: Status, violation_ids: Iterable[str], message_id: str, now_ms: int
) -> None:
    """The same where no service is asked, and the topic says in which partition the message is at home. Raises
    StartError."""
    decisions, wrong = Decisions(settings), list[UnpushError]()
    home = placed(settings, decisions.partitions, message_id.encode())
    for violation_id in violation_ids:
        try:
            _write(decisions, blind_event(violation_id, message_id, status, now_ms), home.partition, home.why)
        except UnpushError as error:
            wrong.append(error)
    _raise(wrong)


def _known(settings: Settings, violation_id: str, message_id: str | None, at: Sequence[str]) -> dict[str, Any]:
    answer = asyncio.run(ask(settings.http, violation_path(violation_id, message_id), at))
    if not answer.known:
        raise StartError(str(answer.body.get("error")))
    return answer.body


def _write(decisions: Decisions, event: ViolationEvent, partition: int, why: str) -> None:
    decisions.write(event, partition)
    named = visible(f"{event.violation_id} of message {event.message_id}")
    print(f"{named}: {event.status.value}, {decisions.topic}/{partition} ({why})")


def _raise(wrong: list[UnpushError]) -> None:
    if wrong:
        raise StartError("; ".join(dict.fromkeys(map(str, wrong))))
