"""Everything at once: instances come, drain, die and lose their stores while Push Kit has its moods."""

from __future__ import annotations

import pytest

from stream.pushkit.simulator import AppFaults, Down, End, Failure, Faults, Latency, Shape
from tests.scenarios.conftest import FULL, MakeTown
from tests.scenarios.service import Instance
from tests.scenarios.town import Town

MOODS = (
    Faults(),
    Faults(all=AppFaults(latency=Latency(Shape.LOGNORMAL, p50_ms=20, p99_ms=500))),
    Faults(all=AppFaults(devices_per_s=2_000)),
    Faults(all=AppFaults(failures=(Failure(End.CUT_AFTER, 0.3), Failure(End.REPLY, 0.3, status=500)))),
    Faults(all=AppFaults(failures=(Failure(End.HANG_BEFORE, 0.05),))),
    Faults(down=Down.RESET),
)


class Troubles:
    """Random mishaps to two instances, ``a`` and ``b``, that share a group."""

    def __init__(self, town: Town) -> None:
        self._town, self._random = town, town.maker.random
        self._running: dict[str, Instance] = {}

    def strike(self) -> None:
        """One mishap."""
        name = self._random.choice("ab")
        self._town.push_kit.fail(self._random.choice(MOODS))
        instance = self._running.pop(name, None)
        if instance is None:
            self._running[name] = self._town.run(name, push_kit={"timeout": "2s"}, shutdown={"drain": "1s"})
            return
        if self._random.random() < 0.6:
            instance.kill()
        else:
            instance.stop()
        if self._random.random() < 0.3 and (self._town.folder / f"state-{name}").exists():
            self._town.lose_store(name)

    def end(self) -> None:
        """All is well again, and somebody is there to finish."""
        self._town.push_kit.heal()
        if not self._running:
            self._town.run("a")


@pytest.mark.parametrize("seed", range(1, 11) if FULL else [3])
def test_whatever_happens_the_work_is_done_and_no_place_twice(make_town: MakeTown, seed: int) -> None:
    """Promises 1, 2 and 4, through kill -9, rebalance, lost disks and an unreliable gateway at once."""
    town = make_town(seed=seed)
    sends, violations = town.maker.all_kinds(1_200)
    told = town.maker.mixed(sends, violations)
    troubles, rounds = Troubles(town), 14 if FULL else 10
    for number in range(rounds):
        troubles.strike()
        town.tell(told[number::rounds])
        town.pass_time(town.maker.random.uniform(0.1, 1.5))
    troubles.end()
    town.wait_until_settled(90)
    town.judge()
