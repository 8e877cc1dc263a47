"""Schemas by their Confluent id, and ids for the schemas that we write.

Promised: an id that was known once is known for ever, registry or none; a registry that does not answer is asked once
a second, not once a record; every question ends within about six seconds, two where one answer is enough. Not
promised: schemas that are put together out of more than a hundred others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Final, NoReturn, TypeVar

from confluent_kafka.schema_registry import Schema as RegistrySchema
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from stream.model import BadRecord, DeadReason, RegistryDown
from stream.settings import Settings
from stream.wire.references import MAX_REFERENCES, References
from stream.wire.schemas import CONFLUENT, Schema, parsed, text_of

T = TypeVar("T")

ANSWER_WITHIN_S: Final = 2.0
ASK_AGAIN_AFTER_S: Final = 1.0
"""How long an answer that may change (down, refused, unknown id) is believed."""

_IDS: Final = "ids"
_NO_VERSION: Final = 422
"""What a registry answers where a reference names no version that there can be: asking again is no help."""
_MAX_MISSING: Final = 1_000


def registry_of(settings: Settings) -> Registry | None:
    """The one that the settings name; None: they name none."""
    avro, topics = settings.avro, settings.topics
    if avro.registry_url is None:
        return None
    info = f"{avro.registry_user or ''}:{avro.registry_password.reveal()}" if avro.registry_password is not None else ""
    written = {
        "MessageSent": topics.message_sent,
        "ViolationDetected": topics.violation_detected,
        "RevokeResult": topics.revoke_result,
    }
    return Registry(avro.registry_url, written, info, avro.auto_register)


class Registry:
    """A Confluent Schema Registry through confluent-kafka's own client. Safe to use from several threads; it blocks."""

    def __init__(self, url: str, topics: Mapping[str, str], user_info: str = "", auto_register: bool = True) -> None:
        """``topics`` by the name of the record written to them; ``user_info`` is ``user:password``.

        Raises ValueError for a URL that cannot be one.
        """
        self._client = SchemaRegistryClient(_client_settings(url, user_info))
        self._references = References(self._client)
        self._topics = topics
        self._auto_register = auto_register
        self._schemas: dict[int, Schema | str] = {}
        self._headers: dict[str, bytes] = {}
        self._missing: dict[int, tuple[float, str]] = {}
        self._down: dict[str, tuple[float, str]] = {}
        self._asking = Lock()

    def schema(self, schema_id: int) -> Schema:
        """The schema with this id. Raises BadRecord for an id nobody knows or a schema not Avro's, RegistryDown."""
        found = self._schemas.get(schema_id)
        if found is None:
            found = self._asked(_IDS, lambda: self._fetched(schema_id))
        if isinstance(found, str):
            raise BadRecord(DeadReason.DECODE, found)
        return found

    def header(self, name: str) -> bytes:
        """What our records of this name begin with. Raises RegistryDown, also where the registry refuses the schema."""
        found = self._headers.get(name)
        return found if found is not None else self._asked(name, lambda: self._registered(name))

    def known(self, name: str) -> bool:
        """Whether the schema that we write records of this name with is registered; changes nothing. Raises
        RegistryDown, also where what answers is no registry."""
        return self._asked(f"known {name}", lambda: self._looked_up(name))

    def _looked_up(self, name: str) -> bool:
        try:
            self._client.lookup_schema(f"{self._topics[name]}-value", RegistrySchema(text_of(name), "AVRO"))
        except SchemaRegistryError as error:
            if not _says_not_found(error):
                raise
            return False
        return True

    def _asked(self, what: str, question: Callable[[], T]) -> T:
        with self._asking:
            until, sentence = self._down.get(what, (0.0, ""))
            if monotonic() < until:
                raise RegistryDown(sentence)
            try:
                return question()
            except BadRecord:
                raise
            except Exception as error:  # noqa: BLE001 the client lets its HTTP library's exceptions through
                self._remember_down(what, error)

    def _remember_down(self, what: str, error: Exception) -> NoReturn:
        # The client would remember an answer without a schema in it for ever.
        self._client.clear_caches()  # type: ignore[no-untyped-call]
        sentence = f"the Schema Registry cannot be used: {_sentence(error)}"
        self._down[what] = monotonic() + ASK_AGAIN_AFTER_S, sentence
        raise RegistryDown(sentence) from None

    def _fetched(self, schema_id: int) -> Schema | str:
        until, sentence = self._missing.get(schema_id, (0.0, ""))
        if monotonic() < until:
            raise BadRecord(DeadReason.UNKNOWN_SCHEMA, sentence)
        with self._missed(schema_id, f"the Schema Registry knows no schema with the id {schema_id}"):
            answer = self._client.get_schema(schema_id)
        with self._missed(schema_id, f"the Schema Registry does not know all that the schema id {schema_id} refers to"):
            others = self._references.of(answer, ANSWER_WITHIN_S)
        self._schemas[schema_id] = schema = _parsed(schema_id, answer, others)
        return schema

    @contextmanager
    def _missed(self, schema_id: int, sentence: str) -> Iterator[None]:
        try:
            yield
        except SchemaRegistryError as error:
            if not _says_not_found(error) and error.http_status_code != _NO_VERSION:
                raise
            self._remember_missing(schema_id, sentence)

    def _remember_missing(self, schema_id: int, sentence: str) -> NoReturn:
        if len(self._missing) >= _MAX_MISSING:
            self._missing.clear()
        self._missing[schema_id] = monotonic() + ASK_AGAIN_AFTER_S, sentence
        raise BadRecord(DeadReason.UNKNOWN_SCHEMA, sentence)

    def _registered(self, name: str) -> bytes:
        subject = f"{self._topics[name]}-value"
        schema = RegistrySchema(text_of(name), "AVRO")
        if self._auto_register:
            schema_id: int | None = self._client.register_schema(subject, schema)
        else:
            schema_id = self._client.lookup_schema(subject, schema).schema_id
        self._headers[name] = head = CONFLUENT + _required(schema_id).to_bytes(4, "big")
        return head


def _client_settings(url: str, user_info: str) -> dict[str, object]:
    settings: dict[str, object] = {"url": url, "timeout": ANSWER_WITHIN_S, "max.retries": 0}
    if user_info:
        settings["basic.auth.user.info"] = user_info
    return settings


def _parsed(schema_id: int, answer: RegistrySchema, others: list[RegistrySchema] | None) -> Schema | str:
    """The schema, or why no record can be read with it."""
    if answer.schema_type not in (None, "AVRO"):
        return f"schema id {schema_id} is {answer.schema_type}, not Avro"
    if others is None:
        return f"schema id {schema_id} refers to more than {MAX_REFERENCES} others"
    text, *texts = (_required(each.schema_str) for each in (answer, *others))
    try:
        return parsed(text, texts)
    except Exception as error:  # noqa: BLE001 the schema is a stranger's: json and fastavro raise what they like
        return f"schema id {schema_id} cannot be read with ({type(error).__name__})"


def _required(answered: T | None) -> T:
    if answered is None:
        raise ValueError("the answer is not a Schema Registry's")
    return answered


def _says_not_found(error: SchemaRegistryError) -> bool:
    """404 with a registry's own code (40403; some say 40400). A bare 404 is another server, or another path on it."""
    return error.http_status_code == 404 and 40400 <= int(error.error_code or 0) < 40500


def _sentence(error: Exception) -> str:
    if isinstance(error, SchemaRegistryError):
        return f"HTTP {error.http_status_code}, code {error.error_code}: {str(error.error_message)[:200]}"
    return f"{type(error).__name__}: {str(error)[:200]}"
