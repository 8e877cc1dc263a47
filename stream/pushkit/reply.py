"""One reply of Push Kit, sorted: what it says of each token, and what the caller has to do now.

Promised: any status with any body gives a :class:`Reply`; no token counts as revoked unless the reply says so without
contradicting itself. Not promised: that a device removed anything; Push Kit only ever *accepts*.

Huawei documents neither which HTTP status comes with which code nor how a revoke refuses a part of its tokens, so: the
body is read at any status, a known code decides, and the status only where there is none. Sources:
https://developer.huawei.com/consumer/cn/doc/harmonyos-references/push-msg-revoke (codes of revoking),
https://developer.huawei.com/consumer/cn/doc/harmonyos-references/push-scenariozed-api-response (partial success).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final, NamedTuple

import orjson

from stream.model import masked

MAX_REPLY_BYTES: Final = 4 * 2**20
"""A longer body is not read: twice a call's 512 kB, with room for escapes, is all that a legal reply can need."""

MAX_RETRY_AFTER_S: Final = 3_600.0
"""A Retry-After beyond an hour is taken for an hour: no page of Huawei's mentions the header at all."""

_NO_RIGHT: Final = "noRight"
_LONG_RUN: Final = re.compile(r"[^\s\"'<>{}\[\],;]{40,}")
_MSG_LOOKED_AT: Final = 1_000
_DETAIL_CHARS: Final = 200
_SHORTEST_MASKED: Final = 8
_NAME_CHARS: Final = 64
"""Of a reason, a code or a request id: no real token (112 characters) fits in whole; a shorter one is masked."""


class Verdict(Enum):
    """What a reply obliges the caller to do. Rejected tokens are never called again, revoked ones need not be."""

    REVOKED = "revoked"
    """All tokens were accepted: settle them."""
    PARTIAL = "partial"
    """The tokens in ``rejected`` were refused for good and all others accepted, the counts agree: settle them all."""
    REJECTED = "rejected"
    """Every token was refused for good, each with its reason in ``rejected``: settle them, nothing was revoked."""
    FAILED = "failed"
    """The call itself was refused for good, which is our fault, not the tokens': settle as FAILED, and say it loudly.
    ``rejected`` has every token, the code as reason; none where no code of Push Kit's says so, as of a proxy's page."""
    SPLIT = "split"
    """Some token spoils the call and the reply does not say which, or it contradicts itself: call both halves. Only
    ever given to a call of two tokens or more; alone, such a token is REJECTED."""
    SMALLER = "smaller"
    """``token_limit`` is the largest call from now on, and less than what was sent: cut the call up, call the parts."""
    RETRY = "retry"
    """Trouble on the way or inside Push Kit: call again later, with backoff, not before ``retry_after_s``."""
    FLOW_CONTROL = "flow_control"
    """Too many devices per second: call again later, and send this app's calls more slowly."""
    RENEW = "renew"
    """The JWT was refused: make a new one and call again, at once. If that gives RENEW again, do as with PAUSE."""
    PAUSE = "pause"
    """The app cannot go on until a person changes something (configuration, rights, penalty): stop its calls, lose
    nothing, try again slowly."""


class Reply(NamedTuple):
    """One revoke call's ending, as values; no field holds a whole push token."""

    verdict: Verdict
    http_status: int | None = None
    """None: no reply came."""
    code: str | None = None
    detail: str | None = None
    """For people: Push Kit's ``msg``, shortened and masked, or what went wrong on the way."""
    push_request_id: str | None = None
    rejected: tuple[tuple[int, str], ...] = ()
    """Place in the call's tokens, and the reason; ascending. The accepted ones of a PARTIAL are all the others."""
    retry_after_s: float | None = None
    token_limit: int | None = None
    suspect_configuration: bool = False
    """Every token of the call was refused with ``noRight``: of a whole batch, rather our settings than the tokens."""
    of_app: bool = False
    """RETRY and PAUSE: Push Kit has answered, and speaks of this app alone."""
    calls: int = 1
    """How often the request was sent until this came of it."""
    date_skew_s: float | None = None
    """How far the gateway's clock is ahead of ours (negative: behind), to the second; only when the JWT was refused."""


_NO_FIELDS: Final[dict[str, object]] = {}

_BY_CODE: Final[dict[str, Verdict]] = {
    "80000000": Verdict.REVOKED,
    "80100000": Verdict.PARTIAL,
    "80100020": Verdict.PARTIAL,
    "80300007": Verdict.REJECTED,
    "80300010": Verdict.SMALLER,
    "80300017": Verdict.SPLIT,  # tokens of several apps: the whole call is refused
    "80300028": Verdict.SPLIT,  # tokens of another app
    "80200001": Verdict.RENEW,
    "80200003": Verdict.RENEW,
    "80200005": Verdict.RENEW,
    "80300036": Verdict.PAUSE,  # JWT valid for more than a day
    "80300002": Verdict.PAUSE,  # Push Kit not switched on, or a clientId that is not an app's
    "80300037": Verdict.PAUSE,  # penalty
    "80000001": Verdict.RETRY,
    "81000001": Verdict.RETRY,
    "80600003": Verdict.RETRY,
    "80100001": Verdict.FAILED,
    "80100003": Verdict.FAILED,
    "80300032": Verdict.FAILED,
    "80300008": Verdict.FAILED,
    # What follows speaks of sending only; should it ever come, the call will not get better.
    "80100004": Verdict.FAILED,
    "80100013": Verdict.FAILED,
    "80100016": Verdict.FAILED,
    "80100017": Verdict.FAILED,
    "80100018": Verdict.FAILED,
    "80100022": Verdict.FAILED,
    "80300011": Verdict.FAILED,
    "80300013": Verdict.FAILED,
    "80300029": Verdict.FAILED,
    "80300030": Verdict.FAILED,
}

_OF_APP: Final[dict[str, Verdict]] = {
    "noPushTypeRight": Verdict.PAUSE,
    "disableSendHuaweiMsgBecauseOfPenalty": Verdict.PAUSE,
    "appinfoError": Verdict.RETRY,
}
"""Reasons that speak of the app although they name tokens; every other reason rejects its tokens. Where others of the
same call were accepted, as no such app's are, they are the tokens' own: refused, or for RETRY set apart."""

_FLOW_CONTROL_STATUS: Final = frozenset({429, 503})
"""The only sign of flow control: no code says it. Source: push-msg-freq-control (429 is our reading)."""


def sort_reply(
    http_status: int,
    body: bytes,
    retry_after: str | None,
    date: str | None,
    tokens: Sequence[bytes],
    now_s: float,
) -> Reply:
    """What this reply to a call of ``tokens`` (distinct, in the order sent) means; never raises.

    ``retry_after`` and ``date`` are the headers as they came, ``now_s`` is the wall clock in Unix seconds.
    """
    message = _parsed(body)
    code, msg, request_id = _code(message), message.get("msg"), message.get("requestId")
    verdict = _verdict(http_status, code)
    if verdict is Verdict.REVOKED and _names_refused(msg, tokens):
        verdict = Verdict.PARTIAL  # the code claims success for all, the list is exact
    shown = _shown(msg, () if verdict is Verdict.REVOKED else tokens)
    reply = Reply(verdict, http_status, code, shown, _name(request_id))
    if verdict is Verdict.REVOKED:
        return reply
    if shown is None:
        reply = reply._replace(detail=f"HTTP {http_status} without a message of Push Kit's")
    if _contradictory(http_status, _BY_CODE.get(code or "")):
        reply = reply._replace(detail=f"HTTP {http_status} denies the success that code {code} claims")
    return _with_times(_showing_none_of(tokens, _with_tokens(reply, msg, tokens)), retry_after, date, now_s)


def no_reply(detail: str) -> Reply:
    """The reply to a call that got none: trouble on the way, ``detail`` names its kind."""
    return Reply(Verdict.RETRY, detail=detail)


def _parsed(body: bytes) -> dict[str, object]:
    if len(body) > MAX_REPLY_BYTES:
        return _NO_FIELDS
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _NO_FIELDS
    return message if isinstance(message, dict) else _NO_FIELDS


def _code(message: dict[str, object]) -> str | None:
    """Documented as a string; a number is taken too, since servers that answer one have been seen."""
    code = message.get("code")
    return str(code)[:_NAME_CHARS] if type(code) is int else _name(code)


def _verdict(http_status: int, code: str | None) -> Verdict:
    by_code = _BY_CODE.get(code or "")
    if by_code is None:
        return _of_status(http_status)
    if _contradictory(http_status, by_code) or by_code is Verdict.RETRY:
        return Verdict.FLOW_CONTROL if http_status in _FLOW_CONTROL_STATUS else Verdict.RETRY
    return by_code


def _contradictory(http_status: int, by_code: Verdict | None) -> bool:
    """Whether the status denies the success that the code claims: not believed, since revoking again is harmless."""
    if by_code is Verdict.REVOKED:
        return http_status // 100 != 2
    return by_code is Verdict.PARTIAL and http_status // 100 not in (2, 4)


def _of_status(http_status: int) -> Verdict:
    if http_status in _FLOW_CONTROL_STATUS:
        return Verdict.FLOW_CONTROL
    if http_status == 401:
        return Verdict.RENEW
    if http_status == 404 or 300 <= http_status < 400:
        return Verdict.PAUSE  # the URL is wrong; a redirect is never followed
    return Verdict.FAILED if 400 <= http_status < 500 and http_status != 408 else Verdict.RETRY


def _with_tokens(reply: Reply, msg: object, tokens: Sequence[bytes]) -> Reply:
    """The same reply with what it says of single tokens."""
    match reply.verdict:
        case Verdict.PARTIAL | Verdict.REJECTED:
            reason = "" if _BY_CODE.get(reply.code or "") is Verdict.REVOKED else reply.code
            return _with_listing(reply, _read_listing(msg, reason or ""), tokens)
        case Verdict.SMALLER:
            return _smaller(reply, msg, tokens)
        case Verdict.SPLIT:
            return _split(reply, tokens)
        case Verdict.FAILED if reply.code is not None:
            return reply._replace(rejected=_all_of(tokens, reply.code))
    return reply


def _split(reply: Reply, tokens: Sequence[bytes]) -> Reply:
    if len(tokens) > 1:
        return reply._replace(verdict=Verdict.SPLIT)
    return reply._replace(verdict=Verdict.REJECTED, rejected=_all_of(tokens, reply.code or ""))


def _smaller(reply: Reply, msg: object, tokens: Sequence[bytes]) -> Reply:
    """``token count should within {0} and {1}.``: the second number, if it makes this call smaller."""
    numbers = re.findall(r"[0-9]{1,9}", msg[:_MSG_LOOKED_AT]) if isinstance(msg, str) else []
    limit = int(numbers[1]) if len(numbers) > 1 else 0
    return reply._replace(token_limit=limit) if 1 <= limit < len(tokens) else _split(reply, tokens)


class _Listing(NamedTuple):
    """What ``msg`` says of single tokens: JSON inside a string, in one of two shapes, or nothing at all."""

    reason_of: dict[bytes, str]
    success: object
    failure: object
    given: bool

    def agrees(self, sent: int) -> bool:
        """Whether the counts add up, so that what is not listed may be taken as accepted."""
        success = 0 if self.success is None else self.success
        if type(success) is not int or type(self.failure) is not int or success < 0:
            return False
        return 0 < self.failure == len(self.reason_of) and success + self.failure == sent


def _names_refused(msg: object, tokens: Sequence[bytes]) -> bool:
    """Whether ``msg`` lists tokens of this call as refused; where its counts deny that, the call is halved."""
    if isinstance(msg, str) and "illegal" not in msg:  # as nearly always
        return False
    return not _read_listing(msg, "").reason_of.keys().isdisjoint(tokens)


def _read_listing(msg: object, code: str) -> _Listing:
    fields = _parsed(msg.encode()) if isinstance(msg, str) else msg
    if not isinstance(fields, dict):
        fields = _NO_FIELDS
    listed = fields.get("illegalTokens", fields.get("illegal_tokens"))
    by_reason = listed if isinstance(listed, dict) else {code: listed}
    return _Listing(dict(_pairs(by_reason)), fields.get("success"), fields.get("failure"), bool(fields))


def _pairs(by_reason: dict[str, object]) -> Iterator[tuple[bytes, str]]:
    for reason, some in by_reason.items():
        named = _name(reason) or "unnamed"  # blanks inside the quotes were seen in one of Huawei's examples
        yield from (
            ((token.encode(), named) for token in some if isinstance(token, str)) if isinstance(some, list) else ()
        )


def _with_listing(reply: Reply, listing: _Listing, tokens: Sequence[bytes]) -> Reply:
    """Tokens are settled only by a listing that agrees with what was sent and with its own code."""
    if listing.given:
        reply = reply._replace(detail=_summary(listing))
    of_app = {_OF_APP[reason] for reason in listing.reason_of.values() if reason in _OF_APP}
    if of_app and not (listing.success and listing.agrees(len(tokens))):
        return reply._replace(verdict=Verdict.PAUSE if Verdict.PAUSE in of_app else Verdict.RETRY, of_app=True)
    if Verdict.RETRY in of_app:  # the others were accepted
        return _split(reply, tokens)
    if reply.verdict is Verdict.REJECTED and not listing.given:
        return reply._replace(rejected=_all_of(tokens, reply.code or ""))
    return _settled(reply, listing, tokens)


def _settled(reply: Reply, listing: _Listing, tokens: Sequence[bytes]) -> Reply:
    rejected = tuple((i, listing.reason_of[token]) for i, token in enumerate(tokens) if token in listing.reason_of)
    everyone = len(rejected) == len(tokens)
    if not listing.agrees(len(tokens)) or len(rejected) != len(listing.reason_of):
        return _split(reply, tokens)
    if reply.verdict is Verdict.REJECTED and not everyone:
        return _split(reply, tokens)
    suspect = everyone and set(listing.reason_of.values()) == {_NO_RIGHT}
    verdict = Verdict.REJECTED if everyone else Verdict.PARTIAL
    return reply._replace(verdict=verdict, rejected=rejected, suspect_configuration=suspect)


def _all_of(tokens: Sequence[bytes], reason: str) -> tuple[tuple[int, str], ...]:
    return tuple((i, reason) for i in range(len(tokens)))


def _summary(listing: _Listing) -> str:
    counts = Counter(listing.reason_of.values()).most_common(5)
    return ", ".join(f"{count} × {reason}" for reason, count in counts) or "no token named"


def _name(text: object) -> str | None:
    return text[:_NAME_CHARS].strip() or None if isinstance(text, str) else None


def _shown(msg: object, tokens: Sequence[bytes]) -> str | None:
    """``msg`` for people: no token of the call in it, nor anything else as long as one."""
    if not isinstance(msg, str) or not msg:
        return None
    text = _without(tokens, msg[:_MSG_LOOKED_AT])
    return _LONG_RUN.sub(lambda run: masked(run[0]), text)[:_DETAIL_CHARS]


def _showing_none_of(tokens: Sequence[bytes], reply: Reply) -> Reply:
    """The same reply, once all is decided, with no token of the call in a place where a name should be."""
    short = [token for token in tokens if len(token) <= 4 * _NAME_CHARS]
    shown = {reason: _without(short, reason) for reason in {reason for _, reason in reply.rejected}}
    return reply._replace(
        code=reply.code and _without(short, reply.code),
        detail=reply.detail and _without(short, reply.detail),
        push_request_id=reply.push_request_id and _without(short, reply.push_request_id),
        rejected=tuple((place, shown[reason]) for place, reason in reply.rejected),
    )


def _without(tokens: Sequence[bytes], text: str) -> str:
    raw = text.encode()
    for token in tokens:
        if _SHORTEST_MASKED <= len(token) <= len(raw) and token in raw:
            text = text.replace(token.decode("utf-8", "replace"), masked(token))
    return text


def _with_times(reply: Reply, retry_after: str | None, date: str | None, now_s: float) -> Reply:
    gateway_s = _unix_s(date)
    if gateway_s is not None and (reply.verdict is Verdict.RENEW or reply.http_status == 401):
        reply = reply._replace(date_skew_s=gateway_s - now_s)
    if retry_after is None:
        return reply
    return reply._replace(retry_after_s=_wait_s(retry_after.strip(), now_s if gateway_s is None else gateway_s))


def _wait_s(retry_after: str, from_s: float) -> float | None:
    """Seconds, or a date seen from the gateway's own clock; at least 0, at most an hour."""
    if retry_after.isascii() and retry_after.isdecimal():
        return min(float(retry_after[:9]), MAX_RETRY_AFTER_S)
    until_s = _unix_s(retry_after)
    return None if until_s is None else min(max(until_s - from_s, 0.0), MAX_RETRY_AFTER_S)


def skew_s(date: str | None, now_s: float) -> float | None:
    """How far the gateway's clock is ahead of ours (s), by its ``Date``; None: it did not say."""
    gateway_s = _unix_s(date)
    return None if gateway_s is None else gateway_s - now_s


def _unix_s(http_date: str | None) -> float | None:
    try:
        when = parsedate_to_datetime(http_date or "")
        return when.timestamp() if when.tzinfo else when.replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None
