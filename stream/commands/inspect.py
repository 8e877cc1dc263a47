"""``unpush inspect``: what the running service knows of a message or a violation, through its HTTP API.

Promised: exit 0 and what is known, or exit 1 and one sentence: unknown, owned by an instance that cannot be found
(which partition), or nobody answers. The instance that is asked finds the others. Not promised: that it does under
KIP-848, where the group does not tell who has what; name the instances with ``--at`` there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console

from stream.model import SettingsError
from stream.operate import shown
from stream.operate.asking import Answer, add_at, ask, given_id
from stream.operate.paths import message_path, violation_path
from stream.settings import Settings, load_settings, settings_of

HELP: Final = (
    "What the running service knows of a message or a violation. Exit 0: it is shown; 1: it is not known there, or "
    "nobody answers."
)

_PLAIN_WIDTH: Final = 1_000
"""Where nobody looks a row is a line, whatever its length: for grep."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``unpush inspect`` takes."""
    parser.add_argument(
        "kind",
        choices=("message", "violation"),
        metavar="{message,violation}",  # as help shows it; else what is missing would be called "kind"
        help="message: its sends and violations; violation: its state, and how far it has come",
    )
    parser.add_argument("id", type=given_id, metavar="ID", help="messageId or violationId")
    parser.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help="the service's settings file (default: the defaults)"
    )
    parser.add_argument("--json", action="store_true", help="the API's answer instead of tables")
    add_at(parser)
    parser.add_argument(
        "--message",
        type=given_id,
        metavar="ID",
        help="of a violation: its messageId; then it is found at once, and surely",
    )


def run(args: argparse.Namespace) -> int:
    """Exit 1 where it is not known. Raises SettingsError, StartError."""
    if args.kind == "message" and args.message is not None:
        raise SettingsError(f"--message {args.message}: it names the message of a violation; {args.id} is one itself")
    settings = _settings(args.config)
    path = message_path(args.id) if args.kind == "message" else violation_path(args.id, args.message)
    answer = asyncio.run(ask(settings.http, path, args.at))
    if args.json:
        print(orjson.dumps(answer.body, option=orjson.OPT_INDENT_2).decode())
    elif answer.known:
        _show(args.kind, answer)
    else:
        print("unpush:", shown.visible(" ".join(str(answer.body["error"]).split())), file=sys.stderr)
    return 0 if answer.known else 1


def _settings(file: Path | None) -> Settings:
    return settings_of({}, Path(), os.environ) if file is None else load_settings(file, os.environ)


def _show(kind: str, answer: Answer) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    for each in shown.message(answer.body) if kind == "message" else shown.violation(answer.body):
        console.print(each, markup=False)
