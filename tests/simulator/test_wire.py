"""HTTP itself: raw bytes on a connection, as clients good and bad send them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from stream.model import StartError
from stream.pushkit.simulator import App, AppFaults, Faults, Latency, Shape, Simulator
from tests.simulator.calling import Caller, bearer

BODY = b'{"notifyId":7,"token":["a"]}'


@contextlib.asynccontextmanager
async def connection(sim: Simulator) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A raw connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sim.url.rpartition(":")[2]))
    yield reader, writer
    writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and body of one reply."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


def request(key_file: Path, body: bytes = BODY, *more: str) -> bytes:
    """A good revoke call."""
    lines = [
        "POST /v1/app1/messages:revoke HTTP/1.1",
        "Host: x",
        "content-type: application/json",
        "PUSH-TYPE: 0",
        f"Authorization: {bearer(key_file)}",
        *(more or (f"Content-Length: {len(body)}",)),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_pipelined_calls_are_answered_in_their_order(sim: Simulator, key_file: Path) -> None:
    """Keep-alive and pipelining, also while an answer is slow."""
    await sim.set_faults(Faults(all=AppFaults(latency=Latency(Shape.UNIFORM, 1, 10))))
    async with connection(sim) as (reader, writer):
        good, bad = request(key_file), request(key_file, b'{"notifyId":7,"token":[]}')
        writer.write((good + bad) * 100)
        assert [(await answer(reader))[0] for _ in range(200)] == [200, 400] * 100


async def test_a_chunked_body_in_small_pieces_is_read(sim: Simulator, key_file: Path) -> None:
    """Chunked bodies, cut anywhere."""
    chunked = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
    async with connection(sim) as (reader, writer):
        for byte in request(key_file, chunked, "Transfer-Encoding: chunked"):
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await answer(reader))[0] == 200


async def test_a_connection_closes_when_the_client_asks(sim: Simulator, key_file: Path) -> None:
    """``Connection: close`` is kept, and said."""
    async with connection(sim) as (reader, writer):
        writer.write(request(key_file, BODY, "Connection: close", f"Content-Length: {len(BODY)}"))
        whole = await asyncio.wait_for(reader.read(), 5)
        assert b"Connection: close\r\n" in whole


async def test_expect_continue_is_answered(sim: Simulator, key_file: Path) -> None:
    """A client that waits for 100 gets it."""
    async with connection(sim) as (reader, writer):
        writer.write(request(key_file, b"", "Expect: 100-continue", f"Content-Length: {len(BODY)}"))
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)
        assert (await answer(reader))[0] == 200


@pytest.mark.parametrize("length", [1_048_576, 1_048_577])
async def test_a_body_above_a_mebibyte_is_413(sim: Simulator, key_file: Path, length: int) -> None:
    """Limits on body size, at the very byte; the connection goes on."""
    async with connection(sim) as (reader, writer):
        writer.write(request(key_file, BODY.ljust(length)) + request(key_file))
        assert (await answer(reader))[0] == (413 if length > 1_048_576 else 200)
        assert (await answer(reader))[0] == 200


@pytest.mark.parametrize("ended", [True, False])
async def test_headers_above_16_kb_are_431(sim: Simulator, ended: bool) -> None:
    """Limits on header size, whether the headers end or not."""
    async with connection(sim) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 17_000)
        await asyncio.sleep(0.05)
        writer.write(b"\r\n\r\n" if ended else b"x" * 17_000)
        assert (await answer(reader))[0] == 431


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nUpgrade: x\r\n:\r\n\r\n"]
)
async def test_what_is_no_http_is_400_and_ends_the_connection(sim: Simulator, data: bytes) -> None:
    """Garbage, TLS on a plain port."""
    async with connection(sim) as (reader, writer):
        writer.write(data)
        assert (await answer(reader))[0] == 400
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_defect_of_ours_shows_nothing_on_the_wire(
    sim: Simulator, caller: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No traceback to the wire; it is logged, without tokens."""
    monkeypatch.setattr("stream.pushkit.simulator.gateway.judge", lambda *_: 1 / 0)
    got = await caller.revoke(7, ("secret-token",))
    assert got.status == 500
    assert b"Zero" not in got.body
    assert "ZeroDivisionError" in caplog.text
    assert "secret-token" not in caplog.text


async def test_tls_is_1_2_or_newer(apps: list[App], key_file: Path, tmp_path: Path) -> None:
    """1: TLS 1.2 or newer when served over TLS; https in the URL."""
    certificate, key = certified(tmp_path)
    async with Simulator(apps, tls_cert=certificate, tls_key=key) as sim, aiohttp.ClientSession() as session:
        assert sim.url.startswith("https://")
        headers = {"Authorization": bearer(key_file), "push-type": "0", "Content-Type": "application/json"}
        url = f"{sim.url}/v1/app1/messages:revoke"
        modern = ssl.create_default_context(cafile=str(certificate))
        async with session.post(url, data=BODY, headers=headers, ssl=modern) as response:
            assert response.status == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.post(url, data=BODY, headers=headers, ssl=outdated(certificate))


def outdated(certificate: Path) -> ssl.SSLContext:
    """A client that knows TLS up to 1.1 only."""
    context = ssl.create_default_context(cafile=str(certificate))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


async def test_a_taken_port_and_a_bad_certificate_do_not_start(apps: list[App], tmp_path: Path) -> None:
    """One sentence that names what was found."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StartError, match=str(taken.getsockname()[1])):
            await Simulator(apps, port=taken.getsockname()[1]).start()
    with pytest.raises(StartError, match="certificate"):
        await Simulator(apps, tls_cert=tmp_path / "none.pem").start()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_as_a_process_it_says_where_it_listens_and_ends_with_0(tmp_path: Path, name: signal.Signals) -> None:
    """``unpush simulate --port 0``: the first line of stdout is the URL; a signal ends it cleanly."""
    command = [sys.executable, "-m", "stream", "simulate", "--port", "0", "--app", "1", "--make-keys", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        port = int(line.removeprefix("listening on http://127.0.0.1:"))
        with socket.create_connection(("127.0.0.1", port), 5):
            os.kill(process.pid, name)
            assert process.wait(5) == 0
    assert (tmp_path / "1.json").exists()


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulator")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "cert.pem", folder / "key.pem"
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file
