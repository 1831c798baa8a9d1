"""The commands of docker-compose.yml, run as they stand there.

Without Docker, against a real Kafka.
"""

import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from tests.support.parts import REPOSITORY, Part, environment_of
from tests.support.real_kafka import free_ports
from tests.support.topics import read_all
from tests.support.waiting import wait_until

COMPOSE: dict[str, dict[str, Any]] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = {
    name: service
    for name, service in COMPOSE["services"].items()
    if service["image"].startswith("sensorbus:")  # the others are not ours
}
PARTS = [name for name in SERVICES if name != "topics"]
PORT_SETTINGS = ("SENSORBUS_OPS_PORT", "SENSORBUS_DASHBOARD_PORT")

pytestmark = pytest.mark.timeout(180)


class Containerless(Part):
    """A service of the file as a process of this machine, at ports of its own."""

    def __init__(self, name: str, settings: Settings, folder: Path) -> None:
        """Take command and environment from the file; only where things are is ours."""
        self.service = SERVICES[name]
        theirs: dict[str, str] = self.service["environment"]
        ports = dict(zip(PORT_SETTINGS, map(str, free_ports()), strict=True))
        self.ports = {theirs[setting]: port for setting, port in ports.items() if setting in theirs}
        ours = settings.model_copy(update={"state_dir": folder / name})
        environment = theirs | environment_of(ours) | {each: ports[each] for each in PORT_SETTINGS if each in theirs}
        super().__init__(native(self.service["command"]), environment, folder / f"{name}.log")

    def is_healthy(self) -> bool:
        """Run the file's own probe."""
        kind, *probe = self.service["healthcheck"]["test"]
        assert kind == "CMD"
        command = native(probe)
        for port, here in self.ports.items():
            command = [word.replace(f":{port}/", f":{here}/") for word in command]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def native(command: list[str]) -> list[str]:
    """Return the command with this environment's programs."""
    return [str(Path(sys.executable).with_name(command[0])), *command[1:]]


def has_records(settings: Settings, topic: Topic) -> bool:
    """Tell whether something stands in a topic."""
    return bool(read_all(settings, topic))


def test_the_file_describes_a_system_that_works(real_kafka_address: str, tmp_path: Path) -> None:
    """`topics` ends well; every part gets healthy by its probe, results come out, and each stops in its grace time."""
    settings = Settings(kafka_bootstrap_servers=real_kafka_address, topic_prefix="compose-")
    with Containerless("topics", settings, tmp_path) as topics:
        topics.wait(0, within_s=30)
    with ExitStack() as stack:
        parts = {name: stack.enter_context(Containerless(name, settings, tmp_path)) for name in PARTS}
        for name, part in parts.items():
            wait_until(part.is_healthy, 60, f"{name} to be healthy", part.log)
        for topic in (SENSOR, ALERT, ALERT_COUNT, AVG_TEMP):
            wait_until(partial(has_records, settings, topic), 60, f"a record in {topic.name}")
        assert not has_records(settings, DEAD_LETTER)
        for part in parts.values():
            part.stop(within_s=float(part.service["stop_grace_period"].removesuffix("s")))
