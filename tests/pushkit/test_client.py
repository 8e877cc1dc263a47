"""One call against gateways that answer, refuse, cut, hang: always a Reply, never an exception."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from stream.pushkit import client as client_module
from stream.pushkit.client import PushKit, encode_body
from stream.pushkit.reply import MAX_REPLY_BYTES, Reply, Verdict
from tests.pushkit.keys import pem, rsa_key
from tests.pushkit.wire import OK, Act, Wire, answer, hang, raw, reset, wire

TOKENS = (b"token-one", b"token-two")
BODY = encode_body(7, TOKENS)
AUTHORIZATION = "Bearer a.b.c"


@asynccontextmanager
async def gateway(
    *acts: Act, timeout_s: float = 5.0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[PushKit, Wire]]:
    async with wire(*acts, tls=tls) as seen:
        push_kit = PushKit(seen.url, timeout_s, 8)
        try:
            yield push_kit, seen
        finally:
            await push_kit.close()


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def revoke(push_kit: PushKit, client_id: str = "app-1", **trace: str) -> Reply:
    return await push_kit.revoke(client_id, 2, AUTHORIZATION, BODY, TOKENS, **trace)


async def test_a_call_is_what_the_page_says() -> None:
    """POST /v1/{clientId}/messages:revoke, Bearer, push-type, JSON; no compression asked for."""
    async with gateway(answer()) as (push_kit, seen):
        reply = await revoke(push_kit)
    head, content = seen.requests[0]
    lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    assert reply == Reply(Verdict.REVOKED, 200, "80000000", "Success", "request-1")
    assert head.startswith("POST /v1/app-1/messages:revoke HTTP/1.1\r\n")
    assert (lines["Authorization"], lines["Content-Type"], lines["push-type"]) == (
        AUTHORIZATION,
        "application/json",
        "2",
    )
    assert lines["Accept-Encoding"] == "identity"
    assert json.loads(content) == {"notifyId": 7, "token": ["token-one", "token-two"]}


async def test_a_client_id_cannot_leave_its_place_in_the_path() -> None:
    """clientId is a path parameter: whatever it holds is quoted."""
    async with gateway(answer()) as (push_kit, seen):
        await revoke(push_kit, "a/b?c#d é")
    assert seen.requests[0][0].startswith("POST /v1/a%2Fb%3Fc%23d%20%C3%A9/messages:revoke HTTP/1.1\r\n")


async def test_a_url_that_is_none_is_refused_before_any_call() -> None:
    """The client never raises in a call, so it does when it is made."""
    with pytest.raises(ValueError, match="IPv6"):
        PushKit("http://[", 5.0, 8)
    async with gateway(answer()) as (push_kit, _):
        assert (await revoke(push_kit, "\udcff")).verdict is Verdict.REVOKED


async def test_a_new_jwt_is_sent_from_the_next_call_on() -> None:
    """RENEW: headers are ready-made, but not for longer than their JWT."""
    async with gateway(answer()) as (push_kit, seen):
        for authorization in ("Bearer old", "Bearer old", "Bearer new"):
            await push_kit.revoke("app-1", 0, authorization, BODY, TOKENS)
    assert [head.count("Authorization: Bearer new") for head, _ in seen.requests] == [0, 0, 1]


async def test_a_trace_goes_along() -> None:
    """The W3C traceparent passes through to the call, and only to this call."""
    async with gateway(answer()) as (push_kit, seen):
        await revoke(push_kit, traceparent=TRACEPARENT)
        await revoke(push_kit)
    assert f"traceparent: {TRACEPARENT}\r\n" in seen.requests[0][0]
    assert "trace" not in seen.requests[1][0]


@pytest.mark.parametrize(
    "poison",
    [
        "a\r\nX-Evil: 1",
        "a\x00",
        "é",
        "x" * 600,
        "customer=ann",
        TRACEPARENT.upper(),
        f"{TRACEPARENT}-customer=ann",
        "ff" + TRACEPARENT[2:],
    ],
)
async def test_a_trace_that_is_none_does_not_cost_the_call_and_does_not_leave(poison: str) -> None:
    """The header comes from producers: a bad one must not keep its violation from being revoked, nor tell Push Kit
    anything but ids."""
    async with gateway(answer()) as (push_kit, seen):
        reply = await revoke(push_kit, traceparent=poison)
    assert reply.verdict is Verdict.REVOKED
    assert "trace" not in seen.requests[0][0]


async def test_connections_are_kept_and_bounded() -> None:
    """One pooled session: a second call reuses the connection, many at once stay within the bound."""
    async with gateway(answer(after_s=0.02)) as (push_kit, seen):
        for _ in range(3):
            await revoke(push_kit)
        assert seen.connections == 1
        replies = await asyncio.gather(*(revoke(push_kit) for _ in range(30)))
    assert {reply.verdict for reply in replies} == {Verdict.REVOKED}
    assert seen.connections == 8


async def test_an_error_code_inside_http_200_is_an_error() -> None:
    """TN handles error codes inside HTTP 200: the code decides."""
    async with gateway(answer(b'{"code":"80300002","msg":"no","requestId":"r"}')) as (push_kit, _):
        assert (await revoke(push_kit)).verdict is Verdict.PAUSE


async def test_headers_reach_the_sorting() -> None:
    """Retry-After and Date are read from the reply."""
    refused = answer(b"", "401 Unauthorized", b"Date: Tue, 24 Nov 2099 10:37:02 GMT\r\nRetry-After: 3\r\n")
    async with gateway(refused) as (push_kit, _):
        reply = await revoke(push_kit)
    assert (reply.verdict, reply.retry_after_s) == (Verdict.RENEW, 3.0)
    assert reply.date_skew_s is not None
    assert reply.date_skew_s > 86_400


async def test_a_redirect_is_not_followed() -> None:
    """A body full of tokens goes where the settings say, and nowhere else."""
    async with gateway(answer(b"", "307 Temporary Redirect", b"Location: /elsewhere\r\n")) as (push_kit, seen):
        assert (await revoke(push_kit)).verdict is Verdict.PAUSE
    assert len(seen.requests) == 1


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(OK), OK)


@pytest.mark.parametrize(
    ("act", "detail"),
    [
        (reset, "connection reset"),
        (raw(b""), "connection closed by the gateway before its reply"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "connection closed by the gateway before its reply"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + OK), "reply cut short"),
        (raw(CHUNKED[:-12]), "reply cut short"),
        (raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "reply is not HTTP"),
        (hang, "timeout"),
        (answer(after_s=1.0), "timeout"),
    ],
)
async def test_trouble_on_the_way_is_a_retry_that_names_its_kind(act: Act, detail: str) -> None:
    """Network trouble becomes RETRY; a cut reply is no success even if its bytes look like one."""
    async with gateway(act, timeout_s=0.2) as (push_kit, seen):
        reply = await revoke(push_kit)
    assert reply == Reply(Verdict.RETRY, detail=detail)
    assert len(seen.requests) == 1


async def test_a_chunked_reply_is_read_whole() -> None:
    """Nothing promises a Content-Length."""
    async with gateway(raw(CHUNKED)) as (push_kit, _):
        assert (await revoke(push_kit)).verdict is Verdict.REVOKED


@pytest.mark.parametrize("chunked", [True, False])
async def test_an_endless_reply_is_not_read_to_its_end(chunked: bool) -> None:
    """A huge body costs no memory worth naming: reading stops at the bound, the connection is dropped."""
    size = MAX_REPLY_BYTES * 8
    head = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size if chunked else b"Content-Length: %d\r\n\r\n" % size
    written = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\n" + head)
        while written < size:
            writer.write(b" " * 65_536)
            written += 65_536
            await writer.drain()

    async with gateway(endless) as (push_kit, _):
        reply = await revoke(push_kit)
    assert (reply.verdict, reply.http_status) == (Verdict.RETRY, 200)
    assert written < size


@pytest.mark.parametrize("gone", [reset, raw(b"")])
async def test_a_kept_connection_that_was_closed_costs_a_second_call_and_no_wait(gone: Act) -> None:
    """POST is not retried by aiohttp: ServerDisconnectedError on a kept-alive connection is retried once, at once; the
    gateway may have seen both, so both are counted."""
    async with gateway(answer(), gone, answer()) as (push_kit, seen):
        replies = [await revoke(push_kit), await revoke(push_kit)]
    assert [(reply.verdict, reply.calls) for reply in replies] == [(Verdict.REVOKED, 1), (Verdict.REVOKED, 2)]
    assert len(seen.requests) == 3


async def test_a_closed_connection_is_tried_again_only_once() -> None:
    """Once: the second time it is trouble."""
    async with gateway(answer(), raw(b"")) as (push_kit, seen):
        await revoke(push_kit)
        reply = await revoke(push_kit)
    assert (reply.verdict, reply.calls) == (Verdict.RETRY, 2)
    assert len(seen.requests) == 3


async def test_a_timeout_is_not_tried_again_at_once() -> None:
    """A slow gateway is not helped by a second call."""
    async with gateway(answer(), hang, timeout_s=0.2) as (push_kit, seen):
        await revoke(push_kit)
        assert (await revoke(push_kit)).detail == "timeout"
    assert len(seen.requests) == 2


async def test_a_gateway_that_went_away_is_not_knocked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection was never kept alive, however lately the gateway answered."""
    async with wire(answer(headers=b"Connection: close\r\n")) as seen:
        push_kit = PushKit(seen.url, 5.0, 8)
        assert (await revoke(push_kit)).verdict is Verdict.REVOKED
    calls = 0
    once = PushKit._call

    async def counted(*args: Any) -> Reply:
        nonlocal calls
        calls += 1
        return await once(*args)

    monkeypatch.setattr(PushKit, "_call", counted)
    assert (await revoke(push_kit)).detail == "connection refused"
    assert calls == 1
    await push_kit.close()


async def test_a_compressed_reply_is_not_unpacked() -> None:
    """We ask for none, and 10 kB that unpack to 10 MB would pass the bound."""
    async with gateway(answer(gzip.compress(OK), headers=b"Content-Encoding: gzip\r\n")) as (push_kit, _):
        assert (await revoke(push_kit)).verdict is Verdict.RETRY


async def test_where_no_connection_can_be_stale_none_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has answered for longer than connections are kept: an outage is not made worse by doubled calls."""
    monkeypatch.setattr(client_module, "KEEPALIVE_S", 0.0)
    async with gateway(answer(), raw(b"")) as (push_kit, seen):
        await revoke(push_kit)
        await revoke(push_kit)
    assert len(seen.requests) == 2


async def test_a_gateway_that_is_not_there_is_named() -> None:
    """refused, DNS: each by its kind."""
    async with wire(answer()) as seen:
        gone = seen.url
    for url, detail in [
        (gone, "connection refused"),
        ("https://gateway.invalid", "DNS: the gateway's host name was not found"),
    ]:
        push_kit = PushKit(url, 5.0, 8)
        assert await revoke(push_kit) == Reply(Verdict.RETRY, detail=detail)
        await push_kit.close()


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody has a reason to trust, with its key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, rsa_key().public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(rsa_key(), SHA256())
    )
    file = folder / "gateway.pem"
    file.write_text(pem(rsa_key()) + signed.public_bytes(Encoding.PEM).decode())
    return file


async def test_a_certificate_that_nobody_vouches_for_ends_the_call(tmp_path: Path) -> None:
    """TLS: certificate verify failed."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate(tmp_path))
    async with gateway(answer(), tls=tls) as (push_kit, seen):
        reply = await revoke(push_kit)
    assert reply == Reply(Verdict.RETRY, detail="TLS: certificate verify failed: self-signed certificate")
    assert seen.requests == []


async def test_a_gateway_that_speaks_no_tls_is_named() -> None:
    """An http port behind an https URL."""

    def answers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with await asyncio.start_server(answers, "127.0.0.1", 0) as server:
        push_kit = PushKit(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", 5.0, 8)
        reply = await revoke(push_kit)
        await push_kit.close()
    assert (reply.verdict, (reply.detail or "")[:5]) == (Verdict.RETRY, "TLS: ")


async def test_a_closed_client_answers_too() -> None:
    """Never raises: a call that comes while the service stops is a RETRY."""
    async with gateway(answer()) as (push_kit, _):
        await push_kit.close()
        assert (await revoke(push_kit)).verdict is Verdict.RETRY


async def test_a_cancelled_call_is_cancelled() -> None:
    """The one exception: CancelledError; the client goes on afterwards."""
    async with gateway(hang, answer()) as (push_kit, _):
        task = asyncio.create_task(revoke(push_kit))
        await asyncio.sleep(0.05)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert (await revoke(push_kit)).verdict is Verdict.REVOKED


@pytest.mark.parametrize(
    "tokens",
    [[], [b"a"], [b'"'], [b"\\"], [b"\x01", b"\x7f"], ["é".encode(), b"a"], [b"\xc3", b"\xa9"], [b"a"] * 3, [b""]],
)
def test_a_body_means_what_json_means(tokens: list[bytes]) -> None:
    """Odd tokens: quotes, control characters, UTF-8, halves of UTF-8 that would join to a whole."""
    expected = {"notifyId": 2_147_483_647, "token": [token.decode("utf-8", "replace") for token in tokens]}
    assert json.loads(bytes(encode_body(2_147_483_647, tokens))) == expected


@given(st.integers(0, 2**31 - 1), st.lists(st.text(max_size=8) | st.text('"\\\x00\x1fé,ab', max_size=3), max_size=6))
def test_any_body_means_what_json_means(notify_id: int, tokens: Sequence[str]) -> None:
    """{"notifyId":N,"token":[...]} for any tokens."""
    encoded = encode_body(notify_id, [token.encode() for token in tokens])
    assert json.loads(bytes(encoded)) == {"notifyId": notify_id, "token": tokens}


@given(st.integers(0, 2**31 - 1), st.lists(st.text("abcXYZ019+/=", min_size=1, max_size=20), min_size=1, max_size=9))
def test_the_size_of_a_body_is_known_before(notify_id: int, tokens: list[str]) -> None:
    """A call has at most 512 kB: 23 bytes, the id's digits, each token's length + 3."""
    size = 23 + len(str(notify_id)) + sum(len(token) + 3 for token in tokens)
    assert len(encode_body(notify_id, [token.encode() for token in tokens])) == size
