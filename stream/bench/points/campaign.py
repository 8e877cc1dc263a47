"""Point 9: a campaign of ten million tokens is streamed: memory, calls, what stops it, and what a restart repeats.

Two campaigns: sends of one token each, which fills the store, and sends of a thousand. While one runs there come: a
CRITICAL finding of another message, SIGTERM, kill -9; and WITHDRAWN of a second campaign. What was covered is read from
the results' topic. The simulator answers after 200 ms and 16 calls may be in flight: there is time to come in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from stream.bench.figures import Aim, Figure, Rounds, at_least, at_most
from stream.bench.points.covered import covered
from stream.bench.points.stage import LARGE, Sizes, Stage, until
from stream.bench.progress import say
from stream.bench.town import Place, Town, Wish
from stream.model import MAX_CALL_TOKENS, Severity, Status

_CAMPAIGN, _URGENT, _WITHDRAWN = 1, 2, 3
_LATENCY_MS: Final = 200
_IN_FLIGHT: Final = 16
"""A thousand tokens each: with the answering time above, 80,000 devices a second at most."""
_MEMORY_AIM: Final = at_most(150)
_URGENT_AIM: Final = at_most(200)
_WITHDRAWN_AIM: Final = at_most(1_000)
_DRAIN_AIM: Final = at_most(20)
_NEVER: Final = at_most(0)
_SETTLE_S: Final = 2.0
_QUIET_S: Final = 1.0
_WITHIN_S: Final = 3_600.0


def measure(town: Town, sizes: Sizes) -> Iterator[Figure]:
    """Raises StartError."""
    found = Rounds("9")
    for tokens in (1, MAX_CALL_TOKENS):
        Campaign(town, sizes.campaign_tokens, tokens, found).measure()
    yield from found.figures()


class Campaign:
    """One campaign's way; each step enters what it found."""

    def __init__(self, town: Town, total: int, tokens: int, found: Rounds, sections: str = "") -> None:
        """So many tokens in all, so many in each send. ``sections``: settings of its own."""
        self._wish = Wish(partitions=2, in_flight=_IN_FLIGHT, sections=sections)
        self._town, self._total, self._found = town, total, found
        self._sends, self._tokens = total // tokens, tokens
        self._idle_mb = 0.0
        self._of = f"{total:,} tokens, {tokens:,} a send"

    def measure(self) -> None:
        """Raises StartError."""
        with self._town.place(f"campaign-{self._tokens}", self._wish) as place:
            self._begun_and_drained(place)
            self._killed(place)
            self._ended(place)

    def _begun_and_drained(self, place: Place) -> None:
        with place.service() as service:
            at = Stage.ready(place, service)
            self._store(at)
            self._begin(at)
            self._drain(at)

    def _killed(self, place: Place) -> None:
        done = place.gateway.devices()
        with place.service() as service:
            at = Stage.ready(place, service)
            self._goes_on(at, "after SIGTERM", done)
            self._reach(at, 0.7)
            service.kill()

    def _ended(self, place: Place) -> None:
        done = place.gateway.devices()
        with place.service() as service:
            at = Stage.ready(place, service)
            self._goes_on(at, "after kill -9", done)
            self._end(at)
            self._withdraw(at)
            self._memory(at, "all is done")

    def _enter(self, what: str, unit: str, value: float, aim: Aim | None = None) -> None:
        self._found.add(f"{self._of}: {what}", unit, value, aim)
        say(f"(9) {self._of}: {what} {value:,.1f} {unit}")

    def _store(self, at: Stage) -> None:
        time.sleep(_SETTLE_S)
        self._idle_mb = at.service.memory().now_mb
        at.place.gateway.answer_after(_LATENCY_MS)
        at.campaign(_CAMPAIGN, self._sends, self._tokens)
        at.campaign(_WITHDRAWN, self._sends, self._tokens)
        at.send(_URGENT)
        at.stored(2 * self._sends + 1)
        self._memory(at, "stored")

    def _memory(self, at: Stage, when: str) -> None:
        self._enter(f"resident above idle, the most until {when}", "MB", at.service.memory().most_mb - self._idle_mb)

    def _begin(self, at: Stage) -> None:
        begun_ns = at.find(_CAMPAIGN, Severity.LOW)
        self._enter("first call after", "ms", (at.called_ns({_CAMPAIGN})[_CAMPAIGN] - begun_ns) / 1e6)
        self._reach(at, 0.1)
        found_ns = at.find(_URGENT, Severity.CRITICAL)
        urgent_ms = (at.called_ns({_URGENT})[_URGENT] - found_ns) / 1e6
        self._enter("a CRITICAL finding of another message meanwhile, called after", "ms", urgent_ms, _URGENT_AIM)
        asked_s = time.monotonic()
        shown = at.state(_CAMPAIGN)
        self._enter("the API says how far it is, within", "ms", (time.monotonic() - asked_s) * 1e3)
        self._enter("settled by then, as the API says", "", float(str(shown.get("tokensSettled", 0))), at_least(1))

    def _drain(self, at: Stage) -> None:
        self._reach(at, 0.4)
        begun_s = time.monotonic()
        at.service.stop()
        self._enter("SIGTERM, with exit 0 after", "s", time.monotonic() - begun_s, _DRAIN_AIM)

    def _goes_on(self, at: Stage, when: str, done: int) -> None:
        """From the start of the process to its first call."""
        until(lambda: self._done(at) > min(done, self._total - 1), f"the campaign to go on {when}", _WITHIN_S)
        self._enter(f"{when} it goes on within", "s", (time.time_ns() - at.service.started_ns) / 1e9)

    def _end(self, at: Stage) -> None:
        first, begun_s = self._done(at), time.monotonic()
        self._reach(at, 1.0)
        self._enter("devices, to its end", "1/s", (self._done(at) - first) / (time.monotonic() - begun_s))
        at.settled(_CAMPAIGN, within_s=_WITHIN_S)
        calls = [call for call in at.place.gateway.calls() if call.notify_id == _CAMPAIGN]
        fewest = -(-self._total // MAX_CALL_TOKENS)
        seen = covered(at.place, f"v-{_CAMPAIGN}")
        self._enter("calls more than tokens ÷ 1,000, for kill -9 and SIGTERM", "", len(calls) - fewest, at_most(130))
        self._enter("places without a result", "", self._total - (seen.places - seen.twice), _NEVER)
        self._enter("places with two", "", seen.twice, _NEVER)

    def _withdraw(self, at: Stage) -> None:
        before = self._done(at)
        at.find(_WITHDRAWN, Severity.LOW)
        until(lambda: self._done(at) > before + self._total // 10, "the second campaign to begin", _WITHIN_S)
        said_ns = at.find(_WITHDRAWN, Severity.LOW, status=Status.WITHDRAWN)
        until(lambda: at.state(_WITHDRAWN).get("state") == "withdrawn", "the withdrawal")
        self._quiet(at)
        calls = [call for call in at.place.gateway.calls() if call.notify_id == _WITHDRAWN]
        self._enter("WITHDRAWN, last call after", "ms", max(0.0, (calls[-1].wall_ns - said_ns) / 1e6), _WITHDRAWN_AIM)
        self._enter("called of it by then", "%", 100 * sum(call.tokens for call in calls) / self._total, at_most(80))

    def _quiet(self, at: Stage) -> None:
        seen = -1
        while (now := self._done(at)) > seen:
            seen = now
            time.sleep(_QUIET_S)

    def _reach(self, at: Stage, share: float) -> None:
        until(lambda: self._done(at) >= share * self._total, f"{share:.0%} of the campaign", _WITHIN_S)

    def _done(self, at: Stage) -> int:
        return at.place.gateway.devices(LARGE)
