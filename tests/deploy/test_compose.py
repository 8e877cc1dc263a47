"""The compose file: Compose itself accepts it, and what it mounts, asks and waits for is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from stream.settings import load_settings

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "docker-compose.yml"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load(FILE.read_text("utf-8"))
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]


def compose() -> list[str]:
    """Compose's own program, which the `deploy` extra brings, or Docker's plugin."""
    beside = shutil.which("docker-compose", path=str(Path(sys.executable).parent))
    if (found := beside or shutil.which("docker-compose")) is not None:
        return [found]
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("neither docker-compose nor Docker's plugin is installed here")
    return [docker, "compose"]


def test_compose_accepts_the_file() -> None:
    done = subprocess.run(
        [*compose(), "-f", str(FILE), "config", "--quiet"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_whole_of_it_is_there() -> None:
    assert SERVICES.keys() == {"kafka", "token", "topics", "simulator", "unpush", "prometheus", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_mounts_is_there(name: str) -> None:
    """A file that is missing would be made by Docker, as a folder."""
    for source in (mount.split(":")[0] for mount in SERVICES[name].get("volumes", [])):
        assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_port_is_open_beyond_this_machine_and_each_image_has_a_version(name: str) -> None:
    """A demo must not offer a broker without a password to the office."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert re.fullmatch(r".+:(\d+\.\d+\.\d+|v\d+\.\d+\.\d+|local)", SERVICES[name]["image"])


def test_prometheus_scrapes_unpush_where_it_listens_with_the_token_that_it_wants() -> None:
    settings = yaml.safe_load((ROOT / "config" / "prometheus" / "prometheus.yml").read_text("utf-8"))
    (job,) = settings["scrape_configs"]
    token = job["authorization"]["credentials_file"]
    wanted = (ROOT / "config" / "compose.toml").read_text("utf-8")
    assert job["job_name"] == "unpush"
    assert job["static_configs"] == [{"targets": ["unpush:8070"]}]
    assert 'listen = "0.0.0.0:8070"' in wanted
    assert f'token_file = "{token}"' in wanted
    assert any(mount.startswith(f"keys:{Path(token).parent}") for mount in SERVICES["prometheus"]["volumes"])
    folder = next(mount.split(":") for mount in SERVICES["prometheus"]["volumes"] if mount.startswith("./"))
    assert (ROOT / folder[0] / settings["rule_files"][0]).is_file()


def test_it_is_killed_later_than_it_drains_and_its_store_can_be_moved_aside(tmp_path: Path) -> None:
    """A mount cannot be renamed, and a spoiled store is."""
    (tmp_path / "token").write_text("0123456789abcdef")
    settings = load_settings(ROOT / "config" / "compose.toml", {"UNPUSH__HTTP__TOKEN_FILE": str(tmp_path / "token")})
    assert int(SERVICES["unpush"]["stop_grace_period"].removesuffix("s")) >= settings.shutdown.drain_s + 20
    mounts = {Path(mount.split(":")[1]) for mount in SERVICES["unpush"]["volumes"]}
    assert settings.store.path.parent in mounts
    assert settings.store.path not in mounts
