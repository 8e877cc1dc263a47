"""The guard in any order: hypothesis chooses what happens next, and the contract's words are held against the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.model import Outcome, Status, Topic
from stream.state.store import Store
from stream.work.guard import Limits
from stream.work.judgement import Event, Violation, judge
from tests.model.memory import MemoryStore
from tests.service.small_world import MINUTE_MS, SmallWorld

PER_VIOLATION: Final = 5
PER_HOUR: Final = 8
MESSAGES = ("m", "n")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(MESSAGES), st.integers(1, 4), st.sampled_from("ab")),
        st.tuples(
            st.just("violate"),
            st.sampled_from(MESSAGES),
            st.sampled_from(["v", "w"]),
            st.sampled_from([Status.CONFIRMED] * 3 + [Status.APPROVED, Status.WITHDRAWN]),
        ),
        st.tuples(st.just("read"), st.sampled_from(list(Topic))),
        st.tuples(st.just("restart"), st.booleans()),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        *[st.tuples(st.just(name)) for name in ("tell", "step", "call", "answer", "fail", "settle", "look")],
    ),
    min_size=10,
    max_size=90,
)


class QuickWorld(SmallWorld):
    """A small world whose store is memory."""

    def _open_store(self) -> None:
        kept = getattr(self, "kept", None)
        store = MemoryStore() if kept is None else kept.after_kill()
        cast(Any, store).close = lambda: None
        self.kept = store
        self.store = cast(Store, store)

    def restart(self, *, keep: bool) -> None:
        if not keep:
            del self.kept
        super().restart(keep=keep)


def answered(world: SmallWorld, how: str) -> None:
    """The oldest call in flight, if there is one."""
    if world.in_flight:
        world.answer(world.in_flight[0], how)


def settled(world: SmallWorld) -> None:
    """The oldest result, if there is one."""
    if world.mailbox.written:
        world.settle_one()


def world_of(chosen: list[tuple[Any, ...]]) -> QuickWorld:
    """What happens, and then everything that is left until nothing moves."""
    world = QuickWorld(Path("nowhere"), limits=Limits(PER_VIOLATION, PER_HOUR))
    names = count()
    play: dict[str, Callable[..., Any]] = {
        "send": lambda message, number, app: world.send(message, [f"t{next(names)}" for _ in range(number)], app),
        "violate": lambda message, name, status: world.violate(message, name, status),
        "read": world.read,
        "restart": lambda keep: world.restart(keep=keep),
        "wait": lambda minutes: setattr(world.clock, "ms", world.clock.ms + minutes * MINUTE_MS),
        "tell": lambda: world.tell(1),
        "step": lambda: world.desk.planning.plans.any and world.step(),
        "call": lambda: world.waiting and world.call(),
        "answer": lambda: answered(world, "revoked"),
        "fail": lambda: answered(world, "given up"),
        "settle": lambda: settled(world),
        "look": lambda: world.desk.planning.unpark(),
    }
    for name, *rest in chosen:
        play[name](*rest)
    world.until_quiet()
    return world


def violations_of(world: SmallWorld, message: str) -> dict[str, Violation]:
    """As all events leave them."""
    records = enumerate(world.topics[Topic.VIOLATIONS])
    return dict(
        judge(Event(at, each.timestamp_ms, each.said) for at, each in records if each.said.message_id == message)
    )


def spell(violation: Violation) -> int:
    """Since when HELD may have been said that still stands."""
    return violation.withdrawals[-1] if violation.withdrawals else -1


def held_since(world: SmallWorld, message: str, violation: Violation) -> bool:
    """Whether HELD was said after the last withdrawal."""
    since_ms = world.topics[Topic.VIOLATIONS][spell(violation)].timestamp_ms if violation.withdrawals else 0
    return any(
        r.outcome is Outcome.HELD and (r.message_id, r.violation_id) == (message, violation.violation_id)
        for r in world.results
        if r.completed_at_ms >= since_ms
    )


@given(steps)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_in_whatever_order_it_happens_nothing_above_a_limit_is_called(chosen: list[tuple[Any, ...]]) -> None:
    """No runaway; all else is done, what is held stands, and nothing is said twice."""
    world = world_of(chosen)
    ids = [result.result_id for result in world.results if result.outcome is Outcome.HELD]
    assert len(ids) == len(set(ids))
    for message in MESSAGES:
        for name, it in violations_of(world, message).items():
            statuses = {
                each.said.status
                for each in world.topics[Topic.VIOLATIONS]
                if (each.said.message_id, each.said.violation_id) == (message, name)
            }
            if statuses == {Status.CONFIRMED}:
                assert len(set(world.called_tokens(message, name))) <= PER_VIOLATION
            whole = set(world.covered(message, name)) == world.places(message)
            if it.status is Status.APPROVED:
                assert whole, f"{name} of {message} was approved"
            elif it.stands:
                assert whole or held_since(world, message, it), f"{name} of {message} neither done nor held"
    held = [(each.violation.message_id, each.violation.violation_id) for each in world.desk.guarding.seen()]
    assert not world.desk.planning.plans.any
    assert not world.desk.guarding.waiting
    for message, name in held:
        world.violate(message, name, Status.APPROVED)
    world.until_quiet()
    for message, name in held:
        assert set(world.covered(message, name)) == world.places(message)
    assert not world.desk.guarding.held


@given(steps)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_in_whatever_order_it_happens_no_hour_has_more_than_its_limit(chosen: list[tuple[Any, ...]]) -> None:
    """Of each app, approved work aside; what a killed process had in flight is called again, and is another matter."""
    calm = [each for each in chosen if each[0] not in ("restart", "fail", "wait") and Status.APPROVED not in each]
    world = world_of(calm)
    called: Counter[str | None] = Counter()
    for result in world.results:
        called[result.client_id] += sum(part.token_count for part in result.sends) if result.attempts else 0
    assert max(called.values(), default=0) <= PER_HOUR
