"""``unpush kafka``: one node of Apache Kafka by itself, for trying out what needs one.

Promised: the first line of stdout is ``listening on HOST:PORT`` as soon as it answers; SIGINT and SIGTERM end it with
exit 0 and leave no file; a taken port is StartError. Not promised: anything kept between two runs, or through a loss of
power.
"""

from __future__ import annotations

import argparse
import signal
import threading
from typing import Final

from stream.brokers.apache import ApacheKafka
from stream.model import SettingsError

HELP: Final = (
    "Runs one node of Apache Kafka on loopback, to try things on. Its records are gone when it ends. It needs the "
    "extra kafka."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.add_argument("--port", type=int, default=9092, help="0: a free one (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Until a signal comes; raises SettingsError and StartError."""
    if not 0 <= args.port <= 65_535:
        raise SettingsError(f"--port must be from 0 to 65535, not {args.port}")
    ended = threading.Event()
    with ApacheKafka(port=args.port) as broker:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: ended.set())
        print(f"listening on {broker.bootstrap_servers}", flush=True)
        ended.wait()
    return 0
