"""What the store knows of a message, for people who ask: its violations, its sends, and how far the marks have come.

Promised: a question costs bounded work, in a thread of its own that rests between small pieces, one question at a
time; nothing is written. Not promised: the whole count of a message with very many sends (``whole`` says whether it
is), nor the finding of a violation by its id alone among millions of events.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from stream.model import BadRecord, Send, SendHead, Status, UnpushError
from stream.service.evidence import events_of
from stream.service.ledger import FOUND
from stream.state.keys import digest_of
from stream.state.shard import Shard, StoredSend
from stream.wire.wire import Wire
from stream.work.cover import Mark, size, still_open
from stream.work.endings import held_ids, not_found_id
from stream.work.judgement import Violation, judge

CHUNK_SENDS: Final = 200
CHUNK_BYTES: Final = 1 << 20
COUNT_S: Final = 5.0
"""A message is counted so long and no further; some 400,000 sends of one token, with rests between."""
LISTED: Final = 100
SEARCH_S: Final = 10.0
EVENTS_A_PIECE: Final = 500
REST_S: Final = 0.001

T = TypeVar("T")


class SendSeen(NamedTuple):
    """A stored send; ``head`` None: it cannot be read. ``tokens``: how many places it has, never which."""

    offset: int
    timestamp_ms: int
    head: SendHead | None
    tokens: int


@dataclass(slots=True)
class Found:
    """What is stored of one message."""

    violations: Mapping[str, Violation]
    sends: int = 0
    listed: list[SendSeen] = field(default_factory=list)
    """The first of them, by age."""
    places: int = 0
    settled: dict[str, int] = field(default_factory=dict)
    """Places with a mark, by violationId."""
    open: set[str] = field(default_factory=set)
    """Violations that have a place, or a send that cannot be read, without a mark."""
    held: set[str] = field(default_factory=set)
    """Confirmed violations of which HELD was said and nothing since."""
    once: set[str] = field(default_factory=set)
    """Where no send is here any more: violations that had places of some covered."""
    whole: bool = False
    """Whether all stored sends were counted."""


class Lookup:
    """See the module's words. Its coroutines may raise UnpushError: it cannot be told now."""

    def __init__(
        self,
        wire: Wire,
        *,
        dry: bool = False,
        had_left: Callable[[Violation, int], bool] = lambda *_: False,
        not_before_ms: int | None = None,
    ) -> None:
        """``had_left``: whether a violation had left retention when a send of that time (ms) came. ``not_before_ms``:
        as of ``Judgement``."""
        self._wire, self._dry, self._had_left, self._not_before_ms = wire, dry, had_left, not_before_ms
        self._thread = ThreadPoolExecutor(1, "lookup")
        self._stop = threading.Event()

    async def message(self, shard: Shard, message_id: str) -> Found:
        """What the shard's store holds of a message."""
        return await self._ask(lambda: self._found(shard, message_id))

    async def first(self, known: Iterable[T], has: Callable[[T], bool]) -> T | None:
        """The first of ``known`` for which ``has`` holds; they may be too many to look through on the loop."""
        return await self._ask(lambda: next(filter(has, known), None))

    async def search(self, shards: list[Shard], violation_id: str, enough: threading.Event) -> str | None:
        """The messageId of a violation, looked for in all stored events, until that is enough."""
        return await self._ask(lambda: self._searched(shards, violation_id, enough))

    async def close(self) -> None:
        """End the question under way; waits for it."""
        self._stop.set()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def _ask(self, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, question)

    # --- in the thread

    def _rest(self) -> None:
        time.sleep(REST_S)
        if self._stop.is_set():
            raise UnpushError("the service is stopping")

    def _found(self, shard: Shard, message_id: str) -> Found:
        digest = digest_of(message_id.encode())
        found = Found(judge(events_of(self._wire, shard, digest, message_id), self._not_before_ms))
        walk, deadline_s = shard.new_walk(), time.monotonic() + COUNT_S
        while walk.todo and time.monotonic() < deadline_s:
            stored = shard.walk(digest, walk, CHUNK_SENDS, CHUNK_BYTES)
            self._count_chunk(found, shard, digest, message_id, stored)
            self._rest()
        found.whole = not walk.todo
        found.held = set(self._held(shard, digest, found.violations.values()))
        if found.whole and not found.sends:
            found.once = {each.violation_id for each in found.violations.values() if self._once(shard, digest, each)}
        return found

    def _held(self, shard: Shard, digest: bytes, violations: Iterable[Violation]) -> Iterator[str]:
        for each in violations if digest in shard.perhaps_held else ():
            said = (shard.stored.said(digest, name) for name in held_ids(each, self._dry))
            if each.status is Status.CONFIRMED and any(said):
                yield each.violation_id

    def _once(self, shard: Shard, digest: bytes, violation: Violation) -> bool:
        return FOUND in shard.stored.words(digest, not_found_id(violation, self._dry))

    def _count_chunk(
        self, found: Found, shard: Shard, digest: bytes, message_id: str, stored: list[StoredSend]
    ) -> None:
        offsets = [each.offset for each in stored]
        marks = shard.stored.marks(digest, min(offsets), max(offsets)) if offsets else {}
        for each in stored:
            send = self._send(each)
            if send is None or send.head.message_id == message_id:
                count(found, each, send, marks.get(each.offset, []), self._had_left)

    def _send(self, stored: StoredSend) -> Send | None:
        try:
            return self._wire.send(stored.held, stored.at)
        except BadRecord:
            return None

    def _searched(self, shards: list[Shard], violation_id: str, enough: threading.Event) -> str | None:
        deadline_s, needle = time.monotonic() + SEARCH_S, violation_id.encode()
        for shard in shards:
            for number, stored in enumerate(shard.stored.all_events()):
                if needle in stored.value and (message_id := self._names(stored.value, violation_id)) is not None:
                    return message_id
                if number % EVENTS_A_PIECE == EVENTS_A_PIECE - 1:
                    self._rest()
                    if enough.is_set():
                        return None
                    if time.monotonic() > deadline_s:
                        raise UnpushError(
                            f"not found within {SEARCH_S:.0f} s of searching; name its message: ?messageId=ID"
                        )
        return None

    def _names(self, value: bytes, violation_id: str) -> str | None:
        with contextlib.suppress(BadRecord):
            event = self._wire.stored_violation(value)
            if event.violation_id == violation_id:
                return event.message_id
        return None


def count(
    found: Found,
    stored: StoredSend,
    send: Send | None,
    marks: list[Mark],
    had_left: Callable[[Violation, int], bool] = lambda *_: False,
) -> None:
    """Count one send of the message; ``send`` None: it cannot be read. ``had_left`` as of ``Lookup``."""
    places = 0 if send is None else len(send.tokens)
    found.sends += 1
    found.places += places
    if len(found.listed) < LISTED:
        head = None if send is None else send.head
        found.listed.append(SendSeen(stored.offset, stored.timestamp_ms, head, places))
    for name, violation in found.violations.items():
        gone = had_left(violation, stored.timestamp_ms)
        left = 0 if gone else size(still_open(places, marks, name, violation.tries_ms))
        found.settled[name] = found.settled.get(name, 0) + places - left
        if left or (not gone and send is None and all(mark.violation_id != name for mark in marks)):
            found.open.add(name)
