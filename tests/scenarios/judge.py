"""The judge: everything that the contract promises of results and calls, held against what happened.

Promised: pure; an empty list means that every rule below holds to the token's place. Not promised: rules that need
more than the story (timing, order of severities, single scenarios' own expectations).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice

from stream.model import MAX_CALL_TOKENS, REVOCABLE_PUSH_TYPES, Outcome, SendPart
from tests.scenarios.story import Book, Name, Seen, Sent, Slot, Standing, Story, standing

KNOWN_WITHIN_MS = 1_000
"""How long before a violation a send must have come for every total to count it."""

SHOWN = 8
"""Breaches of one rule that are told; the rest is counted."""


@dataclass
class Case:
    """The story, looked up in the ways that the rules need."""

    story: Story
    book: Book

    @cached_property
    def sends(self) -> dict[str, list[Sent]]:
        return dict(self.story.sends_of())

    @cached_property
    def at(self) -> dict[tuple[int, int], Sent]:
        """Sends by partition and offset."""
        return {(sent.partition, sent.offset): sent for sent in self.story.sends}

    @cached_property
    def violations(self) -> dict[Name, Standing]:
        return {name: standing(said) for name, said in self.story.events_of().items()}

    @cached_property
    def results(self) -> dict[Name, list[Seen]]:
        return dict(self.story.results_of())

    def covering(self, name: Name) -> Iterator[Seen]:
        return (seen for seen in self.results.get(name, ()) if seen.result.outcome.covers)

    def tokens(self, parts: Sequence[SendPart]) -> list[bytes]:
        """The token of each place, repeats kept."""
        return list(chain.from_iterable(self._tokens(part) for part in parts))

    def _tokens(self, part: SendPart) -> Sequence[bytes]:
        sent = self.at.get((part.partition, part.offset))
        return sent.send.tokens[part.first_token : part.first_token + part.token_count] if sent else ()

    def head_of(self, seen: Seen) -> Sent | None:
        parts = seen.result.sends
        return self.at.get((parts[0].partition, parts[0].offset)) if parts else None

    def refused(self, client_id: str | None, tokens: Sequence[bytes]) -> dict[str, str | None]:
        """Of these tokens the bad ones, as a result shows them, with the reason."""
        bad = self.story.bad
        return {shown(token): bad[client_id or "", token] for token in tokens if (client_id or "", token) in bad}


def breaches(story: Story, book: Book) -> list[str]:
    """What is wrong, one sentence each. What a dry run said beside it does not count."""
    real = [seen for seen in story.results if seen.result.outcome is not Outcome.DRY_RUN]
    case = Case(replace(story, results=real), book)
    return list(chain.from_iterable(_limited(rule, case) for rule in RULES))


def dry_breaches(story: Story) -> list[str]:
    """The same of a dry run: its DRY_RUN results list each place exactly once, as the real ones would."""
    dry = [
        seen._replace(result=seen.result._replace(outcome=Outcome.REVOKED))
        for seen in story.results
        if seen.result.outcome is Outcome.DRY_RUN
    ]
    return list(_limited(_every_place_is_covered_exactly_once, Case(replace(story, results=dry), Book())))


def _limited(rule: Callable[[Case], Iterator[str]], case: Case) -> Iterator[str]:
    found = rule(case)
    name = rule.__name__.strip("_").replace("_", " ")
    yield from (f"{name}: {said}" for said in islice(found, SHOWN))
    if more := sum(1 for _ in found):
        yield f"{name}: and {more} more"


def shown(token: bytes) -> str:
    """A refused token as a result holds it."""
    return token.decode("utf-8", "ignore")


def revocable(sent: Sent) -> bool:
    """Whether Push Kit's API can name this send."""
    head = sent.send.head
    return head.notify_id is not None and head.notify_id >= 0 and head.push_type in REVOCABLE_PUSH_TYPES


# --- coverage


def _every_place_is_covered_exactly_once(case: Case) -> Iterator[str]:
    for name, it in case.violations.items():
        spans = _spans(case, name)
        for sent in case.sends.get(name[0], ()):
            found = spans.pop((sent.partition, sent.offset), [])
            if wrong := _not_tiled(found, len(sent.send.tokens), whole=it.stands):
                yield f"{name}, send {sent.partition}/{sent.offset} of {len(sent.send.tokens)} tokens: {wrong}"
        for place, found in spans.items():
            if any(start < end for start, end, _ in found):  # an unreadable send has a part without places
                yield f"{name}: covers {place}, which is no send of its message"


Span = tuple[int, int, bool]
"""First place, the place after the last, and whether one of two owners may have said so."""


def _spans(case: Case, name: Name) -> dict[tuple[int, int], list[Span]]:
    """What the results of a violation cover, by send."""
    spans: dict[tuple[int, int], list[Span]] = {}
    for seen in case.covering(name):
        shared = in_overlap(case.story, seen)
        for part in seen.result.sends:
            end = part.first_token + part.token_count
            spans.setdefault((part.partition, part.offset), []).append((part.first_token, end, shared))
    return spans


def in_overlap(story: Story, seen: Seen) -> bool:
    """Whether the result's partition may have had two owners when it was made, or written: a maker's clock may be
    wrong."""
    times = seen.result.completed_at_ms, seen.timestamp_ms
    return any(owned_twice(story, seen.partition, at_ms) for at_ms in times)


def owned_twice(story: Story, partition: int, at_ms: int) -> bool:
    """Whether the partition may have had two owners then."""
    return any(each.partition == partition and each.from_ms <= at_ms <= each.to_ms for each in story.overlaps)


def _not_tiled(spans: list[Span], places: int, *, whole: bool) -> str | None:
    at, at_shared = 0, False
    for start, end, shared in sorted(spans):
        if start < at and not (shared or at_shared):
            return f"place {start} is covered twice ({sorted(spans)})"
        if start > at and whole:
            return f"places {at} to {start - 1} are not covered"
        at, at_shared = max((at, at_shared), (end, shared))
    if at > places:
        return f"covered up to {at}"
    return f"places {at} to {places - 1} are not covered" if whole and at < places else None


def covered_twice(story: Story) -> int:
    """Places that more than one result covers: two owners each, where the judge has no breach to tell of it."""
    case = Case(story, Book())
    return sum(_twice(found) for name in case.violations for found in _spans(case, name).values())


def _twice(spans: list[Span]) -> int:
    covered = {place for start, end, _ in spans for place in range(start, end)}
    return sum(end - start for start, end, _ in spans) - len(covered)


def _each_result_is_of_a_violation_and_lies_beside_it(case: Case) -> Iterator[str]:
    for seen in case.story.results:
        it = case.violations.get(seen.name)
        if it is None:
            yield f"{seen.name} is nobody's violation"
        elif seen.partition != it.partition or seen.key != seen.result.message_id.encode():
            yield f"{seen.name}: partition {seen.partition} instead of {it.partition}, key {seen.key!r}"


def _results_repeat_what_the_violation_said(case: Case) -> Iterator[str]:
    for seen in case.story.results:
        it, said = case.violations.get(seen.name), seen.result
        if it is not None:
            first = it.first
            told = (said.severity, said.reason, said.detected_at_ms)
            if told != (first.severity, first.reason, first.detected_at_ms):
                yield f"{seen.name}: {told} instead of {first}"


def _results_name_the_sends_slot(case: Case) -> Iterator[str]:
    for seen in case.story.results:
        for part in seen.result.sends:
            sent = case.at.get((part.partition, part.offset))
            if sent is not None and part.token_count and _slot_told(seen) != _slot_sent(sent):
                yield f"{seen.name}: {_slot_told(seen)} instead of {_slot_sent(sent)}"


def _slot_told(seen: Seen) -> tuple[object, ...]:
    return seen.result.client_id, seen.result.notify_id, seen.result.push_type


def _slot_sent(sent: Sent) -> tuple[object, ...]:
    head = sent.send.head
    return head.client_id, head.notify_id, head.push_type


# --- outcomes


def _outcomes_are_what_the_contract_says(case: Case) -> Iterator[str]:
    for seen in case.story.results:
        sent = case.head_of(seen)
        if sent is not None and (wrong := _outcome_wrong(case, seen, sent)):
            yield f"{seen.name}, result {seen.result.result_id}: {wrong}"


def _outcome_wrong(case: Case, seen: Seen, sent: Sent) -> str | None:
    result = seen.result
    if (result.outcome is Outcome.NOT_REVOCABLE) == revocable(sent):
        return f"{result.outcome.name} for {sent.send.head}"
    if result.outcome is Outcome.NOT_REVOCABLE:
        return None if not (result.tokens_requested or result.attempts) else "counts without a call"
    tokens = case.tokens(result.sends)
    distinct, refused = set(tokens), case.refused(result.client_id, tokens)
    if _told(result.rejected_tokens) != set(refused):
        return f"rejected {len(result.rejected_tokens)} tokens instead of {len(refused)}"
    if wrong := _reasons_wrong(result.rejected_tokens, refused):
        return wrong
    return _counts_wrong(seen, len(distinct), len(refused))


def _told(rejected: Sequence[tuple[str, str]]) -> set[str]:
    return {token for token, _ in rejected}


def _reasons_wrong(rejected: Sequence[tuple[str, str]], refused: dict[str, str | None]) -> str | None:
    wrong = [reason for token, reason in rejected if refused.get(token) not in (None, reason)]
    return f"reasons {wrong[:3]}" if wrong else None


def _counts_wrong(seen: Seen, distinct: int, refused: int) -> str | None:
    result = seen.result
    requested = distinct if result.attempts else 0
    revoked = {Outcome.REVOKED: distinct, Outcome.PARTIALLY_REVOKED: distinct - refused}.get(result.outcome, 0)
    if (result.tokens_requested, result.tokens_revoked) != (requested, revoked):
        return f"asked {result.tokens_requested}, revoked {result.tokens_revoked}, not {requested} and {revoked}"
    if result.outcome is Outcome.REVOKED and refused:
        return "REVOKED with refused tokens"
    if result.outcome is Outcome.PARTIALLY_REVOKED and not 0 < refused < distinct:
        return f"PARTIALLY_REVOKED with {refused} of {distinct} refused"
    if result.outcome is Outcome.FAILED and not refused:
        return f"FAILED without a refused token: {result.detail}"
    return None


def _already_revoked_is_true(case: Case) -> Iterator[str]:
    for name in case.violations:
        for seen in case.covering(name):
            if seen.result.outcome is Outcome.ALREADY_REVOKED:
                other = (name[0], seen.result.detail or "")
                revoked = {each for kept in case.covering(other) for each in _revoked_places(kept)}
                if missing := [place for place in _places(seen) if place not in revoked]:
                    yield f"{name}: {len(missing)} places were not revoked under {other}, the first {missing[0]}"


def _places(seen: Seen) -> Iterator[tuple[int, int, int]]:
    for part in seen.result.sends:
        for place in range(part.first_token, part.first_token + part.token_count):
            yield part.partition, part.offset, place


def _revoked_places(seen: Seen) -> Iterator[tuple[int, int, int]]:
    if seen.result.outcome in (Outcome.REVOKED, Outcome.PARTIALLY_REVOKED, Outcome.ALREADY_REVOKED):
        yield from _places(seen)


def _not_found_is_said_once_and_truly(case: Case) -> Iterator[str]:
    for name, it in case.violations.items():
        said = _bare(case, name, Outcome.NOT_FOUND)
        sends = case.sends.get(name[0], ())
        if len(said) > 1:
            yield f"{name}: said {len(said)} times"
        if said and any(sent.committed_ms < it.first_timestamp_ms for sent in sends):
            yield f"{name}: a send was there before"
        if not said and it.stands and not sends:
            yield f"{name}: never said"


def _withdrawn_is_said_once_a_withdrawal(case: Case) -> Iterator[str]:
    for name, it in case.violations.items():
        said = _bare(case, name, Outcome.WITHDRAWN)
        if len(said) > it.withdrawals or (not it.stands and not said):
            yield f"{name}: {it.withdrawals} withdrawals, said {len(said)} times"


def _bare(case: Case, name: Name, outcome: Outcome) -> list[Seen]:
    return [seen for seen in case.results.get(name, ()) if seen.result.outcome is outcome]


def _bare_results_are_bare(case: Case) -> Iterator[str]:
    for seen in case.story.results:
        result = seen.result
        if result.outcome in (Outcome.NOT_FOUND, Outcome.WITHDRAWN, Outcome.HELD) and (
            result.sends or result.tokens_requested or result.tokens_revoked or result.attempts
        ):
            yield f"{seen.name}: {result.outcome.name} with sends or counts"


def _late_is_said_of_late_sends_only(case: Case) -> Iterator[str]:
    for seen in case.story.results:
        it = case.violations.get(seen.name)
        sends = [case.at.get((part.partition, part.offset)) for part in seen.result.sends]
        times = [sent.timestamp_ms for sent in sends if sent is not None]
        if it is not None and times and seen.result.late != (max(times) > it.first_timestamp_ms):
            yield f"{seen.name}: late is {seen.result.late}, sends up to {max(times) - it.first_timestamp_ms} ms after"


# --- totals


def _the_last_result_says_complete_or_that_it_does_not_know(case: Case) -> Iterator[str]:
    """Earlier sends may be unread when it is written (a restart under load); see ``incomplete``."""
    for name, it in case.violations.items():
        covering, places = list(case.covering(name)), _place_count(case, name)
        if it.stands and covering and places and not in_overlap(case.story, covering[-1]):
            last = covering[-1].result
            matched, settled = last.violation_tokens_matched, last.violation_tokens_settled
            if (matched, settled) != (places, places) and not settled < matched <= places + 1:
                yield f"{name}: ({matched}, {settled}) at the end, with {places} places"


def _no_result_says_complete_too_early(case: Case) -> Iterator[str]:
    """Of violations whose sends were all there a while before: what came a moment before may not be known yet."""
    for name, it in case.violations.items():
        sends = case.sends.get(name[0], ())
        if any(case.story.readable_ms(sent) >= it.first_timestamp_ms - KNOWN_WITHIN_MS for sent in sends):
            continue
        for seen in case.covering(name):
            matched, settled = seen.result.violation_tokens_matched, seen.result.violation_tokens_settled
            if settled > matched or (matched == settled and settled < _place_count(case, name)):
                yield f"{name}: ({matched}, {settled}) of {_place_count(case, name)} at offset {seen.offset}"


def _place_count(case: Case, name: Name) -> int:
    return sum(len(sent.send.tokens) for sent in case.sends.get(name[0], ()))


# --- Push Kit's book


def _nobody_innocent_is_called(case: Case) -> Iterator[str]:
    guilty = {name[0] for name, it in case.violations.items() if it.stood}
    allowed: dict[Slot, set[str]] = {}
    for message_id in guilty:
        for sent in case.sends.get(message_id, ()):
            head = sent.send.head
            if revocable(sent) and head.client_id not in case.story.keyless:
                tokens = allowed.setdefault((head.client_id, head.notify_id or 0), set())
                tokens.update(token.decode() for token in sent.send.tokens)
    for ledger in (case.book.revoked, case.book.refused):
        for slot, called in ledger.items():
            if innocent := called.keys() - allowed.get(slot, set()):
                yield f"{slot}: {len(innocent)} tokens"


def _what_is_called_revoked_is_revoked(case: Case) -> Iterator[str]:
    for seen in case.story.results:
        result = seen.result
        if result.outcome in (Outcome.REVOKED, Outcome.PARTIALLY_REVOKED):
            known = case.book.revoked.get((result.client_id or "", result.notify_id or 0), {})
            gone = {token.decode() for token in case.tokens(result.sends)} - _told(result.rejected_tokens)
            if missing := gone - known.keys():
                yield f"{seen.name}: {len(missing)} of {len(gone)} tokens are not in the book"


RULES: tuple[Callable[[Case], Iterator[str]], ...] = (
    _every_place_is_covered_exactly_once,
    _each_result_is_of_a_violation_and_lies_beside_it,
    _results_repeat_what_the_violation_said,
    _results_name_the_sends_slot,
    _outcomes_are_what_the_contract_says,
    _already_revoked_is_true,
    _not_found_is_said_once_and_truly,
    _withdrawn_is_said_once_a_withdrawal,
    _bare_results_are_bare,
    _late_is_said_of_late_sends_only,
    _the_last_result_says_complete_or_that_it_does_not_know,
    _no_result_says_complete_too_early,
    _nobody_innocent_is_called,
    _what_is_called_revoked_is_revoked,
)


# --- what only some scenarios promise


def incomplete(story: Story, names: Iterable[Name]) -> list[Name]:
    """Of these violations those whose last result does not say that all is done; for scenarios in which nothing was
    unread any more."""
    found = story.results_of()
    last = {name: [seen.result for seen in found.get(name, ()) if seen.result.sends][-1:] for name in names}
    return [
        name
        for name, results in last.items()
        if not results or results[0].violation_tokens_matched != results[0].violation_tokens_settled
    ]


def repeated(book: Book) -> list[str]:
    """Tokens that more than one call revoked, one sentence a slot."""
    many = ((slot, [token for token, calls in tokens.items() if calls > 1]) for slot, tokens in book.revoked.items())
    return [f"{slot}: {len(tokens)} tokens called again" for slot, tokens in many if tokens]


def calls_and_fewest(story: Story, book: Book, since_ms: int = 0) -> tuple[int, int]:
    """Calls received for messages whose first violation came at ``since_ms`` or later and after all their sends, and
    the fewest possible. Whether those sends were stored by then, the scenario knows.
    """
    case = Case(story, book)
    first: dict[str, int] = {}
    for name, it in case.violations.items():
        first[name[0]] = min(it.first_timestamp_ms, first.get(name[0], it.first_timestamp_ms))
    slots: dict[Slot, set[bytes]] = {}
    for message_id, first_ms in first.items():
        sends = case.sends.get(message_id, ())
        if first_ms >= since_ms and all(sent.timestamp_ms < first_ms for sent in sends):
            for sent in filter(revocable, sends):
                head = sent.send.head
                slots.setdefault((head.client_id, head.notify_id or 0), set()).update(sent.send.tokens)
    fewest = sum(-(-len(tokens) // MAX_CALL_TOKENS) for tokens in slots.values())
    return sum(call.slot in slots for call in book.calls), fewest
