"""Which licences the pinned packages have, and whether software under Apache-2.0 can be shipped with them.

Promised: a package that Unpush runs on passes only by a licence that is known here to let it. One that nobody has
looked at (UNKNOWN, copyleft, new) does not. Not promised: a lawyer's answer; and that a package's own word on itself is
true. What only tests and checks need is listed, and never shipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from tests.audit.pins import plain

PERMITTED: Final = re.compile(
    r"^(Apache\b.*|(\d-Clause )?BSD\b.*|(Modified|New|Simplified) BSD\b.*|0BSD|MIT\b.*|ISC\b.*|Zlib\b.*|Unlicense\b.*"
    r"|The Unlicense\b.*|CC0\b.*|Public Domain|PSF\b.*|Python Software Foundation\b.*"
    r"|MPL-2\.0|Mozilla Public License 2\.0\b.*)$",
    re.IGNORECASE,
)
"""By SPDX, and by the classifiers that older packages use. MPL-2.0 asks for its own files' source alone."""


class Licensed(NamedTuple):
    """One package. ``shipped``: Unpush runs on it, so whoever gets Unpush gets it."""

    name: str
    version: str
    licence: str
    shipped: bool

    @property
    def word(self) -> str:
        """What comes of it, for the table."""
        if permitted(self.licence):
            return "ok"
        return "REFUSED" if self.shipped else "not shipped"


def permitted(licence: str) -> bool:
    """Whether this expression leaves a choice that is known to be all right; never too kind to one it cannot read.

    OR is read as binding closer than AND. SPDX has it the other way round where there are no brackets, and then more
    would be permitted.
    """
    needed = re.split(r"\s+AND\s+|\s*;\s*", licence.replace("(", "").replace(")", ""))
    return all(any(PERMITTED.match(one.strip()) for one in re.split(r"\s+OR\s+", each)) for each in needed)


def licensed(
    told: Iterable[Mapping[str, Any]], everything: Mapping[str, str], shipped: Mapping[str, str]
) -> list[Licensed]:
    """What pip-licenses says of packages that are pinned; by what they mean for Unpush, then by name."""
    found = [
        Licensed(each["Name"], each["Version"], each["License"], plain(each["Name"]) in shipped)
        for each in told
        if plain(each["Name"]) in everything
    ]
    return sorted(found, key=lambda each: (not each.shipped, plain(each.name)))


def absent(found: Iterable[Licensed], everything: Mapping[str, str]) -> list[str]:
    """What is pinned and not installed here, such as what other systems need: nobody has looked at these."""
    return sorted(set(everything) - {plain(each.name) for each in found})


def table(found: Iterable[Licensed]) -> str:
    """For people."""
    rows = [(each.name, each.version, each.licence.replace("\n", " ")[:60], each.word) for each in found]
    rows.insert(0, ("package", "version", "licence", ""))
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
