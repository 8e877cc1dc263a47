"""The nouns: what a record means once it has been read, and what goes wrong by name.

Promised: values here are immutable, compare by content, and know nothing of Kafka, RocksDB or HTTP.
Not promised: validity of what a producer wrote; ``wire`` checks that before it builds one of these.

The exceptions, each for what cannot go on from here (an *outcome* is a value, never an exception)::

    UnpushError
    ├── SettingsError      a setting is wrong, a key file too: exit 2, one sentence
    ├── StartError         the settings are right, the world is not (broker, topics, port): exit 1, one sentence
    ├── BadRecord          this record is for the dead-letter topic, with one of the contract's reasons
    ├── RegistryDown       the Schema Registry does not answer: wait, the record is not bad
    ├── StoreStalled       the store refuses writes for now (write stall, disk full): wait and repeat
    ├── StoreCorrupt       the store contradicts itself: move it aside and rebuild it from Kafka
    └── Fenced             the shard is no longer ours: leave no trace
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple

MAX_CALL_TOKENS: Final = 1_000
"""Distinct tokens in one revoke call, at most. Source: push-msg-revoke (Huawei Push Kit, HarmonyOS), its ``token``."""

MAX_TOKEN_BYTES: Final = 4_096
"""A longer token is rejected without a call (contract, Limits)."""

MAX_NOTIFY_ID: Final = 2**31 - 1

REVOCABLE_PUSH_TYPES: Final = frozenset({0, 2})
"""Notification and text-to-speech; no other push type can be revoked. Source: push-msg-revoke, header ``push-type``."""


class UnpushError(Exception):
    """What Unpush raises by itself; its text is one sentence for a person."""


class SettingsError(UnpushError):
    """A setting is unknown, of a wrong type or impossible; names the key, the value and what would be right."""


class StartError(UnpushError):
    """The service cannot start as the world is now; names what was found and what to do."""


class BadRecord(UnpushError):
    """This record goes to the dead-letter topic; ``reason`` is one of the contract's words."""

    def __init__(self, reason: DeadReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RegistryDown(UnpushError):
    """The Schema Registry does not answer, or answers with a fault of its own: keep the record and wait."""


class StoreStalled(UnpushError):
    """The store refuses a write for now; the same operations may be written again later."""


class StoreCorrupt(UnpushError):
    """The store cannot be trusted any more; Kafka still has everything."""


class Fenced(UnpushError):
    """The shard has left this process; whatever was under way must leave no trace."""


class Standing(Enum):
    """What a verdict comes to; the word is the one in ``check --json``."""

    GOOD = "ok"
    WARNING = "warning"
    """It runs, and somebody should know."""
    BAD = "failed"
    UNKNOWN = "unknown"
    """It could not be looked at, or nobody can tell yet."""


class Verdict(NamedTuple):
    """One look at the world before the service starts: what was looked at, what was found, and what to do where that
    is not good."""

    about: str
    standing: Standing
    found: str
    todo: str = ""


class DeadReason(Enum):
    """Header ``unpush.error.reason`` of a dead letter."""

    WIRE_FORMAT = "wire_format"
    UNKNOWN_SCHEMA = "unknown_schema"
    DECODE = "decode"
    INVALID = "invalid"
    KEY = "key"


class Topic(IntEnum):
    """The three topics a shard is a partition of."""

    SENDS = 1
    VIOLATIONS = 2
    RESULTS = 3


class Severity(IntEnum):
    """The higher is revoked first; the numbers are the Avro enum's indexes."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2
    CRITICAL = 3


class Status(Enum):
    """What an event says of its violation."""

    CONFIRMED = "CONFIRMED"
    WITHDRAWN = "WITHDRAWN"
    APPROVED = "APPROVED"


class Outcome(Enum):
    """How a part of a violation ended; see the contract for each."""

    REVOKED = "REVOKED"
    PARTIALLY_REVOKED = "PARTIALLY_REVOKED"
    FAILED = "FAILED"
    ALREADY_REVOKED = "ALREADY_REVOKED"
    NOT_REVOCABLE = "NOT_REVOCABLE"
    NOT_FOUND = "NOT_FOUND"
    WITHDRAWN = "WITHDRAWN"
    HELD = "HELD"
    DRY_RUN = "DRY_RUN"

    @property
    def covers(self) -> bool:
        """Whether a result with this outcome covers places of a send (DRY_RUN: in a dry run only)."""
        return self in _COVERING


_COVERING: Final = frozenset(
    {Outcome.REVOKED, Outcome.PARTIALLY_REVOKED, Outcome.FAILED, Outcome.ALREADY_REVOKED, Outcome.NOT_REVOCABLE}
)


class SendHead(NamedTuple):
    """A MessageSent without its tokens: what precedes them in the record."""

    message_id: str
    client_id: str
    notify_id: int | None
    """0 to 2147483647, or None: this send cannot be revoked (null or negative in the record)."""
    push_type: int
    sent_at_ms: int
    request_id: str | None

    @property
    def revocable(self) -> bool:
        """Whether Push Kit's revoke API can name this send at all."""
        return self.notify_id is not None and self.push_type in REVOCABLE_PUSH_TYPES


class Send(NamedTuple):
    """A MessageSent, whole. ``tokens`` are UTF-8 bytes, in the record's order, repeats kept; never logged."""

    head: SendHead
    tokens: Sequence[bytes]

    def __repr__(self) -> str:
        return f"Send({self.head!r}, {len(self.tokens)} tokens)"


class ViolationEvent(NamedTuple):
    """One ViolationDetected record. Later events of the same violation change its status only."""

    violation_id: str
    message_id: str
    severity: Severity
    status: Status
    reason: str
    detector: str | None
    detected_at_ms: int


class SendPart(NamedTuple):
    """Places ``first_token .. first_token + token_count - 1`` in the tokens of the send at ``partition``/``offset``."""

    partition: int
    offset: int
    first_token: int
    token_count: int


class RejectedToken(NamedTuple):
    """A token refused for good. ``token`` is the whole token: for the result record, never for a log."""

    token: str
    reason: str

    def __repr__(self) -> str:
        return f"RejectedToken({masked(self.token)}, {self.reason!r})"


class RevokeResult(NamedTuple):
    """One RevokeResult record, in the schema's field order and meaning (contract, Values)."""

    result_id: str
    violation_id: str
    message_id: str
    severity: Severity
    reason: str
    detected_at_ms: int
    outcome: Outcome
    client_id: str | None
    notify_id: int | None
    push_type: int | None
    sends: tuple[SendPart, ...]
    tokens_requested: int
    tokens_revoked: int
    rejected_tokens: tuple[RejectedToken, ...]
    attempts: int
    http_status: int | None
    code: str | None
    detail: str | None
    push_request_id: str | None
    violation_tokens_matched: int
    violation_tokens_settled: int
    late: bool
    started_at_ms: int
    completed_at_ms: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record stands in Kafka, and the time that Kafka gives it (ms)."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


def masked(token: str | bytes) -> str:
    """A push token as it may be shown: its first four characters and its length."""
    text = token.decode("utf-8", "replace") if isinstance(token, bytes) else token
    return f"{text[:4]}…({len(text)})"
