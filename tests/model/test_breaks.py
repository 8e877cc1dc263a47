"""The model has teeth: each of these breaks of the code, which a reader might overlook, is found within seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from stream.service import intake, outbox
from stream.service.outbox import Outbox, Written
from stream.state.shard import Shard
from stream.state.store import Put
from stream.work.ranges import Ranges
from tests.model.machine import Model, make_small
from tests.model.memory import MemoryStore

Break = Callable[[pytest.MonkeyPatch], None]

QUICK: Final = settings(
    max_examples=4_000,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    verbosity=Verbosity.quiet,
    suppress_health_check=list(HealthCheck),
)


def advance_a_range_before_its_data(patch: pytest.MonkeyPatch) -> None:
    """It is on the disk at once, the data when it is flushed."""
    whole = MemoryStore.write

    def torn(store: MemoryStore, puts: Iterable[Put]) -> None:
        pairs = list(puts)
        whole(store, pairs)
        store._flushed.update(pair for pair in pairs if pair[0][:1] == b"R")

    patch.setattr(MemoryStore, "write", torn)


def skip_the_ledger(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox, "entries", lambda *_: [])


def skip_the_ledger_of_others(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(intake, "entries", lambda *_: [])


def drop_a_range(patch: pytest.MonkeyPatch) -> None:
    """What lies between two ranges that were read is never read."""
    add = Ranges.add

    def bridging(ranges: Ranges, start: int, end: int) -> None:
        add(ranges, start, end)
        if ranges.gaps(ranges.bottom, ranges.top):
            add(ranges, ranges.bottom, ranges.top)

    patch.setattr(Ranges, "add", bridging)


def ignore_the_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Shard, "fence", lambda shard: None)


def look_at_the_fence_nowhere(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def writing(shard: Shard) -> Iterator[None]:
        with shard._lock:
            yield

    patch.setattr(Shard, "_writing", writing)


def settle_before_delivery(patch: pytest.MonkeyPatch) -> None:
    produce = Outbox._produce

    def hasty(it: Outbox, written: Written, value: bytes) -> None:
        produce(it, written, value)
        it._settled(written)

    patch.setattr(Outbox, "_produce", hasty)


BREAKS: Final[list[Break]] = [
    advance_a_range_before_its_data,
    skip_the_ledger,
    skip_the_ledger_of_others,
    drop_a_range,
    ignore_the_fence,
    look_at_the_fence_nowhere,
    settle_before_delivery,
]


@pytest.mark.timeout(400)  # the rarest is found by example 735, a minute of CPU
@pytest.mark.parametrize("broken", BREAKS, ids=lambda each: each.__name__)
def test_the_model_catches_a_break(broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliberate breaks of the code are each caught; how soon is printed (``-s``)."""
    make_small(monkeypatch)
    broken(monkeypatch)

    class Broken(Model):
        made = 0

    with pytest.raises(AssertionError) as caught:
        run_state_machine_as_test(Broken, settings=QUICK)
    print(f"{broken.__name__}: caught by example {Broken.made - 1}: {str(caught.value).splitlines()[0][:100]}")
