"""deploy/systemd runs what the table of services says."""

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from sensorbus.contract.settings import Settings, load
from sensorbus.services import DASHBOARD, SERVICES, Service
from tests.support.manifests import container, workloads
from tests.support.needs import need
from tests.support.sources import REPOSITORY

UNITS = REPOSITORY / "deploy" / "systemd"
PYTHON = "/opt/sensorbus/.venv/bin/python"
RUN = [service for service in SERVICES if service.jobs or service is DASHBOARD]
HOST = "host-1"


def unit(service: Service) -> dict[str, list[str]]:
    """Return a service's unit as systemd reads it: each directive's values."""
    template = (
        UNITS / ("sensorbus-dashboard.service" if service is DASHBOARD else "sensorbus-job@.service")
    ).read_text()
    text = template.replace("%i", service.name).replace("%H", HOST)
    read = defaultdict(list)
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        read[name].append(value)
    return read


@pytest.mark.parametrize("service", RUN, ids=lambda service: service.name)
def test_a_unit_runs_the_tables_command(service: Service) -> None:
    """And is started again whenever it ends, as `sensorbus up` does."""
    read = unit(service)
    assert read["ExecStart"] == [" ".join(service.command(PYTHON))]
    assert read["Restart"] == ["always"]


@pytest.mark.parametrize("service", RUN, ids=lambda service: service.name)
def test_a_units_variables_are_settings(service: Service) -> None:
    """A job has a state and a name of its own, in the folder that systemd makes for it."""
    read = unit(service)
    environment = dict(pair.split("=", 1) for line in read["Environment"] for pair in line.split())
    settings, warnings = load(environment)
    assert warnings == {}
    if service is DASHBOARD:
        assert settings == Settings()
        return
    assert (str(settings.state_dir), settings.instance_id) == (f"/var/lib/{read['StateDirectory'][0]}", HOST)
    assert service.name in read["StateDirectory"][0]


@pytest.mark.parametrize("service", RUN, ids=lambda service: service.name)
def test_systemd_itself_finds_nothing_wrong(service: Service, tmp_path: Path) -> None:
    """With a program that is there in place of the one in /opt."""
    need(None if shutil.which("systemd-analyze") else "systemd-analyze is not installed")
    for template in UNITS.glob("*.service"):
        (tmp_path / template.name).write_text(template.read_text().replace(PYTHON, sys.executable))
    name = "sensorbus-dashboard.service" if service is DASHBOARD else f"sensorbus-job@{service.name}.service"
    if service is not DASHBOARD:
        (tmp_path / name).write_text((tmp_path / "sensorbus-job@.service").read_text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / name],  # noqa: S607  # wherever it is
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("service", RUN, ids=lambda service: service.name)
def test_a_unit_has_the_memory_of_the_manifests(service: Service) -> None:
    """Measured once, said twice."""
    limit = container(workloads()[service.name])["resources"]["limits"]["memory"]
    assert unit(service)["MemoryMax"] == [limit.removesuffix("i")]


def test_the_pages_memory_is_enough_for_a_reload_of_as_many_workers_as_it_has() -> None:
    """By the formula of docs/scaling.md: old workers stay until new ones answer; what is above the limit is killed."""
    text = (REPOSITORY / "docs" / "scaling.md").read_text()
    (formula,) = re.findall(r"^memory of the page = (\d+) MB \+ (\d+) MB \* its workers$", text, re.MULTILINE)
    fixed_mb, worker_mb = map(int, formula)
    (limit,) = unit(DASHBOARD)["MemoryMax"]
    workers = Settings().dashboard_workers
    assert fixed_mb + worker_mb * workers <= int(limit.removesuffix("G")) * 2**30 / 1e6


@pytest.mark.parametrize("service", RUN, ids=lambda service: service.name)
def test_a_unit_may_do_no_more_than_it_must(service: Service) -> None:
    """No user of its own in the machine's list, no capability, nothing to write but its state."""
    read = unit(service)
    wanted = {"DynamicUser": "yes", "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "ProtectSystem": "strict"}
    assert {name: read[name] for name in wanted} == {name: [value] for name, value in wanted.items()}


def test_the_page_is_told_to_reload_by_its_master() -> None:
    """SIGHUP and SIGTERM are for the master alone: gunicorn's workers end at once with the second of them."""
    read = unit(DASHBOARD)
    assert (read["ExecReload"], read["KillMode"]) == (["/bin/kill -HUP $MAINPID"], ["mixed"])
