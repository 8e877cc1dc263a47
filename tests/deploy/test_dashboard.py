"""The dashboard: every query is PromQL and asks for what is exposed, every metric can be seen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from stream.operate.metrics import EXPOSURE, METRICS, TO_REVOKED
from tests.deploy.dashboard import FILE, drawn
from tests.deploy.promql import exposed, metrics_in, wrongs

CONFIG: Final = Path(__file__).parents[2] / "config"
BOARD: Final[dict[str, Any]] = json.loads(FILE.read_text("utf-8"))
EXPOSED: Final = exposed()


def panels() -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Where each stands, and itself with Grafana's variables filled in."""
    for panel in panels():
        yield from ((panel["title"], _filled(target["expr"])) for target in panel["targets"])
    yield from (("annotations", _filled(each["expr"])) for each in BOARD["annotations"]["list"])
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            asked, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            yield variable["name"], f"count by ({label}) ({_filled(asked)})"


def _filled(query: str) -> str:
    return query.replace("$__rate_interval", "1m").replace("$job", "unpush").replace("$instance", ".*")


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_what_the_dashboard_asks_for_is_exposed(where: str, query: str) -> None:
    """Every metric named in the dashboard exists, with its labels and their values."""
    assert "$" not in query, where
    assert wrongs(query, EXPOSED) == [], where


def test_the_file_is_what_is_drawn() -> None:
    """Else run ``python -m tests.deploy.dashboard``."""
    assert FILE.read_text("utf-8") == drawn()


def test_every_metric_is_on_the_dashboard() -> None:
    """A metric that nobody sees helps nobody."""
    shown = set().union(*(metrics_in(query) for _, query in queries()))
    counters = {f"{each.name}_total" for each in METRICS if each.kind == "counter"}
    gauges = {each.name for each in METRICS if each.kind == "gauge"}
    assert (counters | gauges | {f"{TO_REVOKED}_bucket", f"{EXPOSURE}_total"}) - shown == set()


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: str(panel["title"]))
def test_a_legend_names_labels_that_its_query_has(panel: dict[str, Any]) -> None:
    """Grafana shows nothing where it should name something."""
    for target in panel["targets"]:
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        grouped = re.search(r"\b(?:sum|max|min) by \(([\w, ]+)\)", target["expr"])
        kept = set(re.split(r", ", grouped[1])) if grouped else {"instance", "job"}
        assert named <= kept, target["expr"]


def test_panels_are_explained_and_do_not_overlap() -> None:
    """Twenty-four columns; each panel says what it shows."""
    taken: set[tuple[int, int]] = set()
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        assert panel["type"] == "row" or len(panel["description"]) > 5
        taken |= cells


def test_every_panel_uses_the_data_source_that_is_chosen() -> None:
    """No uid of somebody's own Grafana is left in it."""
    sources = [each["datasource"] for panel in panels() for each in (panel, *panel["targets"])]
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in sources)
    assert BOARD["id"] is None


def test_grafana_finds_the_dashboard_where_the_compose_file_mounts_it() -> None:
    compose = yaml.safe_load((CONFIG.parent / "docker-compose.yml").read_text("utf-8"))
    mounts = dict(each.split(":")[:2] for each in compose["services"]["grafana"]["volumes"])
    there = {target: CONFIG.parent / source for source, target in mounts.items()}
    (provider,) = yaml.safe_load((CONFIG / "grafana/provisioning/dashboards/unpush.yml").read_text("utf-8"))[
        "providers"
    ]
    assert (there[provider["options"]["path"]] / FILE.name).samefile(FILE)
    assert (there["/etc/grafana/provisioning"] / "datasources" / "prometheus.yml").is_file()
