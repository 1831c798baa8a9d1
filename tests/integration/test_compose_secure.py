"""The commands of deploy/secure/docker-compose.yml, run without Docker.

As they stand there.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from sensorbus.contract.settings import PREFIX, Settings
from sensorbus.contract.topics import ALERT
from tests.support import real_kafka
from tests.support.compose import SECURE, secure
from tests.support.needs import need
from tests.support.parts import REPOSITORY, Part
from tests.support.real_kafka import RealKafka, free_ports
from tests.support.shell import Shell
from tests.support.topics import read_all
from tests.support.waiting import wait_until

SERVICES: Final[dict[str, dict[str, Any]]] = secure()["services"]
#: Those that are enough to see a reading become an alert.
SHOWN: Final = ("topics", "simulator", "alert")
#: Of the broker's properties, those of this machine's own.
OURS: Final = {"log.dirs", "listeners", "advertised.listeners", "controller.quorum.voters", "ssl.keystore.location"}

pytestmark = [pytest.mark.real_kafka, pytest.mark.slow, pytest.mark.timeout(240)]


class ComposeKafka(RealKafka):
    """The service `kafka` as a process of this machine: its environment, read as the image reads it."""

    def __init__(self, home: Path, secrets: Path) -> None:
        """Listen where the service does, at ports of our own; `address` is the open listener."""
        super().__init__(home)
        environment: dict[str, str] = SERVICES["kafka"]["environment"]
        told = {property_of(name): value for name, value in environment.items() if name.startswith("KAFKA_")}
        controller = self._properties["controller.quorum.bootstrap.servers"]
        inside, outside = (f"127.0.0.1:{port}" for port in free_ports())
        here = {"LOCAL": self.address, "INSIDE": inside, "OUTSIDE": outside, "CONTROLLER": controller}
        names = [each.partition("://")[0] for each in told["listeners"].split(",")]
        listeners = ",".join(f"{name}://{here[name]}" for name in names)
        self._properties |= {name: value for name, value in told.items() if name not in OURS}
        self._properties |= {
            "listeners": listeners,
            "advertised.listeners": listeners,
            "ssl.keystore.location": told["ssl.keystore.location"].replace("/secrets", str(secrets / "kafka")),
        }
        self.inside = inside


def property_of(variable: str) -> str:
    """Return the broker's property that a variable of the image sets."""
    name = variable.removeprefix("KAFKA_").lower().replace("___", "-")
    return name.replace("_", ".")


def native(name: str, broker: ComposeKafka, folder: Path) -> Part:
    """Return a service of the file as a process of this machine, not yet started."""
    service = SERVICES[name]
    theirs = {
        variable: value.replace("/run/secrets/kafka", str(folder / "secrets" / name))
        for variable, value in service["environment"].items()
    }
    ours = {
        "SENSORBUS_KAFKA_BOOTSTRAP_SERVERS": broker.inside,
        "SENSORBUS_STATE_DIR": str(folder / f"state-{name}"),
        "SENSORBUS_OPS_PORT": "0",
    }
    inherited = {variable: value for variable, value in os.environ.items() if not variable.startswith(PREFIX)}
    command = [str(Path(sys.executable).with_name(service["command"][0])), *service["command"][1:]]
    return Part(command, inherited | theirs | ours, folder / f"{name}.log")


def make_secrets(folder: Path) -> Path:
    """Run the service `certificates`, twice: the second time it leaves everything as it is."""
    secrets = folder / "secrets"
    shell, script, _, *users = SERVICES["certificates"]["command"]
    command = [shell, script.replace("/deploy", str(SECURE.parent)), str(secrets), *users]
    secrets.mkdir()
    made = []
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        made.append({file: file.read_bytes() for file in secrets.rglob("*") if file.is_file()})
    assert made[0] == made[1]
    assert len({made[0][secrets / user / "password"] for user in users}) == len(users)
    assert not any(b"PRIVATE KEY" in content for file, content in made[0].items() if file.name != "kafka.pem")
    return secrets


def give_passwords(secrets: Path, broker: ComposeKafka, folder: Path) -> None:
    """Run the service `users` for those that are needed."""
    few = folder / "few"
    few.mkdir()
    for user in SHOWN:
        shutil.copy(secrets / "users" / user, few)
    (line,) = SERVICES["users"]["command"][2:]
    assert line.endswith(" exec sh /deploy/users.sh /secrets localhost:19094")
    command = shlex.join(["sh", str(SECURE.with_name("users.sh")), str(few), broker.address])
    with Shell(folder, dict(os.environ)) as shell:
        shell.run([command])


def test_the_files_describe_a_system_that_lets_nobody_in_without_a_password(tmp_path: Path) -> None:
    """Certificates and users once, then a reading becomes an alert; a stranger is refused, no password is logged."""
    need(real_kafka.why_not())
    secrets = make_secrets(tmp_path)
    with ComposeKafka(tmp_path / "kafka", secrets) as broker:
        give_passwords(secrets, broker, tmp_path)
        with native("topics", broker, tmp_path) as topics:
            topics.wait(0, within_s=30)
        with native("simulator", broker, tmp_path), native("alert", broker, tmp_path) as alert:
            bus = Settings(kafka_bootstrap_servers=broker.address)
            wait_until(lambda: read_all(bus, ALERT), 60, "an alert", alert.log)
        stranger = native("topics", broker, tmp_path)
        stranger.environment = {**stranger.environment, "SENSORBUS_KAFKA_SASL_USERNAME": "operator"}
        with stranger:
            wait_until(lambda: "refuses this user and password" in stranger.said(), 30, "a refusal", stranger.log)
    said = "".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert not any(file.read_text().strip() in said for file in (secrets / "users").iterdir())
    assert str(REPOSITORY) not in SECURE.read_text()
