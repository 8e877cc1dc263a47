"""From a record's first bytes to what reads the rest.

Promised: whatever the bytes, only BadRecord comes out, or RegistryDown where a schema must be asked for and cannot.
Not promised: any check of the record's key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from stream.model import BadRecord, DeadReason
from stream.wire.schemas import CONFLUENT, SINGLE_OBJECT, Schema, header, known, present

if TYPE_CHECKING:  # its client takes a fifth of a second and 18 MB to import: only for those who have a registry
    from stream.wire.registry import Registry

T = TypeVar("T")

Reader: TypeAlias = Callable[[bytes, int], T]
"""Reads the record whose fields begin at the position given, to its end."""

SINGLE_OBJECT_HEADER_BYTES: Final = 10
CONFLUENT_HEADER_BYTES: Final = 5


def header_of(value: bytes) -> bytes:
    """The bytes that name the schema of the record, of which so many may be given as the longer header has. Raises
    BadRecord ``wire_format``."""
    if value.startswith(SINGLE_OBJECT) and len(value) >= SINGLE_OBJECT_HEADER_BYTES:
        return value[:SINGLE_OBJECT_HEADER_BYTES]
    if value.startswith(CONFLUENT) and len(value) >= CONFLUENT_HEADER_BYTES:
        return value[:CONFLUENT_HEADER_BYTES]
    raise BadRecord(DeadReason.WIRE_FORMAT, "the record begins like neither of the two wire formats")


def writer_schema(head: bytes, registry: Registry | None) -> Schema:
    """The schema that the header names. Raises BadRecord ``unknown_schema``, RegistryDown."""
    if head.startswith(SINGLE_OBJECT):
        schema = known().get(head)
        if schema is None:
            raise BadRecord(DeadReason.UNKNOWN_SCHEMA, f"no schema has the fingerprint {head[2:].hex()}")
        return schema
    schema_id = int.from_bytes(head[1:], "big")
    if registry is None:
        raise BadRecord(DeadReason.UNKNOWN_SCHEMA, f"schema id {schema_id} needs a Schema Registry, and none is set")
    return registry.schema(schema_id)


class Readers(Generic[T]):
    """Records of one kind, whoever wrote them: one reader per header, made when the first such record comes."""

    def __init__(
        self, name: str, ours: Reader[T], others: Callable[[Schema], Reader[T]], registry: Registry | None
    ) -> None:
        self._ours, self._others, self._registry = ours, others, registry
        self._present = header(present(name))
        self._by_header: dict[bytes, tuple[Reader[T], int]] = {self._present: (ours, len(self._present))}

    def read(self, value: bytes, at: int = 0) -> T:
        """The record from ``at`` on, valid. Raises BadRecord, RegistryDown; nothing else, whatever the bytes."""
        begin = value[at : at + SINGLE_OBJECT_HEADER_BYTES]
        found = self._by_header.get(begin)
        reader, length = found if found is not None else self._find(header_of(begin))
        try:
            return reader(value, at + length)
        except BadRecord:
            raise
        except Exception as error:  # noqa: BLE001 fastavro has no exception of its own; hostile bytes find all others
            raise BadRecord(DeadReason.DECODE, _sentence(error)) from None

    def _find(self, head: bytes) -> tuple[Reader[T], int]:
        found = self._by_header.get(head)
        if found is None:
            found = self._by_header[head] = self._reader(writer_schema(head, self._registry)), len(head)
        return found

    def _reader(self, writer: Schema) -> Reader[T]:
        if header(writer) == self._present:
            return self._ours
        try:
            return self._others(writer)
        except Exception as error:  # noqa: BLE001 as above: the schema is a stranger's too
            return _refusing(f"the writer's schema cannot be read with: {_sentence(error)}")


def _refusing(sentence: str) -> Reader[T]:
    def read(_data: bytes, _at: int) -> T:
        raise BadRecord(DeadReason.DECODE, sentence)

    return read


def _sentence(error: Exception) -> str:
    """What happened, without the record's contents: a decoding error's own text holds a byte or two at most."""
    match error:
        case IndexError() | EOFError():
            return "the record ends before its last field"
        case UnicodeDecodeError():
            return "a text is not UTF-8"
        case ValueError():
            return str(error)
    return f"the record does not fit its schema ({type(error).__name__})"
