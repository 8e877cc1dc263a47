"""What stands in the topics: whether both inputs are partitioned alike, and what a first start would act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from confluent_kafka import Message

from stream.model import BadRecord, RegistryDown, Standing, Verdict
from stream.settings import JoinSettings, duration_text
from stream.wire.partitioners import ENOUGH_KEYS, Agreement, disagree
from stream.wire.wire import Wire
from stream.work.judgement import Event, Violation, is_heeded, judge

FIRST_START: Final = "first start"


@dataclass(slots=True)
class Violations:
    """The violations' topic as it is read, record by record. ``oldest_ms``: what is older has left retention."""

    wire: Wire
    partitions: int
    oldest_ms: int
    agreement: Agreement = field(default_factory=Agreement)
    events: dict[str, list[Event]] = field(default_factory=dict)
    seen: int = 0
    unreadable: int = 0
    unknown: int = 0
    """Records that only the registry, which does not answer, could tell."""

    def take(self, message: Message) -> None:
        """One record."""
        self.seen += 1
        observe(self.agreement, message, self.partitions)
        timestamp_ms = message.timestamp()[1]
        if timestamp_ms < self.oldest_ms:
            return
        try:
            said = self.wire.violation(message.key(), message.value())
        except BadRecord:
            self.unreadable += 1
        except RegistryDown:
            self.unknown += 1
        else:
            self.events.setdefault(said.message_id, []).append(Event(message.offset() or 0, timestamp_ms, said))


def observe(agreement: Agreement, message: Message, partitions: int) -> None:
    """One record's key and place."""
    if (key := message.key()) is not None:
        agreement.observe(bytes(key), message.partition() or 0, partitions)


def partitioning(sends: Agreement, violations: Agreement) -> Verdict:
    """Whether the producers of both inputs place keys alike, by a sample of each."""
    about = "partitioners"
    if (different := disagree(sends, violations)) is not None:
        found, _, todo = different.rpartition("; ")
        return Verdict(about, Standing.BAD, found, f"{todo}: murmur2_random")
    one, other = sends.partitioner, violations.partitioner
    if min(sends.keys, violations.keys) < ENOUGH_KEYS:
        found = f"not known yet, from {sends.keys} keys of sends and {violations.keys} of violations"
        return Verdict(about, Standing.UNKNOWN, found, f"look again with {ENOUGH_KEYS} different keys of each and more")
    if one is None or other is None:
        which = "sends" if one is None else "violations"
        found = f"no single partitioner explains where {which} stand, by a sample of their keys"
        todo = "where producers differ among themselves, set one partitioner for all: murmur2_random"
        return Verdict(about, Standing.UNKNOWN, found, todo)
    return Verdict(about, Standing.GOOD, f"{one.name} places both ({one.users})")


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What a start without a store would do. ``records``: of the violations' topic, within retention; ``seen``: of
    these, looked at; ``left_out``: detected before join.since; ``results``: records in the results' topic."""

    records: int
    seen: int
    standing: tuple[Violation, ...]
    left_out: int
    unreadable: int
    unknown: int
    results: int


def first_start(found: Violations, join: JoinSettings, records: int, seen: int, results: int) -> FirstStart:
    """The count, as the service would count."""
    since_ms = join.since_ms
    standing = _standing(found.events, since_ms)
    left_out = len(_standing(found.events, None)) - len(standing) if since_ms is not None else 0
    return FirstStart(records, seen, standing, left_out, found.unreadable, found.unknown, results)


def _standing(events: Mapping[str, list[Event]], since_ms: int | None) -> tuple[Violation, ...]:
    found: list[Violation] = []
    for of_message in events.values():
        heeded = [each for each in of_message if is_heeded(each.event, since_ms)]
        found += [violation for violation in judge(heeded, since_ms).values() if violation.stands]
    return tuple(found)


def acting(start: FirstStart, join: JoinSettings, retention_s: float, *, store: bool) -> Verdict:
    """How much a first start would act on. ``store``: there is one already, so the next start is not the first."""
    found = f"{len(start.standing):,} violations of {_messages(start)} stand within {duration_text(retention_s)}"
    found += _span(start) + _beside(start)
    if store or start.results:
        return Verdict(FIRST_START, Standing.GOOD, f"{found}; what the results say is done is not done again")
    if not start.standing:
        return Verdict(FIRST_START, Standing.GOOD, f"{found}; a first start acts on none")
    if join.since_ms is not None:
        return Verdict(FIRST_START, Standing.GOOD, f"{found}; a first start acts on them")
    todo = "to act only on later ones set join.since to a time (RFC 3339), such as the present one"
    return Verdict(FIRST_START, Standing.WARNING, f"{found}; a first start acts on all of them", todo)


def _messages(start: FirstStart) -> str:
    count = len({violation.message_id for violation in start.standing})
    return f"{count:,} message" if count == 1 else f"{count:,} messages"


def _span(start: FirstStart) -> str:
    detected = [violation.detected_at_ms for violation in start.standing]
    if not detected:
        return ""
    earliest, latest = (
        datetime.fromtimestamp(at / 1000, UTC).isoformat("T", "seconds") for at in (min(detected), max(detected))
    )
    return f", detected {earliest} to {latest}"


def _beside(start: FirstStart) -> str:
    """What the number leaves out, and why."""
    said = [
        (start.left_out, f"join.since leaves out {start.left_out:,}"),
        (start.unreadable, f"{start.unreadable:,} records would be dead letters"),
        (start.unknown, f"{start.unknown:,} records cannot be read without the registry"),
        (start.records - start.seen, f"counted in {start.seen:,} of {start.records:,} records"),
    ]
    told = [words for count, words in said if count > 0]
    return f" ({'; '.join(told)})" if told else ""
