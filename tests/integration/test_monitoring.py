"""The real Prometheus reads the running parts.

With deploy/prometheus, and every curve of the dashboard is answered.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from werkzeug.security import generate_password_hash

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.settings import Settings
from sensorbus.runtime import kafka
from sensorbus.services import SERVICES
from tests.support import prometheus
from tests.support.dashboards import Dashboard, dashboard, fed_bus
from tests.support.manifests import DEPLOY, alert_rules, dashboard_queries, documents
from tests.support.needs import need
from tests.support.oidc_provider import AUDIENCE, SECRET, Provider
from tests.support.parts import part
from tests.support.prometheus import Prometheus
from tests.support.real_kafka import free_ports
from tests.support.sources import REPOSITORY
from tests.support.ticks import get
from tests.support.waiting import wait_until

#: Curves that are empty while all goes well; all others have at least one series.
EMPTY_WHEN_WELL = {"Dead letters", "Not readable, and consumer restarts"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


def is_ready(address: str) -> bool:
    """Tell whether the part there says so."""
    return get(f"http://{address}/readyz")[0] == 200


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Give a Prometheus that watches the whole system, the page with two workers."""
    need(prometheus.why_not())
    folder = tmp_path_factory.mktemp("monitoring")
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker())
        bus = Settings(kafka_bootstrap_servers=broker.address, embedded_broker=True, state_dir=folder)
        kafka.ensure_topics(bus, "test")
        targets = {}
        for service in SERVICES[:-1]:
            own = bus.model_copy(update={"ops_port": free_ports()[0]})
            stack.enter_context(part(own, folder / f"{service.name}.log", service.module, *service.arguments))
            targets[f"{service.name}:9100"] = f"127.0.0.1:{own.ops_port}"
        page = dashboard(bus, folder, dashboard_workers=2)
        stack.enter_context(page.part)
        targets["dashboard:8050"] = f"127.0.0.1:{page.settings.dashboard_port}"
        for address in targets.values():
            wait_until(partial(is_ready, address), 60, f"{address} to be ready", folder / "alert.log")
        page.ticker().tick()
        running = stack.enter_context(Prometheus(folder, targets))
        running.wait_for_targets(len(SERVICES))
        for _ in range(3):
            page.ticker().tick()
            get(f"{page.root}/api/v1/readings")
        wait_until(
            lambda: all(running.query(query) for title, query in dashboard_queries() if title not in EMPTY_WHEN_WELL),
            40,
            "every curve to have a series",
            running.log,
        )
        yield running


@pytest.mark.parametrize(("title", "query"), list(dashboard_queries()), ids=lambda text: text[:40])
def test_every_curve_is_answered(watched: Prometheus, title: str, query: str) -> None:
    """Without an error, and with a series for what happens in a system that runs well."""
    assert watched.query(query) or title in EMPTY_WHEN_WELL


def test_the_jobs_keep_their_names(watched: Prometheus) -> None:
    """The label `job` is the stream job, as docs/operations.md lists it."""
    found = watched.query("count by (job) (sensorbus_job_records_total)")
    assert {each["metric"]["job"] for each in found} == {"alert", "alert-count", "avg-temp"}


def test_both_workers_of_the_page_are_seen(watched: Prometheus) -> None:
    """Gauges come once per worker, counters as the sum of both, whichever answers the scrape."""
    assert len(watched.query("sensorbus_ring_age_seconds")) == 2
    (ticks,) = watched.query("sensorbus_tick_seconds_count")
    assert int(ticks["value"][1]) == 4


def test_the_rules_are_loaded_and_nothing_is_wrong(watched: Prometheus) -> None:
    """Prometheus evaluates each of them; in a system that runs well none fires."""
    rules = [rule for group in watched.ask("rules")["groups"] for rule in group["rules"]]
    assert [rule["name"] for rule in rules] == [rule["alert"] for rule in alert_rules()]
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_has_nothing_to_say(command: tuple[str, ...]) -> None:
    """Syntax, and each rule played once with what sets it off and once without."""
    need(prometheus.why_not())
    done = subprocess.run(
        [str(shutil.which("promtool")), *command],
        cwd=Path(DEPLOY / "prometheus"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_pod_becomes_the_target_that_its_annotations_name(tmp_path: Path) -> None:
    """kubernetes.yml, with pods as Kubernetes would tell of them: one to scrape, one that has ended, a foreign one."""
    need(prometheus.why_not())
    (config,) = documents("prometheus/kubernetes.yml")
    (scrape,) = config["scrape_configs"]
    del scrape["kubernetes_sd_configs"], config["rule_files"]
    scrape["static_configs"] = [
        pod_told("alert-1", "10.1.1.1", "Running", scrape="true", port="9100"),
        pod_told("topics-1", "10.1.1.2", "Succeeded", scrape="true", port="9100"),
        pod_told("foreign-1", "10.1.1.3", "Running"),
    ]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [
            str(shutil.which("promtool")),
            "check",
            "service-discovery",
            "--timeout=3s",
            "prometheus.yml",
            "sensorbus-pods",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = [each["labels"] for each in json.loads(done.stdout) if each["labels"]]
    assert [(each["__address__"], each["instance"], each["job"]) for each in found] == [
        ("10.1.1.1:9100", "alert-1", "sensorbus-pods")
    ]


def pod_told(name: str, address: str, phase: str, **notes: str) -> dict[str, Any]:
    """Return a target with the labels that Prometheus gives to a pod; `notes` are its annotations for Prometheus."""
    meta = {"name": name, "ip": address, "phase": phase}
    meta |= {f"annotation_prometheus_io_{note}": value for note, value in notes.items()}
    labels = {f"__meta_kubernetes_pod_{label}": value for label, value in meta.items()}
    return {"targets": [f"{address}:8050"], "labels": labels}


def security(pattern: str) -> Any:
    """Return what the page of security has for Prometheus, read as Prometheus reads it."""
    (text,) = re.findall(pattern, (REPOSITORY / "docs" / "security.md").read_text(), re.DOTALL)
    return yaml.safe_load(text)


def up(folder: Path, page: Dashboard, **of_the_page: Any) -> None:
    """Wait until Prometheus reads a page."""
    with Prometheus(folder, {"dashboard:8050": f"127.0.0.1:{page.settings.dashboard_port}"}, **of_the_page) as running:
        running.wait_for_targets(1)


def test_prometheus_has_a_password_as_the_page_of_security_says(tmp_path: Path) -> None:
    """In a file with a line's end behind it, as an editor leaves it."""
    need(prometheus.why_not())
    given = security(r"`basic_auth` with a user of the file, a `viewer`: `(.*?)`")
    hashed = generate_password_hash("right", method="scrypt:1024:8:1")
    (tmp_path / "users").write_text(f"{given['username']}:viewer:{hashed}\n")
    (tmp_path / "password").write_text("right\n")
    given["password_file"] = str(tmp_path / "password")
    with fed_bus(tmp_path, 1) as bus:
        page = dashboard(bus, tmp_path, dashboard_sign_in="basic", dashboard_users_file=tmp_path / "users")
        with page.part:
            page.wait_listening()
            up(tmp_path, page, basic_auth=given)


def test_prometheus_has_a_token_as_the_page_of_security_says(tmp_path: Path) -> None:
    """By a client of the provider's that has a role there."""
    need(prometheus.why_not())
    given = security(r"```yaml\n    oauth2:\n(.*?)```")
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    with (
        fed_bus(tmp_path, 1) as bus,
        Provider({"roles": ["sensorbus-viewer"]}, programs={given["client_id"]}) as provider,
    ):
        given |= {"client_secret_file": str(tmp_path / "secret"), "token_url": f"{provider.issuer}/token"}
        page = dashboard(
            bus,
            tmp_path,
            dashboard_oidc_audience=AUDIENCE,
            **provider.of_a_page(),
        )
        with page.part:
            page.wait_listening()
            up(tmp_path, page, oauth2=given)
