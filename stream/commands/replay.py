"""``unpush replay``: dead letters go back where they came from.

Promised: what stood in the dead-letter topic at the start, each original record once; ``--dry-run`` writes nothing.
Exit 0 where all that was chosen was sent, 1 where Kafka took not all. Not promised: that what comes back can be read
now; it says how many cannot.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stream.kafka import sampling, verdicts
from stream.kafka.cluster import Cluster
from stream.kafka.preflight import refuse_wrong_properties
from stream.kafka.returns import Choice, Sender, Sorter, Tally, replay
from stream.model import DeadReason, SettingsError, Standing, StartError
from stream.operate import log
from stream.settings import Settings, duration_s, load_settings
from stream.settings.kinds import instant
from stream.wire.registry import registry_of
from stream.wire.wire import Wire

HELP: Final = (
    "Send dead letters back where they came from: all, or some by reason, topic and time; each original record once. "
    "Look first with --dry-run. Exit 0: all that was chosen was sent; 1: not all, and a second run does no harm."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``unpush replay`` takes."""
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="the settings file")
    parser.add_argument(
        "--reason",
        action="append",
        default=[],
        choices=[reason.value for reason in DeadReason],
        help="only dead letters with this reason; repeatable",
    )
    parser.add_argument(
        "--topic", action="append", default=[], metavar="NAME", help="only those that came from this topic; repeatable"
    )
    when = "RFC 3339 (2026-01-31T08:00:00Z), or how long ago (90m, 3h, 2d); the original record's time counts"
    parser.add_argument("--since", type=_moment, metavar="TIME", help=f"only records from then on: {when}")
    parser.add_argument("--until", type=_moment, metavar="TIME", help="only records before then; as --since")
    parser.add_argument("--rate", type=_rate, metavar="N", help="at most so many records a second (default: no limit)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, and send nothing")


def run(args: argparse.Namespace) -> int:
    """Exit 1 where it was interrupted. Raises SettingsError, StartError."""
    settings = load_settings(args.config, os.environ)
    log.configure("error", settings.log.format)
    refuse_wrong_properties(settings)
    choice = _choice(args, settings)
    counts = _counts(settings)
    letters = settings.topics.dead_letter
    spans, begun_s = sampling.spans(settings, letters, counts[letters]), time.time()
    sorter = Sorter(settings.topics, counts, choice, Wire(settings.avro.write_format, registry_of(settings)))
    with _interruptible() as look:
        sender = None if args.dry_run else Sender(settings, args.rate, sorter.tally, look)
        try:
            with _progress(sampling.size(spans), look) as seen:
                replay(settings, spans, sorter, sender, seen)
        except KeyboardInterrupt:
            return _interrupted(sender, sorter.tally)
    print("\n".join(told(sorter.tally, begun_s, dry=args.dry_run)))
    return 0


def _choice(args: argparse.Namespace, settings: Settings) -> Choice:
    sources = (settings.topics.message_sent, settings.topics.violation_detected)
    for name in args.topic:
        if name not in sources:
            raise SettingsError(f"--topic {name}: dead letters come from {' and '.join(sources)}")
    if args.since is not None and args.until is not None and args.since >= args.until:
        raise SettingsError("--since is not before --until: no record lies between them")
    return Choice(frozenset(args.reason), frozenset(args.topic), args.since, args.until)


def _counts(settings: Settings) -> dict[str, int]:
    counts = Cluster(settings).counts_once_known((*settings.topics.partitioned_alike, settings.topics.dead_letter))
    verdict = verdicts.existing(settings.topics, counts)
    if verdict.standing is Standing.BAD:
        raise StartError(f"{verdict.found}; {verdict.todo}")
    return counts


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """A function that raises KeyboardInterrupt where Ctrl-C was pressed since. Raised while confluent-kafka tells of a
    delivery it would be lost, and a SystemError come instead. Pressed twice, as while Kafka is silent, it is raised at
    once all the same."""
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    def look() -> None:
        nonlocal pressed
        if pressed:
            pressed = False
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, press)
    try:
        yield look
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _progress(total: int, look: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, else nothing; ``look`` is called at each step."""

    def step() -> None:
        look()
        bar.advance(task)

    console = Console(stderr=True)
    columns = (TextColumn("dead letters"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield step


def _interrupted(sender: Sender | None, tally: Tally) -> int:
    with contextlib.suppress(StartError):
        if sender is not None:
            sender.flush(5.0)
    print(f"interrupted: {tally.sent:,} records were sent back; run it again: what is sent twice does no harm")
    return 1


def told(tally: Tally, begun_s: float, *, dry: bool) -> Iterator[str]:
    """The lines for people."""
    count = tally.chosen.total() if dry else tally.sent
    yield f"{'would send' if dry else 'sent'} back {count:,} of {tally.read:,} dead letters"
    for (topic, reason), number in sorted(tally.chosen.items()):
        yield f"  {number:,} to {topic} ({reason or 'no reason given'})"
    if bad := tally.bad_still:
        said = ", ".join(f"{reason} {number:,}" for reason, number in sorted(bad.items()))
        yield f"{bad.total():,} of them cannot be read by this version either, and come back as dead letters: {said}"
    for number, what in _left(tally):
        if number:
            yield f"{number:,} {what}"
    if tally.sent:
        since = datetime.fromtimestamp(int(begun_s), UTC).isoformat().replace("+00:00", "Z")
        yield f"to leave these out the next time: --since {since}"


def _left(tally: Tally) -> Iterator[tuple[int, str]]:
    yield tally.unknown, "of them can only be judged with the registry, which does not answer"
    yield tally.repeats, "not sent: the same original record stands there more than once"
    yield tally.left_out, "not chosen"
    yield tally.foreign, "not sent: without unpush.error headers, so none of ours"
    yield (
        tally.elsewhere.total(),
        f"not sent: from topics that the settings do not name: {', '.join(sorted(tally.elsewhere))}",
    )
    yield tally.gone, "not sent: their partitions are there no more"


def _moment(text: str) -> int:
    """Milliseconds since 1970."""
    try:
        return int((time.time() - duration_s(text)) * 1000)
    except ValueError:
        pass
    try:
        found: int | None = instant().read(text)
    except ValueError:
        found = None
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a time such as 2026-01-31T08:00:00Z nor a duration such as 3h"
        )
    return found


def _rate(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (rate := float(text)) < 1e9:
            return rate
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
