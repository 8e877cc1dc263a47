"""The client, the key, the JWT and the sorting together, against the strict simulator and its book."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stream.pushkit.client import PushKit, encode_body
from stream.pushkit.key import load_key
from stream.pushkit.reply import Reply, Verdict
from stream.pushkit.simulator import AppFaults, Body, Failure, Faults, FlowControl, PartialStyle, Rules, Simulator
from stream.pushkit.simulator import make_key_file as new_key_file
from stream.pushkit.token import Bearer

APP = "app-1"
TOKENS = tuple(f"token-{number:03}+/=".encode() for number in range(10))


class Rig:
    """One app of the simulator, and everything that a call to it needs."""

    def __init__(self, simulator: Simulator, push_kit: PushKit, bearer: Bearer) -> None:
        self.simulator, self.push_kit, self.bearer = simulator, push_kit, bearer

    async def revoke(self, tokens: Sequence[bytes] = TOKENS, app: str = APP, push_type: int = 0) -> Reply:
        authorization = self.bearer.header(time.time())
        return await self.push_kit.revoke(app, push_type, authorization, encode_body(7, tokens), tokens)

    def revoked(self) -> set[str]:
        return set(self.simulator.book.revoked.tokens(APP, 7))


@asynccontextmanager
async def rig(folder: Path, faults: Faults | None = None) -> AsyncIterator[Rig]:
    app = new_key_file(folder / "key.json", "project-1", APP)
    bearer = Bearer(load_key(folder / "key.json"), time.time())
    async with Simulator([app], faults=faults) as simulator:
        push_kit = PushKit(simulator.url, 5.0, 8)
        try:
            yield Rig(simulator, push_kit, bearer)
        finally:
            await push_kit.close()


def failing(failure: Failure) -> Faults:
    return Faults(all=AppFaults(failures=(failure,)))


async def test_a_strict_push_kit_accepts_our_calls(tmp_path: Path) -> None:
    """JWT signature and claims, path, headers, body: all of it at once; and its book has every token."""
    async with rig(tmp_path) as the:
        assert [(await the.revoke(push_type=kind)).verdict for kind in (0, 2)] == [Verdict.REVOKED, Verdict.REVOKED]
        assert the.revoked() == {token.decode() for token in TOKENS}


@pytest.mark.parametrize("inside_200", [True, False])
@pytest.mark.parametrize("style", [PartialStyle.MAP, PartialStyle.ARRAY])
async def test_a_partial_refusal_settles_what_the_book_says(
    tmp_path: Path, style: PartialStyle, inside_200: bool
) -> None:
    """Rejected = listed, revoked = the rest: compared with what the simulator revoked."""
    rules = Rules(partial=style, business_errors_in_200=inside_200)
    async with rig(tmp_path, Faults(rules=rules)) as the:
        the.simulator.tokens.tell(APP, [TOKENS[3].decode(), TOKENS[8].decode()], reason="tokenFormatError")
        reply = await the.revoke()
        assert (reply.verdict, [place for place, _ in reply.rejected]) == (Verdict.PARTIAL, [3, 8])
        assert the.revoked() == {token.decode() for i, token in enumerate(TOKENS) if i not in (3, 8)}


@pytest.mark.parametrize("rules", [Rules(partial=PartialStyle.TEXT), Rules(wrong_partial_counts=True)])
async def test_a_partial_refusal_that_cannot_be_read_is_halved_down_to_the_token(tmp_path: Path, rules: Rules) -> None:
    """Counts off, or msg no JSON: SPLIT until single tokens have an answer."""
    async with rig(tmp_path, Faults(rules=rules)) as the:
        the.simulator.tokens.tell(APP, [TOKENS[0].decode()], reason="tokenFormatError")
        verdicts = [(await the.revoke(TOKENS[:count])).verdict for count in (10, 5, 2, 1)]
        assert verdicts == [Verdict.SPLIT] * 3 + [Verdict.REJECTED]


async def test_a_foreign_token_spoils_the_call_and_is_found(tmp_path: Path) -> None:
    """80300017, 80300028: the whole call is refused, nothing revoked; alone it is rejected with the code."""
    async with rig(tmp_path) as the:
        the.simulator.tokens.tell(APP, [TOKENS[0].decode()], app="another-app")
        assert (await the.revoke()).verdict is Verdict.SPLIT
        alone = await the.revoke(TOKENS[:1])
        assert (alone.verdict, alone.rejected) == (Verdict.REJECTED, ((0, "80300028"),))
        assert the.revoked() == set()


async def test_a_lowered_token_limit_is_learned(tmp_path: Path) -> None:
    """80300010: the new batch size."""
    async with rig(tmp_path, Faults(all=AppFaults(token_limit=4))) as the:
        reply = await the.revoke()
        assert (reply.verdict, reply.token_limit) == (Verdict.SMALLER, 4)
        assert (await the.revoke(TOKENS[:4])).verdict is Verdict.REVOKED


async def test_an_app_that_is_barred_or_unknown_pauses(tmp_path: Path) -> None:
    """Penalty, Push Kit off, a clientId that is no app: nothing is lost."""
    async with rig(tmp_path) as the:
        for faults in (Faults(all=AppFaults(penalty=True)), Faults(all=AppFaults(push_off=True))):
            await the.simulator.set_faults(faults)
            assert (await the.revoke()).verdict is Verdict.PAUSE
        await the.simulator.set_faults(Faults())
        assert (await the.revoke(app="nobody")).verdict in (Verdict.PAUSE, Verdict.RENEW)


async def test_a_jwt_past_its_end_is_renewed(tmp_path: Path) -> None:
    """80200005: at once, new JWT."""
    async with rig(tmp_path) as the:
        the.bearer.renew(time.time() - 7_200)
        old = the.bearer.header(time.time() - 7_200)
        stale = await the.push_kit.revoke(APP, 0, old, encode_body(7, TOKENS), TOKENS)
        assert (stale.verdict, stale.code) == (Verdict.RENEW, "80200005")
        the.bearer.renew(time.time(), refused=old)
        assert (await the.revoke()).verdict is Verdict.REVOKED


@pytest.mark.parametrize("flow_control", [FlowControl(), FlowControl(Body.JSON, "2"), FlowControl(Body.HTML)])
async def test_devices_above_the_quota_are_flow_control(tmp_path: Path, flow_control: FlowControl) -> None:
    """HTTP 503, with or without JSON, with or without Retry-After."""
    async with rig(tmp_path, Faults(all=AppFaults(devices_per_s=10, flow_control=flow_control))) as the:
        replies = [await the.revoke(), await the.revoke()]
        assert [reply.verdict for reply in replies] == [Verdict.REVOKED, Verdict.FLOW_CONTROL]
        assert replies[1].retry_after_s == (2.0 if flow_control.retry_after else None)


@pytest.mark.parametrize(
    "failure",
    [
        Failure(status=500, code="80000001"),
        Failure(status=200, code="81000001"),
        Failure(status=502, body=Body.HTML),
        Failure(status=500, body=Body.EMPTY),
        Failure(status=200, body=Body.GARBAGE),
        Failure(status=200, body=Body.JSON),
    ],
)
async def test_trouble_inside_push_kit_is_tried_again(tmp_path: Path, failure: Failure) -> None:
    """500, 502, HTML, empty and garbage bodies, a 200 that says nothing: RETRY, and then it works."""
    async with rig(tmp_path, failing(replace(failure, calls=1))) as the:
        assert [(await the.revoke()).verdict for _ in range(2)] == [Verdict.RETRY, Verdict.REVOKED]
