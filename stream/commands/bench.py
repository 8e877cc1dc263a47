"""``unpush bench``: what the service reaches on this machine, beside what the machine reaches at best.

Promised: figures as ratios to limits measured in the same run; progress on stderr, the table on stdout, all samples as
JSON; Ctrl-C leaves no process and no temporary file. Exit 0 says that all was measured, not that an aim was met; 1
that a part could not be.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from stream.bench.figures import table
from stream.bench.points import kept
from stream.bench.points import story as points
from stream.bench.points.stage import SMALLEST
from stream.bench.points.stage import Sizes as PointSizes
from stream.bench.points.story import POINTS
from stream.bench.sizes import FULL, QUICK, Sizes
from stream.bench.story import PARTS, measured
from stream.bench.story import kept as keep_parts
from stream.model import SettingsError

HELP: Final = "our own benchmark on a real Apache Kafka, as ratios to limits measured in the same run (extra: kafka)"

_PLAIN_WIDTH: Final = 160
_NUMBERS: Final = {
    "rounds": "of each measurement; the table shows their median",
    "small_sends": "(a) sends of 1 token to store",
    "large_sends": "(a) sends of 1,000 tokens to store, 112 kB each",
    "small_calls": "(b) calls of 1 token",
    "large_calls": "(b) calls of 1,000 tokens",
    "burst_sends": "(c) sends that come in while violations are timed",
    "held_steps": "(d) up to so many million sends held in the store (10 for the whole figure)",
    "lost_sends": "(e) sends to read again after the store was lost",
}
"""The sizes that can be set, each by the flag of its name."""
_OF_PARTS: Final = ("only", "out", *_NUMBERS)
_OF_CALLS: Final = ("points", "json", "markdown", *(field.name for field in fields(PointSizes)))
_OUT: Final = Path("bench/out")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``unpush bench`` takes."""
    calls = parser.add_argument_group("the ten points of calling, instead of the parts")
    calls.add_argument("--calls", action="store_true", help="figures of calls against the simulator, as Markdown")
    calls.add_argument(
        "--points",
        metavar="POINTS",
        help="some of " + "; ".join(f"{name} ({point.about})" for name, point in POINTS.items()),
    )
    calls.add_argument("--json", type=Path, metavar="FILE", help="keep all samples there")
    calls.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table there too; into a document that has its marks"
    )
    for field in fields(PointSizes):
        calls.add_argument(f"--{field.name.replace('_', '-')}", type=_positive, metavar="N")
    parser.add_argument("--quick", action="store_true", help="each part in small: shows that it runs, not how fast")
    parser.add_argument(
        "--only",
        metavar="PARTS",
        help="some of a (storing), b (calling), c (waiting), d (memory), e (lost store); default: all",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"for JSON and plot (default {_OUT})")
    for name, says in _NUMBERS.items():
        default = f" (default {getattr(FULL, name):,})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=_positive, metavar="N", help=says + default)


def run(args: argparse.Namespace) -> int:
    """Exit 0: all was measured; 1: a part was not. Raises SettingsError for unknown or foreign parts, StartError."""
    _refuse_the_others(args)
    if args.calls:
        return _calls(args)
    report = measured(_sizes(args), _chosen("--only", args.only, PARTS, "parts"))
    paths = keep_parts(report, args.out or _OUT)
    console = Console()
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    console.print(table(report.figures))
    for part, why in report.failures.items():
        console.print(f"({part}) could not be measured: {why}", soft_wrap=True, highlight=False, markup=False)
    console.print("kept in", " and ".join(map(str, paths)), soft_wrap=True, highlight=False)
    return 1 if report.failures else 0


def _refuse_the_others(args: argparse.Namespace) -> None:
    """A flag of what is not measured would be passed over without a word."""
    foreign = _OF_PARTS if args.calls else _OF_CALLS
    given = next((name for name in foreign if getattr(args, name) is not None), None)
    if given is not None:
        flag = f"--{given.replace('_', '-')}"
        raise SettingsError(f"{flag} is of the parts: leave out --calls" if args.calls else f"{flag} needs --calls")


def _sizes(args: argparse.Namespace) -> Sizes:
    given = {name: getattr(args, name) for name in _NUMBERS if getattr(args, name) is not None}
    return replace(QUICK if args.quick else FULL, **given)


def _calls(args: argparse.Namespace) -> int:
    names = [field.name for field in fields(PointSizes)]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    sizes = replace(SMALLEST if args.quick else PointSizes(), **given)
    found = points.measured(sizes, _chosen("--points", args.points, POINTS, "points"))
    run = kept.content(found)
    print(kept.shown(run), end="")
    if args.json is not None:
        kept.keep(run, args.json)
    if args.markdown is not None:
        kept.show(run, args.markdown)
    return 1 if found.failures else 0


def _chosen(flag: str, said: str | None, known: Mapping[str, object], what: str) -> list[str]:
    if said is None:
        return list(known)
    asked = [name.strip() for name in said.split(",")]
    if unknown := [name for name in asked if name not in known]:
        raise SettingsError(f"{flag} {said!r} names {unknown[0]!r}; the {what} are {', '.join(known)}")
    return [name for name in known if name in asked]


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return number
