"""The join does not care who comes first (design, section 3): any order of writing, reading, telling, planning,
calling, answering, delivering and crashing ends alike.

Afterwards, when everything has been read and said: every place of every send under every standing violation is covered
once (and again only where it was given up and asked for again); nothing of a message without a violation was called;
ALREADY_REVOKED is said only of what another violation had revoked.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from stream.model import Outcome, RevokeResult, Severity, Status, Topic
from stream.service import desk, passes
from stream.work.judgement import Event, Violation, judge
from tests.service.small_world import MINUTE_MS, SmallWorld

MESSAGES = st.sampled_from(["m-1", "m-1", "m-1", "m-2"])
VIOLATIONS = st.sampled_from(["v-1", "v-1", "v-2", "v-3"])
FEW, MANY = st.integers(0, 3), st.integers(0, 6)
TOPICS = st.sampled_from(list(Topic))
ANSWERS = st.sampled_from(["revoked", "revoked", "partial", "refused", "given up", "again", "halve"])
TOKENS = st.lists(st.sampled_from([f"token-{i}" for i in range(6)] + ["", "x" * 5000]), max_size=7)
NOTIFY_IDS = st.sampled_from([7, 7, 7, 8, None])
PAUSES_MS = st.sampled_from([0, 0, 1_000, MINUTE_MS, 7 * MINUTE_MS, 10 * 60 * MINUTE_MS])


class Join(RuleBasedStateMachine):
    """The test's hands in the small world."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = SmallWorld(Path(self.folder.name))

    @rule(message=MESSAGES, tokens=TOKENS, notify_id=NOTIFY_IDS, app=st.sampled_from(["app", "other"]))
    def a_send_is_written(self, message: str, tokens: list[str], notify_id: int | None, app: str) -> None:
        self.world.send(message, tokens, app, notify_id)

    @rule(tokens=TOKENS)
    def a_send_of_an_innocent_message_is_written(self, tokens: list[str]) -> None:
        self.world.send("innocent", tokens)

    @rule(
        message=MESSAGES,
        violation=VIOLATIONS,
        status=st.sampled_from([Status.CONFIRMED, Status.CONFIRMED, Status.WITHDRAWN, Status.APPROVED]),
        severity=st.sampled_from(Severity),
        detected_before_ms=st.sampled_from([0, 0, 3_000, 20 * MINUTE_MS]),
    )
    def an_event_is_written(
        self, message: str, violation: str, status: Status, severity: Severity, detected_before_ms: int
    ) -> None:
        self.world.violate(message, violation, status, severity, self.world.clock.ms - detected_before_ms)

    @rule(pause_ms=PAUSES_MS)
    def time_passes(self, pause_ms: int) -> None:
        self.world.clock.ms += pause_ms

    @rule(topics=st.sets(TOPICS), hears=MANY, plans=FEW)
    def the_live_ends_are_read(self, topics: set[Topic], hears: int, plans: int) -> None:
        for topic in sorted(topics):
            self.world.read(topic)
        self._works(hears, plans)

    @rule(topics=st.lists(TOPICS, min_size=1, max_size=4), most=st.integers(1, 4), hears=MANY, plans=FEW)
    def the_past_is_read_further(self, topics: list[Topic], most: int, hears: int, plans: int) -> None:
        for topic in topics:
            self.world.read_past(topic, most)
        self._works(hears, plans)

    @initialize()
    def the_empty_past_is_read(self) -> None:
        self._read_all_past()

    @rule()
    def the_past_is_read_to_its_end(self) -> None:
        self._read_all_past()

    def _read_all_past(self) -> None:
        self.world.recall()
        for topic in Topic:
            self.world.read_past(topic, 1_000)
        self.world.tell()

    @rule(pushes=st.integers(1, 12))
    def everything_moves_on(self, pushes: int) -> None:
        for topic in Topic:
            self.world.read(topic)
        for _ in range(pushes):
            self.world.move("revoked")

    def _works(self, hears: int, plans: int) -> None:
        self.world.tell(hears)
        for _ in range(plans):
            self.world.step()

    @precondition(lambda self: self.world.recall_due)
    @rule()
    def the_store_is_recalled(self) -> None:
        self.world.recall()

    @rule()
    def a_run_of_the_index_is_written(self) -> None:
        self.world.shard.write_run()

    @precondition(lambda self: self.world.waiting)
    @rule(most=st.integers(1, 3))
    def calls_leave(self, most: int) -> None:
        for _ in range(min(most, len(self.world.waiting))):
            self.world.call()

    @precondition(lambda self: self.world.in_flight)
    @rule(how=st.lists(ANSWERS, min_size=1, max_size=3), delivered=st.integers(0, 3))
    def calls_are_answered(self, how: list[str], delivered: int) -> None:
        for chosen, said in zip(list(self.world.in_flight), how, strict=False):
            self.world.answer(chosen, said)
        for _ in range(min(delivered, len(self.world.mailbox.written))):
            self.world.settle_one()

    @precondition(lambda self: self.world.topics[Topic.VIOLATIONS])
    @rule(keep=st.booleans(), delivered=st.integers(0, 2))
    def the_process_ends_and_starts_again(self, keep: bool, delivered: int) -> None:
        for _ in range(min(delivered, len(self.world.mailbox.written))):
            self.world.deliver()  # Kafka has it, but the process never learned so
            self.world.mailbox.written.popleft()
        self.world.restart(keep=keep)

    def teardown(self) -> None:
        try:
            self.world.until_quiet()
            Judge(self.world).judge()
        finally:
            self.world.close()
            self.folder.cleanup()


class Judge:
    """Holds what the results say against what was written."""

    def __init__(self, world: SmallWorld) -> None:
        self.world = world
        events: dict[str, list[Event]] = {}
        for offset, record in enumerate(world.topics[Topic.VIOLATIONS]):
            events.setdefault(record.said.message_id, []).append(Event(offset, record.timestamp_ms, record.said))
        self.violations = [v for each in events.values() for v in judge(each).values()]

    def judge(self) -> None:
        for violation in self.violations:
            if violation.stands:
                self.covered(violation)
            self.once(violation)
        self.innocent()
        self.withdrawn()
        self.known_elsewhere()
        self.said_once()
        self.totals()
        assert self.world.mailbox.letters == []

    def covered(self, violation: Violation) -> None:
        places = self.world.covered(violation.message_id, violation.violation_id)
        assert set(places) == self.world.places(violation.message_id), f"{violation.violation_id}: not all, or others"

    def once(self, violation: Violation) -> None:
        """Again only what was given up, and only when it was asked for."""
        settled: dict[tuple[int, int], bool] = {}
        for result, place in self._covers(violation.message_id, violation.violation_id):
            assert not settled.get(place, False), f"{place} of {violation.violation_id} is covered again"
            settled[place] = not (result.outcome is Outcome.FAILED and not result.rejected_tokens)

    def innocent(self) -> None:
        condemned = {violation.message_id for violation in self.violations}
        assert {parcel.violation.message_id for parcel in self.world.called} <= condemned
        for parcel in self.world.called:
            sends = [self.world.topics[Topic.SENDS][part.offset].said for part in parcel.parts]
            assert all(send.head.message_id == parcel.violation.message_id for send in sends)
            assert {send.head[1:4] for send in sends} == {(parcel.client_id, parcel.notify_id, parcel.push_type)}
            assert set(parcel.tokens) <= {token for send in sends for token in send.tokens}

    def withdrawn(self) -> None:
        """Once all events had been read and heard of, no call was made for a violation that does not stand."""
        standing = {(each.message_id, each.violation_id) for each in self.violations if each.stands}
        for parcel in self.world.called[self.world.called_knowingly_from :]:
            assert (parcel.violation.message_id, parcel.violation.violation_id) in standing

    def known_elsewhere(self) -> None:
        revoked: dict[tuple[str, int, int], set[str]] = {}
        for result in self.world.results:
            rejected = {token for token, _ in result.rejected_tokens}
            for part in result.sends:
                tokens = self.world.topics[Topic.SENDS][part.offset].said.tokens
                for at in range(part.first_token, part.first_token + part.token_count):
                    place = (result.message_id, part.offset, at)
                    if result.outcome is Outcome.ALREADY_REVOKED:
                        assert result.detail in revoked.get(place, set()) - {result.violation_id}
                    elif result.tokens_revoked and tokens[at].decode() not in rejected:
                        revoked.setdefault(place, set()).add(result.violation_id)

    def said_once(self) -> None:
        """One id, one result: what was said twice, across a crash, was said with the same id and nothing else is."""
        for violation in self.violations:
            found = self.world.outcomes(violation.message_id, violation.violation_id)
            ids = {
                r.result_id
                for r in self.world.results
                if r.outcome is Outcome.NOT_FOUND
                and r.violation_id == violation.violation_id
                and r.message_id == violation.message_id
            }
            assert len(ids) <= 1
            if (
                violation.stands
                and not self.world.places(violation.message_id)
                and not self._sent(violation.message_id)
            ):
                assert Outcome.NOT_FOUND in found

    def totals(self) -> None:
        """No place is counted twice, and equal means all that were written."""
        for result in self.world.results:
            places = len(self.world.places(result.message_id))
            assert result.violation_tokens_settled <= places
            assert result.violation_tokens_matched <= max(places, result.violation_tokens_settled + 1)

    def _sent(self, message: str) -> bool:
        return any(record.said.head.message_id == message for record in self.world.topics[Topic.SENDS])

    def _covers(self, message: str, violation: str) -> list[tuple[RevokeResult, tuple[int, int]]]:
        return [
            (result, (part.offset, part.first_token + at))
            for result in self.world.results
            if (result.message_id, result.violation_id) == (message, violation) and result.outcome.covers
            for part in result.sends
            for at in range(part.token_count)
        ]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that passes have middles."""
    monkeypatch.setattr(passes, "CHUNK_SENDS", 2)
    monkeypatch.setattr(desk, "PARCELS_A_MESSAGE", 3)


TestJoin = Join.TestCase
TestJoin.settings = settings(
    max_examples=150, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
