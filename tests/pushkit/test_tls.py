"""TLS to the gateway: whom we believe, and in which words it is told that we do not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stream.check import gateway
from stream.model import Standing
from stream.pushkit.client import PushKit, encode_body
from stream.pushkit.reply import Reply, Verdict
from stream.settings import default_settings
from tests.authority import Authority, outdated_server
from tests.pushkit.wire import answer, wire

HERE = "127.0.0.1"
TOKENS = (b"token-one", b"token-two")
BODY = encode_body(7, TOKENS)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that this machine trusts, by the way that an operator has."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


def served(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def revoked(url: str) -> Reply:
    push_kit = PushKit(url, 5.0, 8)
    try:
        return await push_kit.revoke("app-1", 0, "Bearer a.b.c", BODY, TOKENS)
    finally:
        await push_kit.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_authority_that_the_machine_trusts_is_enough(trusted: Authority, version: ssl.TLSVersion) -> None:
    """SSL_CERT_FILE; TLS 1.2 and 1.3."""
    tls = served(trusted.certificate(HERE))
    tls.minimum_version = tls.maximum_version = version
    async with wire(answer(), tls=tls) as seen:
        assert (await revoked(seen.url)).verdict is Verdict.REVOKED


def unknown(trusted: Authority, folder: Path) -> ssl.SSLContext:
    return served(Authority(folder, "Somebody else").certificate(HERE))


def other_name(trusted: Authority, folder: Path) -> ssl.SSLContext:
    return served(trusted.certificate("gateway.example", "127.0.0.2"))


def expired(trusted: Authority, folder: Path) -> ssl.SSLContext:
    return served(trusted.certificate(HERE, over=True))


@pytest.mark.parametrize(
    ("served_by", "why", "cure"),
    [
        (unknown, "unable to get local issuer certificate", "SSL_CERT_FILE"),
        (other_name, "IP address mismatch", "is push_kit.url right"),
        (expired, "certificate has expired", "renew"),
    ],
)
async def test_whom_we_do_not_believe_gets_nothing_and_the_call_is_tried_again(
    trusted: Authority, tmp_path: Path, served_by: Callable[[Authority, Path], ssl.SSLContext], why: str, cure: str
) -> None:
    """RETRY, with the reason; `unpush check` says the same, and what to do."""
    async with wire(answer(), tls=served_by(trusted, tmp_path)) as seen:
        await refused(seen.url, f"certificate verify failed: {why}", cure)
    assert seen.requests == []


async def test_a_gateway_that_speaks_tls_1_1_at_most_is_refused(trusted: Authority) -> None:
    """TLS 1.2 at least, and a certificate that we do believe."""
    with outdated_server(trusted.certificate(HERE)) as port:
        await refused(f"https://{HERE}:{port}", "VERSION", "TLS 1.2")


async def refused(url: str, why: str, cure: str) -> None:
    """In the reply, and in the row of `unpush check`."""
    reply = await revoked(url)
    assert (reply.verdict, reply.http_status) == (Verdict.RETRY, None)
    told = reply.detail or ""
    assert told.startswith("TLS: ")
    assert why in told
    row = await asyncio.to_thread(gateway.look, replace(default_settings().push_kit, url=url))
    assert row.standing is Standing.BAD
    assert f"{url} does not answer: {told}" in row.found
    assert cure in (row.todo or "")
