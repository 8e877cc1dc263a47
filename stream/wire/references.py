"""What a registry's schemas refer to: the others that they are put together out of.

Promised: what was fetched once is fetched never again, so that a slow registry gets further with every attempt; a
circle ends. Not promised: which of two that carry one name; a registry takes the first too.
Source: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html, "Schema
references".
"""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Final

from confluent_kafka.schema_registry import Schema as RegistrySchema
from confluent_kafka.schema_registry import SchemaReference, SchemaRegistryClient

MAX_REFERENCES: Final = 100
"""A schema that needs more others than this, theirs included, is not read with."""


class References:
    """What one registry's schemas refer to. Used by one thread at a time."""

    def __init__(self, client: SchemaRegistryClient) -> None:
        self._client = client
        self._known: dict[tuple[str, int], RegistrySchema] = {}

    def of(self, schema: RegistrySchema, within_s: float) -> list[RegistrySchema] | None:
        """All that it refers to, each behind what it refers to itself; None: more than ``MAX_REFERENCES``.

        Raises TimeoutError where the last answer is still to be asked for after ``within_s``, and what the client
        raises.
        """
        seen: set[str] = set()
        found = list(self._behind(schema, seen, monotonic() + within_s))
        return None if len(seen) > MAX_REFERENCES else found

    def _behind(self, schema: RegistrySchema, seen: set[str], until: float) -> Iterator[RegistrySchema]:
        for reference in schema.references or ():
            name = str(reference.name)
            if name not in seen and len(seen) <= MAX_REFERENCES:
                seen.add(name)
                other = self._fetched(reference, until)
                yield from self._behind(other, seen, until)
                yield other

    def _fetched(self, reference: SchemaReference, until: float) -> RegistrySchema:
        place = str(reference.subject), int(reference.version or 0)
        found = self._known.get(place)
        if found is None:
            if monotonic() > until:
                raise TimeoutError("a schema refers to more others than it has answered with so far")
            # A version that was deleted softly is still what older records were written with.
            found = self._known[place] = self._client.get_version(*place, deleted=True).schema
        return found
