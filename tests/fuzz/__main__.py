"""``python -m tests.fuzz --seconds N``: everything that comes from outside, with garbage in its place.

Promised: exit 0 only if no input broke the promise: nothing but the declared error, no time or memory out of
proportion to its bytes. An input that did is kept in ``--out``, and ``--only NAME --input FILE`` takes it once more.
The seconds are shared by the targets. Where atheris is installed half of them are its, which looks for new branches;
else a line says so. Not promised: that what was not found is not there.
"""

from __future__ import annotations

import argparse
import faulthandler
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz import guided
from tests.fuzz.playing import Played, play
from tests.fuzz.targets import TARGETS


def main() -> int:
    """All targets, or those that are named."""
    args = _arguments()
    names = args.only or sorted(TARGETS)
    if args.input:
        TARGETS[names[0]].take(args.input.read_bytes())
        print(f"{names[0]}: the promise holds for {args.input}")
        return 0
    engines = 1 + guided.possible()
    if engines == 1:
        print("atheris is not installed: inputs are made by chance, without a look at the code's branches")
    seconds = args.seconds / len(names) / engines
    print(f"{len(names)} targets, {seconds:.1f} s each, seed {args.seed}")
    broken = [name for name in names if not _by_chance(name, seconds, args)]
    if engines > 1:
        broken += [name for name in names if not _guided(name, seconds, args)]
    print(f"broken: {', '.join(broken) or 'none'}")
    return int(bool(broken))


def _by_chance(name: str, seconds: float, args: argparse.Namespace) -> bool:
    faulthandler.dump_traceback_later(seconds + 60, exit=True)  # what hangs in C is seen by nobody else
    played = play(TARGETS[name], seconds, args.seed)
    faulthandler.cancel_dump_traceback_later()
    print(
        f"{name:14} {played.inputs:9,} inputs {played.inputs / played.took_s:9,.0f}/s  {_word(name, played, args.out)}"
    )
    return played.broken is None


def _word(name: str, played: Played, out: Path) -> str:
    if played.broken is None:
        return "held"
    why, data = played.broken
    out.mkdir(parents=True, exist_ok=True)
    kept = out / f"{name}.input"
    kept.write_bytes(data)
    return f"BROKEN\n{why}\nagain by: python -m tests.fuzz --only {name} --input {kept}"


def _guided(name: str, seconds: float, args: argparse.Namespace) -> bool:
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.guided",
        name,
        str(args.out),
        str(max(1, round(seconds))),
        str(args.seed),
    ]
    began_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    took_s = time.monotonic() - began_s
    print(f"{name:14} by atheris, {took_s:.0f} s  {'held' if done.returncode == 0 else 'BROKEN'}")
    if done.returncode:
        print(done.stderr[-4_000:])
    return done.returncode == 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="all together")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", action="append", choices=sorted(TARGETS), help="a target; may be given again")
    parser.add_argument("--input", type=Path, help="one input for the target of --only, from a file")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="where inputs are kept that broke it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
