"""The manifests for Kubernetes fit together, and to the server.

That they are what Kubernetes takes was checked with its own schemas, which are too large for here.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config import Settings

FOLDER = Path(__file__).parent.parent / "deploy" / "kubernetes"
DOCUMENTS: list[dict[str, Any]] = [
    document
    for path in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]


def of(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in DOCUMENTS if each["kind"] == kind}


DEPLOYMENTS = of("Deployment")
SETTINGS = of("ConfigMap")["ocr-settings"]["data"]


def test_nothing_is_forgotten() -> None:
    """The list has every file."""
    (listed,) = (each for each in DOCUMENTS if each["kind"] == "Kustomization")

    there = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed["resources"]) == there


def test_the_settings_are_settings() -> None:
    """Each name is known, and its value holds."""
    given = SETTINGS | of("Secret")["ocr-secret"]["stringData"]
    ours = {name[4:].lower(): value for name, value in given.items() if name.startswith("OCR_")}

    assert Settings(**ours).metrics_port  # It refuses what it does not know.


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_pod(name: str) -> None:
    """It has no rights, knows when it lives, and is given the time to end."""
    spec = DEPLOYMENTS[name]["spec"]
    pod = spec["template"]["spec"]

    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    assert not pod["enableServiceLinks"]
    # What it does when it is to end, one after the other, takes no longer than this.
    drain = float(SETTINGS["OCR_DRAIN_TIMEOUT_S"])
    assert pod["terminationGracePeriodSeconds"] >= drain + 20
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {each["mountPath"] for each in container["volumeMounts"]} == {"/data", "/tmp"}
        assert container["resources"]["limits"]["memory"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["metrics"] == int(SETTINGS["OCR_METRICS_PORT"])
    probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}
    for kind, probe in probes.items():
        path = "/readyz" if kind == "readiness" else "/healthz"
        assert probe["httpGet"]["path"] == path
        assert probe["httpGet"]["port"] in ports
    # As many clients as a pod takes are no reason to end it.
    assert (
        probes["startup"]["httpGet"]["port"] == probes["liveness"]["httpGet"]["port"] == "metrics"
    )
    scraped = spec["template"]["metadata"]["annotations"]
    assert scraped["prometheus.io/port"] == str(ports["metrics"])


def test_workers_end_before_their_pod() -> None:
    """A document that wants too much fails by itself: its worker's limit is below the pod's."""
    limits = DEPLOYMENTS["ocr-workers"]["spec"]["template"]["spec"]["containers"][0]["resources"]
    limit = int(limits["limits"]["memory"].removesuffix("Gi")) * 2**30
    settings = Settings(task_memory_bytes=SETTINGS["OCR_TASK_MEMORY_BYTES"])

    workers = int(limits["limits"]["cpu"]) // 2 + 1
    assert workers * (settings.worker_max_bytes + settings.task_memory_bytes) <= limit


def test_files_of_workers_have_room() -> None:
    """The largest that each may write, beside copies of others."""
    pod = DEPLOYMENTS["ocr-workers"]["spec"]["template"]["spec"]
    (data,) = (each for each in pod["volumes"] if each["name"] == "data")
    room = int(data["emptyDir"]["sizeLimit"].removesuffix("Gi")) * 2**30
    settings = Settings(max_file_bytes=SETTINGS["OCR_MAX_FILE_BYTES"])

    assert 2 * settings.max_file_bytes + settings.cache_bytes <= room


def test_what_names_each_other_is_there() -> None:
    """Service, route, budgets, monitor and autoscaler are of pods that there are."""
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in DEPLOYMENTS.values()]
    for kind in ("Service", "PodDisruptionBudget"):
        for each in of(kind).values():
            selector = each["spec"]["selector"]
            assert selector.get("matchLabels", selector) in labels
    route = of("HTTPRoute")["ocr"]["spec"]
    ((backend,),) = (rule["backendRefs"] for rule in route["rules"])
    (port,) = of("Service")[backend["name"]]["spec"]["ports"]
    assert port["port"] == backend["port"]
    assert SETTINGS["OCR_PUBLIC_URL"] == f"https://{route['hostnames'][0]}"
    monitor = yaml.safe_load((FOLDER.parent / "prometheus" / "podmonitor.yaml").read_text())
    (chosen,) = monitor["spec"]["selector"]["matchExpressions"]
    assert set(chosen["values"]) == {each[chosen["key"]] for each in labels}
    (scaled,) = of("ScaledObject").values()
    target = DEPLOYMENTS[scaled["spec"]["scaleTargetRef"]["name"]]
    assert "replicas" not in target["spec"]
