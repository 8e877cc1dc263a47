"""``unpush simulate``: the Push Kit simulator as a process of its own.

Promised: the first line of stdout is ``listening on URL`` as soon as calls are answered; SIGINT and SIGTERM end it with
exit 0; a taken port is StartError, a wrong flag or file SettingsError. Not promised: anything kept between two runs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import orjson
import uvloop

from stream.model import SettingsError, StartError
from stream.pushkit.simulator import (
    App,
    AppFaults,
    Body,
    End,
    Failure,
    Faults,
    FaultsError,
    Latency,
    Shape,
    Simulator,
    app_of_key_file,
    faults_json,
    make_key_file,
)
from stream.pushkit.simulator.faults import LONGEST_MS
from stream.pushkit.simulator.replies import STATUS
from stream.settings.duration import duration_s

HELP: Final = "Runs the Push Kit simulator: strict rules, faults on demand, and a book of what was revoked."

_PROJECT: Final = "simulated-project"
_GARBAGE_COLLECTION: Final = 200_000
"""Allocations between collections: the book holds millions of objects, none of them in a cycle."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8090, help="0: a free one (default %(default)s)")
    parser.add_argument(
        "--app",
        action="append",
        default=[],
        metavar="CLIENT_ID[=KEYFILE]",
        help="an app and its service-account key file; repeatable; without KEYFILE the one in --make-keys DIR",
    )
    parser.add_argument(
        "--make-keys",
        type=Path,
        metavar="DIR",
        help="write DIR/CLIENT_ID.json for every --app without KEYFILE, unless it is there",
    )
    parser.add_argument("--tls-cert", type=Path, metavar="PEM", help="serve TLS 1.2 or newer with this certificate")
    parser.add_argument("--tls-key", type=Path, metavar="PEM", help="its key, where it is not in the same file")
    faults = parser.add_argument_group("faults, for all apps; PUT /_sim/faults changes them at run time")
    faults.add_argument("--faults", type=Path, metavar="JSON", help="the whole state, as GET /_sim/faults shows it")
    faults.add_argument(
        "--latency",
        metavar="TIME",
        help="answering time: 20ms, or 10ms..50ms (uniform), or p50=20ms,p99=200ms (lognormal)",
    )
    faults.add_argument("--devices-per-second", type=float, metavar="N", help="of one app; above it HTTP 503")
    faults.add_argument("--system-devices-per-second", type=float, metavar="N", help="of all apps together")
    faults.add_argument("--error-rate", type=float, metavar="SHARE", help="share of calls that fail, 0 to 1")
    faults.add_argument(
        "--error",
        default="500",
        metavar="WHAT",
        help="how: an HTTP status, a code (81000001), empty, garbage, cut or hang (default %(default)s)",
    )
    faults.add_argument("--seed", type=int, help="makes the chance of faults and latencies repeatable")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes; raises SettingsError and StartError."""
    simulator = Simulator(
        _apps(args.app, args.make_keys),
        host=args.host,
        port=_port(args.port),
        faults=_faults(args),
        seed=args.seed,
        tls_cert=_readable("--tls-cert", args.tls_cert),
        tls_key=_tls_key(args),
    )
    gc.set_threshold(_GARBAGE_COLLECTION)
    uvloop.run(_serve(simulator))
    return 0


async def _serve(simulator: Simulator) -> None:
    ended = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    async with simulator:
        print(f"listening on {simulator.url}", flush=True)
        await ended.wait()


def _apps(named: list[str], keys: Path | None) -> list[App]:
    if not named:
        raise SettingsError("--app is missing: give --app CLIENT_ID=KEYFILE, or --app CLIENT_ID with --make-keys DIR")
    return [_app(each, keys) for each in named]


def _app(named: str, keys: Path | None) -> App:
    client_id, _, file = named.partition("=")
    if not client_id or "/" in client_id:
        raise SettingsError(f"--app {named!r} is wrong: give CLIENT_ID=KEYFILE, with a Client ID that has no slash")
    if file:
        return app_of_key_file(client_id, Path(file))
    if keys is None:
        raise SettingsError(f"--app {named!r} has no key file: give {client_id}=KEYFILE, or --make-keys DIR")
    return _made_app(client_id, keys / f"{client_id}.json")


def _made_app(client_id: str, path: Path) -> App:
    try:
        if path.exists():
            return app_of_key_file(client_id, path)
        app = make_key_file(path, _PROJECT, client_id)
    except OSError as error:
        raise StartError(f"key file {path} cannot be written: {error.strerror}") from None
    print(f"wrote {path}", file=sys.stderr)
    return app


def _port(port: int) -> int:
    if not 0 <= port <= 65_535:
        raise SettingsError(f"--port must be from 0 to 65535, not {port}")
    return port


def _tls_key(args: argparse.Namespace) -> Path | None:
    if args.tls_key is not None and args.tls_cert is None:
        raise SettingsError("--tls-key needs --tls-cert")
    return _readable("--tls-key", args.tls_key)


def _readable(flag: str, path: Path | None) -> Path | None:
    """OpenSSL does not tell which of two files it misses."""
    try:
        if path is not None:
            path.open("rb").close()
    except OSError as error:
        raise SettingsError(f"{flag} {path} cannot be read: {error.strerror}") from None
    return path


def _faults(args: argparse.Namespace) -> Faults:
    """The state of --faults, the other flags over it."""
    try:
        faults = _of_file(args.faults) if args.faults else Faults()
        system = args.system_devices_per_second
        faults = faults if system is None else replace(faults, system_devices_per_s=system)
        return replace(faults, all=_app_faults(faults.all, args))
    except FaultsError as error:
        raise SettingsError(f"the faults asked for are impossible: {error}") from None


def _app_faults(faults: AppFaults, args: argparse.Namespace) -> AppFaults:
    if args.latency is not None:
        faults = replace(faults, latency=_latency(args.latency))
    if args.devices_per_second is not None:
        faults = replace(faults, devices_per_s=args.devices_per_second)
    failure = _failure(args.error, args.error_rate or 0.0)  # a wrong --error is told also where nothing is to fail
    return faults if args.error_rate is None else replace(faults, failures=(*faults.failures, failure))


def _of_file(path: Path) -> Faults:
    try:
        return faults_json.from_json(Faults, orjson.loads(path.read_bytes()))
    except OSError as error:
        raise SettingsError(f"--faults {path} cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"--faults {path} is no JSON: {error}") from None


def _failure(what: str, rate: float) -> Failure:
    ends = {"cut": End.CUT_AFTER, "hang": End.HANG_AFTER}
    bodies = {"empty": Body.EMPTY, "garbage": Body.GARBAGE}
    if what in ends:
        return Failure(ends[what], rate)
    if what in bodies:
        return Failure(rate=rate, body=bodies[what])
    if not what.isdecimal() or len(what) not in (3, 8):
        raise SettingsError(f"--error must be an HTTP status, a code, empty, garbage, cut or hang, not {what!r}")
    if len(what) == 3:
        return Failure(rate=rate, status=int(what), body=Body.HTML)
    return Failure(rate=rate, status=STATUS.get(what, 400), code=what)


def _latency(text: str) -> Latency:
    try:
        return _distribution(text)
    except ValueError as error:
        raise SettingsError(
            f"--latency must be like 20ms, 10ms..50ms or p50=20ms,p99=200ms, not {text!r} ({error})"
        ) from None


def _distribution(text: str) -> Latency:
    if ".." in text:
        low, high = text.split("..")
        return Latency(Shape.UNIFORM, low_ms=_ms(low), high_ms=_ms(high))
    if text.startswith("p50="):
        p50, p99 = text.removeprefix("p50=").split(",p99=")
        return Latency(Shape.LOGNORMAL, p50_ms=_ms(p50), p99_ms=_ms(p99))
    return Latency(Shape.FIXED, low_ms=_ms(text))


def _ms(text: str) -> float:
    ms = duration_s(text) * 1000
    if ms > LONGEST_MS:
        raise ValueError("an hour at most")
    return ms
