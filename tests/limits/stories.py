"""The runs that docs/limits.md shows and the tests judge: each is one change that the laws have to find out."""

from __future__ import annotations

from stream.model import Severity
from tests.limits.playing import SETTINGS, Run, play, until

APP, OTHER = "app", "other"
QUOTA = 8_000.0


def quota_steps() -> Run:
    """One app, no limit of our own; its quota is halved, and then four times as high."""

    async def script(run: Run) -> None:
        run.push_kit.quota = {APP: QUOTA}
        run.instances[0].endless.add(APP)
        await until(60)
        run.push_kit.quota = {APP: QUOTA / 2}
        await until(120)
        run.push_kit.quota = {APP: 2 * QUOTA}
        await until(240)

    return play(script)


def chance(
    share: float, quota: float = QUOTA, tokens: int = 1_000, latency_ms: float = 50.0, begins_s: int = 10
) -> Run:
    """Push Kit is overloaded as a whole until 100 s: so many calls are refused whatever their rate."""

    async def script(run: Run) -> None:
        run.push_kit.quota, run.push_kit.latency_ms = {APP: quota}, (latency_ms, latency_ms)
        run.instances[0].endless.add(APP)
        run.instances[0].tokens = tokens
        if begins_s:
            await until(begins_s)
        run.push_kit.busy = share
        await until(100)
        run.push_kit.busy = 0.0
        await until(130)

    return play(script)


def four_instances() -> Run:
    """Four instances, a quarter of the shards each, and one quota for all of them."""

    async def script(run: Run) -> None:
        run.push_kit.quota = {APP: QUOTA}
        for instance in run.instances:
            instance.endless.add(APP)
            instance.tokens = 250
        await until(90)

    return play(script, shares=(0.25,) * 4)


def two_apps() -> Run:
    """One app's quota is an eighth of the other's, and answers take from 20 ms to seconds."""

    async def script(run: Run) -> None:
        run.push_kit.quota = {APP: QUOTA, OTHER: QUOTA / 8}
        run.push_kit.latency_ms = (80.0, 1_500.0)
        run.instances[0].endless |= {APP, OTHER}
        await until(90)

    return play(script)


def noise() -> Run:
    """Nothing is wrong but that answers take from 50 ms to seconds."""

    async def script(run: Run) -> None:
        run.push_kit.latency_ms = (200.0, 3_000.0)
        run.instances[0].endless.add(APP)
        run.instances[0].tokens = 1
        await until(40)

    return play(script)


def overload() -> Run:
    """The gateway bears thirty calls at once for a while: what comes beyond that times out."""

    async def script(run: Run) -> None:
        run.push_kit.latency_ms = (250.0, 500.0)
        run.instances[0].endless.add(APP)
        run.instances[0].tokens = 1
        await until(10)
        run.push_kit.bears = 30
        await until(60)
        run.push_kit.bears = 10_000
        await until(90)

    return play(script)


def outage(apps: int = 10, calls: int = 10_000, *, hangs: bool = False) -> Run:
    """From the first second on nobody is answered for a minute, and ten thousand calls come due; ``hangs``: they are
    not refused, they time out after the default ten seconds."""

    async def script(run: Run) -> None:
        instance = run.instances[0]
        names = [f"app {number}" for number in range(apps)]
        for name in names:
            instance.put(name, 20)
        await until(1)
        run.push_kit.away, run.push_kit.hangs, run.push_kit.timeout_s = not hangs, hangs, SETTINGS.timeout_s
        for name in names:
            for severity, tenths in ((Severity.LOW, 7), (Severity.MEDIUM, 2), (Severity.CRITICAL, 1)):
                instance.put(name, calls // apps * tenths // 10, severity=severity)
        await until(61)
        run.push_kit.away = run.push_kit.hangs = False
        await until(80)

    return play(script)


def many_critical() -> Run:
    """More CRITICAL than leave meanwhile, and as many LOW beside them, of two apps each."""

    async def script(run: Run) -> None:
        run.push_kit.latency_ms = (200.0, 400.0)
        for name in (APP, OTHER):
            for severity in (Severity.LOW, Severity.CRITICAL):
                run.instances[0].put(name, 4_000, severity=severity)
        await until(20)

    return play(script)


def many_critical_of_one_app() -> Run:
    """Nobody else is there to use what its CRITICAL leaves."""

    async def script(run: Run) -> None:
        run.push_kit.latency_ms = (50.0, 50.0)
        run.instances[0].put(APP, 20_000, severity=Severity.CRITICAL)
        for severity in (Severity.LOW, Severity.MEDIUM, Severity.HIGH):
            run.instances[0].put(APP, 3_000, severity=severity)
        await until(10)

    return play(script)


def one_app_down() -> Run:
    """Every call of one app fails, the other's are answered."""

    async def script(run: Run) -> None:
        run.push_kit.down, run.push_kit.latency_ms = frozenset({APP}), (200.0, 200.0)
        run.instances[0].endless |= {APP, OTHER}
        run.instances[0].tokens = 1
        await until(20)
        run.push_kit.down = frozenset()
        await until(35)

    return play(script)


def brownout(share: float = 0.5) -> Run:
    """Every second call fails for half a minute."""

    async def script(run: Run) -> None:
        run.push_kit.broken = share
        run.instances[0].put(APP, 3_000)
        await until(30)
        run.push_kit.broken = 0.0
        await until(60)

    return play(script)
