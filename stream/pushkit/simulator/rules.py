"""The rules of ``messages:revoke``, in order; the first that a call fails answers it.

Promised: ``judge`` decides from the call, the state and the time alone, does no I/O and changes nothing but the token
buckets and the cache of verified JWTs. Not promised: Push Kit's own order of checks, which no page documents.
Source of the rules: harmonyos-references/push-msg-revoke; numbers in comments are those of docs/simulator.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from stream.model import MAX_NOTIFY_ID, REVOCABLE_PUSH_TYPES
from stream.pushkit.simulator import replies
from stream.pushkit.simulator.apps import App
from stream.pushkit.simulator.authority import Keyring, Refused
from stream.pushkit.simulator.book import Book, Moment
from stream.pushkit.simulator.faults import Faults, PartialStyle
from stream.pushkit.simulator.named import NOBODY, Named, named, read
from stream.pushkit.simulator.rates import Rates
from stream.pushkit.simulator.slots import Slots
from stream.pushkit.simulator.tokens import TokenFacts

MAX_BYTES_WITHOUT_TOKENS: Final = 4_096
OVER_RATE: Final = Refused("", "flow control")
"""The one refusal without a business code: HTTP 503. Source: harmonyos-references/push-msg-freq-control."""

_PUSH_TYPES: Final = frozenset(str(push_type).encode() for push_type in REVOCABLE_PUSH_TYPES)


class Call(NamedTuple):
    """One request to the revoke URL, read but not judged."""

    client_id: str
    content_type: bytes
    authorization: bytes | None
    push_type: bytes | None
    fields: Mapping[str, object] | None
    """The body's JSON object; None if it is none. Its ``token`` may be an empty list in place of ``tokens``."""
    notify_id: int | None
    """None where it is no integer."""
    tokens: Named
    """Empty where ``token`` is no list of non-empty strings."""
    lists_tokens: bool
    """Whether it is one, be it empty."""

    def __repr__(self) -> str:
        return f"Call({self.client_id}, notifyId {self.notify_id}, {len(self.tokens)} tokens)"


class Verdict(NamedTuple):
    """What a call comes to. ``revoked`` and ``refused`` are its tokens with and without effect."""

    code: str
    message: str
    revoked: Named
    refused: Named


@dataclass(slots=True)
class World:
    """Everything that the rules look at."""

    apps: Mapping[str, App]
    keyring: Keyring
    faults: Faults
    facts: TokenFacts = field(default_factory=TokenFacts)
    slots: Slots = field(default_factory=Slots)
    rates: Rates = field(default_factory=Rates)
    book: Book = field(default_factory=Book)


def read_call(
    client_id: str,
    content_type: bytes,
    authorization: bytes | None,
    push_type: bytes | None,
    data: bytes,
    body_at: int,
) -> Call:
    """Read the body, which begins in ``data`` at ``body_at``, as far as it can be read; never raises."""
    fields, tokens = read(data, body_at)
    notify_id = fields.get("notifyId") if fields else None
    return Call(
        client_id,
        content_type,
        authorization,
        push_type,
        fields,
        notify_id if type(notify_id) is int else None,
        NOBODY if tokens is None else tokens,
        tokens is not None,
    )


def judge(call: Call, world: World, moment: Moment) -> Verdict:
    """Apply every rule that is on; the effect is the caller's to enter."""
    off = world.faults.rules.off
    for name, rule in _RULES:
        if name not in off:
            refused = rule(call, world, moment)
            if refused is not None:
                return Verdict(refused.code, refused.message, NOBODY, call.tokens)
    return _accepted(call, world) if "tokenReasons" not in off else _success(call)


def _content_type(call: Call, world: World, moment: Moment) -> Refused | None:
    if call.content_type.partition(b";")[0].strip().lower() != b"application/json":
        return Refused(replies.ILLEGAL_PAYLOAD, "Illegal payload, Content-Type must be application/json.")
    return None


def _json(call: Call, world: World, moment: Moment) -> Refused | None:
    if call.fields is None:
        return Refused(replies.ILLEGAL_PAYLOAD, "Illegal payload, the body is not a JSON object.")
    return None


def _authority(call: Call, world: World, moment: Moment) -> Refused | None:
    grant = world.keyring.check(call.authorization, moment.wall_ns / 1e9, world.faults.rules.clock_skew_s)
    if isinstance(grant, Refused):
        return grant
    app = world.apps.get(call.client_id)
    if app is not None and app.project_id != grant.project_id:
        return Refused(replies.AUTH_FAILED, "Authentication failed: the key is not of the app's project.")
    return None


def _client_id(call: Call, world: World, moment: Moment) -> Refused | None:
    faults = world.faults.of(call.client_id)
    if call.client_id not in world.apps or faults.push_off:
        return Refused(replies.NOT_THE_APP, "The app does not exist or Push Kit is not enabled for it.")
    if faults.penalty:
        return Refused(replies.PENALTY, "The app is barred because of a penalty.")
    return None


def _push_type(call: Call, world: World, moment: Moment) -> Refused | None:
    if call.push_type not in _PUSH_TYPES:
        return Refused(replies.ILLEGAL_PAYLOAD, "Illegal payload, the push-type header is not valid.")
    return None


def _missing_fields(call: Call, world: World, moment: Moment) -> Refused | None:
    missing = [name for name in ("notifyId", "token") if call.fields is None or call.fields.get(name) is None]
    if missing:
        return Refused(world.faults.rules.missing_field_code, f"{' and '.join(missing)} must be given.")
    return None


def _notify_id(call: Call, world: World, moment: Moment) -> Refused | None:
    if call.notify_id is None or not 0 <= call.notify_id <= MAX_NOTIFY_ID:
        return Refused(
            replies.ILLEGAL_PAYLOAD, f"Illegal payload, notifyId must be an integer in [0, {MAX_NOTIFY_ID}]."
        )
    return None


def _tokens(call: Call, world: World, moment: Moment) -> Refused | None:
    if not call.lists_tokens:
        return Refused(replies.ILLEGAL_PAYLOAD, "Illegal payload, token must be an array of non-empty strings.")
    return None


def _token_count(call: Call, world: World, moment: Moment) -> Refused | None:
    limit = world.faults.of(call.client_id).token_limit
    if not 1 <= len(call.tokens) <= limit:
        return Refused(replies.TOKEN_COUNT, f"token count should within 1 and {limit}.")
    return None


def _size(call: Call, world: World, moment: Moment) -> Refused | None:
    rest = {name: value for name, value in (call.fields or {}).items() if name != "token"}
    if len(orjson.dumps(rest)) > MAX_BYTES_WITHOUT_TOKENS:
        return Refused(replies.BODY_TOO_LARGE, f"The body without tokens exceeds {MAX_BYTES_WITHOUT_TOKENS} bytes.")
    return None


def _token_apps(call: Call, world: World, moment: Moment) -> Refused | None:
    owners = world.facts.owners(call.client_id, call.tokens)
    if len(owners) > 1:
        return Refused(replies.SEVERAL_APPS, "The tokens belong to several apps.")
    if owners and call.client_id not in owners:
        return Refused(replies.ANOTHER_APP, "The tokens do not belong to the app.")
    return None


def _token_reasons(call: Call, world: World, moment: Moment) -> Refused | None:
    rejected = world.facts.rejected(call.client_id, call.tokens)
    if rejected and sum(map(len, rejected.values())) == call.tokens.distinct:
        return Refused(replies.ALL_TOKENS_INVALID, _all_invalid(rejected, world))
    return None


def _rate(call: Call, world: World, moment: Moment) -> Refused | None:
    if world.rates.admit(world.faults, call.client_id, len(call.tokens), moment.monotonic_ns):
        return None
    return OVER_RATE


def _settable_answers(call: Call, world: World, moment: Moment) -> Refused | None:
    rules, notify_id = world.faults.rules, call.notify_id
    if notify_id is None:
        return None
    if rules.unknown_slot_code != replies.SUCCESS and not world.slots.holds_any(
        call.client_id, notify_id, call.tokens.strings()
    ):
        return Refused(rules.unknown_slot_code, "No such notification.")
    known = world.book.revoked.tokens(call.client_id, notify_id).keys() if rules.repeat_code != replies.SUCCESS else ()
    if known and known >= set(call.tokens.strings()):
        return Refused(rules.repeat_code, "Already revoked.")
    return None


_RULES: Final[tuple[tuple[str, Callable[[Call, World, Moment], Refused | None]], ...]] = (
    ("contentType", _content_type),
    ("json", _json),
    ("authorization", _authority),
    ("clientId", _client_id),
    ("pushType", _push_type),
    ("missingFields", _missing_fields),
    ("notifyId", _notify_id),
    ("tokens", _tokens),
    ("tokenCount", _token_count),
    ("size", _size),
    ("tokenApps", _token_apps),
    ("tokenReasons", _token_reasons),
    ("rate", _rate),
    ("settableAnswers", _settable_answers),
)


def _accepted(call: Call, world: World) -> Verdict:
    rejected = world.facts.rejected(call.client_id, call.tokens)
    if not rejected:
        return _success(call)
    bad = {token for tokens in rejected.values() for token in tokens}
    good = [token for token in call.tokens.strings() if token not in bad]
    code = replies.PARTIAL_TEXT if world.faults.rules.partial is PartialStyle.TEXT else replies.PARTIAL
    return Verdict(code, _partial(len(set(good)), rejected, world), named(good), named(list(bad)))


def _success(call: Call) -> Verdict:
    return Verdict(replies.SUCCESS, "Success", call.tokens, NOBODY)


def _partial(success: int, rejected: Mapping[str, list[str]], world: World) -> str:
    counts = {"success": success + world.faults.rules.wrong_partial_counts}
    return _listed(counts, rejected, world.faults.rules.partial) or replies.PARTIAL_MESSAGE


def _all_invalid(rejected: Mapping[str, list[str]], world: World) -> str:
    return _listed({}, rejected, world.faults.rules.partial) or "All the tokens are invalid."


def _listed(counts: dict[str, int], rejected: Mapping[str, list[str]], style: PartialStyle) -> str:
    tokens = [token for listed in rejected.values() for token in listed]
    if style is PartialStyle.TEXT:
        return ""
    names: object = rejected if style is PartialStyle.MAP else tokens
    return orjson.dumps({**counts, "failure": len(tokens), style.value: names}).decode()
