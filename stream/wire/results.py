"""RevokeResult: written once per end of a call, read again as the ledger of what is done.

Promised: the bytes are those that any Avro writer of the present schema would write, and any reader can read them.
Not promised: that the numbers agree with each other. Errors of reading are those of ``primitives`` and BadRecord.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from stream.model import Outcome, RejectedToken, RevokeResult, SendPart, Severity
from stream.wire.foreign import resolution
from stream.wire.primitives import (
    INT_MAX,
    long,
    optional_long,
    optional_text,
    read_count,
    read_long,
    read_optional_long,
    read_optional_text,
    read_text,
    text,
)
from stream.wire.readers import Reader
from stream.wire.schemas import Schema, present
from stream.wire.validity import invalid, require_filled, require_time

NAME: Final = "RevokeResult"

_OUTCOMES: Final = tuple(Outcome)
_PART_FIELDS: Final = ("partition", "offset", "firstToken", "tokenCount")
_OUTCOME_BYTES: Final = {outcome: long(index) for index, outcome in enumerate(_OUTCOMES)}


def read_result(data: bytes, at: int) -> RevokeResult:
    """A result of the present schema. Raises ValueError for bytes behind it."""
    fields: list[Any] = []
    for read in _FIELDS:
        field, at = read(data, at)
        fields.append(field)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes follow the last field")
    return _valid(RevokeResult(*fields))


def _read_severity(data: bytes, at: int) -> tuple[Severity, int]:
    index, at = read_long(data, at)
    return Severity(index), at


def _read_outcome(data: bytes, at: int) -> tuple[Outcome, int]:
    index, at = read_long(data, at)
    if not 0 <= index < len(_OUTCOMES):
        raise ValueError(f"there is no outcome with the index {index}")
    return _OUTCOMES[index], at


def _read_flag(data: bytes, at: int) -> tuple[bool, int]:
    return data[at] != 0, at + 1


def _read_parts(data: bytes, at: int) -> tuple[tuple[SendPart, ...], int]:
    parts: list[SendPart] = []
    count, at = read_count(data, at)
    while count:
        for _ in range(count):
            partition, at = read_long(data, at)
            offset, at = read_long(data, at)
            first, at = read_long(data, at)
            tokens, at = read_long(data, at)
            parts.append(SendPart(partition, offset, first, tokens))
        count, at = read_count(data, at)
    return tuple(parts), at


def _read_rejected(data: bytes, at: int) -> tuple[tuple[RejectedToken, ...], int]:
    rejected: list[RejectedToken] = []
    count, at = read_count(data, at)
    while count:
        for _ in range(count):
            token, at = read_text(data, at)
            reason, at = read_text(data, at)
            rejected.append(RejectedToken(token, reason))
        count, at = read_count(data, at)
    return tuple(rejected), at


_FIELDS: Final[tuple[Callable[[bytes, int], tuple[object, int]], ...]] = (
    read_text,  # resultId
    read_text,  # violationId
    read_text,  # messageId
    _read_severity,
    read_text,  # reason
    read_long,  # detectedAt
    _read_outcome,
    read_optional_text,  # clientId
    read_optional_long,  # notifyId
    read_optional_long,  # pushType
    _read_parts,
    read_long,  # tokensRequested
    read_long,  # tokensRevoked
    _read_rejected,
    read_long,  # attempts
    read_optional_long,  # httpStatus
    read_optional_text,  # code
    read_optional_text,  # detail
    read_optional_text,  # pushRequestId
    read_long,  # violationTokensMatched
    read_long,  # violationTokensSettled
    _read_flag,  # late
    read_long,  # startedAt
    read_long,  # completedAt
)
"""How each field is read, in the schema's order, which is RevokeResult's."""


def _valid(result: RevokeResult) -> RevokeResult:
    require_filled("resultId", result.result_id)
    require_filled("violationId", result.violation_id)
    require_filled("messageId", result.message_id)
    require_time("detectedAt", result.detected_at_ms)
    require_time("startedAt", result.started_at_ms)
    require_time("completedAt", result.completed_at_ms)
    wrong = _beyond_32_bits(result)
    if wrong:
        raise invalid(wrong)
    return result


def result_reader(writer: Schema) -> Reader[RevokeResult]:
    """How to read results of another schema. Raises ValueError for one that must not be read with."""
    other = resolution(writer, present(NAME))
    return lambda data, at: _result_of(other.read_whole(data, at))


def _result_of(fields: dict[str, Any]) -> RevokeResult:
    """The fields' order is the schema's, whoever wrote the record: values are taken by name."""
    values = {field["name"]: fields[field["name"]] for field in present(NAME)["fields"]}
    values.update(
        severity=Severity[fields["severity"]],
        outcome=Outcome[fields["outcome"]],
        sends=tuple(SendPart(*(part[name] for name in _PART_FIELDS)) for part in fields["sends"]),
        rejectedTokens=tuple(
            RejectedToken(refused["token"], refused["reason"]) for refused in fields["rejectedTokens"]
        ),
    )
    return _valid(RevokeResult(*values.values()))


def result_written(result: RevokeResult) -> bytes:
    """A result as the present schema writes it. Raises ValueError for a number that no reader could read."""
    wrong = _beyond_32_bits(result)
    if wrong:
        raise ValueError(wrong)
    return b"".join(
        (
            text(result.result_id),
            text(result.violation_id),
            text(result.message_id),
            long(result.severity),
            text(result.reason),
            long(result.detected_at_ms),
            _OUTCOME_BYTES[result.outcome],
            optional_text(result.client_id),
            optional_long(result.notify_id),
            optional_long(result.push_type),
            _parts_written(result.sends),
            long(result.tokens_requested),
            long(result.tokens_revoked),
            _rejected_written(result.rejected_tokens),
            long(result.attempts),
            optional_long(result.http_status),
            optional_text(result.code),
            optional_text(result.detail),
            optional_text(result.push_request_id),
            long(result.violation_tokens_matched),
            long(result.violation_tokens_settled),
            b"\1" if result.late else b"\0",
            long(result.started_at_ms),
            long(result.completed_at_ms),
        )
    )


def _beyond_32_bits(result: RevokeResult) -> str | None:
    """What is wrong with the numbers that have 32 bits or cannot be negative; None where nothing is."""
    for part in result.sends:
        if (part.partition | part.first_token | part.token_count) >> 31 or part.offset < 0:
            return f"a number is negative or beyond 32 bits: {part}"
    if (result.tokens_requested | result.tokens_revoked | result.attempts | (result.http_status or 0)) >> 31:
        return "a count is negative or beyond 32 bits"
    for name, number in ("notifyId", result.notify_id), ("pushType", result.push_type):
        if number is not None and not -INT_MAX - 1 <= number <= INT_MAX:
            return f"{name} {number} is beyond 32 bits"
    return None


def _parts_written(parts: tuple[SendPart, ...]) -> bytes:
    if not parts:
        return b"\0"
    numbers = (long(number) for part in parts for number in part)
    return b"".join((long(len(parts)), *numbers, b"\0"))


def _rejected_written(rejected: tuple[RejectedToken, ...]) -> bytes:
    if not rejected:
        return b"\0"
    texts = (text(part) for refused in rejected for part in refused)
    return b"".join((long(len(rejected)), *texts, b"\0"))
