"""The way out through a proxy: tunnels that are kept, trouble that is named, credentials that nobody sees."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from stream.check import gateway
from stream.model import Standing
from stream.pushkit.client import Answered, PushKit, encode_body
from stream.pushkit.key import load_key
from stream.pushkit.proxy import Proxy
from stream.pushkit.reply import Reply, Verdict
from stream.pushkit.simulator import Simulator, make_key_file
from stream.pushkit.token import Bearer
from stream.settings import Secret, default_settings
from tests.operate.running import APP, running
from tests.pushkit.keys import pem, rsa_key
from tests.pushkit.tunnel import Tunnel, tunnel
from tests.pushkit.wire import answer, wire

HUSH = "grüße:hunter2"
USER = "unpush"
BASIC = "Basic " + base64.b64encode(f"{USER}:{HUSH}".encode()).decode()
TOKENS = (b"token-one", b"token-two")
BODY = encode_body(7, TOKENS)


def vouched_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate for 127.0.0.1 and its key, which this process trusts as its machine's own."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, rsa_key().public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(rsa_key(), SHA256())
    )
    file = folder / "gateway.pem"
    file.write_text(pem(rsa_key()) + signed.public_bytes(Encoding.PEM).decode())
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


@asynccontextmanager
async def push_kit_at(url: str, proxy: Proxy | None, timeout_s: float = 5.0) -> AsyncIterator[PushKit]:
    push_kit = PushKit(url, timeout_s, 8, proxy=proxy)
    try:
        yield push_kit
    finally:
        await push_kit.close()


async def revoke(push_kit: PushKit, authorization: str = "Bearer a.b.c") -> Reply:
    return await push_kit.revoke(APP, 0, authorization, BODY, TOKENS)


async def through_a_tunnel(folder: Path, certificate: Path) -> tuple[list[Reply], set[str], Tunnel]:
    app = make_key_file(folder / "key.json", "project", APP)
    authorization = Bearer(load_key(folder / "key.json"), time.time()).header(time.time())
    async with (
        Simulator([app], tls_cert=certificate) as simulator,
        tunnel(wants=BASIC) as way,
        push_kit_at(simulator.url, Proxy(way.url, USER, Secret(HUSH))) as push_kit,
    ):
        replies = [await revoke(push_kit, authorization) for _ in range(3)]
        assert isinstance(await push_kit.knock(), Answered)
        return replies, set(simulator.book.revoked.tokens(APP, 7)), way


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_calls_go_through_a_tunnel_that_is_kept_and_sees_nothing_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[list[Reply], set[str], Tunnel]]
) -> None:
    """push_kit.proxy: CONNECT with Basic, TLS to the gateway itself; once for all calls on a connection."""
    certificate = vouched_for(tmp_path, monkeypatch)
    replies, revoked, way = run(through_a_tunnel(tmp_path, certificate))
    assert [reply.verdict for reply in replies] == [Verdict.REVOKED] * 3
    assert revoked == {token.decode() for token in TOKENS}
    ((line, headers),) = way.asked
    assert line.startswith("CONNECT 127.0.0.1:")
    assert headers["proxy-authorization"] == BASIC
    assert "authorization" not in headers


async def test_without_a_tunnel_the_proxy_reads_its_credentials_from_the_call() -> None:
    """An http gateway, such as a simulator: the call itself goes to the proxy, by its whole address."""
    async with (
        wire(answer()) as seen,
        tunnel(wants=BASIC) as way,
        push_kit_at(seen.url, Proxy(way.url, USER, Secret(HUSH))) as push_kit,
    ):
        assert (await revoke(push_kit)).verdict is Verdict.REVOKED
    ((line, headers),) = way.asked
    assert line == f"POST {seen.url}/v1/{APP}/messages:revoke HTTP/1.1"
    assert (headers["proxy-authorization"], headers["authorization"]) == (BASIC, "Bearer a.b.c")


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("407 Proxy Authentication Required", "proxy: HTTP 407, it does not take our user name and password"),
        ("403 Forbidden", "proxy: HTTP 403, it does not let us through to the gateway"),
        ("502 Bad Gateway", "proxy: HTTP 502, it cannot reach the gateway"),
    ],
)
async def test_a_proxy_that_refuses_is_trouble_on_the_way(status: str, says: str) -> None:
    """Tried again, never an ending: a proxy's word says nothing of a token."""
    async with tunnel(refuses=status) as way, push_kit_at("https://gateway.invalid", Proxy(way.url)) as push_kit:
        reply = await revoke(push_kit)
        assert await push_kit.knock() == reply.detail
    assert (reply.verdict, reply.http_status) == (Verdict.RETRY, None)
    assert (reply.detail or "").startswith(says)


async def test_a_407_is_a_proxys_also_without_a_tunnel() -> None:
    """Else a call to an http gateway would end FAILED, as with any other 4xx."""
    async with tunnel(wants=BASIC) as way, push_kit_at("http://127.0.0.1:1", Proxy(way.url)) as push_kit:
        reply = await revoke(push_kit)
        assert await push_kit.knock() == reply.detail
    assert (reply.verdict, (reply.detail or "")[:15]) == (Verdict.RETRY, "proxy: HTTP 407")


async def test_a_proxy_that_is_not_there_is_named() -> None:
    """down, unknown, mute: each by its kind, and not blamed on the gateway."""
    async with tunnel() as way:
        gone = way.url
    for address, says in [
        (gone, "proxy: connection refused"),
        ("http://proxy.invalid:3128", "DNS: the proxy's host name was not found"),
    ]:
        async with push_kit_at("https://gateway.invalid", Proxy(address, USER, Secret(HUSH))) as push_kit:
            assert await revoke(push_kit) == Reply(Verdict.RETRY, detail=says)


async def test_a_proxy_that_hangs_up_may_have_been_either() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        proxy = Proxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with push_kit_at("https://gateway.invalid", proxy) as push_kit:
            reply = await revoke(push_kit)
    assert reply == Reply(Verdict.RETRY, detail="connection closed by the gateway or the proxy before its reply")


async def test_a_connections_key_shows_no_credentials() -> None:
    """aiohttp's warning of a connection that was left open has the key in it, and that has the proxy's URL."""
    async with wire(answer()) as seen, tunnel(wants=BASIC) as way:
        proxy = Proxy(way.url, USER, Secret(HUSH))
        async with push_kit_at(seen.url, proxy) as push_kit:
            await revoke(push_kit)
            connector: Any = push_kit._session.connector
            shown = f"{list(connector._conns)} {proxy!r}"
    assert f"proxy=URL('{way.url}')" in shown
    assert "hunter2" not in shown


async def test_the_environments_proxy_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Push tokens go where the settings say."""
    async with wire(answer()) as seen, tunnel() as way:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, way.url)
        async with push_kit_at(seen.url, None) as push_kit:
            assert (await revoke(push_kit)).verdict is Verdict.REVOKED
    assert (len(seen.requests), way.asked) == (1, [])


async def test_check_knocks_through_the_proxy_and_names_it(tmp_path: Path) -> None:
    """unpush check, gateway: by the way that calls take; what is wrong, and which setting."""
    plain = default_settings(tmp_path).push_kit
    async with wire(answer()) as seen, tunnel(wants=BASIC) as way:
        settings = replace(plain, url=seen.url, proxy=way.url)
        refused = await asyncio.to_thread(gateway.look, settings)
        right = replace(settings, proxy_user=USER, proxy_password=Secret(HUSH))
        # The wire wants a body, so nothing is answered: that it was asked is what counts.
        await asyncio.to_thread(gateway.look, replace(right, timeout_s=0.2))
    gone = await asyncio.to_thread(gateway.look, settings)
    assert (refused.standing, gone.standing) == (Standing.BAD, Standing.BAD)
    assert f"{seen.url} through push_kit.proxy {way.url} does not answer: proxy: HTTP 407" in refused.found
    assert "UNPUSH__PUSH_KIT__PROXY_PASSWORD" in (refused.todo or "")
    assert "proxy: connection refused" in gone.found
    assert "is push_kit.proxy right" in (gone.todo or "")
    assert way.asked[1][1]["proxy-authorization"] == BASIC


async def test_a_service_calls_through_the_proxy_of_its_settings(tmp_path: Path) -> None:
    """From a violation to the simulator's book, with every call seen by the proxy."""
    async with tunnel() as way, running(tmp_path, f'push_kit.proxy = "{way.url}"') as rig:
        await rig.ready()
        rig.send("m", 3)
        rig.event("v", "m")
        await rig.until("/api/violations/v", lambda reply: reply.status == 200 and reply.json["state"] == "settled")
        assert len(rig.simulator.book.revoked.tokens(APP, 7)) == 3
    assert [line.split(" ")[0] for line, _ in way.asked] == ["POST"]
