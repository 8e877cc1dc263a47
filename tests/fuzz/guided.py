"""``python -m tests.fuzz.guided TARGET FOLDER SECONDS SEED``: one target by atheris, which looks for new branches.

Promised: exit 0 only if nothing was broken; an input that did it, or that took more than ``HANGS_S``, is in the folder.
Not promised: a return, libFuzzer ends the process; that extensions written in C are looked into (fastavro, orjson).
"""

from __future__ import annotations

import sys
from importlib import import_module, util
from pathlib import Path
from typing import Any, Final

HANGS_S: Final = 20
MEMORY_MB: Final = 2_048


def possible() -> bool:
    """Whether atheris is installed here."""
    return util.find_spec("atheris") is not None


def main(name: str, folder: str, seconds: str, seed: str) -> None:
    """Never returns."""
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["stream"]):
        targets = import_module("tests.fuzz.targets")
    target = targets.TARGETS[name]
    corpus = Path(folder) / f"{name}-corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for at, data in enumerate(target.seeds()):
        (corpus / f"seed-{at}").write_bytes(data)
    options = {
        "max_total_time": seconds,
        "timeout": HANGS_S,
        "rss_limit_mb": MEMORY_MB,
        "seed": seed,
        "max_len": targets.CHOICES_BYTES,
        "artifact_prefix": f"{folder}/{name}-",
        "verbosity": 0,
    }
    flags = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], target.take)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
