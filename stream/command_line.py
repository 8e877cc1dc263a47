"""The command line: finds the sub-command, runs it, and turns what it raises into one line and an exit code.

Promised: 0 done, 1 failed, 2 wrong usage or settings; no traceback for anything that a person can get wrong.
Not promised: that of a defect of ours, which keeps its traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from typing import Final

from stream.model import SettingsError, StartError, UnpushError
from stream.operate.output import Output

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""numpy starts a thread a core for linear algebra as it is imported; we have none."""

COMMANDS: Final = {
    "run": "the service",
    "demo": "the whole story on this machine, nothing else installed",
    "check": "look at everything a start needs, and change nothing",
    "approve": "let violations go on that the guard holds",
    "withdraw": "stop what has not been done yet of violations",
    "topics": "create the topics that are missing",
    "inspect": "what the running service knows of a message or a violation",
    "replay": "send dead letters back where they came from",
    "simulate": "the Push Kit simulator by itself",
    "kafka": "one node of Apache Kafka by itself, to try things on",
    "bench": "our own benchmark, as ratios to limits measured in the same run",
}
"""Each is a module of ``stream.commands`` with HELP, ``add_arguments(parser)`` and ``run(args) -> int``; only the one
that is asked for is imported, so that no command waits for another's libraries."""


def main(words: Sequence[str], imported: Callable[[], object]) -> int:
    """The exit code of these words; ``imported`` is called when all is, before the command begins. Raises SystemExit
    from argparse: 2 for wrong usage, 0 for help."""
    output = Output.in_place_of_stdout()
    try:
        code = _ended(words, imported)
        sys.stdout.flush()
    except BrokenPipeError:
        return _nobody_reads()
    if output is None or output.trouble is None:
        return code
    return _failed(StartError(f"the output could not be written: {output.trouble.strerror}"), code or 1)


def _ended(words: Sequence[str], imported: Callable[[], object]) -> int:
    asked = _parser().parse_args(words)
    try:
        return _run(asked.command, asked.rest, imported)
    except SettingsError as error:
        return _failed(error, 2)
    except UnpushError as error:
        return _failed(error, 1)
    except KeyboardInterrupt:
        _say("Interrupted.")
        return 1


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<10}{what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="unpush",
        description="Takes back pushed notifications: violations in Kafka become revoke calls to Push Kit.",
        epilog=f"commands:\n{listed}\n\n`unpush COMMAND --help` says what a command takes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"unpush {_version()}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    rest = parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    rest.required = False  # else a missing command is told as two missing words
    return parser


def _run(name: str, rest: Sequence[str], imported: Callable[[], object]) -> int:
    command = import_module(f"stream.commands.{name}")
    parser = argparse.ArgumentParser(prog=f"unpush {name}", description=command.HELP)
    command.add_arguments(parser)
    args = parser.parse_args(rest)
    imported()
    code: int = command.run(args)
    return code


def _version() -> str:
    try:
        return metadata.version("unpush")
    except metadata.PackageNotFoundError:
        return "from a folder, not installed"


def _failed(error: UnpushError, code: int) -> int:
    _say(f"unpush: {' '.join(str(error).split())}")
    return code


def _say(sentence: str) -> None:
    """On stderr. Where that is a full disk, or its reader is gone, nobody can be told; and Python must not try what is
    left of it once more at its end, which would be another exit code."""
    try:
        print(sentence, file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _nobody_reads() -> int:
    """Python flushes stdout once more at its end; that must not complain either.

    Source: https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
