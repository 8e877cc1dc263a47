"""The rules of push-kit.md section 9, points 1 to 9: each test names its point and breaks one thing in a good call."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from stream.pushkit.simulator import Answer, AppFaults, Faults, PartialStyle, Rules, Simulator
from tests.simulator.calling import Caller


async def test_a_good_call_is_accepted_and_entered(sim: Simulator, caller: Caller) -> None:
    """12: ``code`` is a string, ``msg`` Success, ``requestId`` unique; the tokens are in the book."""
    first, second = await caller.revoke(7, ("a", "b")), await caller.revoke(7, ("c",))
    assert (first.status, first.code, first.json["msg"]) == (200, "80000000", "Success")
    assert first.json["requestId"] != second.json["requestId"]
    assert set(sim.book.revoked.tokens("app1", 7)) == {"a", "b", "c"}


@pytest.mark.parametrize(
    "path",
    [
        "/v3/app1/messages:revoke",
        "/v1//messages:revoke",
        "/v1/app1/messages:revoke/",
        "/v1/a/b/messages:revoke",
        "/v1/app1/messages:send",
        "/v1/messages:revoke",
        "/",
    ],
)
async def test_another_path_is_404(sim: Simulator, caller: Caller, path: str) -> None:
    """1: the exact path ``/v1/{clientId}/messages:revoke``; ``/v3`` must fail."""
    assert (await caller.revoke(path=path)).status == 404
    assert not sim.book.all_counts()


async def test_another_method_is_405(sim: Simulator, caller: Caller) -> None:
    """1: the method is POST."""
    answer = await caller.revoke(method="PUT")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert not sim.book.all_counts()


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/jsonx"])
async def test_a_content_type_that_is_not_json_is_refused(
    sim: Simulator, caller: Caller, content_type: str | None
) -> None:
    """2: Content-Type is JSON."""
    await refused(sim, caller, "80100003", headers={"Content-Type": content_type})


async def test_a_charset_beside_the_content_type_is_right(caller: Caller) -> None:
    """2: Huawei's own demo adds ``; charset=UTF-8``."""
    answer = await caller.revoke(headers={"Content-Type": "application/json; charset=UTF-8"})
    assert answer.code == "80000000"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"notifyId":1,"token":["a"]} x', b'{"notifyId":NaN}'])
async def test_a_body_that_is_no_json_object_is_refused(sim: Simulator, caller: Caller, body: bytes) -> None:
    """2: invalid JSON is 80100003."""
    await refused(sim, caller, "80100003", body=body)


async def test_a_body_of_115_kb_is_accepted(sim: Simulator, caller: Caller) -> None:
    """2: a thousand tokens of 112 characters pass."""
    tokens = [f"{number:04d}".ljust(112, "x") for number in range(1_000)]
    assert (await caller.revoke(7, tokens)).code == "80000000"
    assert len(sim.book.revoked.tokens("app1", 7)) == 1_000


@pytest.mark.parametrize("client_id", ["nobody", "project"])
async def test_a_client_id_that_is_no_apps_is_refused(sim: Simulator, caller: Caller, client_id: str) -> None:
    """4: the clientId must be an app's; the project's own gives 80300002."""
    assert (await caller.revoke(client_id=client_id)).code == "80300002"


async def test_one_key_serves_all_apps_of_its_project_and_no_other(sim: Simulator, caller: Caller) -> None:
    """4: the key's project must be the app's, else 80200001."""
    assert (await caller.revoke(client_id="app2")).code == "80000000"
    answer = await caller.revoke(client_id="other")
    assert (answer.status, answer.code) == (401, "80200001")


async def test_an_app_with_a_penalty_or_without_push_kit_is_refused(sim: Simulator, caller: Caller) -> None:
    """4: penalty 80300037, Push Kit off 80300002; other apps go on."""
    await sim.set_faults(Faults(apps={"app1": AppFaults(penalty=True)}))
    await refused(sim, caller, "80300037")
    assert (await caller.revoke(client_id="app2")).code == "80000000"
    sim.book.clear()
    await sim.set_faults(Faults(apps={"app1": AppFaults(push_off=True)}))
    await refused(sim, caller, "80300002")


@pytest.mark.parametrize("push_type", [None, "", "1", "6", "7", "10", "00", "x"])
async def test_a_push_type_that_cannot_be_revoked_is_refused(
    sim: Simulator, caller: Caller, push_type: str | None
) -> None:
    """5: the push-type header is 0 or 2, else 80100003 with a hint."""
    answer = await refused(sim, caller, "80100003", headers={"push-type": push_type})
    assert "push-type" in answer.json["msg"]


async def test_push_type_2_is_accepted(caller: Caller) -> None:
    """5: text-to-speech can be revoked."""
    assert (await caller.revoke(headers={"push-type": "2"})).code == "80000000"


@pytest.mark.parametrize("notify_id", ["7", True, 7.0, -1, 2**31, 10**30, [], {}])
async def test_a_notify_id_that_is_no_integer_in_range_is_refused(
    sim: Simulator, caller: Caller, notify_id: Any
) -> None:
    """6: a JSON integer in [0, 2147483647]."""
    assert (await caller.revoke(notify_id)).code == "80100003"
    assert not list(sim.book.revoked.slots())


@pytest.mark.parametrize("notify_id", [0, 2**31 - 1])
async def test_both_ends_of_the_range_of_notify_ids_are_legal(sim: Simulator, caller: Caller, notify_id: int) -> None:
    """6: 0 is a legal id."""
    assert (await caller.revoke(notify_id)).code == "80000000"
    assert sim.book.revoked.tokens("app1", notify_id)


@pytest.mark.parametrize("body", [b"{}", b'{"notifyId":7}', b'{"token":["a"]}', b'{"notifyId":null,"token":["a"]}'])
async def test_a_missing_field_is_refused_with_the_code_that_was_set(
    sim: Simulator, caller: Caller, body: bytes
) -> None:
    """6: missing notifyId or token is 80300032 or, where so set, 80100001."""
    await refused(sim, caller, "80300032", body=body)
    await sim.set_faults(Faults(rules=Rules(missing_field_code="80100001")))
    await refused(sim, caller, "80100001", body=body)


@pytest.mark.parametrize("tokens", ["a", {}, 1, ["a", 1], ["a", None], ["a", ""], [["a"]]])
async def test_a_token_list_of_anything_but_non_empty_strings_is_refused(
    sim: Simulator, caller: Caller, tokens: Any
) -> None:
    """7: an array of non-empty strings."""
    await refused(sim, caller, "80100003", tokens=tokens)


@pytest.mark.parametrize(
    ("count", "code"), [(0, "80300010"), (1, "80000000"), (1_000, "80000000"), (1_001, "80300010")]
)
async def test_a_call_has_one_to_a_thousand_tokens(sim: Simulator, caller: Caller, count: int, code: str) -> None:
    """7: count 1 to the limit, both numbers in ``msg``."""
    answer = await caller.revoke(7, [f"t{number}" for number in range(count)])
    assert answer.code == code
    if code == "80300010":
        assert answer.json["msg"] == "token count should within 1 and 1000."
        assert not list(sim.book.revoked.slots())


async def test_the_token_limit_can_change_at_run_time(sim: Simulator, caller: Caller) -> None:
    """7: the limit is a "current system setting"."""
    await sim.set_faults(Faults(all=AppFaults(token_limit=2)))
    answer = await refused(sim, caller, "80300010", tokens=["a", "b", "c"])
    assert "1 and 2." in answer.json["msg"]
    assert (await caller.revoke(7, ["a", "b"])).code == "80000000"


async def test_a_body_above_4096_bytes_without_its_tokens_is_refused(sim: Simulator, caller: Caller) -> None:
    """7: the rest of the body above 4,096 bytes is 80300008; the tokens do not count."""
    fields = {"notifyId": 7, "token": ["x" * 100_000]}
    assert (await caller.revoke(body=json.dumps(fields).encode())).code == "80000000"
    sim.book.clear()
    await refused(sim, caller, "80300008", body=json.dumps({**fields, "other": "x" * 4_096}).encode())


async def test_tokens_of_several_apps_refuse_the_whole_call(sim: Simulator, caller: Caller) -> None:
    """8: more than one app is 80300017; nothing is revoked."""
    sim.tokens.tell("app1", ["foreign"], app="app2")
    await refused(sim, caller, "80300017", tokens=["a", "foreign"])
    assert set(sim.book.refused.tokens("app1", 7)) == {"a", "foreign"}


async def test_tokens_of_another_app_refuse_the_whole_call(sim: Simulator, caller: Caller) -> None:
    """8: one app, but another than the called one, is 80300028."""
    sim.tokens.tell("app1", ["f1", "f2"], app="app2")
    await refused(sim, caller, "80300028", tokens=["f1", "f2"])
    sim.tokens.tell("app1", ["f1", "f2"])
    assert (await caller.revoke(7, ["f1", "f2"])).code == "80000000"


async def test_some_bad_tokens_are_named_with_reasons_and_the_rest_is_revoked(sim: Simulator, caller: Caller) -> None:
    """9: partial, style ``illegalTokens``."""
    sim.tokens.tell("app1", ["bad"], reason="tokenFormatError")
    answer = await caller.revoke(7, ["a", "bad", "b"])
    assert (answer.status, answer.code) == (200, "80100000")
    assert answer.message == {"success": 2, "failure": 1, "illegalTokens": {"tokenFormatError": ["bad"]}}
    assert set(sim.book.revoked.tokens("app1", 7)) == {"a", "b"}
    assert set(sim.book.refused.tokens("app1", 7)) == {"bad"}


async def test_a_partial_reply_can_be_a_flat_array(sim: Simulator, caller: Caller) -> None:
    """9: partial, style ``illegal_tokens``."""
    await sim.set_faults(Faults(rules=Rules(partial=PartialStyle.ARRAY)))
    sim.tokens.tell("app1", ["bad"], reason="noRight")
    answer = await caller.revoke(7, ["a", "bad"])
    assert (answer.code, answer.message) == ("80100000", {"success": 1, "failure": 1, "illegal_tokens": ["bad"]})


async def test_a_partial_reply_can_be_words_alone(sim: Simulator, caller: Caller) -> None:
    """9: partial, 80100020 with plain text; the good tokens are revoked all the same."""
    await sim.set_faults(Faults(rules=Rules(partial=PartialStyle.TEXT)))
    sim.tokens.tell("app1", ["bad"], reason="noRight")
    answer = await caller.revoke(7, ["a", "bad"])
    assert (answer.code, answer.json["msg"]) == ("80100020", "Check Parameter Partial Success.")
    assert set(sim.book.revoked.tokens("app1", 7)) == {"a"}


async def test_the_counts_of_a_partial_reply_can_be_wrong(sim: Simulator, caller: Caller) -> None:
    """9: counts optionally wrong."""
    await sim.set_faults(Faults(rules=Rules(wrong_partial_counts=True)))
    sim.tokens.tell("app1", ["bad"], reason="noRight")
    assert (await caller.revoke(7, ["a", "bad"])).message["success"] == 2


async def test_only_bad_tokens_are_80300007(sim: Simulator, caller: Caller) -> None:
    """9: all bad, without ``success``."""
    sim.tokens.tell("app1", ["b1"], reason="noRight")
    sim.tokens.tell("app1", ["b2"], reason="countryNotSupport")
    answer = await refused(sim, caller, "80300007", tokens=["b1", "b2", "b1"])
    assert answer.message == {"failure": 2, "illegalTokens": {"noRight": ["b1"], "countryNotSupport": ["b2"]}}
    assert sim.book.counts("app1").rejected == 2


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("contentType", {"headers": {"Content-Type": "text/plain"}}),
        ("authorization", {"headers": {"Authorization": None}}),
        ("clientId", {"client_id": "nobody"}),
        ("pushType", {"headers": {"push-type": "6"}}),
        ("missingFields", {"body": b'{"notifyId":7}'}),
        ("json", {"body": b"x"}),
        ("size", {"body": json.dumps({"notifyId": 7, "token": ["a"], "x": "x" * 5_000}).encode()}),
        ("tokenCount", {"tokens": []}),
        ("notifyId", {"notify_id": "7"}),
        ("tokens", {"tokens": ["a", 1]}),
    ],
)
async def test_every_rule_can_be_turned_off(sim: Simulator, caller: Caller, name: str, call: dict[str, Any]) -> None:
    """9: "every rule can be turned off": the same call then fails by a later rule or not at all."""
    strict = (await caller.revoke(**call)).json["msg"]
    await sim.set_faults(Faults(rules=Rules(off=frozenset({name}))))
    assert (await caller.revoke(**call)).json["msg"] != strict


async def test_the_status_and_code_of_a_rule_can_change(sim: Simulator, caller: Caller) -> None:
    """9: "its status and code changed"; 12: business errors inside HTTP 200 as well as 4xx."""
    await sim.set_faults(Faults(rules=Rules(answers={"80300010": Answer(418, "80309999")})))
    answer = await caller.revoke(7, [])
    assert (answer.status, answer.code) == (418, "80309999")
    await sim.set_faults(Faults(rules=Rules(business_errors_in_200=True)))
    answer = await caller.revoke(7, [])
    assert (answer.status, answer.code) == (200, "80300010")


async def test_calls_at_the_same_time_do_not_mix(sim: Simulator, caller: Caller) -> None:
    """Each call revokes its own tokens under its own notifyId."""
    await asyncio.gather(*(caller.revoke(number, [f"t{number}"]) for number in range(50)))
    assert {slot: list(marks) for _, slot, marks in sim.book.revoked.slots()} == {n: [f"t{n}"] for n in range(50)}


async def refused(sim: Simulator, caller: Caller, code: str, **call: Any) -> Any:
    """Make the call; it must have this code and no effect."""
    answer = await caller.revoke(**call)
    assert answer.code == code
    assert not list(sim.book.revoked.slots())
    assert sim.book.counts("app1").refused >= 1
    return answer
