"""``python -m tests.limits``: plays the runs of docs/limits.md and says what came of them.

``--write`` draws their pictures into docs/limits/ and writes the table into docs/limits.md. Promised: the same every
time, on any machine; virtual time, no network. Takes a minute.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from stream.model import Severity
from stream.pushkit.reply import Verdict
from tests.limits import stories
from tests.limits.playing import Run
from tests.limits.plot import Curve, Panel, Points, picture
from tests.limits.stories import APP, OTHER, QUOTA
from tests.limits.test_limits import most_in_a_second

DOCS: Final = Path(__file__).parents[2] / "docs"
BEGIN: Final = "<!-- written by python -m tests.limits --write -->"
END: Final = "<!-- until here -->"


class Shown(NamedTuple):
    """A run, its picture, and what the table says of it."""

    name: str
    svg: str
    rows: list[tuple[str, str, str]]
    """What, wanted, found."""


def devices(run: Run, name: str, app: str, until_s: float) -> Curve:
    """Accepted devices a second, second by second."""
    return Curve(name, [(second, run.devices_per_s(second, second + 1, app)) for second in range(int(until_s))])


def calls(run: Run, name: str, until_s: float, *verdicts: Verdict, app: str | None = None) -> Curve:
    """Calls a second that ended in one of these; in any, if none is named."""
    counts = [0] * int(until_s)
    for call in run.calls(0, int(until_s), app):
        counts[int(call.at_s)] += not verdicts or call.verdict in verdicts
    return Curve(name, list(enumerate(counts)))


def rate(run: Run, name: str, app: str, place: int = 0) -> Curve:
    """What an instance has learned of an app."""
    samples = run.instances[place].samples
    return Curve(name, [(each.at_s, each.rates.get(app, 0.0)) for each in samples][:: max(1, len(samples) // 400)])


def bound(run: Run) -> Curve:
    """Calls in flight that the gateway is believed to bear."""
    samples = run.instances[0].samples
    return Curve("learned bound", [(each.at_s, each.bound) for each in samples][:: max(1, len(samples) // 400)])


def fixed(name: str, *points: tuple[float, float]) -> Curve:
    """What is true, and nobody tells."""
    stepped: Points = [
        corner
        for place, (at_s, value) in enumerate(points)
        for corner in ([(at_s, points[place - 1][1])] if place else []) + [(at_s, value)]
    ]
    return Curve(name, stepped, dashed=True)


def _kept(run: Run, since_s: float, until_s: float, quota: float, app: str = APP) -> Iterator[tuple[str, str, str]]:
    when = f"{since_s:.0f} to {until_s:.0f} s"
    used = run.devices_per_s(since_s, until_s, app) / quota
    yield f"devices of the quota of {quota:,.0f}/s, {when}", "at least 85 %", f"{used:.0%}"
    lost = run.share_of(Verdict.FLOW_CONTROL, since_s, until_s, app)
    yield f"calls refused, {when}", "under 2 %", f"{lost:.1%}"


def quota_steps() -> Shown:
    run = stories.quota_steps()
    truth = fixed(
        "quota", (0, QUOTA), (60, QUOTA), (60, QUOTA / 2), (120, QUOTA / 2), (120, 2 * QUOTA), (240, 2 * QUOTA)
    )
    panels = [
        Panel("devices a second", [devices(run, "accepted", APP, 240), rate(run, "learned rate", APP), truth]),
        Panel("calls a second", [calls(run, "all", 240), calls(run, "refused", 240, Verdict.FLOW_CONTROL)]),
    ]
    rows = [*_kept(run, 30, 60, QUOTA), *_kept(run, 90, 120, QUOTA / 2), *_kept(run, 200, 240, 2 * QUOTA)]
    return Shown("quota", picture("A quota that is halved, and then four times as high", panels, 240), rows)


def chance() -> Shown:
    run = stories.chance(0.05)
    truth = fixed("quota", (0, QUOTA), (130, QUOTA))
    panels = [
        Panel("devices a second", [devices(run, "accepted", APP, 130), rate(run, "learned rate", APP), truth]),
        Panel("calls a second", [calls(run, "all", 130), calls(run, "refused", 130, Verdict.FLOW_CONTROL)]),
    ]
    used = run.devices_per_s(20, 100) / QUOTA
    rows = [("devices of the quota of 8,000/s, while 5 % are refused besides, 20 to 100 s", "most", f"{used:.0%}")]
    return Shown(
        "chance", picture("One call of twenty is refused whatever the rate, from 10 to 100 s", panels, 130), rows
    )


def four_instances() -> Shown:
    run = stories.four_instances()
    truth = fixed("quota", (0, QUOTA), (90, QUOTA))
    panels = [
        Panel("devices a second, together", [devices(run, "accepted", APP, 90), truth]),
        Panel("learned rates", [rate(run, f"instance {n + 1}", APP, n) for n in range(4)]),
    ]
    return Shown("instances", picture("Four instances, one quota", panels, 90), list(_kept(run, 30, 90, QUOTA)))


def two_apps() -> Shown:
    run = stories.two_apps()
    panels = [
        Panel("devices a second", [devices(run, "one app", APP, 90), devices(run, "another", OTHER, 90)]),
        Panel("learned rates", [rate(run, "one app", APP), rate(run, "another", OTHER)]),
    ]
    rows = [*_kept(run, 30, 90, QUOTA), *_kept(run, 30, 90, QUOTA / 8, OTHER)]
    title = "Two apps with different quotas; answers take from 20 ms to seconds"
    return Shown("apps", picture(title, panels, 90), rows)


def noise() -> Shown:
    run = stories.noise()
    panels = [
        Panel("calls in flight", [bound(run)]),
        Panel("calls a second", [calls(run, "answered", 39, Verdict.REVOKED)]),
    ]
    least = min(sample.bound for sample in run.instances[0].samples)
    rows = [("calls in flight that the gateway is believed to bear, at the least", "64, all", f"{least:.0f}")]
    return Shown("noise", picture("Nothing is wrong, but answers take from 50 ms to seconds", panels, 40), rows)


def many_critical() -> Shown:
    run = stories.many_critical()
    of = {
        each: [call.at_s for call in run.calls() if call.severity is each] for each in (Severity.CRITICAL, Severity.LOW)
    }
    panels = [Panel("calls a second", [Curve(each.name, _by_second(times, 19)) for each, times in of.items()])]
    low = len([at_s for at_s in of[Severity.LOW] if at_s > 5]) / len(run.calls(5, 20))
    rows = [("calls that are LOW's, while more CRITICAL waits than can be called", "its share, 5 %", f"{low:.1%}")]
    return Shown("severities", picture("More CRITICAL than can be called, and LOW beside it", panels, 20), rows)


def overload() -> Shown:
    run = stories.overload()
    truth = fixed("borne", (10, 30), (60, 30))
    lost = run.share_of(Verdict.RETRY, 30, 60)
    panels = [
        Panel("calls in flight", [bound(run), truth]),
        Panel(
            "calls a second",
            [calls(run, "answered", 89, Verdict.REVOKED), calls(run, "timed out", 89, Verdict.RETRY)],
        ),
    ]
    rows = [("calls lost, 30 to 60 s", "few", f"{lost:.1%}")]
    return Shown("overload", picture("A gateway that bears thirty calls at once for a while", panels, 90), rows)


def outage() -> Shown:
    run = stories.outage()
    during = run.calls(4, 61)
    each = max(most_in_a_second([c for c in during if c.app == app]) for app in {c.app for c in during})
    accepted = [call for call in run.calls(61) if call.verdict is Verdict.REVOKED]
    critical = [place for place, call in enumerate(accepted) if call.severity is Severity.CRITICAL]
    panels = [
        Panel("calls a second while nobody is answered", [calls(run, "failed", 61, Verdict.RETRY)]),
        Panel(
            "calls a second",
            [
                calls(run, "answered", 79, Verdict.REVOKED),
                Curve("CRITICAL", _by_second([c.at_s for c in accepted if c.severity is Severity.CRITICAL], 79)),
            ],
        ),
    ]
    rows = [
        (
            "most calls in a second of the outage, all apps, from its third second on",
            "10",
            str(most_in_a_second(during)),
        ),
        ("… of one app", "2", str(each)),
        ("first call answered after its end", "soon", f"{accepted[0].at_s - 61:.1f} s"),
        ("calls answered before the last but fifty of 1,000 CRITICAL", "few", f"{critical[949] - 949}"),
        (
            "calls a second, two seconds after the first",
            "many",
            str(len(run.calls(accepted[0].at_s + 2, accepted[0].at_s + 3))),
        ),
    ]
    return Shown("outage", picture("A minute without an answer, ten apps, 10,000 calls due", panels, 80), rows)


def _by_second(times: list[float], until_s: int) -> Points:
    return [(second, float(sum(second <= at < second + 1 for at in times))) for second in range(until_s)]


def one_app_down() -> Shown:
    run = stories.one_app_down()
    panels = [
        Panel(
            "calls a second",
            [calls(run, "the app that is down", 34, app=APP), calls(run, "the other", 34, app=OTHER)],
        )
    ]
    rows = [("most calls in a second of the app that is down", "2", str(most_in_a_second(run.calls(3, 20, APP))))]
    return Shown("app", picture("Every call of one app fails for twenty seconds", panels, 35), rows)


def brownout() -> Shown:
    run = stories.brownout()
    retries = sum(call.retry for call in run.calls(5, 30)) / len(run.calls(5, 30))
    first = Curve("first calls", _by_second([c.at_s for c in run.calls() if not c.retry], 59))
    again = Curve("retries", _by_second([c.at_s for c in run.calls() if c.retry], 59))
    panels = [Panel("calls a second", [first, again]), Panel("calls in flight", [bound(run)])]
    rows = [("retries among the calls, 5 to 30 s", "20 % and 5/s", f"{retries:.0%}")]
    return Shown("brownout", picture("Every second call fails for half a minute", panels, 60), rows)


SHOWN: Final[tuple[Callable[[], Shown], ...]] = (
    quota_steps,
    chance,
    four_instances,
    two_apps,
    noise,
    overload,
    outage,
    many_critical,
    one_app_down,
    brownout,
)


def table(shown: list[Shown]) -> str:
    """As Markdown."""
    lines = ["| run | what | wanted | found |", "|---|---|---|---|"]
    lines += [f"| {each.name} | {what} | {wanted} | {found} |" for each in shown for what, wanted, found in each.rows]
    return "\n".join(lines)


def write(shown: list[Shown]) -> None:
    """Pictures and table."""
    (DOCS / "limits").mkdir(exist_ok=True)
    for each in shown:
        (DOCS / "limits" / f"{each.name}.svg").write_text(each.svg)
    page = DOCS / "limits.md"
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{table(shown)}\n\n{END}{rest.partition(END)[2]}", "utf-8")


def main() -> None:
    """Play all."""
    parser = argparse.ArgumentParser(prog="python -m tests.limits", description=__doc__)
    parser.add_argument(
        "--write", action="store_true", help="draw docs/limits/*.svg, write the table into docs/limits.md"
    )
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    shown = [each() for each in SHOWN]
    print(table(shown))
    if arguments.write:
        write(shown)


if __name__ == "__main__":
    main()
