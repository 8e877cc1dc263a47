"""What each reply of Push Kit means (reference/push-kit.md section 2), row by row and for any bytes at all."""

from __future__ import annotations

import json
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.pushkit.reply import MAX_REPLY_BYTES, MAX_RETRY_AFTER_S, Reply, Verdict, no_reply, sort_reply

NOW_S = 1_795_516_622.0
NOW_DATE = "Tue, 24 Nov 2026 10:37:02 GMT"
TOKENS = tuple(f"{name}-{'x' * 106}".encode() for name in ("aaaaa", "bbbbb", "ccccc", "ddddd"))
A, B, C, D = (token.decode() for token in TOKENS)


def body(code: object, msg: object = "said by a test", request_id: object = "request-1") -> bytes:
    return orjson.dumps({"code": code, "msg": msg, "requestId": request_id})


def sorted_reply(status: int, content: bytes, tokens: Sequence[bytes] = TOKENS) -> Reply:
    return sort_reply(status, content, None, None, tokens, NOW_S)


def partial(code: str, msg: object, tokens: Sequence[bytes] = TOKENS) -> Reply:
    return sorted_reply(200, body(code, json.dumps(msg)), tokens)


BY_CODE = [
    ("80000000", 200, Verdict.REVOKED),
    ("80100000", 200, Verdict.SPLIT),
    ("80100020", 200, Verdict.SPLIT),
    ("80100001", 400, Verdict.FAILED),
    ("80100003", 400, Verdict.FAILED),
    ("80200001", 401, Verdict.RENEW),
    ("80200003", 401, Verdict.RENEW),
    ("80200005", 401, Verdict.RENEW),
    ("80300036", 401, Verdict.PAUSE),
    ("80300002", 400, Verdict.PAUSE),
    ("80300037", 400, Verdict.PAUSE),
    ("80300032", 400, Verdict.FAILED),
    ("80300007", 200, Verdict.REJECTED),
    ("80300008", 400, Verdict.FAILED),
    ("80300010", 400, Verdict.SPLIT),
    ("80300017", 400, Verdict.SPLIT),
    ("80300028", 400, Verdict.SPLIT),
    ("80000001", 500, Verdict.RETRY),
    ("81000001", 500, Verdict.RETRY),
    ("80600003", 500, Verdict.RETRY),
    *((code, 400, Verdict.FAILED) for code in ("80100004", "80100022", "80300029", "80300030", "80100013")),
    *((code, 400, Verdict.FAILED) for code in ("80100016", "80100017", "80100018", "80300011", "80300013")),
]
BY_STATUS = [
    (200, Verdict.RETRY),
    (204, Verdict.RETRY),
    (301, Verdict.PAUSE),
    (400, Verdict.FAILED),
    (401, Verdict.RENEW),
    (403, Verdict.FAILED),
    (404, Verdict.PAUSE),
    (408, Verdict.RETRY),
    (418, Verdict.FAILED),
    (429, Verdict.FLOW_CONTROL),
    (500, Verdict.RETRY),
    (502, Verdict.RETRY),
    (503, Verdict.FLOW_CONTROL),
    (504, Verdict.RETRY),
]
NO_CODE = [b"", b"<html>502 Bad Gateway</html>", b"[]", b"null", b"\xff\xfe", b"{", b'{"msg":"no code"}', b"[" * 5_000]


@pytest.mark.parametrize(("code", "status", "verdict"), BY_CODE)
def test_a_known_code_decides(code: str, status: int, verdict: Verdict) -> None:
    """The table of codes, at the HTTP status that the simulator gives them, with a msg that names no token."""
    reply = sorted_reply(status, body(code))
    assert (reply.verdict, reply.http_status, reply.code) == (verdict, status, code)
    assert (reply.detail, reply.push_request_id) == ("said by a test", "request-1")


@pytest.mark.parametrize(("code", "status", "verdict"), BY_CODE)
def test_a_known_code_decides_inside_http_200_too(code: str, status: int, verdict: Verdict) -> None:
    """No page maps business codes to HTTP statuses; servers that answer errors inside 200 have been seen."""
    assert sorted_reply(200, body(code)).verdict is verdict


@pytest.mark.parametrize(("code", "status", "verdict"), BY_CODE)
def test_a_code_may_be_a_number(code: str, status: int, verdict: Verdict) -> None:
    """A client that knew strings only took every numeric error inside HTTP 200 for success."""
    reply = sorted_reply(status, body(int(code)))
    assert (reply.verdict, reply.code) == (verdict, code)


@pytest.mark.parametrize("content", NO_CODE)
@pytest.mark.parametrize(("status", "verdict"), BY_STATUS)
def test_without_a_code_the_status_decides_and_never_as_success(status: int, verdict: Verdict, content: bytes) -> None:
    """The table of HTTP statuses: bodies of HTML, empty ones and garbage."""
    assert sorted_reply(status, content).verdict is verdict


@pytest.mark.parametrize(("status", "verdict"), BY_STATUS)
def test_an_unknown_code_leaves_it_to_the_status(status: int, verdict: Verdict) -> None:
    """none or unknown: by HTTP status, never REVOKED."""
    reply = sorted_reply(status, body("80999999"))
    assert (reply.verdict, reply.code) == (verdict, "80999999")


@pytest.mark.parametrize("code", [True, None, 8e7, "", "80000000x", ["80000000"], {"code": "80000000"}])
def test_only_the_code_itself_is_success(code: object) -> None:
    """Where the pages are silent, never assume success."""
    assert sorted_reply(200, body(code)).verdict is Verdict.RETRY


@pytest.mark.parametrize("status", [301, 400, 401, 404, 500, 502])
def test_success_under_a_status_of_failure_is_not_believed(status: int) -> None:
    """Two halves of a reply that disagree: the revoke is repeated, which is harmless, rather than taken as done."""
    assert sorted_reply(status, body("80000000")).verdict is Verdict.RETRY


@pytest.mark.parametrize(("status", "verdict"), [(302, Verdict.RETRY), (400, Verdict.PARTIAL), (500, Verdict.RETRY)])
def test_a_part_that_was_revoked_is_believed_unless_the_status_is_of_trouble(status: int, verdict: Verdict) -> None:
    """A code may come with any status, but what is half revoked did not end in an internal error or elsewhere."""
    msg = json.dumps({"success": 3, "failure": 1, "illegalTokens": {"countryNotSupport": [A]}})
    assert sorted_reply(status, body("80100000", msg)).verdict is verdict


def test_trouble_under_503_is_flow_control() -> None:
    """There is no business code for flow control: the only sign is HTTP 503."""
    assert sorted_reply(503, body("80000001")).verdict is Verdict.FLOW_CONTROL
    assert sorted_reply(503, body("80000000")).verdict is Verdict.FLOW_CONTROL


def test_a_huge_body_is_not_read() -> None:
    """A body beyond the bound counts as none."""
    huge = b'{"code":"80000000","msg":"' + b" " * MAX_REPLY_BYTES + b'"}'
    assert sorted_reply(200, huge).verdict is Verdict.RETRY


@pytest.mark.parametrize(
    "msg",
    [
        {"success": 4, "failure": 0, "illegalTokens": {}},
        {"success": 3, "failure": 1, "illegalTokens": {"tokenFormatError": ["another"]}},
        {"illegal_tokens": []},
        "nothing illegal",
    ],
)
def test_success_is_believed_unless_its_own_message_names_tokens_and_adds_up(msg: object) -> None:
    """What it says besides is no reason to revoke anew what was revoked."""
    assert partial("80000000", msg).verdict is Verdict.REVOKED


@pytest.mark.parametrize("counts", [{"success": 2, "failure": 1}, {"failure": 1}, {}])
def test_success_that_names_tokens_and_does_not_add_up_is_halved(counts: dict[str, int]) -> None:
    """Revoking twice is harmless, to take for revoked what was refused is not."""
    assert partial("80000000", {**counts, "illegalTokens": {"tokenFormatError": [B]}}).verdict is Verdict.SPLIT


def test_success_is_no_reason_to_refuse_a_token() -> None:
    """In a flat list the code stands for the reason."""
    reply = partial("80000000", {"success": 3, "failure": 1, "illegal_tokens": [B]})
    assert (reply.verdict, reply.code, reply.rejected) == (Verdict.PARTIAL, "80000000", ((1, "unnamed"),))


@pytest.mark.parametrize("code", ["80100000", "80100020", "80000000"])
def test_listed_tokens_are_rejected_and_the_rest_is_revoked(code: str) -> None:
    """Partial success with a map of reasons; blanks inside the quotes of a reason are cut."""
    listed = {"tokenFormatError ": [B], "countryNotSupport": [D]}
    reply = partial(code, {"success": 2, "failure": 2, "illegalTokens": listed})
    assert reply.verdict is Verdict.PARTIAL
    assert reply.rejected == ((1, "tokenFormatError"), (3, "countryNotSupport"))
    assert not reply.suspect_configuration


def test_a_flat_list_rejects_with_the_code_as_reason() -> None:
    """The older API: illegal_tokens is an array without reasons."""
    reply = partial("80100000", {"success": 3, "failure": 1, "illegal_tokens": [C]})
    assert (reply.verdict, reply.rejected) == (Verdict.PARTIAL, ((2, "80100000"),))


def test_msg_may_be_an_object_itself() -> None:
    """Documented as JSON inside a string; the plain object says the same."""
    content = body("80100000", {"success": 3, "failure": 1, "illegalTokens": {"noRight": [A]}})
    assert sorted_reply(200, content).rejected == ((0, "noRight"),)


DISAGREEING = [
    {"success": 3, "failure": 2, "illegalTokens": {"noRight": [A]}},
    {"success": 2, "failure": 1, "illegalTokens": {"noRight": [A]}},
    {"success": 4, "failure": 0, "illegalTokens": {}},
    {"success": 4, "failure": 0},
    {"success": 3, "failure": 1},
    {"failure": 1, "illegalTokens": {"noRight": [A]}},
    {"success": 3, "illegalTokens": {"noRight": [A]}},
    {"success": 3, "failure": 1, "illegalTokens": {"noRight": ["somebody else's"]}},
    {"success": 2, "failure": 2, "illegalTokens": {"noRight": [A], "countryNotSupport": [A]}},
    {"success": 2, "failure": 2, "illegalTokens": {"noRight": [A, A]}},
    {"success": True, "failure": 3, "illegalTokens": {"noRight": [A, B, C]}},
    {"success": -1, "failure": 5, "illegalTokens": {"noRight": [A, B, C, D, "e"]}},
    {"success": "3", "failure": "1", "illegalTokens": {"noRight": [A]}},
    {"success": 3, "failure": 1, "illegalTokens": {"noRight": A}},
    {"success": 3, "failure": 1, "illegalTokens": {"noRight": [[A]]}},
]


@pytest.mark.parametrize("msg", DISAGREEING)
@pytest.mark.parametrize("code", ["80100000", "80100020", "80300007"])
def test_counts_that_disagree_settle_nothing(code: str, msg: object) -> None:
    """Counts off: SPLIT until single tokens have an answer; never assume success."""
    reply = partial(code, msg)
    assert (reply.verdict, reply.rejected) == (Verdict.SPLIT, ())


def test_a_partial_reply_that_lists_everybody_rejects_everybody() -> None:
    """success 0: nothing was revoked, so it must not read as partly revoked."""
    reply = partial("80100000", {"success": 0, "failure": 4, "illegalTokens": {"tokenFormatError": [A, B, C, D]}})
    assert (reply.verdict, len(reply.rejected)) == (Verdict.REJECTED, 4)


def test_all_tokens_invalid_are_rejected_each_by_its_reason() -> None:
    """80300007 with failure and illegalTokens, without success."""
    listed = {"tokenFormatError": [A, C], "tokenPlatformNotSupport": [B, D]}
    reply = partial("80300007", {"failure": 4, "illegalTokens": listed})
    reasons = [reason for _, reason in reply.rejected]
    assert reply.verdict is Verdict.REJECTED
    assert reasons == ["tokenFormatError", "tokenPlatformNotSupport"] * 2


def test_all_tokens_invalid_without_a_list_are_rejected_by_code() -> None:
    """The revoke page's 80300007 has no reasons and no example."""
    reply = sorted_reply(200, body("80300007", "All the tokens are invalid"))
    assert reply.rejected == tuple((i, "80300007") for i in range(4))


def test_all_tokens_invalid_but_not_all_listed_is_split() -> None:
    """The code says all, the list says some: neither is believed."""
    reply = partial("80300007", {"success": 3, "failure": 1, "illegalTokens": {"tokenFormatError": [A]}})
    assert reply.verdict is Verdict.SPLIT


@pytest.mark.parametrize("reason", ["tokenFormatError", "tokenPlatformNotSupport", "countryNotSupport", "noRight"])
@pytest.mark.parametrize("code", ["80100000", "80300007"])
def test_a_reason_of_the_token_rejects_it(reason: str, code: str) -> None:
    """The table of reasons, token level."""
    reply = partial(code, {"success": 0, "failure": 1, "illegalTokens": {reason: [A]}}, TOKENS[:1])
    assert (reply.verdict, reply.rejected) == (Verdict.REJECTED, ((0, reason),))


@pytest.mark.parametrize(
    "reason",
    [
        "atomicUnableSendUnsubscribedMsg",
        "differentImgVerifyPolicy",
        "notSupportPlayVoice",
        "noRightToSendThisLiveNotificationEvent",
        "neverHeardOfBefore",
    ],
)
def test_a_reason_of_sending_or_an_unknown_one_rejects_and_is_kept(reason: str) -> None:
    """any other: rejected, keep the key."""
    assert partial("80100000", {"success": 3, "failure": 1, "illegalTokens": {reason: [B]}}).rejected == ((1, reason),)


def test_no_right_for_all_tokens_is_suspected_to_be_our_configuration() -> None:
    """noRight: if all tokens of a call have it, suspect our configuration; not if some were accepted."""
    everyone = partial("80300007", {"failure": 4, "illegalTokens": {"noRight": [A, B, C, D]}})
    some = partial("80100000", {"success": 1, "failure": 3, "illegalTokens": {"noRight": [A, B, C]}})
    mixed = partial("80300007", {"failure": 4, "illegalTokens": {"noRight": [A, B, C], "tokenFormatError": [D]}})
    assert [reply.suspect_configuration for reply in (everyone, some, mixed)] == [True, False, False]


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        ("noPushTypeRight", Verdict.PAUSE),
        ("disableSendHuaweiMsgBecauseOfPenalty", Verdict.PAUSE),
        ("appinfoError", Verdict.RETRY),
    ],
)
@pytest.mark.parametrize("code", ["80100000", "80300007"])
def test_a_reason_of_the_app_loses_no_token(code: str, reason: str, verdict: Verdict) -> None:
    """The table of reasons, app level: PAUSE, and appinfoError RETRY; whatever the counts say, where none was accepted
    for sure."""
    for counts in ({"failure": 4}, {"success": 0, "failure": 1}, {"success": 4, "failure": 1}, {}):
        reply = partial(code, {**counts, "illegalTokens": {reason: [A]}})
        assert (reply.verdict, reply.rejected, reply.detail) == (verdict, (), f"1 × {reason}")
        assert reply.of_app


def test_a_reason_of_the_app_is_the_tokens_own_where_others_of_the_call_were_accepted() -> None:
    """A bad token harms no other: no app that is barred or unknown has any accepted. What may pass is set apart."""
    right, late = (
        partial("80100000", {"success": 3, "failure": 1, "illegalTokens": {reason: [B]}})
        for reason in ("noPushTypeRight", "appinfoError")
    )
    assert (right.verdict, right.rejected) == (Verdict.PARTIAL, ((1, "noPushTypeRight"),))
    assert late.verdict is Verdict.SPLIT


def test_a_penalty_outweighs_an_app_that_is_only_late() -> None:
    """PAUSE before RETRY: what a person must change will not pass by itself."""
    listed = {"appinfoError": [A], "noPushTypeRight": [B]}
    assert partial("80300007", {"failure": 2, "illegalTokens": listed}).verdict is Verdict.PAUSE


@pytest.mark.parametrize("code", ["80300017", "80300028", "80100000", "80100020"])
def test_a_single_token_that_cannot_be_halved_is_rejected_with_the_code(code: str) -> None:
    """SPLIT: halve the batch until the bad tokens are found, then they are rejected."""
    reply = sorted_reply(400 if code > "803" else 200, body(code), TOKENS[:1])
    assert (reply.verdict, reply.rejected) == (Verdict.REJECTED, ((0, code),))


def test_a_call_refused_for_good_names_the_code_for_each_token() -> None:
    """FAILED: reason = code for each token; without a code nobody has spoken of tokens, and they may be asked again."""
    assert sorted_reply(400, body("80100001")).rejected == tuple((i, "80100001") for i in range(4))
    assert sorted_reply(400, b"").verdict is Verdict.FAILED
    assert sorted_reply(400, b"").rejected == ()


def test_the_token_limit_is_the_second_number_of_the_message() -> None:
    """80300010: take {1} as the new batch size."""
    reply = sorted_reply(400, body("80300010", "token count should within 1 and 2."))
    assert (reply.verdict, reply.token_limit) == (Verdict.SMALLER, 2)


@pytest.mark.parametrize("msg", ["1 and 0.", "1 and 4.", "1 and 1000.", "1 and lots", "", 7, "1 and 99999999999999999"])
def test_a_token_limit_that_makes_nothing_smaller_is_halved_instead(msg: object) -> None:
    """A limit that the call kept, or that cannot be read, would be tried again for ever."""
    reply = sorted_reply(400, body("80300010", msg))
    assert (reply.verdict, reply.token_limit) == (Verdict.SPLIT, None)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("99999999999999999999", MAX_RETRY_AFTER_S),
        ("Tue, 24 Nov 2026 10:37:32 GMT", 30.0),
        ("Tue, 24 Nov 2026 10:37:32 -0000", 30.0),
        ("Tue, 24 Nov 2020 10:37:32 GMT", 0.0),
        ("Tue, 24 Nov 2099 10:37:32 GMT", MAX_RETRY_AFTER_S),
        ("-1", None),
        ("soon", None),
        ("٣", None),
        ("\udcff", None),
        ("", None),
        ("Tue, 24 Nov 2026 10:37:32 +99999999999999", None),
        ("Tue, 99 Nov 2026 99:99:99 GMT", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(header: str | None, wait_s: float | None) -> None:
    """Retry-After: obey it if it comes, never need it."""
    assert sort_reply(503, b"", header, None, TOKENS, NOW_S).retry_after_s == wait_s


def test_a_retry_after_date_is_seen_from_the_gateways_own_clock() -> None:
    """Our clock being wrong must not turn 30 seconds into an hour."""
    later = "Tue, 24 Nov 2026 10:37:32 GMT"
    assert sort_reply(503, b"", later, NOW_DATE, TOKENS, NOW_S - 86_400).retry_after_s == 30.0


@pytest.mark.parametrize("status", [200, 401])
def test_a_refused_jwt_tells_how_wrong_our_clock_is(status: int) -> None:
    """80200005: second time PAUSE, check the clock."""
    reply = sort_reply(status, body("80200005"), None, NOW_DATE, TOKENS, NOW_S - 7_200)
    assert reply.date_skew_s == 7_200.0
    assert sort_reply(status, body("80200005"), None, "today", TOKENS, NOW_S).date_skew_s is None


def test_a_clock_is_not_looked_at_where_nobody_doubts_it() -> None:
    """date_skew_s only when the JWT was refused."""
    assert sort_reply(500, b"", None, NOW_DATE, TOKENS, NOW_S).date_skew_s is None


def test_no_whole_token_is_shown() -> None:
    """No whole push token in any log, error or repr: neither ours, nor an odd or short one, nor a stranger's."""
    odd, stranger = "a b c é é é", "Z" * 112
    tokens = (*TOKENS, odd.encode())
    for code in ("80300017", "80100001", "80000000", "80100000"):
        said = f"token {stranger} and {A}, {odd if code != '80000000' else ''}"
        reply = sorted_reply(400 if code > "801" else 200, body(code, said, request_id=stranger), tokens)
        assert all(token not in repr(reply) for token in (A, stranger, odd))


def test_a_token_as_a_reason_or_a_code_is_not_shown_whole() -> None:
    """Garbage in the places of names."""
    reply = partial("80100000", {"success": 3, "failure": 1, "illegalTokens": {A: [B]}})
    assert A not in repr(reply)
    assert A not in repr(sorted_reply(400, body(A)))


@pytest.mark.parametrize("name", ["{}", "token {} is bad"])
@pytest.mark.parametrize("short", ["s3cr3t-token", "é" * 30, "8" * 20])
def test_a_token_that_is_short_enough_for_a_name_is_masked_there(short: str, name: str) -> None:
    """A reason, a code or a request id that repeats it; known codes stay what they are."""
    tokens, name = (short.encode(), TOKENS[0]), name.format(short)
    listed = json.dumps({"success": 0, "failure": 2, "illegalTokens": {name: [short, A]}})
    replies = (
        sorted_reply(400, body(name, request_id=name), tokens),
        sorted_reply(200, body("80100000", listed), tokens),
        sorted_reply(400, body("80300028", request_id=name), tokens[:1]),
    )
    assert [reply.verdict for reply in replies] == [Verdict.FAILED, Verdict.REJECTED, Verdict.REJECTED]
    assert all(short not in repr(reply) for reply in replies)
    assert replies[2].code == "80300028"


def test_a_call_without_a_reply_is_tried_again() -> None:
    """Trouble: timeout, reset."""
    assert no_reply("timeout") == Reply(Verdict.RETRY, detail="timeout")


ANY_TOKENS = st.lists(st.binary(min_size=1, max_size=6), min_size=1, max_size=5, unique=True).map(tuple)
CODES = st.sampled_from([code for code, _, _ in BY_CODE]) | st.text(max_size=9) | st.integers()
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


def holds(reply: Reply, tokens: Sequence[bytes], status: int) -> None:
    """What is true of every reply, whatever it was made from."""
    places = [place for place, _ in reply.rejected]
    assert places == sorted(set(places))
    assert all(0 <= place < len(tokens) for place in places)
    refused = reply.verdict is Verdict.REJECTED or (reply.verdict is Verdict.FAILED and reply.code is not None)
    assert (len(places) == len(tokens)) == refused
    assert bool(places) == (refused or reply.verdict is Verdict.PARTIAL)
    assert (reply.token_limit is not None) == (reply.verdict is Verdict.SMALLER)
    assert len(tokens) > 1 or reply.verdict not in (Verdict.SPLIT, Verdict.SMALLER, Verdict.PARTIAL)
    assert reply.verdict is not Verdict.REVOKED or (reply.code == "80000000" and 200 <= status < 300)
    assert reply.verdict is not Verdict.PARTIAL or reply.code in ("80100000", "80100020")
    assert len(reply.detail or "") <= 200


@given(st.integers(100, 599), st.binary(max_size=60), st.text(max_size=30), st.text(max_size=30), ANY_TOKENS)
def test_any_bytes_as_a_reply_are_no_success(
    status: int, content: bytes, retry_after: str, date: str, tokens: tuple[bytes, ...]
) -> None:
    """Bodies of HTML, empty, huge or garbage are fine: nothing is raised and nothing counts as revoked."""
    reply = sort_reply(status, content, retry_after, date, tokens, NOW_S)
    holds(reply, tokens, status)
    assert reply.verdict not in (Verdict.REVOKED, Verdict.PARTIAL)
    assert reply.retry_after_s is None or 0 <= reply.retry_after_s <= MAX_RETRY_AFTER_S


@given(st.integers(100, 599), CODES, ANY_JSON, ANY_TOKENS, st.booleans())
def test_any_message_under_any_code_keeps_the_rules(
    status: int, code: object, msg: object, tokens: tuple[bytes, ...], inside_a_string: bool
) -> None:
    """Codes at any status with any message."""
    content = json.dumps({"code": code, "msg": json.dumps(msg) if inside_a_string else msg}).encode()
    holds(sort_reply(status, content, None, None, tokens, NOW_S), tokens, status)


@given(st.data())
def test_rejected_and_accepted_add_up_to_what_was_sent(data: st.DataObject) -> None:
    """An honest partial reply settles exactly the listed tokens; one count off by one settles none."""
    tokens = data.draw(st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=9, unique=True))
    listed = data.draw(st.lists(st.sampled_from(tokens), min_size=1, max_size=len(tokens), unique=True))
    off_s, off_f = data.draw(st.sampled_from([(0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (1, -1), (-1, 1)]))
    msg = {
        "success": len(tokens) - len(listed) + off_s,
        "failure": len(listed) + off_f,
        "illegalTokens": {"countryNotSupport": listed},
    }
    reply = partial("80100000", msg, [token.encode() for token in tokens])
    if (off_s, off_f) != (0, 0):
        assert reply.verdict is Verdict.SPLIT
        return
    assert {tokens[place] for place, _ in reply.rejected} == set(listed)
    assert reply.verdict is (Verdict.REJECTED if len(listed) == len(tokens) else Verdict.PARTIAL)
