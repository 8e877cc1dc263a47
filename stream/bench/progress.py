"""What the benchmark says while it works."""

from __future__ import annotations

import sys
import time


def say(text: str) -> None:
    """One line on stderr, with the time of day."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)
