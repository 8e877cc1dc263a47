"""``unpush check``: would this deployment work? Looks at everything, changes nothing.

Promised: one row a verdict, exit 0 where none has failed and 1 where one has; ``--json`` prints the same as one JSON
object, also where the settings themselves are wrong (exit 2). Not promised: that Push Kit accepts the keys: only a call
would tell.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console

from stream.check.story import verdicts_of
from stream.check.table import acls, as_json, summary, table
from stream.kafka.rights import needed
from stream.model import SettingsError, Standing, Verdict
from stream.operate import log
from stream.settings import Settings, load_settings

HELP: Final = (
    "Look at settings, key files, broker, topics, registry and gateway, and say what is wrong and what to do. Changes "
    "nothing. Exit 0: nothing has failed; 1: something has; 2: the settings themselves are wrong."
)

_PLAIN_WIDTH: Final = 1_000
"""Where nobody looks a row is a line, whatever its length: for grep."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``unpush check`` takes."""
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="the settings file")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")


def run(args: argparse.Namespace) -> int:
    """Exit 1 where a verdict has failed. Raises SettingsError."""
    settings = _settings(args)
    log.configure("error", settings.log.format)
    with _saying(quiet=args.json) as say:
        found = list(verdicts_of(settings, say))
    _show(found, settings, as_object=args.json)
    return 1 if any(each.standing is Standing.BAD for each in found) else 0


def _settings(args: argparse.Namespace) -> Settings:
    try:
        return load_settings(args.config, os.environ)
    except SettingsError as error:
        if args.json:
            _print_json(as_json([Verdict("settings", Standing.BAD, str(error), "mend the settings")], []))
        raise


@contextlib.contextmanager
def _saying(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """On a terminal, what is being looked at; gone when it is done."""
    console = Console(stderr=True, quiet=quiet)
    if not console.is_terminal or quiet:
        yield lambda _: None
        return
    with console.status("looking") as status:
        yield lambda what: status.update(f"looking at {what}")


def _show(found: list[Verdict], settings: Settings, *, as_object: bool) -> None:
    rights = needed(settings)
    if as_object:
        _print_json(as_json(found, rights))
        return
    console = Console()
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    console.print(table(found, narrow=console.is_terminal), acls(rights))
    console.print(summary(found), highlight=False, markup=False)


def _print_json(value: dict[str, object]) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
