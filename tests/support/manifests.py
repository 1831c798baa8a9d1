"""What stands in deploy/, parsed.

Kubernetes manifests, Prometheus rules, the Grafana dashboard.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import yaml

from tests.support.sources import REPOSITORY

DEPLOY: Final = REPOSITORY / "deploy"
_KUBERNETES: Final = DEPLOY / "kubernetes"
_WORKLOADS: Final = ("Deployment", "Job")


def documents(name: str) -> list[dict[str, Any]]:
    """Return the documents of a file in deploy/."""
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def resources() -> list[dict[str, Any]]:
    """Return what `kubectl apply --kustomize deploy/kubernetes` would apply, and then what a trial adds."""
    return [*kustomized("kubernetes"), *kustomized("kubernetes-trial")]


def kustomized(folder: str) -> list[dict[str, Any]]:
    """Return what the files of a folder's kustomization.yaml hold, in its order; folders that it names left out."""
    (kustomization,) = documents(f"{folder}/kustomization.yaml")
    names = [name for name in kustomization["resources"] if name.endswith(".yaml")]
    return [each for name in names for each in documents(f"{folder}/{name}")]


def manifest_files() -> list[str]:
    """Return the names of the files in deploy/kubernetes."""
    return sorted(path.name for path in _KUBERNETES.glob("*.yaml"))


def workloads() -> dict[str, dict[str, Any]]:
    """Return the manifests that run containers, by name."""
    return {each["metadata"]["name"]: each for each in resources() if each["kind"] in _WORKLOADS}


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    """Return a workload's pod."""
    found: dict[str, Any] = workload["spec"]["template"]["spec"]
    return found


def container(workload: dict[str, Any]) -> dict[str, Any]:
    """Return a workload's one container."""
    (found,) = pod(workload)["containers"]
    one: dict[str, Any] = found
    return one


def environment(workload: dict[str, Any]) -> dict[str, str]:
    """Return what a workload's container finds in its environment."""
    shared = next(each["data"] for each in resources() if each["kind"] == "ConfigMap")
    own = {each["name"]: each["value"] for each in container(workload)["env"]}
    return {**shared, **own}


def alert_rules() -> list[dict[str, Any]]:
    """Return the rules of deploy/prometheus/alerts.yml."""
    (file,) = documents("prometheus/alerts.yml")
    return [rule for group in file["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """Return the Grafana dashboard."""
    found: dict[str, Any] = json.loads((DEPLOY / "grafana" / "sensorbus.json").read_text(encoding="utf-8"))
    return found


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """Yield title and query of each curve, with the variables of Grafana filled in."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m")
