"""``unpush withdraw``: stops what has not been done yet of violations.

Promised: exit 0 only when Kafka has the event of each. With ``--message`` no running service is needed: its names are
all that a withdrawal has to say. Not promised: that a call which is under way is stopped.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from stream.model import Status
from stream.operate import log
from stream.operate.asking import add_at, given_id
from stream.service.deciding import decide, decide_blindly
from stream.settings import load_settings

HELP = "write WITHDRAWN for violations: what has not been revoked yet is not"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``unpush withdraw`` takes."""
    parser.add_argument("ids", type=given_id, nargs="+", metavar="ID", help="violationIds")
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="the settings file")
    whom = parser.add_mutually_exclusive_group()
    add_at(whom)
    whom.add_argument(
        "--message",
        type=given_id,
        metavar="MESSAGE_ID",
        help="their message: then no running service is asked, and nobody looks whether there is such a violation",
    )


def run(args: argparse.Namespace) -> int:
    """Raises SettingsError, StartError."""
    settings = load_settings(args.config, os.environ)
    log.configure(settings.log.level, settings.log.format)
    if args.message is None:
        decide(settings, Status.WITHDRAWN, args.ids, None, args.at)
    else:
        decide_blindly(settings, Status.WITHDRAWN, args.ids, args.message, time.time_ns() // 1_000_000)
    return 0
