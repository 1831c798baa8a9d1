"""deploy/secure/docker-compose.yml is docker-compose.yml, secured.

With TLS and a password for each part.
"""

import json
from importlib import resources

import jsonschema
import pytest

from sensorbus.contract.settings import load
from sensorbus.services import SERVICES
from tests.support.compose import base, secure
from tests.support.sources import REPOSITORY

COMPOSE = base()
SECURE = secure()
USERS = ["topics", *(service.name for service in SERVICES)]
ONCE = ("certificates", "users")


def test_both_files_together_are_what_the_compose_specification_allows() -> None:
    """They pass the specification's JSON schema."""
    vendored = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(SECURE, json.loads(vendored.read_text(encoding="utf-8")))


def test_two_services_are_added_and_none_is_started_otherwise() -> None:
    """The same services in the same order with the same commands; two that run once."""
    assert list(SECURE["services"]) == [*COMPOSE["services"], *ONCE]
    for name, service in COMPOSE["services"].items():
        assert SECURE["services"][name].get("command") == service.get("command")
        assert SECURE["services"][name].get("ports") == service.get("ports")


@pytest.mark.parametrize("name", USERS)
def test_a_part_comes_over_tls_with_a_name_and_a_password_of_its_own(name: str) -> None:
    """Its settings can be used, and it is shown its own secret and no other."""
    service = SECURE["services"][name]
    environment = dict(service["environment"])
    assert environment.pop("SENSORBUS_KAFKA_SASL_PASSWORD_FILE") == "/run/secrets/kafka/password"
    settings, warnings = load(environment)
    options = {option: value.get_secret_value() for option, value in settings.kafka_options.items()}
    assert warnings == {}
    assert options == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": name,
        "ssl.ca.location": "/run/secrets/kafka/ca.crt",
    }
    (mount,) = [volume for volume in service["volumes"] if isinstance(volume, dict)]
    assert (mount["source"], mount["target"], mount["read_only"]) == ("secrets", "/run/secrets/kafka", True)
    assert mount["volume"] == {"subpath": name}
    assert service["depends_on"]["users"] == {"condition": "service_completed_successfully"}


def test_every_part_has_a_user_and_one_is_for_the_operator() -> None:
    """The list that the certificates' service is given."""
    command = SECURE["services"]["certificates"]["command"]
    assert command[3:] == [*USERS, "operator"]


def test_only_the_broker_itself_can_reach_the_listener_without_a_password() -> None:
    """It listens on the container's own loopback; the others speak TLS and ask for a password."""
    kafka = SECURE["services"]["kafka"]["environment"]
    protocols = dict(each.split(":") for each in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    listeners = dict(each.split("://") for each in kafka["KAFKA_LISTENERS"].split(","))
    assert listeners.keys() == protocols.keys()
    bare = {name for name, protocol in protocols.items() if protocol != "SASL_SSL"}
    assert all(listeners[name].startswith("localhost:") for name in bare)
    assert bare == {"LOCAL", "CONTROLLER"}
    assert SECURE["services"]["users"]["network_mode"] == "service:kafka"
    # The image takes its own way with a listener that is called so, and wants a keystore with a password then.
    assert "SSL://" not in kafka["KAFKA_ADVERTISED_LISTENERS"]


@pytest.mark.parametrize("name", ONCE)
def test_what_runs_once_may_do_little(name: str) -> None:
    """No capabilities, no new privileges, no port; an image that is there already; our scripts as they stand."""
    service = SECURE["services"][name]
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert "ports" not in service
    assert service["image"] in {each["image"] for each in COMPOSE["services"].values()}
    assert "./deploy/secure:/deploy:ro" in service["volumes"]
    script = next(word for word in " ".join(service["command"]).split() if word.startswith("/deploy/"))
    assert (REPOSITORY / script.replace("/deploy/", "deploy/secure/")).is_file()
