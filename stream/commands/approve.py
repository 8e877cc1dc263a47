"""``unpush approve``: lets violations go on that the guard holds.

Promised: exit 0 only when Kafka has the event of each; its detectedAt, severity and reason are the violation's own.
Not promised: what comes of it; the results say so.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from stream.model import Status
from stream.operate import log
from stream.operate.asking import add_at, given_id
from stream.service.deciding import decide
from stream.settings import load_settings

HELP = "write APPROVED for violations that the running service knows: the guard lets them go on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``unpush approve`` takes."""
    parser.add_argument("ids", type=given_id, nargs="+", metavar="ID", help="violationIds")
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="the settings file")
    add_at(parser)
    parser.add_argument(
        "--message",
        type=given_id,
        metavar="MESSAGE_ID",
        help="their message, where others have violations of these ids too",
    )


def run(args: argparse.Namespace) -> int:
    """Raises SettingsError, StartError."""
    settings = load_settings(args.config, os.environ)
    log.configure(settings.log.level, settings.log.format)
    decide(settings, Status.APPROVED, args.ids, args.message, args.at)
    return 0
