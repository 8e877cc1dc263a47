"""``python -m tests.failures``: schedules of faults, one after another, each printed before it runs.

Promised: exit 0 only if no schedule had a breach; the report is whole after every schedule; what a schedule with a
breach left behind (logs, settings, stores, its story) is kept, and its folder named. A seed gives the same
schedule again where ``--seconds`` and ``--brokers`` are the same. Not promised: speed; and that it ends at once when
it is interrupted: what is being played is played to its end, so that it leaves no process behind.

``--at-once N`` plays N schedules side by side, each on a Kafka of its own: sooner done, and the noise of the others is
one more thing to bear. ``--minutes N`` begins no schedule after so long, however many seeds are left.

``--break NAME`` spoils the code on purpose (``tests.failures.breaks``) and plays the short schedule that must show it,
or the seeds that are given: exit 0 only if there was a breach. ``--each`` plays every fault by itself and reports how
long work waited for it.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from stream.brokers.apache import ApacheKafka
from tests.failures import report
from tests.failures.breaks.schedules import SCHEDULES
from tests.failures.launcher import BREAK
from tests.failures.plan import Plan, draw, each_alone
from tests.failures.scene import play
from tests.failures.verdict import Verdict


def main() -> int:
    """All seeds."""
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if args.spoiled:
        os.environ[BREAK] = args.spoiled
    verdicts: list[Verdict] = []
    for verdict in _played(args):
        verdicts.append(verdict)
        report.write(args.report, verdicts)
    broken = [each.plan.seed for each in verdicts if each.breaches]
    print(f"{len(verdicts)} schedules, with a breach: {broken or 'none'}; {args.report.with_suffix('.md')}")
    return int(bool(broken) != bool(args.spoiled))


class Stand(NamedTuple):
    """What one schedule at a time has to itself."""

    kafka: ApacheKafka
    keys: Path


def _played(args: argparse.Namespace) -> Iterator[Verdict]:
    """In the order of their seeds."""
    until_s = time.monotonic() + 60 * args.minutes
    free: SimpleQueue[Stand] = SimpleQueue()
    with ExitStack() as stack:
        for _ in range(args.at_once):
            keys = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="unpush-keys-")))
            free.put(Stand(stack.enter_context(ApacheKafka(args.brokers)), keys))
        pool = ThreadPoolExecutor(args.at_once)
        stack.callback(pool.shutdown, cancel_futures=True)
        yield from filter(None, pool.map(lambda plan: _on_one_of(free, plan, until_s), _plans(args)))


def _on_one_of(free: SimpleQueue[Stand], plan: Plan, until_s: float) -> Verdict | None:
    stand = free.get()
    try:
        return _one(plan, stand) if time.monotonic() < until_s else None
    finally:
        free.put(stand)


def _plans(args: argparse.Namespace) -> Iterator[Plan]:
    if args.each:
        yield from each_alone(args.brokers)
        return
    if args.seeds is None and args.spoiled:
        yield SCHEDULES[args.spoiled]
        return
    (first, last), (least_s, most_s) = args.seeds or (1, 300), args.seconds
    for seed in range(int(first), int(last) + 1):
        yield draw(seed, least_s, most_s, args.brokers)


def _one(plan: Plan, stand: Stand) -> Verdict:
    print(plan, flush=True)
    folder = Path(tempfile.mkdtemp(prefix=f"unpush-failures-{plan.seed}-"))
    verdict = play(plan, stand.kafka, stand.keys, folder, f"f{os.getpid()}-{plan.seed}")
    _tell(verdict, folder)
    if not verdict.breaches:
        shutil.rmtree(folder)
    return verdict


def _tell(verdict: Verdict, folder: Path) -> None:
    print(
        f"  -> seed {verdict.plan.seed}: {verdict.took_s:.0f} s, {verdict.calls} calls, {verdict.devices} devices, "
        f"{verdict.repeats} called again, {verdict.twice} places by two owners, "
        f"settled {verdict.settled_s:.1f} s after the last fault"
    )
    for line in (*verdict.notes, *(f"ended by itself: {each}" for each in verdict.ended)):
        print(f"     {line}")
    for breach in verdict.breaches:
        print(f"  BREACH seed {verdict.plan.seed}: {breach}")
    print(f"  kept: {folder}\n" if verdict.breaches else "", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.failures", description="Plays seeded schedules of faults.")
    parser.add_argument("--seeds", type=_range(int), metavar="FROM-TO", help="default 1-300")
    parser.add_argument("--seconds", type=_range(float), default=(10, 30), metavar="FROM-TO", help="default 10-30")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1, help="Kafka's nodes; 3: replication 3")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="so many schedules side by side; default 1")
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="N", help="begin no schedule after so long")
    parser.add_argument("--report", type=Path, required=True, metavar="FILE", help="written as FILE.md and FILE.json")
    parser.add_argument("--each", action="store_true", help="each fault alone, settings as shipped")
    parser.add_argument("--break", dest="spoiled", choices=SCHEDULES, help="what is spoiled on purpose")
    return parser.parse_args()


def _range(kind: Callable[[str], float]) -> Callable[[str], tuple[float, float]]:
    def read(text: str) -> tuple[float, float]:
        first, _, last = text.partition("-")
        return kind(first), kind(last or first)

    return read


if __name__ == "__main__":
    sys.exit(main())
