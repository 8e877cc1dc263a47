"""``/_sim``: the book read and the simulator set, over HTTP; JSON in and out, times in UTC milliseconds.

Promised: a wrong request changes nothing and answers 400 with a sentence. Not promised: paging; the whole book of
millions of tokens is one large answer, so ask by clientId and notifyId.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import orjson

from stream.pushkit.simulator import faults_json, replies
from stream.pushkit.simulator.book import Ledger
from stream.pushkit.simulator.faults import Down, Faults, FaultsError
from stream.pushkit.simulator.gateway import Gateway
from stream.pushkit.simulator.replies import Reply
from stream.pushkit.simulator.slots import Message, State

_MS: Final = 1_000_000
Query = Mapping[str, str]


class ControlError(ValueError):
    """This request to ``/_sim`` is wrong; one sentence."""


class Control(NamedTuple):
    """The endpoints' access: the gateway, the clock, and how a new state is put into force."""

    gateway: Gateway
    monotonic_ns: Callable[[], int]
    set_faults: Callable[[Faults], None]

    def respond(self, method: bytes, target: bytes, body: bytes) -> Reply:
        """Answer one request to ``/_sim``."""
        path, _, query = target.decode("latin-1").partition("?")
        ways = _WAYS.get(path)
        if ways is None:
            return _said(404, f"no {path} here; there are {', '.join(_WAYS)}")
        way = ways.get(method)
        if way is None:
            return replies.plain(405, b"Allow: %b\r\n" % b", ".join(ways))
        try:
            return _json(way(self, dict(parse_qsl(query)), body))
        except (ControlError, FaultsError) as error:
            return _said(400, str(error))


def _get_book(control: Control, query: Query, body: bytes) -> object:
    client_id = query.get("clientId")
    notify_id = _number(query, "notifyId") if "notifyId" in query else None
    world = control.gateway.world
    return {
        "revoked": _ledger(world.book.revoked, client_id, notify_id),
        "refused": _ledger(world.book.refused, client_id, notify_id),
        "innocents": world.slots.innocents(),
    }


def _delete_book(control: Control, query: Query, body: bytes) -> object:
    control.gateway.world.book.clear()
    return {}


def _get_counts(control: Control, query: Query, body: bytes) -> object:
    return {app: counts.to_json() for app, counts in control.gateway.world.book.all_counts().items()}


def _get_calls(control: Control, query: Query, body: bytes) -> object:
    since = _number(query, "since") if "since" in query else 0
    return [
        {
            "number": call.number,
            "monotonicNs": call.monotonic_ns,
            "wallNs": call.wall_ns,
            "clientId": call.client_id,
            "notifyId": call.notify_id,
            "tokens": call.tokens,
            "status": call.status,
            "code": call.code,
        }
        for call in control.gateway.world.book.calls(since)
    ]


def _get_messages(control: Control, query: Query, body: bytes) -> object:
    return {name: tally.to_json() for name, tally in control.gateway.world.slots.tallies().items()}


def _delete_messages(control: Control, query: Query, body: bytes) -> object:
    control.gateway.world.slots.clear()
    return {}


def _post_sends(control: Control, query: Query, body: bytes) -> object:
    value = _loaded(body)
    messages = [_message(each) for each in (value if isinstance(value, list) else [value])]
    for message in messages:
        control.gateway.register(message, control.monotonic_ns())
    return {"registered": len(messages)}


def _post_tokens(control: Control, query: Query, body: bytes) -> object:
    value = _fields(_loaded(body), {"clientId", "tokens", "app", "reason"})
    client_id, tokens = _text(value, "clientId"), _tokens(value)
    app, reason = _text_or_none(value, "app"), _text_or_none(value, "reason")
    control.gateway.world.facts.tell(client_id, tokens, app=app, reason=reason)
    return {"told": len(tokens)}


def _get_faults(control: Control, query: Query, body: bytes) -> object:
    return faults_json.to_json(control.gateway.world.faults)


def _put_faults(control: Control, query: Query, body: bytes) -> object:
    faults = faults_json.from_json(Faults, _loaded(body))
    if faults.down is Down.REFUSE and not faults.down_for_s:
        raise ControlError("down: refuse closes this port too, so give downForS")
    control.set_faults(faults)
    return faults_json.to_json(faults)


_Way = Callable[[Control, Query, bytes], object]
_WAYS: Final[Mapping[str, Mapping[bytes, _Way]]] = {
    "/_sim/book": {b"GET": _get_book, b"DELETE": _delete_book},
    "/_sim/counts": {b"GET": _get_counts},
    "/_sim/calls": {b"GET": _get_calls},
    "/_sim/sends": {b"POST": _post_sends},
    "/_sim/messages": {b"GET": _get_messages, b"DELETE": _delete_messages},
    "/_sim/tokens": {b"POST": _post_tokens},
    "/_sim/faults": {b"GET": _get_faults, b"PUT": _put_faults},
}


def _ledger(ledger: Ledger, client_id: str | None, notify_id: int | None) -> list[dict[str, object]]:
    return [
        {"clientId": app, "notifyId": slot, "token": token, "firstMs": first_ms, "lastMs": last_ms, "calls": calls}
        for app, slot, marks in ledger.slots(client_id, notify_id)
        for token, (first_ms, last_ms, calls) in marks.items()
    ]


def _message(value: object) -> Message:
    fields = _fields(value, {"clientId", "notifyId", "messageId", "tokens", "state"})
    notify_id = fields.get("notifyId")
    if type(notify_id) is not int:
        raise ControlError("notifyId must be an integer")
    try:
        state = State(fields.get("state", State.DISPLAYED.value))
    except ValueError:
        raise ControlError(f"state must be one of {', '.join(each.value for each in State)}") from None
    return Message(_text(fields, "clientId"), notify_id, _text(fields, "messageId"), _tokens(fields), state)


def _loaded(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ControlError(f"the body is no JSON: {error}") from None


def _fields(value: object, known: set[str]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ControlError("the body must be a JSON object")
    if unknown := value.keys() - known:
        raise ControlError(f"unknown key {min(unknown)!r}; known are {', '.join(sorted(known))}")
    return value


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ControlError(f"{name} must be a non-empty string")
    return value


def _text_or_none(fields: Mapping[str, object], name: str) -> str | None:
    return None if fields.get(name) is None else _text(fields, name)


def _tokens(fields: Mapping[str, object]) -> list[str]:
    tokens = fields.get("tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise ControlError("tokens must be an array of strings")
    return tokens


def _number(query: Query, name: str) -> int:
    try:
        return int(query[name])
    except ValueError:
        raise ControlError(f"{name} must be an integer") from None


def _json(value: object) -> Reply:
    return Reply(200, orjson.dumps(value))


def _said(status: int, sentence: str) -> Reply:
    return Reply(status, orjson.dumps({"error": sentence}))
