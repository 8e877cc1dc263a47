"""Places become parcels: what travels together and ends in one result. Pure.

Promised: a parcel holds places of one violation, app, push type and notifyId; at most ``max_tokens`` distinct tokens,
1,000 send parts and the bytes that a call may have; each place that was put in comes out in exactly one parcel, in
the order it was put in. Not promised: that one token is in one parcel only; the same token in two sends may meet in
one parcel or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from stream.block import all_distinct, total_bytes
from stream.model import MAX_CALL_TOKENS, MAX_TOKEN_BYTES, Outcome, RejectedToken, SendHead, SendPart
from stream.work.cover import Span
from stream.work.judgement import Violation

if TYPE_CHECKING:
    from stream.work.condemned import Condemned

MAX_PARTS: Final = 1_000
MAX_BODY_BYTES: Final = 480_000
"""Below the contract's 512 kB, leaving room for quotes, commas and escapes."""
MAX_REJECTS_BYTES: Final = 800_000
"""Tokens and reasons in one result, below the contract's 900 kB."""
MOST_AGAIN: Final = 64
"""So many parcels are filled at once of what is tried again: a campaign that was given up call by call must not be in
memory whole."""

_Key = tuple[object, ...]


class Fate(NamedTuple):
    """How a parcel is to end: ``outcome`` None means by a revoke call, else without one, for the reason in
    ``detail``."""

    outcome: Outcome | None = None
    detail: str | None = None


CALL: Final = Fate()


class LastReply(NamedTuple):
    """What the latest call of a parcel came back with; ``reason`` is for people."""

    reason: str
    http_status: int | None = None
    code: str | None = None
    push_request_id: str | None = None


@dataclass(slots=True, eq=False)
class Parcel:
    """Places that end in one result. It changes as attempts are made; two parcels are never equal."""

    violation: Violation
    fate: Fate
    client_id: str | None
    """None, as the next two, only where no send could be read."""
    notify_id: int | None
    push_type: int | None
    parts: list[SendPart] = field(default_factory=list)
    places: Sequence[bytes] = ()
    """The token of each place, part by part; empty where the fate needs none."""
    tokens: Sequence[bytes] = ()
    """The distinct tokens of ``places``, in order."""
    rejects: list[RejectedToken] = field(default_factory=list)
    place_count: int = 0
    late_sends: set[int] = field(default_factory=set)
    """Offsets of those of its sends, or of what it was cut from, that came after the violation."""
    oldest_ms: int = 0
    """The earliest record time among its sends and its violation: what leaves retention first."""
    newest_ms: int = 0
    """The latest of the same: what giving up counts from."""
    attempts: int = 0
    tried: bool = False
    """Whether a call of its own has been made, not only of what it was cut from."""
    refused_at: int | None = None
    """How many calls of its app had been accepted when all of its tokens were first refused; None: they never were."""
    put_off_at: int | None = None
    """The same, when Push Kit first spoke of the app rather than of its tokens."""
    put_off: int = 0
    """How often it did."""
    started_at_ms: int = 0
    last_reply: LastReply | None = None
    """Of those that did not end it."""
    owner: Condemned | None = None
    """The condemned message it belongs to, as long as it is under way here."""

    @property
    def since_ms(self) -> int:
        """Since when its devices could have been revoked, or are to be tried again."""
        return max(self.newest_ms, self.violation.again_ms)

    @property
    def late(self) -> bool:
        """Whether any of its sends came after the violation."""
        return bool(self.late_sends) and any(part.offset in self.late_sends for part in self.parts)

    def __repr__(self) -> str:
        slot = f"{self.client_id!r}, {self.notify_id}"
        return f"Parcel({self.violation.violation_id!r}, {slot}, {self.place_count} places, {self.fate})"


class _Open:
    """A parcel being filled."""

    __slots__ = ("bytes", "distinct", "parcel", "places")

    def __init__(self, parcel: Parcel) -> None:
        self.parcel = parcel
        self.places: list[bytes] = []
        self.distinct: dict[bytes, None] = {}
        self.bytes = 0


class Packer:
    """Takes spans of sends, gives full parcels as they fill and the rest on ``flush``."""

    __slots__ = ("_open", "full", "to_call")

    def __init__(self) -> None:
        self._open: dict[_Key, _Open] = {}
        self.full: list[Parcel] = []
        self.to_call = 0
        """Places put in so far that need a call."""

    def put(
        self,
        violation: Violation,
        fate: Fate,
        head: SendHead,
        span: Span,
        where: tuple[int, int, int],
        tokens: Sequence[bytes],
        max_tokens: int = MAX_CALL_TOKENS,
        again: int | None = None,
    ) -> None:
        """Put in the places ``span`` of the send at ``where`` (partition, offset, record time); ``tokens`` are all of
        that send's. ``again``: of what is tried again, the result that gave it up: places of one stay together, so that
        their next result takes its place."""
        if fate is CALL:
            self.to_call += span[1] - span[0]
            if span[1] - span[0] >= max_tokens:
                span = self._whole_calls(violation, head, span, where, tokens, max_tokens)
        chosen, at = tokens[span[0] : span[1]] if tokens else (), span[0]
        while at < span[1]:
            box = self._box(violation, fate, head, again)
            taken = self._fill(box, chosen, at - span[0], max_tokens) if chosen else span[1] - at
            if taken:
                _note(box.parcel, SendPart(where[0], where[1], at, taken), where[2])
            at += taken
            if at < span[1] or len(box.distinct) >= max_tokens or len(box.parcel.parts) >= MAX_PARTS:
                self._close(_key(violation, fate, head, again))

    def refuse(
        self,
        violation: Violation,
        fate: Fate,
        head: SendHead,
        where: tuple[int, int, int],
        place: int,
        refused: RejectedToken,
    ) -> None:
        """Put in one place whose token is refused without a call; ``fate`` ends it, ``refused`` says why."""
        box, weight = self._box(violation, fate, head), len(refused.token.encode()) + len(refused.reason.encode())
        if box.bytes and box.bytes + weight > MAX_REJECTS_BYTES:
            self._close(_key(violation, fate, head))
            box = self._box(violation, fate, head)
        box.bytes += weight
        box.parcel.rejects.append(refused)
        _note(box.parcel, SendPart(where[0], where[1], place, 1), where[2])
        if box.bytes >= MAX_REJECTS_BYTES - 2 * MAX_TOKEN_BYTES or len(box.parcel.parts) >= MAX_PARTS:
            self._close(_key(violation, fate, head))

    def unread(
        self, violation: Violation, fate: Fate, where: tuple[int, int, int], head: SendHead | None = None
    ) -> None:
        """Put in a send that cannot be read, but for its ``head`` perhaps: a parcel of its own, whose one part has no
        places."""
        parcel = Parcel(violation, fate, None, None, None, oldest_ms=where[2], newest_ms=where[2])
        if head is not None:
            parcel.client_id, parcel.notify_id, parcel.push_type = head.client_id, head.notify_id, head.push_type
        _note(parcel, SendPart(where[0], where[1], 0, 0), where[2])
        self.full.append(parcel)

    def flush(self) -> list[Parcel]:
        """All parcels not taken yet, the half-filled too."""
        for box in self._open.values():
            self._finish(box)
        self._open.clear()
        return self.take()

    def take(self) -> list[Parcel]:
        """The full parcels so far."""
        full, self.full = self.full, []
        return full

    def _whole_calls(
        self,
        violation: Violation,
        head: SendHead,
        span: Span,
        where: tuple[int, int, int],
        tokens: Sequence[bytes],
        max_tokens: int,
    ) -> Span:
        """Places that fill a call by themselves need no box: the common campaign, and the dearest by bytes. Gives
        what is left of the span."""
        at, end = span
        while end - at >= max_tokens and _fill_a_call(chosen := tokens[at : at + max_tokens]):
            parcel = _new(violation, CALL, head)
            _note(parcel, SendPart(where[0], where[1], at, max_tokens), where[2])
            parcel.places = parcel.tokens = chosen
            self.full.append(parcel)
            at += max_tokens
        return at, end

    def _box(self, violation: Violation, fate: Fate, head: SendHead, again: int | None = None) -> _Open:
        key = _key(violation, fate, head, again)
        box = self._open.get(key)
        if box is None:
            if again is not None and len(self._open) >= MOST_AGAIN:
                self._close(next(iter(self._open)))
            box = self._open[key] = _Open(_new(violation, fate, head))
        return box

    def _fill(self, box: _Open, chosen: Sequence[bytes], start: int, max_tokens: int) -> int:
        """Put tokens in until the parcel is full; how many places went in (none only into a parcel that has some)."""
        distinct, places, taken = box.distinct, box.places, 0
        for token in chosen[start:]:
            if token not in distinct:
                weight = len(token) + 3
                if places and (len(distinct) >= max_tokens or box.bytes + weight > MAX_BODY_BYTES):
                    break
                distinct[token] = None
                box.bytes += weight
            places.append(token)
            taken += 1
        return taken

    def _close(self, key: _Key) -> None:
        self._finish(self._open.pop(key))

    def _finish(self, box: _Open) -> None:
        box.parcel.places, box.parcel.tokens = box.places, list(box.distinct)
        self.full.append(box.parcel)


def _fill_a_call(tokens: Sequence[bytes]) -> bool:
    return total_bytes(tokens) + 3 * len(tokens) <= MAX_BODY_BYTES and all_distinct(tokens)


def _key(violation: Violation, fate: Fate, head: SendHead, again: int | None = None) -> _Key:
    return violation.violation_id, fate, head.client_id, head.push_type, head.notify_id, again


def _new(violation: Violation, fate: Fate, head: SendHead) -> Parcel:
    since_ms = max(violation.first_timestamp_ms, violation.again_ms)  # asked for again: counted from then
    return Parcel(
        violation, fate, head.client_id, head.notify_id, head.push_type, oldest_ms=since_ms, newest_ms=since_ms
    )


def _note(parcel: Parcel, part: SendPart, timestamp_ms: int) -> None:
    parcel.parts.append(part)
    parcel.place_count += part.token_count
    if timestamp_ms > parcel.violation.first_timestamp_ms:
        parcel.late_sends.add(part.offset)
    if timestamp_ms < parcel.oldest_ms:  # for each send of a campaign: min and max take ten times as long
        parcel.oldest_ms = timestamp_ms
    if timestamp_ms > parcel.newest_ms:
        parcel.newest_ms = timestamp_ms


def cut(parcel: Parcel, size: int) -> list[Parcel]:
    """The parcel in pieces of at most ``size`` distinct tokens each; attempts and times are handed on."""
    pieces = [parcel.tokens[i : i + size] for i in range(0, len(parcel.tokens), size)]
    return [small for tokens in pieces for small in _within_parts(choose(parcel, tokens))]


def split(parcel: Parcel, size: int) -> list[Parcel]:
    """The first ``size`` tokens of a parcel, and the rest of it."""
    pieces = parcel.tokens[:size], parcel.tokens[size:]
    return [small for tokens in pieces for small in _within_parts(choose(parcel, tokens))]


def apart(parcel: Parcel, tokens: Sequence[bytes]) -> tuple[list[Parcel], list[Parcel]]:
    """The parcel as what concerns ``tokens``, some of its own, and the rest of it."""
    chosen = set(tokens)
    rest = [token for token in parcel.tokens if token not in chosen]
    return _within_parts(choose(parcel, tokens)), _within_parts(choose(parcel, rest)) if rest else []


def _within_parts(parcel: Parcel) -> list[Parcel]:
    """The parcel in pieces of at most 1,000 send parts: cutting by tokens may have torn a list full of repeats to
    shreds."""
    if len(parcel.parts) <= MAX_PARTS:
        return [parcel]
    pieces, at = [], 0
    for i in range(0, len(parcel.parts), MAX_PARTS):
        parts = parcel.parts[i : i + MAX_PARTS]
        count = sum(part.token_count for part in parts)
        places = parcel.places[at : at + count]
        pieces.append(
            replace(
                parcel, parts=parts, places=places, tried=False, tokens=list(dict.fromkeys(places)), place_count=count
            )
        )
        at += count
    return pieces


def choose(parcel: Parcel, tokens: Sequence[bytes]) -> Parcel:
    """The part of a parcel that concerns ``tokens``: all places, and only those, whose token is among them."""
    wanted = set(tokens)
    runs = list(_runs(parcel, wanted))
    piece = Parcel(parcel.violation, parcel.fate, parcel.client_id, parcel.notify_id, parcel.push_type)
    piece.parts = [part for part, _ in runs]
    piece.places = [token for _, run in runs for token in run]
    piece.tokens = list(tokens)
    piece.place_count = len(piece.places)
    piece.late_sends, piece.oldest_ms, piece.newest_ms = parcel.late_sends, parcel.oldest_ms, parcel.newest_ms
    piece.attempts, piece.started_at_ms, piece.last_reply = parcel.attempts, parcel.started_at_ms, parcel.last_reply
    return piece


def _runs(parcel: Parcel, wanted: set[bytes]) -> Iterator[tuple[SendPart, list[bytes]]]:
    at = 0
    for part in parcel.parts:
        tokens = parcel.places[at : at + part.token_count]
        at += part.token_count
        for inside, run in groupby(enumerate(tokens), key=lambda pair: pair[1] in wanted):
            if inside:
                pairs = list(run)
                first = part.first_token + pairs[0][0]
                yield SendPart(part.partition, part.offset, first, len(pairs)), [token for _, token in pairs]
