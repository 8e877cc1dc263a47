"""What is known against the pinned versions, as pip-audit tells it.

Promised: a package that could not be looked up is not taken for a good one. pip-audit itself ends with 0 there: where a
mirror answers for the index that keeps no vulnerabilities, it knows of none for any package. Not promised: that what
nobody has reported is not there.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Looked(NamedTuple):
    """What came of it. ``known``: a line for each vulnerability; ``unknown``: of which nothing could be learned."""

    packages: int
    known: list[str]
    unknown: list[str]


def looked(output: str) -> Looked | None:
    """What pip-audit's JSON says; None: it could not even ask."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    known = [_line(each, flaw) for each in packages for flaw in each.get("vulns", ())]
    return Looked(len(packages), known, [each["name"] for each in packages if "vulns" not in each])


def _line(package: dict[str, Any], flaw: dict[str, Any]) -> str:
    mended = ", ".join(flaw["fix_versions"]) or "in no version yet"
    return f"{package['name']} {package['version']}: {flaw['id']}, mended in {mended}"


def verdict(found: Looked | None, said: str) -> tuple[int, str]:
    """Exit code and sentences: 0 nothing known of any, 1 something, 3 not all could be looked up."""
    if found is None:
        return 3, f"NOT AUDITED: pip-audit could not ask for vulnerabilities: {_last(said)}"
    lines = [*found.known]
    if found.unknown:
        lines.append(
            f"NOT AUDITED: of {len(found.unknown)} of {found.packages} packages nothing could be learned: the package "
            "index that is asked here tells of no vulnerabilities (a mirror?); run this where the index itself answers"
        )
    if not lines:
        lines.append(f"no known vulnerability in {found.packages} packages")
    return (1 if found.known else 3 if found.unknown else 0), "\n".join(lines)


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
