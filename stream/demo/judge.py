"""The judge: what was planned against what is there afterwards, in the topics and in the gateway's book. Pure.

Promised: every place that is not covered exactly once, every token called that was not to be or not called that was,
every result and every dead letter that the plan does not explain is a breach, in one sentence that shows no whole
token. Not promised: a word about speed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from stream.demo.plan import BadRecord, Ending, Expected, Plan, PlannedSend
from stream.model import Outcome, RevokeResult, SendPart, Topic, masked
from stream.wire.dead_letters import OFFSET, PARTITION, REASON, TOPIC

Slot = tuple[str, int]
"""Client ID and notifyId."""
Place = tuple[int, int]
"""Partition and offset of a send."""
Tokens = Mapping[Slot, Mapping[str, int]]
"""Token → number of calls, by slot."""


class Book(NamedTuple):
    """The simulator's book: tokens that calls revoked, and tokens that calls named without effect."""

    revoked: Tokens
    refused: Tokens


class DeadLetter(NamedTuple):
    """A record of the dead-letter topic, as it was read."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Evidence(NamedTuple):
    """What was found when all was over."""

    sends: Mapping[Place, int]
    """Which planned send was written where."""
    bad: Mapping[tuple[str, int, int], int]
    """Which bad record was written to which topic, partition and offset."""
    own_headers: tuple[tuple[str, bytes | None], ...]
    """What the producer put on each record."""
    results: Sequence[RevokeResult]
    letters: Sequence[DeadLetter]
    book: Book


class Kind(Enum):
    """What kind of breach it is."""

    UNCOVERED = "places without a result"
    COVERED_TWICE = "places with more than one result"
    UNSAID = "results that are missing"
    STRANGE = "results that nobody can explain"
    NOT_REVOKED = "tokens that the gateway did not revoke"
    INNOCENT = "tokens called that were not to be"
    REPEATED = "tokens revoked by more than one call"
    LETTER = "dead letters missing, altered or uncalled for"


class Breach(NamedTuple):
    """One thing that does not agree, in a sentence."""

    kind: Kind
    sentence: str


def judge(plan: Plan, evidence: Evidence) -> list[Breach]:
    """Everything that does not agree; empty: all is well."""
    by_violation: dict[str, list[RevokeResult]] = defaultdict(list)
    for result in {result.result_id: result for result in evidence.results}.values():
        by_violation[result.violation_id].append(result)
    breaches = [
        Breach(Kind.STRANGE, f"{name} was never found, but has a {result.outcome.value}")
        for name in by_violation.keys() - plan.expected.keys()
        for result in by_violation[name]
    ]
    for name, expected in plan.expected.items():
        breaches += _Trial(plan, expected, evidence.sends).breaches(by_violation[name])
    return breaches + list(_of_book(plan, evidence.book)) + list(_of_letters(plan, evidence))


class _Trial:
    """One violation against its results."""

    def __init__(self, plan: Plan, expected: Expected, sends: Mapping[Place, int]) -> None:
        self._plan, self._expected, self._sends = plan, expected, sends
        self._covered: dict[int, Counter[int]] = {number: Counter() for number in expected.sends}

    def breaches(self, results: list[RevokeResult]) -> Iterator[Breach]:
        said: Counter[Outcome] = Counter()
        for result in results:
            if result.outcome.covers:
                yield from self._covering(result)
            else:
                said[result.outcome] += 1
        yield from self._words(said)
        yield from self._totals(results)
        for number, covered in self._covered.items():
            yield from self._counted(self._plan.sends[number], covered)

    def _covering(self, result: RevokeResult) -> Iterator[Breach]:
        places = {part: self._sends.get((part.partition, part.offset)) for part in result.sends}
        if not places or not self._covered.keys() >= set(places.values()):
            yield self._breach(Kind.STRANGE, f"a {result.outcome.value} covers sends that are not its own")
            return
        bad, total = 0, 0
        for part, number in places.items():
            if number is not None:
                span = range(part.first_token, part.first_token + part.token_count)
                self._covered[number].update(span)
                bad += len(self._plan.sends[number].bad_places & set(span))
                total += len(span)
        right = self._outcome(bad, total)
        if result.outcome is not right:
            yield self._breach(Kind.STRANGE, f"a {result.outcome.value} where {right.value} is right")
        if {each.token for each in result.rejected_tokens} != self._bad_tokens(places):
            yield self._breach(Kind.STRANGE, f"a {result.outcome.value} does not name the tokens that were refused")
        yield from self._details(result, right, total - bad)

    def _outcome(self, bad: int, total: int) -> Outcome:
        """The only right outcome of a result with so many places, some of them bad."""
        match self._expected.ending:
            case Ending.NOT_REVOCABLE:
                return Outcome.NOT_REVOCABLE
            case Ending.ALREADY:
                return Outcome.FAILED if bad == total else Outcome.ALREADY_REVOKED
        if bad == 0:
            return Outcome.REVOKED
        return Outcome.FAILED if bad == total else Outcome.PARTIALLY_REVOKED

    def _bad_tokens(self, places: Mapping[SendPart, int | None]) -> set[str]:
        bad: set[str] = set()
        for part, number in places.items():
            if number is not None and (wrong := self._plan.sends[number].bad_places):
                tokens = self._plan.tokens(number)
                span = range(part.first_token, part.first_token + part.token_count)
                bad |= {tokens[place].decode() for place in wrong if place in span}
        return bad

    def _details(self, result: RevokeResult, right: Outcome, good: int) -> Iterator[Breach]:
        if right is Outcome.ALREADY_REVOKED and result.detail != self._expected.first:
            yield self._breach(Kind.STRANGE, f"an ALREADY_REVOKED names {result.detail}, not {self._expected.first}")
        revoked = good if self._expected.ending is Ending.REVOKED else 0
        if result.tokens_revoked != revoked:
            said = f"a {result.outcome.value} claims {result.tokens_revoked} tokens revoked, not {revoked}"
            yield self._breach(Kind.STRANGE, said)

    def _words(self, said: Counter[Outcome]) -> Iterator[Breach]:
        for outcome in self._expected.says - said.keys():
            yield self._breach(Kind.UNSAID, f"there is no {outcome.value}")
        for outcome, times in said.items():
            if outcome not in self._expected.says | self._expected.may_say:
                yield self._breach(Kind.STRANGE, f"a {outcome.value} that nothing explains")
            elif times > 1:
                yield self._breach(Kind.STRANGE, f"{outcome.value} is said {times} times")

    def _totals(self, results: list[RevokeResult]) -> Iterator[Breach]:
        """Results count what is settled so far; the last of them has all, in whatever order they were read."""
        places = self._plan.places(self._expected)
        settled = max((result.violation_tokens_settled for result in results), default=0)
        if results and settled != places:
            yield self._breach(Kind.STRANGE, f"its results count {settled} places as settled, not {places}")

    def _counted(self, send: PlannedSend, covered: Counter[int]) -> Iterator[Breach]:
        missing = send.token_count - len(covered)
        twice = sum(1 for times in covered.values() if times > 1)
        where = f"send {send.number} of {send.head.message_id}"
        if missing > 0:
            yield self._breach(Kind.UNCOVERED, f"{missing} of {send.token_count} places of {where} are not covered")
        if missing < 0:
            yield self._breach(Kind.STRANGE, f"more places of {where} are covered than it has")
        if twice:
            yield self._breach(Kind.COVERED_TWICE, f"{twice} of {send.token_count} places of {where} are covered twice")

    def _breach(self, kind: Kind, what: str) -> Breach:
        return Breach(kind, f"{self._expected.violation_id} ({self._expected.message_id}): {what}")


def _of_book(plan: Plan, book: Book) -> Iterator[Breach]:
    """Slot by slot: the book has each token that was to be revoked once, and none else."""
    right: dict[Slot, set[str]] = defaultdict(set)
    bad: dict[Slot, set[str]] = defaultdict(set)
    for send in plan.called():
        slot = (send.head.client_id, send.head.notify_id or 0)
        tokens = [token.decode() for token in plan.tokens(send.number)]
        right[slot].update(tokens)
        bad[slot].update(tokens[place] for place in send.bad_places)
    for slot in right.keys() | book.revoked.keys() | book.refused.keys():
        yield from _of_slot(slot, right[slot], bad[slot], book)


def _of_slot(slot: Slot, right: set[str], bad: set[str], book: Book) -> Iterator[Breach]:
    revoked, refused = book.revoked.get(slot, {}), book.refused.get(slot, {})
    where = f"of app {slot[0]} under notifyId {slot[1]}"
    yield from _tokens(Kind.NOT_REVOKED, right - bad - revoked.keys(), f"{where}: not in the book")
    yield from _tokens(Kind.NOT_REVOKED, bad - refused.keys(), f"{where}: to be refused, but never called")
    innocent = (revoked.keys() | refused.keys()) - right
    yield from _tokens(Kind.INNOCENT, innocent, f"{where}: called, and no violation covers it")
    yield from _tokens(Kind.INNOCENT, revoked.keys() & bad, f"{where}: revoked, though Push Kit refuses it")
    repeated = [token for token, calls in revoked.items() if calls > 1 and token in right]
    yield from _tokens(Kind.REPEATED, repeated, f"{where}: revoked more than once")


def _tokens(kind: Kind, tokens: Iterable[str], where: str) -> Iterator[Breach]:
    return (Breach(kind, f"token {masked(token)} {where}") for token in sorted(tokens))


def _of_letters(plan: Plan, evidence: Evidence) -> Iterator[Breach]:
    """Each bad record has one dead letter: its own bytes and headers, with the reason and the place it came from."""
    found: Counter[int] = Counter()
    for letter in evidence.letters:
        number = evidence.bad.get(_origin(letter))
        if number is None:
            yield Breach(Kind.LETTER, f"a dead letter says it comes from {_origin(letter)}, where nothing is bad")
            continue
        found[number] += 1
        yield from _of_letter(plan.bad[number], letter, evidence.own_headers)
    for bad in plan.bad:
        if found[bad.number] != 1:
            what = "no dead letter" if not found[bad.number] else f"{found[bad.number]} dead letters"
            yield Breach(Kind.LETTER, f"{_named(bad)} has {what}")


def _of_letter(bad: BadRecord, letter: DeadLetter, own: tuple[tuple[str, bytes | None], ...]) -> Iterator[Breach]:
    if (letter.key, letter.value) != (bad.key, bad.value):
        yield Breach(Kind.LETTER, f"the dead letter of {_named(bad)} has other bytes than the record")
    if letter.headers[: len(own)] != own:
        yield Breach(Kind.LETTER, f"the dead letter of {_named(bad)} has lost the record's own headers")
    reason = dict(letter.headers).get(REASON)
    if reason != bad.reason.value.encode():
        yield Breach(Kind.LETTER, f"the dead letter of {_named(bad)} gives the reason {reason!r}")


def _origin(letter: DeadLetter) -> tuple[str, int, int]:
    said = dict(letter.headers)
    topic, partition, offset = (said.get(name) or b"" for name in (TOPIC, PARTITION, OFFSET))
    if not (partition.isdigit() and offset.isdigit()):
        return "", -1, -1
    return topic.decode("utf-8", "replace"), int(partition), int(offset)


def _named(bad: BadRecord) -> str:
    topic = "sends" if bad.topic is Topic.SENDS else "violations"
    return f"bad record {bad.number} among the {topic} ({bad.reason.value})"
