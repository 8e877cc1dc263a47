"""Point 10: apps that give one notifyId to several messages are found by a sample of the sends.

What the sample costs: its time for a send, by itself, beside the time that a send takes when the service reads a
backlog. How soon it finds: sends of a second message under the same notifyId that had to be read, live and of a
backlog, until ``/readyz`` names the app. Tokens end at random here, as Push Kit's do: by its end a token is chosen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from random import Random
from statistics import median
from typing import Final

from stream.bench.figures import Figure, Rounds, at_least, at_most
from stream.bench.load import Record, Writer, message_id
from stream.bench.points.stage import LARGE, Sizes, Stage
from stream.bench.progress import say
from stream.bench.town import Place, Town, Wish
from stream.model import Send, SendHead
from stream.service.sampling import BULK, Sampling
from stream.state import keys
from stream.wire.looks import records_of
from stream.wire.wire import Wire

_APPS: Final = (LARGE, "live", "backlog")
"""The first gives each message a notifyId of its own; the others do not."""
_MESSAGES: Final = 8
_LIVE, _BACKLOG = 100, 200
"""Numbers of messages; the next is the second one."""
_LIVE_SENDS: Final = 50
_TOKEN_BYTES: Final = 56
_PLACEHOLDER: Final = b"?" * 2 * _TOKEN_BYTES
_RUN: Final = 2_000
"""Sends that the service takes in at once of a backlog."""
_PASSES: Final = 5
_STEP: Final = 2_000
_MOST: Final = 100_000
"""Sends of the second message, at most, until it is given up to find it."""
_NEVER_FOUND: Final = 1e9
_RETENTION_MS: Final = 72 * 3_600_000


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found, each = Rounds("10"), sizes.sampled_sends // _MESSAGES
    tokens = _tokens(max(each, _MOST))
    careful = [_records(number, LARGE, number, tokens[:each]) for number in range(_MESSAGES)]
    with town.place("reuse", Wish(_APPS)) as place:
        _write(place, [record for records in careful for record in records])
        with place.service() as service:
            rate = service.storing_rate(place.sends, each * _MESSAGES)
            _enter_cost(found, careful, rate)
            at = Stage.ready(place, service)
            _enter_soon(at, found, each * _MESSAGES, tokens)
    yield from found.figures()


def _tokens(count: int) -> list[bytes]:
    random = Random(10)
    return [random.randbytes(_TOKEN_BYTES).hex().encode() for _ in range(count)]


def _records(number: int, app: str, notify_id: int, tokens: Sequence[bytes]) -> list[Record]:
    """A message, one send for each token."""
    head = SendHead(message_id(number), app, notify_id, 0, time.time_ns() // 1_000_000, None)
    before, _, after = Wire().encode_send(Send(head, (_PLACEHOLDER,))).partition(_PLACEHOLDER)
    return [(head.message_id.encode(), before + token + after) for token in tokens]


def _write(place: Place, records: Sequence[Record]) -> None:
    Writer(place.bootstrap_servers, linger_ms=5).write(place.sends, records)


# --- what it costs


def _enter_cost(found: Rounds, messages: Sequence[Sequence[Record]], stored_per_s: float) -> None:
    """Once a pass, each with a sample that knows nothing yet: then it looks at most slots."""
    looks_s = [_look_s(messages) for _ in range(_PASSES)]
    for look_s in looks_s:
        found.add("looking at a send, by itself", "ns", 1e9 * look_s)
        found.add("of the time that a send of a backlog takes", "%", 100 * look_s * stored_per_s, at_most(1))
    found.add("sends of that backlog stored", "1/s", stored_per_s)
    look_s = median(looks_s)
    say(f"(10) {1e9 * look_s:.0f} ns a send, {100 * look_s * stored_per_s:.2f} % of {stored_per_s:,.0f} sends/s")


def _look_s(messages: Sequence[Sequence[Record]]) -> float:
    """For one send, in runs as the service reads them."""
    sampling, spent_s, count = Sampling(Wire(), _RETENTION_MS, _now_ms), 0.0, 0
    for records in messages:
        for first in range(0, len(records), _RUN):
            names, values = zip(*records[first : first + _RUN], strict=True)
            run, digests = records_of(values), [keys.digest_of(name) for name in names]
            begun_s = time.perf_counter()
            sampling.look(run, digests)
            spent_s, count = spent_s + time.perf_counter() - begun_s, count + len(values)
    return spent_s / count


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


# --- how soon it finds


def _enter_soon(at: Stage, found: Rounds, stored: int, tokens: Sequence[bytes]) -> None:
    live, stored = _sends_until_said(at, "live", stored, tokens[:_LIVE_SENDS], 1)
    backlog, stored = _sends_until_said(at, "backlog", stored, tokens[:_MOST], _STEP)
    found.add("live: sends of a second message read until /readyz names the app", "", live, at_most(1))
    found.add("of a backlog: the same, in steps of 2,000", "", backlog, at_most(_MOST))
    found.add("an app that gives each message its own is not named", "%", 100 * (not _said(at, LARGE)), at_least(100))
    say(f"(10) said after {live:,.0f} sends live, after {backlog:,.0f} of a backlog")


def _sends_until_said(at: Stage, app: str, stored: int, tokens: Sequence[bytes], step: int) -> tuple[float, int]:
    """Two messages of one notifyId; and how many sends are stored then. ``step``: sends that are written at once."""
    first, second = (_records(number, app, 7, tokens) for number in _numbers(app))
    stored = _read(at, first, stored, step)
    for read in range(0, len(second), step):
        stored = _read(at, second[read : read + step], stored, step)
        if _said(at, app):
            return read + step, stored
    return _NEVER_FOUND, stored


def _numbers(app: str) -> tuple[int, int]:
    begin = _LIVE if app == "live" else _BACKLOG
    return begin, begin + 1


def _read(at: Stage, records: Sequence[Record], stored: int, step: int) -> int:
    """Written, in pieces that are read as they come (``step`` 1) or as a backlog; until they are stored."""
    piece = BULK // 2 if step == 1 else len(records)
    for first in range(0, len(records), piece):
        some = records[first : first + piece]
        at.writer.write(at.place.sends, some)
        stored += len(some)
        at.stored(stored)
    return stored


def _said(at: Stage, app: str) -> bool:
    return f"app {app} gives one notifyId".encode() in at.service.get("/readyz")[1]
