"""What a run took place on."""

from __future__ import annotations

import os
import sys


def machine() -> dict[str, object]:
    """``loadBefore`` tells whether others were at work: the one-minute load average before the start."""
    return {
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "system": sys.platform,
        "loadBefore": round(os.getloadavg()[0], 2),
    }
