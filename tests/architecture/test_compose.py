"""docker-compose.yml runs what the table of services says."""

import json
import re
import shlex
from importlib import resources
from typing import Any

import jsonschema
import pytest
import yaml

from sensorbus import up
from sensorbus.contract.settings import PREFIX, Settings, load, variable_name
from sensorbus.services import SERVICES, Service
from tests.support.sources import REPOSITORY

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
#: What only a profile starts, by others.
GUESTS = {name: service for name, service in COMPOSE["services"].items() if "profiles" in service}
PARTS: dict[str, dict[str, Any]] = {
    name: service for name, service in COMPOSE["services"].items() if name not in {"kafka", "topics", *GUESTS}
}
OURS = {**PARTS, "topics": COMPOSE["services"]["topics"]}
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
#: A version that people can read, and a digest that the registry must keep to.
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+[a-z-]*@sha256:[0-9a-f]{64}")
IGNORED = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_the_file_is_what_the_compose_specification_allows() -> None:
    """It passes the specification's JSON schema."""
    vendored = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(vendored.read_text(encoding="utf-8")))


def test_the_services_are_those_of_the_table_in_its_order() -> None:
    """After Kafka and its topics come the services in data-flow order."""
    assert list(COMPOSE["services"]) == ["kafka", "topics", *(service.name for service in SERVICES), *GUESTS]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_runs_the_tables_command(service: Service) -> None:
    """`sensorbus up` and compose start the same programs."""
    assert PARTS[service.name]["command"] == service.command()


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_services_module_exists(service: Service) -> None:
    """What the table names can be run by `python -m`."""
    assert (REPOSITORY / service.module / "__main__.py").is_file()


@pytest.mark.parametrize("name", OURS)
def test_a_services_environment_is_made_of_settings(name: str) -> None:
    """Every variable is known and its value can be used."""
    environment = OURS[name]["environment"]
    assert all(variable.startswith(PREFIX) for variable in environment)
    _, warnings = load(environment)
    assert warnings == {}
    options = [variable for variable in environment if variable.startswith(f"{PREFIX}KAFKA_")]
    assert options == [variable_name("kafka_bootstrap_servers")]


def test_the_images_environment_is_made_of_settings() -> None:
    """The Dockerfile sets known settings only."""
    variables = re.findall(rf"\b({PREFIX}\w+)=", DOCKERFILE)
    assert variables
    assert set(variables) <= {variable_name(field) for field in Settings.model_fields}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_starts_after_kafka_and_the_topics(name: str) -> None:
    """Nobody writes before the topics are made, so none is auto-created."""
    conditions = {other: rule["condition"] for other, rule in PARTS[name]["depends_on"].items()}
    assert conditions == {"kafka": "service_healthy", "topics": "service_completed_successfully"}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_healthy_when_it_says_that_it_is_ready(name: str) -> None:
    """The probe asks the part's own /readyz at the port that the environment gives it."""
    environment = PARTS[name]["environment"]
    port = environment["SENSORBUS_DASHBOARD_PORT" if name == "dashboard" else "SENSORBUS_OPS_PORT"]
    assert f"http://127.0.0.1:{port}/readyz" in shlex.join(PARTS[name]["healthcheck"]["test"])


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_may_do_little(name: str) -> None:
    """Not root, read-only, no capabilities, no new privileges; it is given time to stop."""
    service = OURS[name]
    assert service["user"] == "10001:10001"
    assert "--uid 10001" in DOCKERFILE
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["stop_grace_period"] == "20s"


def test_the_image_itself_does_not_run_as_root() -> None:
    """Whoever starts it without compose has the same user: the last word of the last stage."""
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    (name,) = re.findall(r"^USER (\S+)$", last, re.MULTILINE)
    assert re.search(rf"useradd --system --uid 10001 .*\b{name}\b", last)


def test_nothing_is_published_beyond_this_machine() -> None:
    """Ports are bound to loopback: neither Kafka nor the page asks who you are."""
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert [port.partition(":")[2] for port in ports] == [
        "9092:9092",
        "8050:8050",
        "9090:9090",
        "3000:3000",
        "8080:8080",
    ]


@pytest.mark.parametrize("job", ["alert", "alert-count", "avg-temp"])
def test_a_job_keeps_its_state_in_a_volume_of_its_own(job: str) -> None:
    """Two processes cannot share one state folder."""
    assert PARTS[job]["volumes"] == [f"{job}-state:/state"]
    assert f"{job}-state" in COMPOSE["volumes"]
    assert "SENSORBUS_STATE_DIR=/state" in DOCKERFILE


@pytest.mark.parametrize("job", ["alert", "alert-count", "avg-temp"])
def test_a_job_has_a_name_that_stays_as_under_up(job: str) -> None:
    """Without it a broker's outage would end it."""
    assert "SENSORBUS_INSTANCE_ID" in up.environment(Settings())
    assert PARTS[job]["environment"]["SENSORBUS_INSTANCE_ID"]


def test_kafka_keeps_one_replica_of_its_own_topics() -> None:
    """One broker cannot hold three replicas; transactions would never start."""
    environment = COMPOSE["services"]["kafka"]["environment"]
    assert [environment[name] for name in sorted(environment) if name.endswith(("REPLICATION_FACTOR", "MIN_ISR"))] == [
        "1"
    ] * 5


def test_kafka_leaves_no_transaction_behind_when_it_is_stopped() -> None:
    """While a lone broker hands its partitions over they have no leader, and Kafka 4.3 skips their markers."""
    assert COMPOSE["services"]["kafka"]["environment"]["KAFKA_CONTROLLED_SHUTDOWN_ENABLE"] == "false"


def test_every_image_of_others_is_pinned() -> None:
    """To a version for people and to a digest for the registry; ours is built here."""
    images = {service["image"] for service in COMPOSE["services"].values()} - {ours["image"] for ours in OURS.values()}
    built_from = re.findall(r"^FROM (\S+:\S+)", DOCKERFILE, re.MULTILINE)
    assert len(images) == 4
    assert len(built_from) == 1
    assert [image for image in [*images, *built_from] if not PINNED.fullmatch(image)] == []


def test_all_that_the_image_is_built_from_is_copied_into_the_build() -> None:
    """What .dockerignore holds back is not there."""
    copied = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    sources = [source for line in copied for source in line.split()[:-1]]
    assert [source for source in sources if f"!{source}" not in IGNORED] == []
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []


@pytest.mark.parametrize("name", GUESTS)
def test_what_a_profile_adds_may_do_little(name: str) -> None:
    """Read-only, no capabilities, no new ones; what it mounts of ours is there, and it cannot write to it."""
    service = GUESTS[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["profiles"] in (["monitoring"], ["tools"])
    mounts = [volume.split(":") for volume in service.get("volumes", ()) if volume.startswith("./")]
    assert all((REPOSITORY / mount[0]).exists() and mount[2] == "ro" for mount in mounts)


def test_prometheus_is_where_grafana_looks_for_it() -> None:
    """And the dashboard is where its provider reads."""
    folder = REPOSITORY / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text(encoding="utf-8"))["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards" / "sensorbus.yml").read_text(encoding="utf-8"))["providers"]
    assert source["url"] == f"http://prometheus:{GUESTS['prometheus']['ports'][0].rpartition(':')[2]}"
    mounted = next(volume.split(":")[1] for volume in GUESTS["grafana"]["volumes"] if "sensorbus.json" in volume)
    assert mounted == f"{provider['options']['path']}/sensorbus.json"
