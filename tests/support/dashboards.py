"""Dashboards as they are deployed.

gunicorn as a child process, on a port of its own.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.messages import encode_reading, iso_timestamp, parse_reading
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import kafka
from tests.support.parts import Part, child_pids, part
from tests.support.real_kafka import free_ports
from tests.support.ticks import Ticker, get
from tests.support.topics import Record, produce, read_all
from tests.support.waiting import wait_until

_ASKED_PER_WORKER: Final = 10
_READY_WITHIN_S: Final = 30.0
#: An event time that all tests may start from; the rings go by append time.
START_MS: Final = 1_769_860_800_000


@dataclass
class Dashboard:
    """A dashboard that is not started yet; `with dashboard.part:` runs it."""

    settings: Settings
    part: Part

    @property
    def url(self) -> str:
        """Return the page's address."""
        return f"{self.root}{self.settings.dashboard_url_prefix}"

    @property
    def root(self) -> str:
        """Return where the probes are, whatever the page's prefix is."""
        return f"http://127.0.0.1:{self.settings.dashboard_port}"

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Return what /readyz says: the status, and the reasons by name."""
        status, text = get(f"{self.root}/readyz")
        return status, json.loads(text)["reasons"] if status else {}

    def wait_ready(self, within_s: float = _READY_WITHIN_S) -> float:
        """Wait until it is ready, each of its workers; return the seconds that took."""
        workers = self.settings.dashboard_workers
        asked = 1 if workers == 1 else _ASKED_PER_WORKER * workers  # the kernel chooses which one answers

        def is_ready() -> bool:
            return all(self.ready()[0] == 200 for _ in range(asked))

        return wait_until(is_ready, within_s, "the dashboard to be ready", self.part.log)

    def wait_listening(self) -> None:
        """Wait until it answers at all: with sign-in its readiness is not told to everybody."""
        wait_until(lambda: get(f"{self.root}/healthz")[0] == 200, _READY_WITHIN_S, "the dashboard", self.part.log)

    def ticker(self) -> Ticker:
        """Return a browser that has not asked yet."""
        return Ticker(self.url)

    def worker_pids(self) -> list[int]:
        """Return the worker processes of the running dashboard."""
        assert self.part.process is not None
        return child_pids(self.part.process.pid)


def dashboard(settings: Settings, folder: Path, **changes: object) -> Dashboard:
    """Return a dashboard of a bus on a free port; `changes` are more settings."""
    own = settings.model_copy(update={"dashboard_port": free_ports()[0], **changes})
    # A killed gunicorn leaves the folder of its metrics behind: here, and not among the system's.
    return Dashboard(own, part(own, folder / "dashboard.log", "dashboard_app", TMPDIR=str(folder)))


def send_readings(settings: Settings, first: int, count: int, devices: int = 5) -> list[tuple[str, int, float]]:
    """Write readings number `first` to `first + count` and return them as a tick shows them."""
    numbers = range(first, first + count)
    sent = [(f"device-{number % devices}", START_MS + number, 20.0 + number % 100 / 10) for number in numbers]
    values = ((device, encode_reading(device, iso_timestamp(time_ms), celsius)) for device, time_ms, celsius in sent)
    produce(settings, SENSOR, (Record(device.encode(), value) for device, value in values))
    return sent


def written_readings(settings: Settings) -> list[tuple[str, int, float]]:
    """Return the readings that stand in the topic as a tick shows them, partition by partition in their order."""
    found = []
    for message in read_all(settings, SENSOR):
        with suppress(InvalidMessageError):
            reading = parse_reading(message.value(), message.timestamp()[1], settings.time_rules)
            found.append((reading.device_id, reading.event_time_ms, reading.celsius))
    return found


@contextmanager
def fed_bus(folder: Path, readings: int, devices: int = 5) -> Iterator[Settings]:
    """Run an embedded broker with topics and readings, and give the settings of its bus."""
    with EmbeddedBroker() as broker:
        settings = Settings(kafka_bootstrap_servers=broker.address, embedded_broker=True, state_dir=folder)
        kafka.ensure_topics(settings, "test")
        send_readings(settings, 0, readings, devices)
        yield settings
