"""What goes wrong on demand, and how the undocumented parts of Push Kit are read: one immutable value, replaced whole.

Promised: the default ``Faults()`` is a healthy, unlimited Push Kit that checks everything; an impossible value raises
``FaultsError`` when it is made. Not promised: that Push Kit fails in these ways; its pages say little about failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from types import MappingProxyType
from typing import Final

from stream.model import MAX_CALL_TOKENS
from stream.pushkit.simulator.replies import NO_PERMISSION, PARAMETER_ERROR, SUCCESS


class FaultsError(ValueError):
    """This cannot be a state of the simulator; one sentence that names the key and what would be right."""


def _within(name: str, value: float, low: float, high: float | None) -> None:
    if not isfinite(value) or value < low or (high is not None and value > high):
        bound = f"at least {low}" if high is None else f"from {low} to {high}"
        raise FaultsError(f"{name} must be {bound}, not {value}")


def _one_line(name: str, value: str) -> None:
    if not value.isprintable() or not value.isascii():
        raise FaultsError(f"{name} must be one line of printable ASCII")


class End(Enum):
    """What happens to a call's connection; "before" and "after" mean the revocation."""

    REPLY = "reply"
    """Nothing is revoked; the answer is the failure's."""
    CUT_BEFORE = "cutBefore"
    CUT_AFTER = "cutAfter"
    HANG_BEFORE = "hangBefore"
    HANG_AFTER = "hangAfter"

    @property
    def has_effect(self) -> bool:
        """Whether the rules are applied, and the tokens revoked, although no answer comes."""
        return self in (End.CUT_AFTER, End.HANG_AFTER)

    @property
    def hangs(self) -> bool:
        """Whether the connection stays open, unanswered, until the client gives up."""
        return self in (End.HANG_BEFORE, End.HANG_AFTER)


class Body(Enum):
    """What an injected failure's body looks like."""

    JSON = "json"
    HTML = "html"
    EMPTY = "empty"
    GARBAGE = "garbage"


class Shape(Enum):
    """A distribution of answering times."""

    NONE = "none"
    FIXED = "fixed"
    UNIFORM = "uniform"
    LOGNORMAL = "lognormal"


class Down(Enum):
    """How the whole server is away."""

    NO = "no"
    REFUSE = "refuse"
    """The listener is closed: connecting fails."""
    RESET = "reset"
    """Connections are accepted and reset at the first revoke call; ``/_sim`` goes on."""


class PartialStyle(Enum):
    """How a partial success names the refused tokens; nobody has published one of the revoke API."""

    MAP = "illegalTokens"
    """80100000, reason → tokens, as the send API of HarmonyOS."""
    ARRAY = "illegal_tokens"
    """80100000, a flat array, as the older send API."""
    TEXT = "text"
    """80100020 with the documented words and no list."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One injected failure: it strikes a share ``rate`` of the calls that reach it, ``calls`` times (None: always)."""

    end: End = End.REPLY
    rate: float = 1.0
    calls: int | None = None
    """Failures left before this one is over; the simulator counts it down."""
    status: int = 500
    code: str = ""
    """Push Kit's code in a JSON body; empty: a JSON body without ``code``."""
    message: str = "Injected failure."
    body: Body = Body.JSON
    retry_after: str = ""
    """The ``Retry-After`` header as it is (seconds or an HTTP date); empty: none."""

    def __post_init__(self) -> None:
        _within("rate", self.rate, 0.0, 1.0)
        _within("status", self.status, 200, 599)
        if self.calls is not None:
            _within("calls", self.calls, 0, None)
        _one_line("retryAfter", self.retry_after)


LONGEST_MS: Final = 3_600_000.0
"""Of an answering time; no client waits an hour, and a slip in the unit is more."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Time between a call and its answer; the revocation happens at the call. FIXED is ``low_ms``, UNIFORM has both."""

    shape: Shape = Shape.NONE
    low_ms: float = 0.0
    high_ms: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0

    def __post_init__(self) -> None:
        for name in ("low_ms", "high_ms", "p50_ms", "p99_ms"):
            _within(name, getattr(self, name), 0.0, LONGEST_MS)
        if self.shape is Shape.UNIFORM and self.high_ms < self.low_ms:
            raise FaultsError("highMs must not be below lowMs")
        if self.shape is Shape.LOGNORMAL and not 0 < self.p50_ms <= self.p99_ms:
            raise FaultsError("a lognormal latency needs 0 < p50Ms <= p99Ms")


@dataclass(frozen=True, slots=True)
class FlowControl:
    """How a 503 for too many devices per second looks; the documents name the status and nothing else."""

    body: Body = Body.EMPTY
    retry_after: str = ""

    def __post_init__(self) -> None:
        _one_line("retryAfter", self.retry_after)


@dataclass(frozen=True, slots=True)
class AppFaults:
    """What goes wrong for one app, or for all that have no entry of their own."""

    failures: tuple[Failure, ...] = ()
    """Tried in this order; the first that strikes answers."""
    latency: Latency = Latency()
    devices_per_s: float = 0.0
    """Token bucket, one second deep; 0: no limit."""
    burst_devices: float = 0.0
    """Depth of the bucket, where one second's worth is not meant; 0: one second's worth."""
    flow_control: FlowControl = FlowControl()
    token_limit: int = MAX_CALL_TOKENS
    penalty: bool = False
    push_off: bool = False

    def __post_init__(self) -> None:
        _within("devices_per_s", self.devices_per_s, 0.0, None)
        _within("burst_devices", self.burst_devices, 0.0, None)
        _within("token_limit", self.token_limit, 1, None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What replaces a business answer: its status and code."""

    status: int
    code: str

    def __post_init__(self) -> None:
        _within("status", self.status, 200, 599)


RULES: Final = frozenset(
    {
        "contentType",
        "json",
        "authorization",
        "clientId",
        "pushType",
        "missingFields",
        "notifyId",
        "tokens",
        "tokenCount",
        "size",
        "tokenApps",
        "tokenReasons",
        "rate",
    }
)
"""The rules that ``Rules.off`` may name. With some of them off, a call may be accepted that revokes nothing."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the rules are read where the documents are silent or differ."""

    off: frozenset[str] = frozenset()
    answers: Mapping[str, Answer] = field(default_factory=lambda: MappingProxyType({}))
    """Code → what is answered instead, for example 80300017 with status 200."""
    business_errors_in_200: bool = False
    """Every business answer has HTTP status 200, as some clients report."""
    partial: PartialStyle = PartialStyle.MAP
    wrong_partial_counts: bool = False
    missing_field_code: str = NO_PERMISSION
    """80300032 or 80100001, for a body without notifyId or token."""
    unknown_slot_code: str = SUCCESS
    """For a call that hits no registered message; only where messages were registered at all."""
    repeat_code: str = SUCCESS
    """For a call whose every token was revoked before under its notifyId."""
    clock_skew_s: float = 0.0
    sends_draw_on_rate: bool = False
    """Whether registered sends use up devices per second, as one shared budget would."""

    def __post_init__(self) -> None:
        _within("clock_skew_s", self.clock_skew_s, 0.0, None)
        if unknown := self.off - RULES:
            raise FaultsError(f"off: no rule is called {min(unknown)!r}; there are {', '.join(sorted(RULES))}")
        if self.missing_field_code not in (NO_PERMISSION, PARAMETER_ERROR):
            raise FaultsError(f"missingFieldCode must be {NO_PERMISSION} or {PARAMETER_ERROR}")


@dataclass(frozen=True, slots=True)
class Faults:
    """The whole state."""

    all: AppFaults = AppFaults()
    apps: Mapping[str, AppFaults] = field(default_factory=lambda: MappingProxyType({}))
    """An app's entry replaces ``all`` for it."""
    rules: Rules = field(default_factory=Rules)
    system_devices_per_s: float = 0.0
    """All apps together; 0: no limit."""
    down: Down = Down.NO
    down_for_s: float = 0.0
    """How long ``down`` lasts; 0: until it is changed."""

    def __post_init__(self) -> None:
        _within("system_devices_per_s", self.system_devices_per_s, 0.0, None)
        _within("down_for_s", self.down_for_s, 0.0, None)

    def of(self, client_id: str) -> AppFaults:
        """What applies to this app."""
        return self.apps.get(client_id, self.all)
