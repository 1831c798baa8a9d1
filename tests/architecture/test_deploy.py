"""deploy/ says what the code says.

Metrics that exist, services of the table, settings that are known.
That targets are found and queries answered is shown by Prometheus itself in tests/integration/test_monitoring.py.
"""

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import plotly
import pytest
from prometheus_client.metrics import MetricWrapperBase

from sensorbus.contract.settings import PREFIX, load
from sensorbus.runtime import metrics
from sensorbus.services import SERVICES, Service
from tests.support.manifests import (
    alert_rules,
    container,
    dashboard,
    dashboard_queries,
    documents,
    environment,
    kustomized,
    manifest_files,
    pod,
    resources,
    workloads,
)
from tests.support.sources import REPOSITORY

#: The oldest and the newest Kubernetes that the manifests are for.
VERSIONS = ("1.30", "1.37")
WORKLOADS = workloads()
SERVICE_NAMES = [service.name for service in SERVICES]
(NAMESPACE,) = (each["metadata"]["name"] for each in resources() if each["kind"] == "Namespace")
#: What every scrape or process has besides our own metrics.
FOREIGN_METRICS = {"up", "process_resident_memory_bytes", "process_start_time_seconds", "ALERTS"}
QUERIES = [*dashboard_queries(), *((rule["alert"], rule["expr"]) for rule in alert_rules())]
OPERATIONS = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")


def series() -> dict[str, set[str]]:
    """Return the series of our metrics as Prometheus calls them, each with its labels."""
    found = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            name, labels = metric._name, {*metric._labelnames, "instance", "pid"}
            if metric._type == "counter":
                found[f"{name}_total"] = labels
            elif metric._type == "histogram":
                found |= {f"{name}_count": labels, f"{name}_sum": labels, f"{name}_bucket": labels | {"le"}}
            else:
                found[name] = labels
    return found


def annotations(name: str) -> dict[str, str]:
    """Return what a workload's pods are annotated with."""
    found: dict[str, str] = WORKLOADS[name]["spec"]["template"]["metadata"]["annotations"]
    return found


def labels_in(query: str) -> set[str]:
    """Return the labels that a query selects or groups by."""
    grouped = re.findall(r"\b(?:by|on|without) \(([^)]*)\)", query)
    selected = re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"", query)
    return {label.strip() for group in grouped for label in group.split(",")} | set(selected)


@pytest.mark.parametrize(("title", "query"), QUERIES, ids=lambda text: text[:40])
def test_a_query_asks_for_series_and_labels_that_exist(title: str, query: str) -> None:
    """Every metric's name is one that a part has, and so is every label."""
    known = series()
    words = set(re.findall(r"\b(?:sensorbus|process|python|gunicorn)_\w+", re.sub(r'"[^"]*"', '""', query)))
    used = words | {"up"} if re.search(r"\bup\b", query) else words
    assert used, title
    assert used - known.keys() - FOREIGN_METRICS == set()
    allowed = {"job", "instance"}.union(*(known.get(name, set()) for name in used))
    assert labels_in(query) - allowed == set()


def test_every_metric_is_shown() -> None:
    """The dashboard has a curve of each metric."""
    asked = " ".join(query for _, query in dashboard_queries())
    names = {metric._name for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)}
    assert {name for name in names if name not in asked} == set()


def test_a_panel_has_a_place_of_its_own() -> None:
    """Ids are unique, and no two panels lie over each other."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)


def test_every_alert_has_its_runbook() -> None:
    """The chapter that an alert names is in the page of operations."""
    headings = re.findall(r"^#+ (.+)$", OPERATIONS, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    pages = {tuple(rule["annotations"]["runbook"].split("#")) for rule in alert_rules()}
    assert {page for page, _ in pages} == {"docs/operations.md"}
    assert {anchor for _, anchor in pages} - anchors == set()


def test_prometheus_asks_every_service() -> None:
    """The targets are the services of the table, at the ports of docker-compose.yml, their `job` label kept."""
    (config,) = documents("prometheus/prometheus.yml")
    targets = [
        target for each in config["scrape_configs"] for static in each["static_configs"] for target in static["targets"]
    ]
    assert [target.partition(":")[0] for target in targets] == [service.name for service in SERVICES]
    assert {target.partition(":")[2] for target in targets} == {"9100", "8050"}
    assert all(each["honor_labels"] for each in config["scrape_configs"])


def test_prometheus_finds_the_pods_by_what_they_say() -> None:
    """It reads the pods' annotations, in their namespace, under a job that the rules know."""
    (config,) = documents("prometheus/kubernetes.yml")
    (compose,) = documents("prometheus/prometheus.yml")
    (scrape,) = config.pop("scrape_configs")
    assert config == {name: value for name, value in compose.items() if name != "scrape_configs"}
    assert scrape["honor_labels"] is True
    (down,) = (rule["expr"] for rule in alert_rules() if rule["alert"] == "SensorbusPartDown")
    (job,) = re.findall(r'job=~"([^"]+)"', down)
    assert re.fullmatch(job, scrape["job_name"])
    assert scrape["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": [NAMESPACE]}}]
    read = {label for each in scrape["relabel_configs"] for label in each["source_labels"] if "annotation" in label}
    notes = {note for name in SERVICE_NAMES for note in annotations(name)}
    assert read == {f"__meta_kubernetes_pod_annotation_{re.sub(r'[^a-z]', '_', note)}" for note in notes}


def test_the_way_to_kubernetes_is_whole() -> None:
    """The docs make each secret that a pod wants, and give the labels that the network lets in."""
    chapter = OPERATIONS.partition("### On Kubernetes")[2].partition("\n### ")[0]
    (parts,) = re.findall(r"^\$ for part in (.+); do$", chapter, re.MULTILINE)
    assert [*parts.split(), "simulator"] == list(WORKLOADS)
    assert "create secret generic kafka-simulator --from-file=password=simulator --from-file=ca.crt=ca.crt" in chapter
    assert 'create secret generic "kafka-$part" --from-file=password="$part" --from-file=ca.crt=ca.crt' in chapter
    assert chapter.index("-f deploy/kubernetes/namespace.yaml") < chapter.index("--kustomize deploy/kubernetes")
    wanted = {
        f"{label}={value}"
        for each in documents("kubernetes/network.yaml")
        for rule in each["spec"]["ingress"]
        for source in rule["from"]
        for label, value in source["namespaceSelector"]["matchLabels"].items()
    }
    assert set(re.findall(r"^\$ kubectl label namespace \S+ (\S+)$", chapter, re.MULTILINE)) == wanted


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resource", resources(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_a_manifest_is_what_kubernetes_allows(resource: dict[str, Any], version: str) -> None:
    """It passes Kubernetes's own schema, without a field that it would ignore."""
    kubernetes_validate.validate(resource, version, strict=True)


def test_every_manifest_is_applied_or_said_to_be_optional() -> None:
    """kustomization.yaml lists all files but itself and the one that needs KEDA."""
    (kustomization,) = documents("kubernetes/kustomization.yaml")
    listed = {*kustomization["resources"], "kustomization.yaml", "autoscaling-by-lag.yaml"}
    assert listed == set(manifest_files())


def test_the_workloads_are_the_services_of_the_table() -> None:
    """After the topics come the services in data-flow order, and the simulator with a trial."""
    assert list(WORKLOADS) == ["topics", *(name for name in SERVICE_NAMES if name != "simulator"), "simulator"]


def test_only_a_trial_has_the_simulator() -> None:
    """What production applies makes no readings; the trial is that and the simulator, of the same image."""
    base, trial = (documents(f"{folder}/kustomization.yaml")[0] for folder in ("kubernetes", "kubernetes-trial"))
    assert [each["metadata"]["name"] for each in kustomized("kubernetes") if "simulator" in str(each)] == []
    assert trial["resources"] == ["../kubernetes", "simulator.yaml"]
    assert {each["metadata"]["name"] for each in kustomized("kubernetes-trial")} == {"simulator"}
    assert (trial["images"], trial["namespace"]) == (base["images"], base["namespace"])


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_pod_runs_the_tables_command(service: Service) -> None:
    """`sensorbus up`, compose and Kubernetes start the same programs."""
    assert container(WORKLOADS[service.name])["command"] == service.command()


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pods_environment_is_made_of_settings(name: str, tmp_path: Any) -> None:
    """Every variable is known, its value can be used, and each part has a Kafka user of its own."""
    variables = environment(WORKLOADS[name])
    assert all(variable.startswith(PREFIX) for variable in variables)
    (tmp_path / "password").write_text("secret\n")
    settings, warnings = load({**variables, "SENSORBUS_KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "password")})
    assert warnings == {}
    assert settings.kafka_options["sasl.username"].get_secret_value() == name
    assert pod(WORKLOADS[name])["volumes"][0]["secret"]["secretName"] == f"kafka-{name}"
    assert settings.instance_id is None  # two pods of a deployment would fence each other


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_pod_is_asked_at_its_own_port(service: Service) -> None:
    """Probes and scrapes go where the part listens; liveness does not depend on Kafka, readiness does."""
    workload, part = WORKLOADS[service.name], container(WORKLOADS[service.name])
    variables = environment(workload)
    page = service.name == "dashboard"
    port = int(variables["SENSORBUS_DASHBOARD_PORT" if page else "SENSORBUS_OPS_PORT"])
    assert part["ports"] == [{"name": "http", "containerPort": port}]
    assert variables["SENSORBUS_DASHBOARD_HOST" if page else "SENSORBUS_OPS_HOST"] == "0.0.0.0"  # noqa: S104  # the pod's own
    probes = {kind: part[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: probe["path"] for kind, probe in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz?despite=kafka,topics" if page else "/readyz",
    }
    assert {probe["port"] for probe in probes.values()} == {"http"}
    assert annotations(service.name) == {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_may_do_little(name: str) -> None:
    """Not root, read-only root, no capabilities, no token of the cluster; bounded in CPU and memory."""
    of, part = pod(WORKLOADS[name]), container(WORKLOADS[name])
    assert of["securityContext"]["runAsNonRoot"] is True
    assert of["securityContext"]["runAsUser"] == 10001
    assert of["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of["automountServiceAccountToken"] is False
    assert part["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert part["resources"].keys() == {"requests", "limits"}
    assert all(part["resources"][kind].keys() == {"cpu", "memory"} for kind in ("requests", "limits"))
    mounts = {mount["name"]: mount["mountPath"] for mount in part["volumeMounts"]}
    assert mounts.items() >= {"kafka": "/run/secrets/kafka", "tmp": "/tmp"}.items()  # noqa: S108  # the container's own
    assert mounts.get("state") == ("/state" if name in {"alert", "alert-count", "avg-temp"} else None)
    assert {volume["name"] for volume in of["volumes"]} == mounts.keys()


def test_every_service_has_a_disruption_budget_that_lets_a_node_be_drained() -> None:
    """One pod of each may go; of the page, one stays."""
    budgets = {each["metadata"]["name"]: each["spec"] for each in resources() if each["kind"] == "PodDisruptionBudget"}
    assert set(budgets) == {service.name for service in SERVICES}
    for name, budget in budgets.items():
        labels = WORKLOADS[name]["spec"]["selector"]["matchLabels"]
        assert budget["selector"]["matchLabels"] == labels
        assert budget.get("minAvailable") == (1 if name == "dashboard" else None)
        assert budget.get("maxUnavailable") == (None if name == "dashboard" else 1)
    (scaler,) = [each["spec"] for each in resources() if each["kind"] == "HorizontalPodAutoscaler"]
    assert scaler["minReplicas"] > budgets["dashboard"]["minAvailable"]


def test_the_image_is_the_one_of_compose() -> None:
    """One image, one version, in both."""
    (kustomization,) = documents("kubernetes/kustomization.yaml")
    compose = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
    images = {container(workload)["image"] for workload in WORKLOADS.values()}
    assert images == set(re.findall(r"image: (sensorbus:\S+)", compose))
    assert f"sensorbus:{kustomization['images'][0]['newTag']}" in images


def test_opentelemetrys_collector_reads_what_prometheus_reads() -> None:
    """The same targets and labels; what is read is sent on."""
    (collector,) = documents("opentelemetry/collector.yml")
    (prometheus,) = documents("prometheus/prometheus.yml")
    interval = prometheus["global"]["scrape_interval"]
    read = collector["receivers"]["prometheus"]["config"]["scrape_configs"]
    assert read == [{**each, "scrape_interval": interval} for each in prometheus["scrape_configs"]]
    pipeline = collector["service"]["pipelines"]["metrics"]
    assert pipeline["receivers"] == list(collector["receivers"])
    assert pipeline["processors"] == list(collector["processors"])  # the limiter first
    assert pipeline["exporters"] == list(collector["exporters"])
    assert collector["exporters"]["otlphttp"]["endpoint"] == "${env:OTLP_ENDPOINT}"


def test_the_small_plotly_is_of_the_version_that_python_has() -> None:
    """`make plotly` brings it; figures may mean something else to another version."""
    full = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    version = full.read_text(encoding="utf-8")[:40].partition("plotly.js v")[2].split()[0]
    pinned = json.loads((REPOSITORY / "deploy" / "plotly" / "package.json").read_text(encoding="utf-8"))
    assert pinned["dependencies"] == {"plotly.js-cartesian-dist-min": version}
