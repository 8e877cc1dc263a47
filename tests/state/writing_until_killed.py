"""Writes batches of sends without a flush, says after each how many there are, and waits to be killed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from stream.model import StoreStalled
from tests.state.stored import T0_MS, add_sends, open_shard

BATCH, VALUE_BYTES = 50, 6_000
"""Large enough for memtables to fill and be flushed by themselves, in blob files too."""


def patiently(write: Callable[[], object]) -> None:
    """The disk is slower than we are."""
    while True:
        try:
            write()
        except StoreStalled:
            time.sleep(0.005)
        else:
            return


def main() -> None:
    _, shard = open_shard(Path(sys.argv[1]))
    for batch in range(100_000):
        first = batch * BATCH
        rows = [
            (at, f"m-{at % 7}", T0_MS + at * 1_000, b"%d:" % at + bytes(VALUE_BYTES if at % 2 else 40))
            for at in range(first, first + BATCH)
        ]
        patiently(partial(add_sends, shard, rows))
        if batch % 40 == 39:
            patiently(shard.write_run)
        print(first + BATCH, flush=True)


if __name__ == "__main__":
    main()
