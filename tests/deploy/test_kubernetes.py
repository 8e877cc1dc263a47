"""The manifests: Kubernetes' own schemas accept them, and they agree with each other and with the settings."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from stream.kafka import properties
from stream.settings import Settings, load_settings

FOLDER: Final = Path(__file__).parents[2] / "config" / "kubernetes"
FILES: Final = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
OLDEST: Final = "1.34"
"""Unpush's files are good for this version and later."""
POD: Final = "unpush-2"


def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """Every object by kind and name."""
    found = [each for file in FILES for each in yaml.safe_load_all(file.read_text("utf-8"))]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


ALL: Final = manifests()
STATEFUL: Final = ALL["StatefulSet", "unpush"]["spec"]
SPEC: Final[dict[str, Any]] = STATEFUL["template"]["spec"]
CONTAINER: Final[dict[str, Any]] = SPEC["containers"][0]


def environment() -> dict[str, str]:
    """What the container gets, as the kubelet fills it in."""
    known = {"POD_NAME": POD, "POD_NAMESPACE": "unpush"}
    for each in CONTAINER["env"]:
        if (value := each.get("value")) is not None:
            for name, text in known.items():
                value = value.replace(f"$({name})", text)
            known[each["name"]] = value
    return known


def settings(folder: Path) -> Settings:
    """What the pod would read, its files brought here."""
    file, token = folder / "unpush.toml", folder / "token"
    file.write_text(ALL["ConfigMap", "unpush"]["data"]["unpush.toml"])
    token.write_text("0123456789abcdef")
    return load_settings(file, environment() | {"UNPUSH__HTTP__TOKEN_FILE": str(token)})


@pytest.mark.parametrize("which", ALL, ids="/".join)
def test_kubernetes_accepts_each_object(which: tuple[str, str]) -> None:
    """By its own schemas, strictly: an unknown field is a mistake."""
    try:
        validator = importlib.import_module("kubernetes_validate")
    except ModuleNotFoundError:
        pytest.skip("kubernetes-validate is not installed here; the `deploy` extra brings it")
    assert validator.validate(ALL[which], OLDEST, strict=True) == OLDEST


def test_kustomize_takes_all_files_and_names_the_image() -> None:
    """Where kubectl is installed, it says the same of them."""
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
    assert sorted(kustomization["resources"]) == [file.name for file in FILES]
    assert [each["name"] for each in kustomization["images"]] == [CONTAINER["image"]]
    if (kubectl := shutil.which("kubectl")) is None:
        return
    built = subprocess.run([kubectl, "kustomize", str(FOLDER)], capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stderr
    made = list(yaml.safe_load_all(built.stdout))
    assert {(each["kind"], each["metadata"]["name"]) for each in made} == ALL.keys()
    assert {each["metadata"]["namespace"] for each in made} == {"unpush"}


def test_the_settings_are_accepted_and_the_store_lies_below_its_volume(tmp_path: Path) -> None:
    """A mount cannot be renamed, and a spoiled store is."""
    read = settings(tmp_path)
    mounts = {each["name"]: Path(each["mountPath"]) for each in CONTAINER["volumeMounts"]}
    assert read.store.path.parent == mounts["state"]
    assert read.push_kit.app("104729331").key_file == mounts["keys"] / "app.json"
    text = ALL["ConfigMap", "unpush"]["data"]["unpush.toml"]
    assert f'token_file = "{mounts["http"]}/token"' in text
    assert CONTAINER["args"] == ["run", "-c", f"{mounts['settings']}/unpush.toml"]


def test_each_pod_is_a_static_member_under_its_own_name(tmp_path: Path) -> None:
    """A second member under one name would throw the first out: only the group's consumer has it."""
    read = settings(tmp_path)
    assert properties.member(read)["group.instance.id"] == POD
    assert properties.member(read)["session.timeout.ms"] == "20000"
    assert "group.instance.id" not in properties.sends(read) | properties.past(read) | properties.producer(read)


def test_pods_reach_each_other_by_the_address_that_they_give_out(tmp_path: Path) -> None:
    """Also while they are not ready; and the port is the one that they listen at."""
    headless = ALL["Service", "unpush"]
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["publishNotReadyAddresses"]
    assert headless["metadata"]["name"] == STATEFUL["serviceName"]
    assert environment()["UNPUSH__HTTP__ADVERTISE"] == f"{POD}.unpush.unpush.svc:8070"
    read = settings(tmp_path).http
    assert (read.listen.host, read.listen.port) == ("0.0.0.0", 8070)
    assert [port["containerPort"] for port in CONTAINER["ports"]] == [read.listen.port]


def test_every_selector_finds_the_pods() -> None:
    labels = STATEFUL["template"]["metadata"]["labels"].items()
    selectors = [each["spec"]["selector"] for (kind, _), each in ALL.items() if kind == "Service"]
    selectors += [
        ALL[which]["spec"]["selector"]["matchLabels"]
        for which in ALL
        if which[0] in ("StatefulSet", "PodDisruptionBudget")
    ]
    selectors += [each["labelSelector"]["matchLabels"] for each in SPEC["topologySpreadConstraints"]]
    assert len(selectors) == 5
    assert all(selector.items() <= labels for selector in selectors)


def test_it_is_killed_later_than_it_drains_and_only_for_a_loop_that_does_not_turn(tmp_path: Path) -> None:
    """Waiting for Kafka is no reason to be killed: /readyz alone says it."""
    assert SPEC["terminationGracePeriodSeconds"] >= settings(tmp_path).shutdown.drain_s + 20
    asked = {name: CONTAINER[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}


def test_nothing_may_be_written_but_the_store_and_tmp_and_nobody_is_root() -> None:
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert SPEC["securityContext"]["runAsNonRoot"]
    dockerfile = (FOLDER.parents[1] / "Dockerfile").read_text("utf-8")
    assert f"--uid {SPEC['securityContext']['runAsUser']} " in dockerfile
    writable = {each["name"] for each in CONTAINER["volumeMounts"] if not each.get("readOnly")}
    assert writable == {"state", "tmp"}


def test_no_secret_is_in_the_files() -> None:
    """Keys, token and password come from Secrets that are made by hand."""
    assert not [kind for kind, _ in ALL if kind == "Secret"]
    secrets = {each["secret"]["secretName"] for each in SPEC["volumes"] if "secret" in each}
    assert secrets == {"unpush-keys", "unpush-http"}
    told = (FOLDER.parents[1] / "docs" / "operating.md").read_text("utf-8")
    assert all(f"create secret generic {name} " in told for name in secrets)
