"""What other instances own or know: found through the consumer group, asked over their HTTP.

Promised: the group is looked at in a thread, for a few seconds at most, once for all who ask within a few seconds; an
answer names no instance that the group does not. Whoever is pointed or asked here answers by itself, so nothing goes
round in circles. Not promised: that the owner has it still when it is asked; then it says so (404). On the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final

from stream.kafka.fellows import Fellows, Instance
from stream.model import UnpushError
from stream.operate.http import Far, Json, Owner, Unknown
from stream.operate.neighbours import Neighbours, Question

FRESH_S: Final = 3.0
LOOKED_WITHIN_S: Final = 4.0
HEAD_START_S: Final = 0.2
"""Nearly all that is known here is found by then, and nobody else need search."""

Heard = Json | Unknown | UnpushError
"""What one of the instances knows; the error: it could not tell."""


class Elsewhere:
    """See the module's words."""

    def __init__(self, look: Callable[[], Fellows | None], neighbours: Neighbours) -> None:
        """``look``: the group as the brokers have it, None where they do not tell; it may block for seconds."""
        self._look, self._neighbours = look, neighbours
        self._looking: asyncio.Future[Fellows | None] | None = None
        self._stale_s = 0.0

    async def close(self) -> None:
        """Ask nobody any more."""
        await self._neighbours.close()

    async def owned(self, unknown: Unknown, question: Question, far: Far) -> Json | Unknown | Owner:
        """What is answered where another instance has the partition that ``unknown`` names. Raises UnpushError where
        the owner is asked and cannot tell."""
        if far is Far.LOCAL or unknown.partition is None:
            return unknown
        fellows = await self._fellows()
        owner = None if fellows is None else fellows.owner(unknown.partition)
        if owner is None or owner.at is None:
            return unknown._replace(why=f"{unknown.why}; {_why_nobody(fellows, owner)}")
        if far is Far.POINT:
            return Owner(owner.at, unknown.partition)
        return await self._neighbours.ask(owner.at, question)

    async def anywhere(self, question: Question, here: Awaitable[Json | Unknown]) -> Json | Unknown:
        """The first answer that knows it, ``here`` or of another. Raises UnpushError where nobody does, and somebody
        could not tell."""
        tasks = [asyncio.ensure_future(_heard(here))]
        try:
            await asyncio.wait(tasks, timeout=HEAD_START_S)
            if tasks[0].done() and isinstance(known := tasks[0].result(), dict):
                return known
            fellows = await self._fellows()
            tasks += [asyncio.ensure_future(_heard(self._neighbours.ask(at, question))) for at in _reached(fellows)]
            return await _first(tasks) or _unknown([task.result() for task in tasks], fellows)
        finally:
            for task in tasks:
                task.cancel()

    async def _fellows(self) -> Fellows | None:
        loop = asyncio.get_running_loop()
        if self._looking is None or (self._looking.done() and loop.time() >= self._stale_s):
            self._looking, self._stale_s = loop.run_in_executor(None, self._look), loop.time() + FRESH_S
        looking = self._looking
        await asyncio.wait({looking}, timeout=LOOKED_WITHIN_S)
        return looking.result() if looking.done() else None


async def _heard(asked: Awaitable[Json | Unknown]) -> Heard:
    try:
        return await asked
    except UnpushError as error:
        return error


async def _first(asked: Iterable[asyncio.Future[Heard]]) -> Json | None:
    for each in asyncio.as_completed(asked):
        if isinstance(heard := await each, dict):
            return heard
    return None


def _reached(fellows: Fellows | None) -> Sequence[str]:
    others = () if fellows is None else fellows.others
    return list(dict.fromkeys(each.at for each in others if each.at is not None))


def _unknown(heard: list[Heard], fellows: Fellows | None) -> Unknown:
    """``heard``: ours first; none of them knows it. Raises UnpushError where somebody could not tell."""
    silent = [str(each) for each in heard if isinstance(each, UnpushError)]
    if not silent and isinstance(ours := heard[0], Unknown):
        restoring = [each.restoring for each in heard[1:] if isinstance(each, Unknown)]
        return ours._replace(
            why="; ".join((ours.why, *_remarks(restoring, fellows))), restoring=ours.restoring or any(restoring)
        )
    said = [each.why for each in heard[:1] if isinstance(each, Unknown)]
    raise UnpushError("; ".join((*said, *silent)))


def _remarks(asked: list[bool], fellows: Fellows | None) -> Iterator[str]:
    """``asked``: of each other that knows nothing of it, whether it still reads the past."""
    if fellows is None:
        yield "who else is in the group cannot be told"
        return
    if asked:
        reading = f", {sum(asked)} of them still read the past" if any(asked) else ""
        yield f"nor by the others of the group ({len(asked)} asked{reading})"
    if hidden := sum(each.at is None for each in fellows.others):
        yield f"{hidden} of the group could not be asked: http.advertise of each must be reachable from here"
    if not fellows.at_rest:
        yield "shards are moving just now"


def _why_nobody(fellows: Fellows | None, owner: Instance | None) -> str:
    if fellows is None:
        return "the group does not tell which one does"
    if owner is not None:
        return "the one that does names no address that can be reached from here: set its http.advertise"
    return "no other does at this moment: ask again"
