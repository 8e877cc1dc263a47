"""``python -m tests.audit --tools BIN``: known vulnerabilities and licences of everything that constraints/ pins.

Promised: exit 0 only if each pinned package was looked up and nothing is known against it, and each package that
Unpush runs on has a licence that lets Apache-2.0 software be shipped with it. 1: not so. 3: it could not be told. Not
promised: anything of packages that are pinned for other systems and not installed here; they are named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from tests.audit import licences, vulnerabilities
from tests.audit.pins import CONSTRAINTS, pinned


def main() -> int:
    """Licences first: those can be told anywhere."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit", description=__doc__.partition("\n")[0])
    parser.add_argument("--tools", type=Path, required=True, help="where pip-audit and pip-licenses lie")
    tools = parser.parse_args().tools
    return max(_licences(tools), _vulnerabilities(tools))


def _licences(tools: Path) -> int:
    told = _run(tools / "pip-licenses", f"--python={sys.executable}", "--from=mixed", "--format=json").stdout
    everything = pinned(CONSTRAINTS / "dev.txt")
    found = licences.licensed(json.loads(told), everything, pinned(CONSTRAINTS / "run.txt"))
    refused = [each.name for each in found if each.word == "REFUSED"]
    print(licences.table(found))
    print(f"\nlicences of {len(found)} packages; refused: {', '.join(refused) or 'none'}")
    if absent := licences.absent(found, everything):
        print(f"pinned for other systems, not installed here, not looked at: {', '.join(absent)}")
    return int(bool(refused))


def _vulnerabilities(tools: Path) -> int:
    pins = str(CONSTRAINTS / "dev.txt")
    done = _run(
        tools / "pip-audit", "-r", pins, "--disable-pip", "--no-deps", "--format=json", "--progress-spinner=off"
    )
    code, sentences = vulnerabilities.verdict(vulnerabilities.looked(done.stdout), done.stderr)
    print(sentences)
    return code


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(each) for each in command], capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
