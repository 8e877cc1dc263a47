"""What the API says of a message or a violation, as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

STATES: Final = {
    "waiting": "no send found yet",
    "active": "work is left, or not all sends are counted or read",
    "held": "the guard waits for a person: unpush approve, or unpush withdraw",
    "settled": "every known place has its result, revoked or not: push.revoke-result says which",
    "withdrawn": "what was not done by then is not done",
}

Seen = Mapping[str, Any]


def violation(seen: Seen) -> Iterator[RenderableType]:
    """One violation, a line a field."""
    state = seen.get("state", "")
    yield _fields(
        ("violation", seen.get("violationId")),
        ("message", seen.get("messageId")),
        ("state", f"{state}: {STATES[state]}" if state in STATES else state),
        ("held for", seen.get("heldFor")),
        ("waits for", seen.get("waitsFor")),
        ("tokens", f"{_count(seen, 'tokensSettled')} settled of {_count(seen, 'tokensMatched')} matched"),
        ("status", seen.get("status")),
        ("severity", seen.get("severity")),
        ("reason", seen.get("reason")),
        ("detector", seen.get("detector")),
        ("detected", moment(seen.get("detectedAt"))),
        ("record", f"partition {seen.get('partition')}, offset {seen.get('offset')}, {moment(seen.get('timestamp'))}"),
    )


def message(seen: Seen) -> Iterator[RenderableType]:
    """A message: its sends, its violations."""
    sends, listed = seen.get("sends", 0), seen.get("firstSends", [])
    partly = "" if seen.get("counted", True) else " at least: more than can be counted at once"
    yield _fields(
        ("message", seen.get("messageId")),
        ("partition", seen.get("partition")),
        ("sends", f"{sends:,}, with {_count(seen, 'tokens')} tokens{partly}"),
    )
    if listed:
        yield _rows(f"sends, the first {len(listed)}" if sends > len(listed) else "sends", _SENDS, map(_send, listed))
    if violations := seen.get("violations"):
        yield _rows("violations", _VIOLATIONS, map(_violation, violations))
    else:
        yield "no violation"


_SENDS: Final = ("offset", "written", "app", "notifyId", "push type", "tokens", "revocable")
_VIOLATIONS: Final = ("violation", "state", "severity", "status", "settled", "matched", "detected", "reason")


def _send(send: Seen) -> Iterable[object]:
    at = send.get("offset"), moment(send.get("timestamp"))
    if send.get("unreadable"):
        return (*at, "", "", "", "", "unreadable")
    app = send.get("clientId"), send.get("notifyId"), send.get("pushType"), _count(send, "tokens")
    return (*at, *app, "yes" if send.get("revocable") else "no")


def _violation(seen: Seen) -> Iterable[object]:
    names = "violationId", "state", "severity", "status"
    counts = _count(seen, "tokensSettled"), _count(seen, "tokensMatched")
    return (*(seen.get(name) for name in names), *counts, moment(seen.get("detectedAt")), seen.get("reason"))


def moment(time_ms: object) -> str:
    """A time in ms since 1970, for people; what no calendar knows as it is."""
    if not isinstance(time_ms, int):
        return ""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(" ", "milliseconds").replace("+00:00", " UTC")
    except (ValueError, OverflowError, OSError):
        return str(time_ms)


def visible(text: str) -> str:
    """The text with what a terminal would obey written out: producers and detectors choose ids and reasons."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _count(seen: Seen, name: str) -> str:
    return f"{seen.get(name, 0):,}"


def _fields(*pairs: tuple[str, object]) -> Table:
    shown = Table(show_header=False, box=None, pad_edge=False)
    for name, value in pairs:
        if value not in (None, ""):
            shown.add_row(Text(name, "dim"), Text(visible(str(value))))
    return shown


def _rows(title: str, names: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    shown = Table(*names, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        shown.add_row(*(Text("" if value is None else visible(str(value))) for value in row))
    return shown
