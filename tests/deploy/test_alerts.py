"""The alerts: what they ask is there, each is explained, and each fires when it should and not else."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from stream.operate.metrics import METRICS, Metrics
from tests.deploy.promql import exposed, metrics_in, wrongs

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "config" / "prometheus" / "alerts.yml"
CASES: Final = Path(__file__).with_name("alerts.yml")
RUNBOOK: Final = ROOT / "docs" / "operating.md"
EXPOSED: Final = exposed()


@cache
def alerts() -> dict[str, dict[str, Any]]:
    """Every alert by its name."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def promtool() -> str:
    """Prometheus' own tool: on the path, or where .ci/promtool put it."""
    found = shutil.which("promtool") or shutil.which("promtool", path=str(ROOT / ".cache" / "bin"))
    if found is None:
        pytest.skip(
            "promtool is not installed here: `.ci/promtool` brings it on Debian, Prometheus' releases elsewhere"
        )
    return found


def told(*command: str) -> str:
    """What a validator says; it must like what it was given."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", alerts())
def test_what_an_alert_asks_for_is_exposed(name: str) -> None:
    """Every metric named in alerts exists, with its labels and their values."""
    assert wrongs(alerts()[name]["expr"], EXPOSED) == []


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("unpush_reddy == 0", "no metric unpush_reddy"),
        ("rate(unpush_results[5m])", "no metric unpush_results"),
        ('unpush_shards{topic="push.message-sent"}', "unpush_shards has no label topic"),
        ('unpush_lane_depth{severity="GRAVE"}', 'severity is never "GRAVE"'),
        ('unpush_lane_depth{severity=~"HIGH|GRAVE"}', 'severity is never "GRAVE"'),
        ("sum by (app) (unpush_shards)", "unpush_shards has no label app to group by"),
        ("unpush_ready and on (topic) unpush_shards", "unpush_ready has no label topic to group by"),
    ],
)
def test_a_query_for_what_is_not_there_is_found_out(query: str, wrong: str) -> None:
    """Else the tests above could not fail."""
    assert wrong in wrongs(query, EXPOSED)


def test_what_is_no_promql_is_found_out() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        wrongs("sum by (app (unpush_app_waits)", EXPOSED)


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_how_urgent_it_is_and_overwrites_no_label(name: str) -> None:
    """A rule's label takes the place of the metric's of that name: two alerts would become one."""
    rule = alerts()[name]
    assert rule["labels"].keys() == {"urgency"}
    assert rule["labels"]["urgency"] in ("page", "ticket")
    assert not rule["labels"].keys() & set().union(*EXPOSED.values())
    assert name.startswith("Unpush")
    assert rule["annotations"].keys() == {"summary", "runbook"}


def explained() -> dict[str, str]:
    """The runbook's text of each alert."""
    parts = re.split(r"^### (Unpush\w+)$", RUNBOOK.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_alert_is_explained_in_the_runbook_and_nothing_else_is() -> None:
    assert explained().keys() == alerts().keys()
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"docs/operating.md#{name.lower()}"


@pytest.mark.parametrize("name", alerts())
def test_the_runbook_says_what_an_alert_means_what_to_look_at_and_what_to_do(name: str) -> None:
    meaning, _, items = explained()[name].strip().partition("\n\n- ")
    assert len(meaning) > 20
    assert re.match(r"\*Look\*: .{20,}\n- \*Do\*: .{10,}", items, re.DOTALL)


def test_the_rule_tests_have_a_case_for_each_alert_and_against_it() -> None:
    """Every alert fires in a test of its rule, and keeps quiet in another."""
    cases = yaml.safe_load(CASES.read_text("utf-8"))["tests"]
    asked = Counter(
        (re.findall(r'alertname="(\w+)"', each["expr"])[0], bool(each["exp_samples"]))
        for case in cases
        for each in case["promql_expr_test"]
    )
    assert asked == {(name, fires): 1 for name in alerts() for fires in (True, False)}


def test_the_cases_speak_of_series_that_are_exposed() -> None:
    """A case with a misspelt series would keep quiet for the wrong reason."""
    for case in yaml.safe_load(CASES.read_text("utf-8"))["tests"]:
        name = case["promql_expr_test"][0]["expr"].split('"')[1]
        series = [each["series"] for each in case["input_series"]]
        assert [wrong for each in series for wrong in _wrong_series(each)] == []
        assert {each.split("{")[0] for each in series} <= metrics_in(alerts()[name]["expr"])


def _wrong_series(series: str) -> list[str]:
    """As a query it names labels and values alike; ``le`` is the histogram's."""
    return wrongs(series, EXPOSED)


def test_prometheus_finds_nothing_wrong_with_what_is_exposed() -> None:
    """Names, units and help texts by its own conventions; it would find something."""
    shown = Metrics(lambda: {each.name: {each.labels: 1.0} for each in METRICS}).render("")[0].decode()
    assert complaints(shown) == ""
    assert "unpush_ready_milliseconds" in complaints(shown.replace("unpush_ready", "unpush_ready_milliseconds"))


def complaints(shown: str) -> str:
    """Of promtool, about what is exposed."""
    command = [promtool(), "check", "metrics"]
    done = subprocess.run(command, input=shown, capture_output=True, text=True, timeout=60)
    assert bool(done.returncode) == bool(done.stderr)
    return done.stderr


def test_prometheus_accepts_the_rules() -> None:
    assert f"{len(alerts())} rules found" in told(promtool(), "check", "rules", str(RULES))


def test_every_alert_fires_when_it_should_and_not_else() -> None:
    """Played by Prometheus' own engine."""
    assert "SUCCESS" in told(promtool(), "test", "rules", str(CASES))


def test_prometheus_accepts_the_settings_of_the_compose_file() -> None:
    told(promtool(), "check", "config", "--syntax-only", str(ROOT / "config" / "prometheus" / "prometheus.yml"))


def test_prometheus_accepts_the_scrape_job_of_the_document(tmp_path: Path) -> None:
    """And it has the name that the rules expect."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```", RUNBOOK.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert [job["job_name"] for job in yaml.safe_load(block)["scrape_configs"]] == ["unpush"]
    (tmp_path / "prometheus.yml").write_text(block)
    told(promtool(), "check", "config", "--syntax-only", str(tmp_path / "prometheus.yml"))


def test_every_reason_to_be_woken_has_a_metric_that_an_alert_looks_at() -> None:
    """What only a person could see is what these do not name; a new metric has to be decided on."""
    looked_at = set().union(*(metrics_in(rule["expr"]) for rule in alerts().values()))
    looked_at = {re.sub(r"_(total|bucket)$", "", name) for name in looked_at}
    to_look_at_only = {
        "unpush_info",
        "unpush_records_read",
        "unpush_restore_left_seconds",
        "unpush_restore_read_back_to_timestamp_seconds",
        "unpush_calls_in_flight",
        "unpush_lane_depth",
        "unpush_retries_waiting",
        "unpush_waiting_devices",  # the oldest call's age is what an alert is about
        "unpush_waiting_exposure_device_seconds",
        "unpush_calls_in_flight_bound",
        "unpush_app_devices_per_second_limit",
        "unpush_app_devices_per_second_learned",
        "unpush_open_messages",
        "unpush_held_devices",
        "unpush_guard_hour_devices",
        "unpush_slots_sampled",
        "unpush_outbox_size",
    }
    assert {each.name for each in METRICS} - looked_at == to_look_at_only
