"""Sends and violations as producers make them, from one seed: unique ids, unique notifyIds, tokens nobody else has."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import count
from random import Random

from stream.model import Send, SendHead, Severity, Status, ViolationEvent

ODD_IDS = (
    "nachricht-ü-€-😀",
    "id with spaces / and ? and # and %41",
    '"quoted"\\and\\back\tslashed\n',
    "x" * 1_500,
    "ж" * 600,
    "0",
    "消息-0001",
)

ODD_TOKENS = ('"', "\\", 'a"b\\c/d', "tab\tand\nline", "\x01\x7f", "ü€😀", "</script>", "{}", "null", " ")


class Maker:
    """One story's sender and detector. ``seed`` makes it repeatable."""

    def __init__(self, apps: Sequence[str], seed: int = 1, token_bytes: int = 40, first: int = 1) -> None:
        """``first``: where its numbers begin; two makers of one story have different ones."""
        self.random = Random(seed)
        self._apps = tuple(apps)
        self._token_bytes = token_bytes
        self._numbers = count(first)
        self._notify_ids: dict[str, tuple[str, int]] = {}

    def message_id(self) -> str:
        """One that nobody had."""
        return f"m-{next(self._numbers):07d}"

    def tokens(self, number: int) -> tuple[bytes, ...]:
        """So many that nobody had."""
        return tuple(f"t{next(self._numbers):08x}".ljust(self._token_bytes, "k").encode() for _ in range(number))

    def send(
        self,
        message_id: str | None = None,
        tokens: int | Sequence[bytes] = 1,
        *,
        app: str | None = None,
        revocable: bool = True,
        push_type: int = 0,
    ) -> Send:
        """One send; all sends of a message have one app and one notifyId, unless ``app`` says otherwise."""
        name = message_id or self.message_id()
        client_id, notify_id = self._notify_ids.setdefault(
            name, (app or self.random.choice(self._apps), next(self._numbers))
        )
        listed = self.tokens(tokens) if isinstance(tokens, int) else tuple(tokens)
        head = SendHead(name, app or client_id, notify_id if revocable else None, push_type, now_ms(), None)
        return Send(head, listed)

    def violation(
        self,
        message_id: str,
        violation_id: str | None = None,
        *,
        status: Status = Status.CONFIRMED,
        severity: Severity | None = None,
        detected_at_ms: int | None = None,
    ) -> ViolationEvent:
        """One event."""
        return ViolationEvent(
            violation_id or f"v-{next(self._numbers):07d}",
            message_id,
            self.random.choice(tuple(Severity)) if severity is None else severity,
            status,
            "spam",
            None,
            now_ms() if detected_at_ms is None else detected_at_ms,
        )

    def violations(self, message_ids: Iterable[str]) -> list[ViolationEvent]:
        """One of each."""
        return [self.violation(message_id) for message_id in message_ids]

    def all_kinds(self, messages: int) -> tuple[list[Send], list[ViolationEvent]]:
        """Sends of every kind, odd ids among them, and violations of a third of their messages."""
        names = [self.message_id() for _ in range(messages)]
        odd = [f"{name}.{next(self._numbers)}" for name in ODD_IDS]
        sends = [send for number, name in enumerate(names + odd) for send in self._kind(number, name)]
        return sends, self.violations([*self.random.sample(names, messages // 3), *odd])

    def _kind(self, number: int, name: str) -> list[Send]:
        match number % 10:
            case 0:
                return [self.send(name, 1_000)]
            case 1:
                return [self.send(name, 1) for _ in range(5)]
            case 2:
                return [self.send(name, 700), self.send(name, 700)]
            case 3:
                tokens = self.tokens(3)
                return [self.send(name, (*tokens, tokens[0], tokens[0], tokens[2]))]
            case 4:
                return [self.send(name, 2, revocable=False), self.send(name, 2)]
            case 5:
                return [self.send(name, 2, push_type=1), self.send(name, 2, push_type=2)]
            case 6:
                return [self.send(name, ()), self.send(name, [f"{each}{number}".encode() for each in ODD_TOKENS])]
        return [self.send(name, 1)]

    def mixed(self, *lists: Sequence[Send | ViolationEvent]) -> list[Send | ViolationEvent]:
        """All of them in random order."""
        found = [each for some in lists for each in some]
        self.random.shuffle(found)
        return found


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000
