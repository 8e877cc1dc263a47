"""Where the API has a message and a violation.

Promised: an id in a path or a query is percent-encoded, whatever it holds. Not promised: that anything is known of it.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

LOCAL: Final = "local"
"""In the query: answer from what this instance knows itself; neither ask others nor point to them."""
FOLLOW: Final = "follow"
"""In the query: ask the owner and pass its answer on, where the answer were 307."""


def message_path(message_id: str) -> str:
    """Of ``/api/messages/{messageId}``."""
    return f"/api/messages/{quote(message_id, safe='')}"


def violation_path(violation_id: str, message_id: str | None) -> str:
    """Of ``/api/violations/{violationId}``."""
    named = "" if message_id is None else f"?messageId={quote(message_id, safe='')}"
    return f"/api/violations/{quote(violation_id, safe='')}{named}"


def locally(path: str) -> str:
    """The same, for whoever shall neither ask others nor point to them."""
    return _with(path, LOCAL)


def followed(path: str) -> str:
    """The same, for whoever cannot go where it would be pointed to."""
    return _with(path, FOLLOW)


def _with(path: str, word: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{word}=1"
