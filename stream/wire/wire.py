"""The one door between bytes and records.

Promised: whatever a record's bytes are, reading raises BadRecord or RegistryDown and nothing else, and costs no more
than the bytes are worth. Safe to use from several threads at once. Not promised: a quick answer where a schema id is
met for the first time: the registry is asked, which blocks for up to two seconds, six where the schema refers to
others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NoReturn

from stream.model import BadRecord, DeadReason, RevokeResult, Send, SendHead, SettingsError, ViolationEvent
from stream.wire import results, sends, violations
from stream.wire.looks import Looks, Records
from stream.wire.readers import Readers
from stream.wire.schemas import header, present
from stream.wire.validity import invalid

if TYPE_CHECKING:
    from stream.wire.registry import Registry


class Wire:
    """Reads both wire formats, writes the one that the settings name."""

    def __init__(
        self, write_format: Literal["single-object", "confluent"] = "single-object", registry: Registry | None = None
    ) -> None:
        """Raises SettingsError where Confluent's format is to be written and there is no registry to ask for ids."""
        if write_format == "confluent" and registry is None:
            raise SettingsError('avro.write_format "confluent" needs a Schema Registry: set avro.registry_url')
        self._looks = Looks(sends.NAME, registry)
        self._heads = Readers(sends.NAME, sends.read_send_head, sends.send_head_reader, registry)
        self._sends = Readers(sends.NAME, sends.SendReader(), sends.send_reader, registry)
        self._violations = Readers(violations.NAME, violations.read_violation, violations.violation_reader, registry)
        self._results = Readers(results.NAME, results.read_result, results.result_reader, registry)
        self._ids = registry if write_format == "confluent" else None
        self._headers = {name: header(present(name)) for name in (sends.NAME, violations.NAME, results.NAME)}

    def plain_sends(self, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> Records | None:
        """The batch, if every send of it passes the cheap look; never asks a registry and never raises.

        None says nothing of any one record: look at them one by one with ``check_send``.
        """
        return self._looks.all_plain(keys, values)

    def check_send(self, key: bytes | None, value: bytes | None) -> None:
        """One send, before it is stored: the cheap look and its head, and where that is not enough the whole of it.

        Raises BadRecord, RegistryDown.
        """
        if value is None:
            _refuse_null()
        if key is not None and self._looks.plain(key, value):
            self.send_head(value)
        else:
            _require_key(key, self.send(value).head.message_id)
            self._looks.learn(value)

    def send_head(self, value: bytes, at: int = 0) -> SendHead:
        """What precedes the tokens, which are neither read nor checked; the record begins at ``at``. Raises BadRecord,
        RegistryDown."""
        return self._heads.read(value, at)

    def send(self, value: bytes, at: int = 0) -> Send:
        """The whole send that begins at ``at``, checked to its last byte, its key apart. Raises BadRecord,
        RegistryDown."""
        return self._sends.read(value, at)

    def violation(self, key: bytes | None, value: bytes | None) -> ViolationEvent:
        """One event. Raises BadRecord, RegistryDown."""
        if value is None:
            _refuse_null()
        event = self._violations.read(value)
        _require_key(key, event.message_id)
        return event

    def stored_violation(self, value: bytes) -> ViolationEvent:
        """One event whose key was found right when it was stored. Raises BadRecord, RegistryDown."""
        return self._violations.read(value)

    def result(self, value: bytes | None) -> RevokeResult:
        """One result, its key apart. Raises BadRecord, RegistryDown."""
        if value is None:
            _refuse_null()
        return self._results.read(value)

    def encode_send(self, send: Send) -> bytes:
        """Raises ValueError for what no reader could read, RegistryDown."""
        return self._header(sends.NAME) + sends.send_written(send)

    def encode_violation(self, event: ViolationEvent) -> bytes:
        """Raises ValueError for what no reader could read, RegistryDown."""
        return self._header(violations.NAME) + violations.violation_written(event)

    def encode_result(self, result: RevokeResult) -> bytes:
        """Raises ValueError for what no reader could read, RegistryDown."""
        return self._header(results.NAME) + results.result_written(result)

    def _header(self, name: str) -> bytes:
        return self._headers[name] if self._ids is None else self._ids.header(name)


def _refuse_null() -> NoReturn:
    raise invalid("the record has no value")


def _require_key(key: bytes | None, message_id: str) -> None:
    if key is None:
        raise BadRecord(DeadReason.KEY, "the record has no key; it must be the messageId")
    if key != message_id.encode():
        raise BadRecord(DeadReason.KEY, "the record's key is not its messageId")
