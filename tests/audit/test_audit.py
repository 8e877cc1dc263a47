"""What `make audit` makes of what its tools say; they themselves are not asked, since they need the network."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from tests.audit.licences import absent, licensed, permitted, table
from tests.audit.pins import CONSTRAINTS, pinned, plain
from tests.audit.vulnerabilities import looked, verdict


@pytest.mark.parametrize(
    "licence",
    [
        *(
            "MIT",
            "MIT License",
            "Apache-2.0",
            "Apache Software License; MIT License",
            "3-Clause BSD License",
            "PSF-2.0",
        ),
        *("MPL-2.0 AND (Apache-2.0 OR MIT)", "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", "GPL-3.0 OR MIT"),
        *("Mozilla Public License 2.0 (MPL 2.0)", "Python Software Foundation License", "0BSD OR CC0-1.0", "MIT-0"),
    ],
)
def test_a_licence_that_lets_it_be_shipped_is_permitted(licence: str) -> None:
    assert permitted(licence)


@pytest.mark.parametrize(
    "licence",
    [
        *("GPL-3.0", "AGPL-3.0-only", "GNU General Public License v2 (GPLv2)", "GNU Affero General Public License v3"),
        *("MIT AND GPL-2.0", "BSD License; GNU General Public License (GPL)", "UNKNOWN", "", "SSPL-1.0", "LGPL-3.0"),
        *("Proprietary", "MPL-1.1", "MIT AND (GPL-2.0 OR AGPL-3.0)", "Other/Proprietary License"),
    ],
)
def test_copyleft_and_what_nobody_knows_is_not(licence: str) -> None:
    assert not permitted(licence)


TOLD = [
    {"Name": "Zlib_Thing", "Version": "1.0", "License": "GPL-3.0"},
    {"Name": "tool", "Version": "2.0", "License": "GPL-3.0"},
    {"Name": "fine", "Version": "3.0", "License": "MIT"},
    {"Name": "stranger", "Version": "4.0", "License": "GPL-3.0"},
]


def test_only_what_is_shipped_is_refused_and_what_is_not_pinned_is_left_out() -> None:
    everything = {"zlib-thing": "1.0", "tool": "2.0", "fine": "3.0", "elsewhere": "5.0"}
    found = licensed(TOLD, everything, {"zlib-thing": "1.0", "fine": "3.0"})
    assert [(each.name, each.word) for each in found] == [
        *(("fine", "ok"), ("Zlib_Thing", "REFUSED"), ("tool", "not shipped"))
    ]
    assert absent(found, everything) == ["elsewhere"]
    assert table(found).splitlines()[2].split() == ["Zlib_Thing", "1.0", "GPL-3.0", "REFUSED"]


def test_what_is_pinned_is_found_whatever_stands_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "pins.txt"
    file.write_text(
        "A_b.c[x,y]==1.2 ; python_version < '3.12' \\\n    --hash=sha256:00\nd==3 \\\n    --hash=sha256:11\n"
    )
    assert pinned(file) == {"a-b-c": "1.2", "d": "3"}


def test_whatever_unpush_runs_on_here_says_that_it_may_be_shipped() -> None:
    """By what the installed packages say of themselves, without a tool: the run-time part of `make audit`."""
    refused = {}
    for name in pinned(CONSTRAINTS / "run.txt"):
        try:
            said = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # for another system
        classified = [each.rpartition(" :: ")[2] for each in said.get_all("Classifier") or () if "License ::" in each]
        own = (said.get_all("License-Expression") or said.get_all("License") or [""])[0]
        licence = own if "License-Expression" in said or not classified else "; ".join(classified)
        if not permitted(licence):
            refused[plain(name)] = licence
    assert refused == {}


def answered(*packages: dict[str, object]) -> tuple[int, str]:
    return verdict(looked(json.dumps({"dependencies": packages, "fixes": []})), "")


GOOD: dict[str, object] = {"name": "a", "version": "1", "vulns": []}
BAD: dict[str, object] = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
SKIPPED: dict[str, object] = {"name": "c", "skip_reason": "not found"}


def test_nothing_known_of_any_package_is_good() -> None:
    assert answered(GOOD, GOOD) == (0, "no known vulnerability in 2 packages")


def test_a_vulnerability_is_told_with_the_version_that_mends_it() -> None:
    assert answered(GOOD, BAD) == (1, "b 2: PYSEC-1, mended in 3")
    assert answered(SKIPPED, BAD)[0] == 1


def test_what_could_not_be_looked_up_is_not_good() -> None:
    """pip-audit says "No known vulnerabilities found" and ends with 0 where a mirror knows of none for any package."""
    code, said = answered(GOOD, SKIPPED)
    assert (code, said[:45]) == (3, "NOT AUDITED: of 1 of 2 packages nothing could")


@pytest.mark.parametrize("output", ["", "No known", "[]", "{}", "null"])
def test_a_service_that_cannot_be_asked_is_said(output: str) -> None:
    code, said = verdict(looked(output), "Traceback\n  at\nConnectionError: no route\n\n")
    assert code == 3
    assert said.endswith("could not ask for vulnerabilities: ConnectionError: no route")
