"""The Schema Registry, where there is one; nothing is registered."""

from __future__ import annotations

from typing import Final

from stream.model import BadRecord, RegistryDown, Standing, Verdict
from stream.settings import AvroSettings
from stream.wire import results
from stream.wire.registry import Registry

ABOUT: Final = "registry"
_NOBODYS_ID: Final = 2**31 - 1
"""A registry says of it, with a code of its own, that it knows no such schema; another server does not."""


def look(settings: AvroSettings, registry: Registry | None) -> Verdict:
    """Does it answer, and can results be written with it."""
    if registry is None:
        return Verdict(ABOUT, Standing.GOOD, "none is set: records in Confluent's format are dead letters")
    try:
        known = _known(settings, registry)
    except RegistryDown as error:
        found = f"avro.registry_url {settings.registry_url}: {error}"
        return Verdict(
            ABOUT, Standing.BAD, found, "is the address right, is it up, and are user and password in the environment?"
        )
    return judged(settings, known)


def _known(settings: AvroSettings, registry: Registry) -> bool | None:
    if settings.write_format == "confluent":
        return registry.known(results.NAME)
    try:
        registry.schema(_NOBODYS_ID)
    except BadRecord:
        return None
    return None


def judged(settings: AvroSettings, known: bool | None) -> Verdict:
    """``known``: whether it has the schema of results; None: we need none."""
    if known is None:
        return Verdict(ABOUT, Standing.GOOD, f"{settings.registry_url} answers")
    if known:
        return Verdict(ABOUT, Standing.GOOD, f"{settings.registry_url} knows the schema of results")
    if settings.auto_register:
        return Verdict(ABOUT, Standing.GOOD, f"{settings.registry_url} answers; the first result registers its schema")
    found = f"{settings.registry_url} does not know the schema of results, and avro.auto_register is false"
    return Verdict(
        ABOUT, Standing.BAD, found, "register schemas/RevokeResult.avsc as <topic>-value, or let auto_register do it"
    )
