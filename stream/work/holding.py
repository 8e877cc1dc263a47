"""What the guard has said of one message's violations: which may act, which are held, which are not decided yet. Pure.

A violation that may not act is *counted* by each pass over the sends: what it would call, by app. The word holds for
one *spell* of it, which a withdrawal ends; an admission, until it is asked for again, since then all that was given up
is called anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from stream.model import Status
from stream.work.guard import Hold, Request
from stream.work.judgement import Violation


class Asked(NamedTuple):
    """Which asking a word belongs to."""

    spell: int
    """Where the withdrawal stands that it came after; -1: it was never withdrawn."""
    again_ms: int


def asked(violation: Violation) -> Asked:
    """How it is asked for at present."""
    return Asked(spell_of(violation), violation.again_ms)


def spell_of(violation: Violation) -> int:
    """See ``Asked.spell``."""
    return violation.withdrawals[-1] if violation.withdrawals else -1


class Admitted(NamedTuple):
    """A violation that may act. ``total``: places it has come to; ``left``: of those the ones not packed yet; ``at_s``:
    when."""

    asked: Asked
    at_s: float
    total: list[int]
    left: Counter[str]


def _anew(admitted: Admitted, violation: Violation) -> bool:
    """Whether it is asked for once more in the same spell."""
    same = admitted.asked.spell == spell_of(violation) and violation.status is Status.CONFIRMED
    return same and admitted.asked != asked(violation)


class Held(NamedTuple):
    """A violation that waits for a person; ``why`` None: an earlier process said HELD."""

    spell: int
    why: Hold | None


class Holding:
    """See the module's words. ``strict``: the guard is on; else only those that were held before are."""

    __slots__ = ("_admitted", "_counted", "beside", "given_back", "held", "news", "spent", "strict", "whole", "would")

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.held: dict[str, Held] = {}
        self.news: list[Violation] = []
        """Those that are held since just now: nobody has been told yet."""
        self._admitted: dict[str, Admitted] = {}
        self.given_back: list[Admitted] = []
        """Those whose places that are not packed are asked for anew: they must not count twice."""
        self._counted: dict[str, Asked] = {}
        """Those that the pass counts from its first send on."""
        self.would: dict[str, Counter[str]] = {}
        """By violationId: what it would call, by app, as counted by the last pass."""
        self.spent: Counter[str] = Counter()
        """By violationId: what it has called before, as the last pass found."""
        self.beside: set[str] = set()
        """Those of which others have open places now: what they would call shows when that has ended."""
        self.whole = False
        """Whether the pass that runs began when all earlier sends had been read."""

    # --- who may act

    def judged(self, violations: Iterable[Violation]) -> None:
        """Forget the word on what was withdrawn, approved or asked for anew since."""
        now = {each.violation_id: each for each in violations}
        self.held = {
            name: held
            for name, held in self.held.items()
            if name in now and now[name].status is Status.CONFIRMED and held.spell == spell_of(now[name])
        }
        admitted = self._admitted.items()
        self.given_back += [each for name, each in admitted if name in now and _anew(each, now[name])]
        self._admitted = {name: each for name, each in admitted if name in now and each.asked == asked(now[name])}

    def acts(self, violation: Violation) -> bool:
        """Whether its places are to be called, as far as the guard is concerned."""
        if violation.status is Status.APPROVED:
            return True
        name = violation.violation_id
        return name not in self.held and (not self.strict or name in self._admitted)

    def undecided(self, standing: Iterable[Violation]) -> list[Violation]:
        """Those of which nothing has been said."""
        return [each for each in standing if not self.acts(each) and each.violation_id not in self.held]

    # --- counting, pass by pass

    def begin_pass(self, standing: Iterable[Violation]) -> None:
        """Count from nothing."""
        self.would, self.spent, self.beside = {}, Counter(), set()
        self._counted = {each.violation_id: asked(each) for each in self.undecided(standing)}

    def counted(self, standing: Iterable[Violation]) -> list[Violation]:
        """The undecided ones of which the pass that has ended counted all that they would call."""
        if not self.whole:
            return []
        return [
            each
            for each in self.undecided(standing)
            if self._counted.get(each.violation_id) == asked(each) and each.violation_id not in self.beside
        ]

    def count(self, violation_id: str, app: str, more: int, spent: int) -> None:
        """A send has so many places that the violation would call, and so many that it has."""
        self.would.setdefault(violation_id, Counter())[app] += more
        self.spent[violation_id] += spent

    def request(self, violation: Violation) -> Request:
        """What it asks for, as counted."""
        name = violation.violation_id
        return Request(+self.would.get(name, Counter()), self.spent[name])

    # --- the guard's word

    def admit(self, violation: Violation, request: Request, now_s: float) -> None:
        """It may act, and call so much."""
        total = request.spent + sum(request.more.values())
        self._admitted[violation.violation_id] = Admitted(asked(violation), now_s, [total], Counter(request.more))

    def hold(self, violation: Violation, why: Hold | None) -> None:
        """It waits for a person from now on."""
        self.doubt(violation)
        self.held[violation.violation_id] = Held(spell_of(violation), why)
        if why is not None:
            self.news.append(violation)

    def doubt(self, violation: Violation) -> None:
        """What was said of it before is to be said anew."""
        self._admitted.pop(violation.violation_id, None)

    def draw(self, violation: Violation, app: str, places: int) -> Request | None:
        """Its next places are to be packed. None: they were admitted; else what has to be asked for beside."""
        it = self._admitted.get(violation.violation_id)
        if it is None or violation.status is Status.APPROVED:
            return None
        short = places - it.left[app]
        it.left[app] = max(0, -short)
        return Request({app: short}, it.total[0]) if short > 0 else None

    def more(self, violation: Violation, request: Request) -> None:
        """What it had to ask for beside was admitted, and packed."""
        self._admitted[violation.violation_id].total[0] += sum(request.more.values())
