"""``unpush demo``: the whole story on this machine, nothing else installed.

Promised: exit 0 only if every violation was settled and the simulator's book agrees; Ctrl-C ends it within seconds,
exit 1. No file stays but, where something disagrees, the log of the service. Not promised: a figure that says how fast
Unpush is; ``unpush bench`` measures that.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console

from stream.commands.run import SWITCH_S
from stream.demo.author import write
from stream.demo.plan import Plan, fullest_bytes
from stream.demo.stage import MOCK_KEEPS_BYTES, PARTITIONS, broker
from stream.demo.story import Outcome, tell
from stream.demo.summary import print_summary, verdict
from stream.demo.view import View, view_on
from stream.model import SettingsError, StartError, UnpushError
from stream.operate import log as logs

HELP: Final = "the whole story on this machine, nothing else installed: sends, violations, calls, and who checks them"

SPAN_S: Final = 12.0
"""How long the cast plays."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``unpush demo`` takes."""
    parser.add_argument(
        "--kafka", action="store_true", help="on a real Apache Kafka, fetched and started for it (extra: kafka)"
    )
    parser.add_argument("--seed", type=int, default=1, help="another one tells another story (default %(default)s)")
    parser.add_argument("--sends", type=int, default=1_500, metavar="N", help="records to send (default %(default)s)")
    parser.add_argument(
        "--violations", type=int, default=400, metavar="N", help="findings among them (default %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Exit 0: all is well; 1: not, or interrupted. Raises SettingsError for sizes that make no story, StartError."""
    plan = write(args.seed, args.sends, args.violations, SPAN_S)
    if not args.kafka:
        _refuse_too_large(plan, args)
    console = Console()
    console.print(_opening(plan, args.kafka), highlight=False, soft_wrap=True)
    sys.setswitchinterval(SWITCH_S)
    with _log_file() as log, tempfile.TemporaryDirectory(prefix="unpush-demo-", ignore_cleanup_errors=True) as folder:
        outcome = _told(plan, args.kafka, Path(folder), view_on(console))
        if outcome is None:
            console.print("Interrupted.")
            log.unlink()
            return 1
        return _ended(console, outcome, log)


def _refuse_too_large(plan: Plan, args: argparse.Namespace) -> None:
    fullest = fullest_bytes(plan, PARTITIONS)
    if fullest > MOCK_KEEPS_BYTES:
        raise SettingsError(
            f"--sends {args.sends} --violations {args.violations} would put {fullest / 1e6:.1f} MB into one partition, "
            f"and the embedded broker keeps no more than {MOCK_KEEPS_BYTES / 1e6:.1f} MB of each: give smaller "
            "numbers, or --kafka for a real broker"
        )


def _opening(plan: Plan, kafka: bool) -> str:
    devices = sum(send.token_count for send in plan.sends)
    on = "a real Apache Kafka" if kafka else "an embedded broker"
    return (
        f"{len(plan.sends):,} sends to {devices:,} devices, {len(plan.expected):,} violations, {len(plan.bad)} bad "
        f"records, on {on} (seed {plan.seed})"
    )


@contextlib.contextmanager
def _log_file() -> Iterator[Path]:
    """Where the service's log goes while the view is on the screen; it stays only where somebody must read it."""
    with tempfile.NamedTemporaryFile("w", 1, prefix="unpush-demo-", suffix=".log", delete=False) as file:
        path = Path(file.name)
        with contextlib.redirect_stderr(file):
            logs.configure("info", "console")
        try:
            yield path
        except UnpushError as error:
            raise _with_log(error, path) from error
        finally:
            logs.configure("error", "console")


def _with_log(error: UnpushError, log: Path) -> UnpushError:
    """The same, naming the log; one that says nothing is removed."""
    if log.stat().st_size:
        return StartError(f"{error} (the service's log: {log})")
    log.unlink()
    return error


def _told(plan: Plan, kafka: bool, folder: Path, view: View) -> Outcome | None:
    """None: interrupted."""
    try:
        stage = broker(kafka=kafka)
        if kafka:
            view.say("Apache Kafka starts; the first time it is fetched, which may take a minute")
        stage.start()
        try:
            return uvloop.run(_interruptible(tell(plan, stage, folder, view)))
        finally:
            stage.stop()
    except KeyboardInterrupt:
        return None
    finally:
        view.close()


async def _interruptible(story: Coroutine[Any, Any, Outcome]) -> Outcome | None:
    """The story, or None where a signal ended it; it is given the time to end well, whatever is pressed meanwhile."""
    telling = asyncio.ensure_future(story)
    interrupted: list[signal.Signals] = []

    def stop(received: signal.Signals) -> None:
        if not interrupted:
            telling.cancel()
        interrupted.append(received)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the last: its terminal was closed
        asyncio.get_running_loop().add_signal_handler(each, stop, each)
    with contextlib.suppress(asyncio.CancelledError):
        return await telling
    return None


def _ended(console: Console, outcome: Outcome, log: Path) -> int:
    print_summary(console, outcome.standing, outcome.counts)
    for line in verdict(outcome.standing, outcome.breaches):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    if outcome.breaches:
        console.print(f"The service's log: {log}", soft_wrap=True)
        return 1
    log.unlink()
    return 0
