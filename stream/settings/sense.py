"""Combinations that make no sense, each valid by itself.

Promised: the first that is found is raised, with both keys named. Not promised: that all are listed at once.
"""

from __future__ import annotations

from typing import Final

from stream.model import SettingsError
from stream.settings.duration import duration_text
from stream.settings.secret import Secret
from stream.settings.sections import Settings
from stream.settings.wrong import Given, Path, wrong

MOST_RESERVED: Final = 0.9
"""The rest is for what is most severe: reserved wholly, a CRITICAL backlog would never end."""


def check(settings: Settings) -> None:
    """Raises SettingsError for the first impossible combination."""
    _topics_differ(settings)
    _confluent_has_a_registry(settings)
    _giving_up_ends_within_retention(settings)
    _retries_grow(settings)
    _something_is_left_for_the_most_severe(settings)
    _only_a_token_opens_the_door(settings)
    _the_proxy_can_be_told_who_we_are(settings)
    _the_registry_can_be_told_who_we_are(settings)


def _topics_differ(settings: Settings) -> None:
    topics = settings.topics
    seen: dict[str, str] = {}
    for name in ("message_sent", "violation_detected", "revoke_result", "dead_letter"):
        topic = getattr(topics, name)
        if topic in seen:
            raise _clash(
                ("topics", name), topic, f"topics.{seen[topic]} has this name already; each topic needs its own"
            )
        seen[topic] = name


def _confluent_has_a_registry(settings: Settings) -> None:
    avro = settings.avro
    if avro.write_format == "confluent" and avro.registry_url is None:
        raise _clash(("avro", "write_format"), avro.write_format, "it needs avro.registry_url, which is empty")


def _giving_up_ends_within_retention(settings: Settings) -> None:
    give_up, retention = settings.push_kit.give_up_after_s, settings.store.retention_s
    if give_up > retention:
        right = f"it must not be longer than store.retention, {duration_text(retention)}"
        raise _clash(("push_kit", "give_up_after"), duration_text(give_up), right)


def _retries_grow(settings: Settings) -> None:
    first, longest = settings.push_kit.retry_first_s, settings.push_kit.retry_longest_s
    if first > longest:
        right = f"it must not be longer than push_kit.retry_longest, {duration_text(longest)}"
        raise _clash(("push_kit", "retry_first"), duration_text(first), right)


def _something_is_left_for_the_most_severe(settings: Settings) -> None:
    lanes = settings.lanes
    together = lanes.high + lanes.medium + lanes.low
    if together > MOST_RESERVED + 1e-9:
        right = (
            f"lanes.high, lanes.medium and lanes.low are {together:g} together; at most {MOST_RESERVED} may be reserved"
        )
        raise _clash(("lanes", "high"), lanes.high, right)


def _only_a_token_opens_the_door(settings: Settings) -> None:
    http = settings.http
    if not http.listen.loopback and http.token is None:
        right = "beyond loopback it needs http.token_file, a file with the token that callers must show"
        raise _clash(("http", "listen"), str(http.listen), right)


def _the_proxy_can_be_told_who_we_are(settings: Settings) -> None:
    push_kit = settings.push_kit
    if push_kit.proxy_password is not None and push_kit.proxy_user is None:
        right = "it needs push_kit.proxy_user, which is empty"
        raise _clash(("push_kit", "proxy_password"), push_kit.proxy_password, right)
    if push_kit.proxy_user is not None and ":" in push_kit.proxy_user:
        right = "it must not hold a colon: the password would begin there"
        raise _clash(("push_kit", "proxy_user"), Secret(push_kit.proxy_user), right)


def _the_registry_can_be_told_who_we_are(settings: Settings) -> None:
    avro = settings.avro
    if avro.registry_user is not None and avro.registry_password is None:
        right = "it needs avro.registry_password, which is empty"
        raise _clash(("avro", "registry_user"), Secret(avro.registry_user), right)
    if avro.registry_user is not None and ":" in avro.registry_user:
        right = "it must not hold a colon: the password would begin there"
        raise _clash(("avro", "registry_user"), Secret(avro.registry_user), right)


def _clash(path: Path, value: object, right: str) -> SettingsError:
    return wrong(path, Given(value), right)
