"""How many calls the simulator sustains: ``python tests/simulator/load.py [seconds]``; Linux, not collected by pytest.

Lists that are the same take no memory of their own, so what fresh memory costs is seen where each is another. A process
of its own answers ready-made requests on raw connections. Calls per second of its own CPU time are what one
core can do; calls per second of the wall depend on who else is on the machine.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import orjson
import uvloop

from tests.simulator.calling import bearer

_CONNECTIONS = 32
_REPLY_START = b"HTTP/1.1 200"


_FIRST_NOTIFY_ID = 1_000_000_000


def _request(authorization: str, tokens: int, *, same_list: bool) -> list[bytes]:
    """What stands around the ten digits of the notifyId, which begin the last token too where lists are to differ."""
    names = [f"{place:08d}".ljust(112, "x") for place in range(tokens)]
    if not same_list:
        names[-1] = str(_FIRST_NOTIFY_ID).ljust(112, "x")
    body = orjson.dumps({"notifyId": _FIRST_NOTIFY_ID, "token": names})
    head = (
        "POST /v1/1/messages:revoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"push-type: 0\r\nAuthorization: {authorization}\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
        f"User-Agent: load\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head.encode() + body).split(b"%d" % _FIRST_NOTIFY_ID)


class _Client(asyncio.Protocol):
    """One request after the other, each with a notifyId of its own, all answered with 200."""

    def __init__(self, request: list[bytes], numbers: Iterator[int]) -> None:
        self._request, self._numbers, self.answered = request, numbers, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self._send()

    def data_received(self, data: bytes) -> None:
        if not data.startswith(_REPLY_START):
            raise SystemExit(f"unexpected answer: {data[:300]!r}")
        self.answered += 1
        self._send()

    def _send(self) -> None:
        self._transport.write((b"%d" % next(self._numbers)).join(self._request))


async def _measure(
    port: int, pid: int, authorization: str, tokens: int, numbers: Iterator[int], seconds: float, *, same_list: bool
) -> str:
    request = _request(authorization, tokens, same_list=same_list)
    loop = asyncio.get_running_loop()
    started, cpu = time.monotonic(), _cpu_s(pid)
    connecting = [
        loop.create_connection(lambda: _Client(request, numbers), "127.0.0.1", port) for _ in range(_CONNECTIONS)
    ]
    clients = [client for _, client in await asyncio.gather(*connecting)]
    await asyncio.sleep(seconds)
    calls = sum(client.answered for client in clients)
    wall_s, cpu_s = time.monotonic() - started, _cpu_s(pid) - cpu
    return (
        f"{tokens:5d} tokens a call, {'the same' if same_list else 'another'} list each time: "
        f"{calls / wall_s:8,.0f} calls/s of wall, "
        f"{calls / cpu_s:8,.0f} calls/s of its own CPU ({cpu_s / calls * 1e6:.0f} µs a call)"
    )


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "stream", "simulate", "--port", "0", "--app", "1", "--make-keys", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(":")[2])
            authorization = bearer(Path(folder) / "1.json")
            numbers = count(_FIRST_NOTIFY_ID)
            for tokens, same_list in ((1, True), (1_000, True), (1_000, False)):
                measuring = _measure(port, process.pid, authorization, tokens, numbers, seconds, same_list=same_list)
                print(uvloop.run(measuring))
            process.terminate()


if __name__ == "__main__":
    main()
