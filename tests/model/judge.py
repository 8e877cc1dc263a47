"""What must never be seen, and what must be true when nothing is left to do. Judges by the log and the contract; of
the service it asks only what it has heard, read and counted.

*work = (sends ⋈ violations) − results*: at rest there is none, each place was covered once, and no call was ever made
that was not part of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from stream.model import Outcome, RevokeResult, Status, Topic
from stream.service.outbox import Written
from stream.work.packing import Parcel
from tests.model.instance import Here, Instance
from tests.model.log import PARTITION_OF, Log, Place, given_up, places_of
from tests.service.small_world import Record


class Standing(NamedTuple):
    """What the events of a violation add up to, read off the contract once more."""

    status: Status
    latest_ms: int
    """The latest detectedAt."""
    first_ms: int
    """Record time of the first event."""
    again_ms: int = 0
    withdrawals: int = 0

    @property
    def stands(self) -> bool:
        return self.status is not Status.WITHDRAWN


def standings(events: Iterable[tuple[int, Record]]) -> dict[str, Standing]:
    """Each violation of a message, given all of its events in order."""
    found: dict[str, Standing] = {}
    for _, (time_ms, _, _, said) in events:
        found[said.violation_id] = _after(found.get(said.violation_id), time_ms, said.status, said.detected_at_ms)
    return found


def _after(before: Standing | None, time_ms: int, status: Status, detected_ms: int) -> Standing:
    withdrawn = status is Status.WITHDRAWN
    if before is None:
        return Standing(status, detected_ms, time_ms, withdrawals=int(withdrawn))
    after = before._replace(latest_ms=max(before.latest_ms, detected_ms))
    if withdrawn:
        return after._replace(status=status, withdrawals=before.withdrawals + before.stands)
    if status is Status.CONFIRMED and detected_ms <= before.latest_ms:
        return after
    kept = before.status if before.status is Status.APPROVED else status
    return after._replace(status=kept, again_ms=time_ms)


class Judge:
    """See the module's words. Each method raises AssertionError."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.overlapped: set[str] = set()
        """Messages that two owners had at once, for a moment at least: what they did may be done twice."""
        self.all_is_read = False
        """Whether every record has been read, and nothing more will come."""
        self._told_all: dict[tuple[str, str], bool] = {}
        """Of each message and violation: whether the last result was written after that, and all had been counted."""
        self.calls = 0
        self._written: dict[Instance, list[RevokeResult]] = {}

    # --- while it works

    def called(self, instance: Instance, here: Here, parcel: Parcel) -> None:
        """Nobody innocent, nothing that is known to be withdrawn, nothing that was done."""
        self.calls += 1
        message, name = parcel.violation.message_id, parcel.violation.violation_id
        assert self._stands(here, message, name), f"{name} of {message} was called and does not stand"
        sends = {offset: record.said for offset, record in self.log.sends(message)}
        slot = parcel.client_id, parcel.notify_id, parcel.push_type
        places = list(_places(parcel))
        assert {sends[offset].head[1:4] for offset, _ in places} == {slot}, "of another app, type or notifyId"
        assert {sends[offset].tokens[at] for offset, at in places} == set(parcel.tokens), "tokens of other places"
        assert len(set(parcel.tokens)) == len(parcel.tokens), "a token twice in one call"
        if message not in self.overlapped:
            done = {p for r in self._results(message, name) if not given_up(r) for p in places_of(r)}
            assert done.isdisjoint(places), f"{name} of {message} was called again"

    def _stands(self, here: Here, message: str, name: str) -> bool:
        """By the events from before the shard came and those that the loop has heard of since: it may know of more,
        from the store, and never of less."""
        before = here.shard.live_start[Topic.VIOLATIONS]
        heard = [each for each in self.log.events(message) if each[0] < before or each[0] in here.heard]
        stored = [each for each in self.log.events(message) if each[0] < here.shard.ranges(Topic.VIOLATIONS).top]
        found = [standings(known).get(name) for known in (heard, stored)]
        return any(standing is not None and standing.stands for standing in found)

    def written(self, instance: Instance, result: RevokeResult) -> None:
        """Totals never say more than there is, and complete only where it is."""
        mine = self._written.setdefault(instance, [])
        if result in mine:
            return  # Kafka refused it before; it says what was known then
        mine.append(result)
        if result.outcome.covers:
            counted = self.all_is_read and instance.has_counted(result.message_id)
            self._told_all[result.message_id, result.violation_id] = counted
        places = self.log.places(result.message_id)
        matched, settled = result.violation_tokens_matched, result.violation_tokens_settled
        assert settled <= len(places), "more was settled than there is"
        assert settled <= matched <= max(len(places), settled + 1), "totals of nothing that there is"
        if result.outcome is Outcome.NOT_FOUND:
            self._not_found(result)
        elif result.outcome.covers and matched == settled and not instance.told:
            results = [*self._results(result.message_id, result.violation_id), *_of(mine, result)]
            assert {place for each in results for place in places_of(each)} == set(places), (
                f"{matched} of {settled}, complete, of {places}; {results}"
            )

    def _not_found(self, result: RevokeResult) -> None:
        first_ms = standings(self.log.events(result.message_id))[result.violation_id].first_ms
        earlier = [record for _, record in self.log.sends(result.message_id) if record.timestamp_ms < first_ms]
        assert not earlier, "NOT_FOUND, though a send stood before the violation"

    def settled(self, instance: Instance, written: Written) -> None:
        """Nothing counts as settled before its result is delivered and its range written."""
        found = [offset for offset, record in self.log.results(written.result.message_id) if record.said == written[1]]
        assert found, "settled before its result was delivered"
        read = written.shard.ranges(Topic.RESULTS)  # two owners may have written the same
        assert any(offset in read for offset in found), "settled before its range was written"

    # --- at rest

    def judge(self) -> None:
        """Nothing is left to do."""
        for message in PARTITION_OF:
            for name, standing in standings(self.log.events(message)).items():
                self._once(message, name)
                self._withdrawals(message, name, standing)
                if standing.stands:
                    self._covered(message, name, standing)
                    self._totals(message, name)
                self._absence(message, name, standing)
            self._known_elsewhere(message)

    def _covered(self, message: str, name: str, standing: Standing) -> None:
        """sends ⋈ violations − results = nothing."""
        done: set[Place] = set()
        for _, record in self.log.results(message):
            result = record.said
            open_again = given_up(result) and record.timestamp_ms < standing.again_ms
            if result.violation_id == name and result.outcome.covers and not open_again:
                done.update(places_of(result))
        assert done == set(self.log.places(message)), f"{name} of {message}: {done} of {self.log.places(message)}"

    def _once(self, message: str, name: str) -> None:
        """Again only what was given up."""
        done: dict[Place, bool] = {}
        for result in self._results(message, name):
            for place in places_of(result):
                assert not done.get(place) or message in self.overlapped, f"{place} of {name}, {message}: again"
                done[place] = not given_up(result)

    def _withdrawals(self, message: str, name: str, standing: Standing) -> None:
        """WITHDRAWN once per withdrawal."""
        said = self._bare(message, name, Outcome.WITHDRAWN)
        assert len(set(said)) == standing.withdrawals, f"{name} of {message}: {said}, {standing.withdrawals} times"
        assert len(set(said)) == len(said) or message in self.overlapped, "WITHDRAWN was said again"

    def _absence(self, message: str, name: str, standing: Standing) -> None:
        """NOT_FOUND once, where nothing was found."""
        said = self._bare(message, name, Outcome.NOT_FOUND)
        assert len(set(said)) <= 1, "NOT_FOUND under several ids"
        assert len(said) <= 1 or message in self.overlapped, "NOT_FOUND was said again"
        if standing.stands and not self.log.sends(message):
            assert said, f"{name} of {message}: nothing was said"

    def _totals(self, message: str, name: str) -> None:
        """Some result says complete, if the last was written when all had been read and counted; in Kafka it may stand
        before others, which were refused at first."""
        if self._told_all.get((message, name)) and message not in self.overlapped:
            said = [(r.violation_tokens_matched, r.violation_tokens_settled) for r in self._results(message, name)]
            places = len(self.log.places(message))
            assert (places, places) in said, f"nothing says that {name} of {message} is complete: {said}"

    def _known_elsewhere(self, message: str) -> None:
        """ALREADY_REVOKED only of what another violation had revoked."""
        sends = {offset: record.said.tokens for offset, record in self.log.sends(message)}
        revoked: dict[Place, set[str]] = {}
        for _, record in self.log.results(message):
            result = record.said
            rejected = {token.encode() for token, _ in result.rejected_tokens}
            for place in places_of(result):
                if result.outcome is Outcome.ALREADY_REVOKED:
                    assert result.detail in revoked.get(place, set()) - {result.violation_id}, "known from nowhere"
                elif result.tokens_revoked and sends[place[0]][place[1]] not in rejected:
                    revoked.setdefault(place, set()).add(result.violation_id)

    # --- the log

    def _results(self, message: str, name: str) -> list[RevokeResult]:
        """Those that cover places for a violation."""
        said = [record.said for _, record in self.log.results(message)]
        return [result for result in said if result.violation_id == name and result.outcome.covers]

    def _bare(self, message: str, name: str, outcome: Outcome) -> list[str]:
        said = [record.said for _, record in self.log.results(message)]
        return [each.result_id for each in said if (each.violation_id, each.outcome) == (name, outcome)]


def _places(parcel: Parcel) -> Iterable[Place]:
    for _, offset, first, count in parcel.parts:
        for at in range(first, first + count):
            yield offset, at


def _of(results: list[RevokeResult], like: RevokeResult) -> list[RevokeResult]:
    name = like.message_id, like.violation_id
    return [each for each in results if (each.message_id, each.violation_id) == name and each.outcome.covers]
