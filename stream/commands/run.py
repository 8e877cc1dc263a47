"""``unpush run``: the service."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvloop

from stream.kafka.preflight import look
from stream.operate import log as logs
from stream.operate.http import Front
from stream.operate.tracing import spans_of
from stream.service.clock import Clock
from stream.service.keys import Keys
from stream.service.story import Service
from stream.service.views import Views
from stream.settings import Settings, load_settings

if TYPE_CHECKING:
    from stream.operate.otel import Spans

HELP = "run the service: revoke what violations name, until it is stopped"

SWITCH_S = 0.0005
"""How soon a thread that waits for the GIL gets it: readers and calls share it, and a tenth of the default serves
calls better."""

COLLECT_AFTER = (50_000, 20, 100)
"""Garbage is looked for after so many new objects: a batch of a thousand records makes thousands, all soon gone by
themselves, and looking after each cost a tenth of reading."""

log = structlog.get_logger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``unpush run`` takes."""
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="the settings file")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="everything but the calls, beside the real service: a group and a store of its own",
    )


def run(args: argparse.Namespace) -> int:
    """Exit 0 after a drain. Raises SettingsError, StartError."""
    with logs.lines_to_stderr() as lines:
        settings = load_settings(args.config, os.environ)
        logs.configure(settings.log.level, settings.log.format, lines)
        if args.dry_run:
            settings = dry(settings)
        tune()
        with contextlib.suppress(asyncio.CancelledError):  # told to stop before there was anything to drain
            uvloop.run(serve(settings, dry_run=args.dry_run, last_words=lines.settle))
    return 0


def tune() -> None:
    """How this process shares its one interpreter between reading and calling."""
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def dry(settings: Settings) -> Settings:
    """The settings of the dry run that stands beside the real service."""
    path = settings.store.path.absolute()  # "." has no name
    return replace(
        settings,
        kafka=replace(settings.kafka, group_id=f"{settings.kafka.group_id}-dry-run"),
        store=replace(settings.store, path=path.with_name(f"{path.name}-dry-run")),
        http=replace(settings.http, advertise=""),  # the real one's address, or of a port that is not known yet
    )


async def serve(settings: Settings, *, dry_run: bool, last_words: Callable[[], object]) -> None:
    """Look at the world, run the service until a signal, drain. ``last_words`` lets the log out before a second signal
    ends the process. Raises StartError."""
    signals = Signals(last_words)
    Keys(settings.push_kit, Clock())  # a wrong key file is told at once, not after ten seconds without a broker
    world = await asyncio.to_thread(look, settings)
    spans = spans_of(os.environ)
    async with (
        _closing(spans),
        Service(settings, world, dry=dry_run, spans=spans) as service,
        Views(service) as views,
        # Before the service joins, until it has drained: whoever starts it asks.
        Front(settings.http, views.sights, gives_way=dry_run),
    ):
        signals.stop = service.stop
        log.info("started", partitions=world.partitions, group_id=settings.kafka.group_id, dry_run=dry_run)
        await service.run()
    log.info("stopped")


@contextlib.asynccontextmanager
async def _closing(spans: Spans | None) -> AsyncIterator[None]:
    """At the end, when all that could begin a span is closed, send what is left of them."""
    try:
        yield
    finally:
        if spans is not None:
            await asyncio.to_thread(spans.close)


class Signals:
    """SIGTERM and SIGINT: the first stops the service, or the start where there is no service yet; a second means
    now."""

    def __init__(self, last_words: Callable[[], object]) -> None:
        """From now on they are caught; made inside the loop, by the task to cancel while there is no service."""
        task = asyncio.current_task()
        assert task is not None
        self.stop: Callable[[], object] = task.cancel
        self._last_words = last_words
        self._told = False
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._came)

    def _came(self) -> None:
        if self._told:
            self._last_words()
            os._exit(1)  # nothing is lost: the next owner goes on
        self._told = True
        self.stop()
