"""Which tokens are not plainly the called app's: another app's, or bad for a reason.

Promised: a token that nobody has spoken of is good. Not promised: a check of a token's look; its alphabet and length
are not documented. Source of the reasons: harmonyos-references/push-scenariozed-api-response.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from stream.pushkit.simulator.named import Named


class Fact(NamedTuple):
    """What is special about a token; ``app`` is another app's Client ID, ``reason`` a key of ``illegalTokens``."""

    app: str | None
    reason: str | None


class TokenFacts:
    """Facts by called app and token."""

    __slots__ = ("_apps",)

    def __init__(self) -> None:
        self._apps: dict[str, dict[str, Fact]] = {}

    def tell(self, client_id: str, tokens: Iterable[str], *, app: str | None = None, reason: str | None = None) -> None:
        """From now on these tokens are another app's, or bad; with neither they are good again."""
        facts = self._apps.setdefault(client_id, {})
        if app is None and reason is None:
            for token in tokens:
                facts.pop(token, None)
        else:
            facts.update(dict.fromkeys(tokens, Fact(app, reason)))

    def owners(self, client_id: str, tokens: Named) -> set[str]:
        """The apps that the tokens of one call belong to."""
        facts = self._apps.get(client_id)
        if not facts:
            return {client_id}
        return {_owner(facts, client_id, token) for token in tokens.strings()}

    def rejected(self, client_id: str, tokens: Named) -> Mapping[str, list[str]]:
        """Reason → the distinct tokens of one call that are refused for it."""
        rejected: dict[str, list[str]] = {}
        facts = self._apps.get(client_id)
        if facts:
            for token in dict.fromkeys(tokens.strings()):
                fact = facts.get(token)
                if fact is not None and fact.reason is not None:
                    rejected.setdefault(fact.reason, []).append(token)
        return rejected


def _owner(facts: Mapping[str, Fact], client_id: str, token: str) -> str:
    fact = facts.get(token)
    return client_id if fact is None or fact.app is None else fact.app
