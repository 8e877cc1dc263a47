"""One app's standing with Push Kit: may it call now, how large, and if not, why and since when. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import Final

from stream.model import MAX_CALL_TOKENS
from stream.work.breaker import Breaker, State
from stream.work.budget import SHARE, Budget
from stream.work.limits import DeviceBucket
from stream.work.rate import LearnedRate

PROBE_FIRST_S: Final = 2.0
PROBE_LONGEST_S: Final = 60.0
APP_SHARE: Final = 0.75
"""Where the settings do not say it, one app may have so much of all calls in flight: however slow its answers are, the
others find room."""
REFUSED_IN_A_ROW: Final = 200
"""So many tokens refused and none accepted is a wrong setting, not bad tokens (contract, promise 4)."""


class App:
    """Pauses, flow control and limits of one app.

    A *pause* is somebody's to mend (authentication, configuration): one probe at a time goes out, ever more slowly.
    *Cooling* is flow control: the app waits a little and goes on by itself; its ``learned`` rate keeps it from being
    refused again. Its ``breaker`` opens while its calls come to nothing. Held by settings (``paused``, no key) it makes
    no call at all.
    """

    __slots__ = (
        "breaker",
        "bucket",
        "budget",
        "client_id",
        "cooling_until_s",
        "fails_with",
        "held",
        "in_flight",
        "learned",
        "milder",
        "pause_reason",
        "paused_since_s",
        "probe_at_s",
        "_pace",
        "_refusals",
        "_refused",
        "token_limit",
        "_probe_s",
        "accepted_calls",
    )

    def __init__(
        self,
        client_id: str,
        devices_per_s: float,
        now_s: float,
        held: str | None = None,
        share: float = 1.0,
        retry_share: float = SHARE,
    ) -> None:
        """``devices_per_s``, ``now_s`` and ``share`` as of ``DeviceBucket``."""
        self.client_id = client_id
        self.bucket = DeviceBucket(devices_per_s, now_s, share)
        """This instance's share of the limit that the settings give it; a rate of 0: none."""
        self.learned = LearnedRate(now_s, share)
        self._pace = DeviceBucket(0.0, now_s)
        """Keeps the learned rate. Apart from ``bucket``: that promises something to other instances, and a rate that
        comes and goes in between would give them less, or somebody a call twice."""
        self.breaker = Breaker()
        self.fails_with = ""
        """What the call came back with that opened the breaker last."""
        self.budget = Budget(retry_share, now_s)
        self.held = held
        """Why the settings let it make no call; None: they do."""
        self.token_limit = MAX_CALL_TOKENS
        self.cooling_until_s = 0.0
        self.pause_reason: str | None = None
        self.paused_since_s = 0.0
        self.probe_at_s = 0.0
        self._refusals = False
        """Whether it pauses since all that it sends was refused, rather than for its JWT or its configuration."""
        self._refused: set[int] = set()
        """Hashes of the tokens refused in a row, none accepted between."""
        self.accepted_calls = 0
        self.in_flight = 0
        self.milder = 0
        """Those of them that are not CRITICAL."""
        self._probe_s = PROBE_FIRST_S

    @property
    def waits_for(self) -> str | None:
        """Why no ordinary call goes out, for people; None: nothing is in the way but limits."""
        return self.held or self.pause_reason

    @property
    def largest_call(self) -> int:
        """Tokens in one call, at most, as this app stands."""
        return min(self.bucket.largest_call, self.token_limit, self.learned.largest_call)

    @property
    def largest_parcel(self) -> int:
        """Tokens planned to travel together, at most: what is learned may have changed long before they are called."""
        return min(self.bucket.largest_call, self.token_limit)

    def set_own(self, devices_per_s: float, share: float, now_s: float) -> None:
        """Another share of the shards: of its own limit, and of what was learned at the share before."""
        self.bucket.set_rate(devices_per_s, now_s, share)
        self.learned.move_to(share)
        self.adjust(now_s)

    def adjust(self, now_s: float) -> None:
        """What is learned has changed: call no faster from now on."""
        self._pace.follow(self.learned.devices_per_s, now_s)

    def slow(self, devices: int, now_s: float) -> None:
        """What left before anything was learned is paid for at the rate that is."""
        self._pace.take(devices, now_s)

    def take(self, devices: int, now_s: float) -> None:
        """A call leaves, or has left once more."""
        self.bucket.take(devices, now_s)
        self._pace.take(devices, now_s)

    def wait_s(self, now_s: float) -> float | None:
        """How long until a call may leave: 0 now, None: not by the passing of time."""
        if self.held is not None:
            return None
        until_s = max(self.cooling_until_s, self.probe_at_s if self.pause_reason else 0.0)
        if self.breaker.state is State.OPEN:
            until_s = max(until_s, self.breaker.probe_at_s)
        return max(0.0, until_s - now_s, self.bucket.wait_s(now_s), self._pace.wait_s(now_s))

    def stands_still(self, now_s: float) -> bool:
        """Whether more than its limits in devices is in the way of its calls: for how long nobody knows."""
        stopped = self.waits_for is not None or self.breaker.state is not State.CLOSED
        return stopped or now_s < self.cooling_until_s

    def leaves(self, devices: int, now_s: float) -> None:
        """A call leaves; while paused it is the probe, and no other leaves before its answer or the next probe's
        time."""
        self.take(devices, now_s)
        if self.pause_reason:
            self._probe_s = min(2 * self._probe_s, PROBE_LONGEST_S)
            self.probe_at_s = now_s + self._probe_s

    def pause(self, reason: str, now_s: float, *, refusals: bool = False) -> bool:
        """Stop ordinary calls; ``refusals``: for tokens, all of which were refused. True where this is news."""
        news = self.pause_reason is None
        if news:
            self.paused_since_s, self._probe_s = now_s, PROBE_FIRST_S
            self.probe_at_s = now_s + PROBE_FIRST_S
        self.pause_reason, self._refusals = reason, refusals
        return news

    def probe_not_before(self, at_s: float) -> None:
        """The gateway asked for this."""
        self.probe_at_s = max(self.probe_at_s, at_s)

    def examined(self) -> bool:
        """Push Kit has looked at a call's tokens: whatever it said of JWT or configuration is over. True where that
        ends a pause."""
        ended = self.pause_reason is not None and not self._refusals
        if ended:
            self.pause_reason = None
        return ended

    def probe_now(self, now_s: float) -> None:
        """Something has been mended, perhaps: if it is paused, the next probe need not wait."""
        self.probe_at_s, self._probe_s = now_s, PROBE_FIRST_S

    def accepted(self) -> bool:
        """A call was accepted, in part at least. True where that ends a pause."""
        ended = self.pause_reason is not None
        self.pause_reason = None
        self._refused.clear()
        self.accepted_calls += 1
        return ended

    def refuse(self, tokens: Iterable[bytes]) -> bool:
        """A call's tokens were all refused for good. True where that makes too many different ones in a row: pause
        rather than settle them."""
        refused = self._refused.union(map(hash, tokens))
        if len(refused) >= REFUSED_IN_A_ROW:
            return True
        self._refused = refused
        return False

    def cool(self, until_s: float) -> None:
        """Flow control: no call before that time."""
        self.cooling_until_s = max(self.cooling_until_s, until_s)


def most_of_one_app(max_in_flight: int, per_app: int) -> int:
    """How many calls one app may have in flight, where ``per_app`` is what the settings say, 0: nothing. Where few are
    allowed it leaves one place to the others, beside the one that is kept for CRITICAL."""
    return min(max_in_flight, per_app or max(1, min(ceil(APP_SHARE * max_in_flight), max_in_flight - 2)))
