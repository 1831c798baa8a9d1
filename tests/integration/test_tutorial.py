"""The tutorial's own programs work against our topics.

Its producer feeds our jobs and our page, its page shows our values.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, AVG_TEMP, SENSOR
from sensorbus.runtime import kafka
from tests.support.dashboards import Dashboard, dashboard
from tests.support.parts import Part, environment_of, part
from tests.support.real_kafka import free_ports
from tests.support.ticks import get
from tests.support.topics import values
from tests.support.waiting import wait_until

_TUTORIAL: Final = Path(__file__).parents[1] / "support" / "tutorial"
_READINGS: Final = 130  # 13 s of them: an average window of 10 s closes
_JOBS: Final = ("alert", "alert-count", "avg-temp")
#: A producer that creates its topic and one that does not, both at once: each is one device.
_PRODUCERS: Final = {"machine-01": "create", "machine-02": "use"}


class Bus(NamedTuple):
    """A bus and the address that other programs are told."""

    settings: Settings
    public_address: str


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=[pytest.mark.embedded, pytest.mark.slow]),
        pytest.param("real", marks=pytest.mark.real_kafka),
    ]
)
def bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bus]:
    """Give a bus for producers whose timestamps are naive and local; on the embedded broker as `up` runs it."""
    with ExitStack() as stack:
        settings = Settings(state_dir=tmp_path / "state", timestamp_zone="local")
        if request.param == "real":
            address = request.getfixturevalue("real_kafka_address")
            changes: dict[str, Any] = {"kafka_bootstrap_servers": address, "topic_prefix": "tutorial-"}
        else:
            broker = stack.enter_context(EmbeddedBroker(port=free_ports()[0]))
            address = broker.public_address
            changes = {"kafka_bootstrap_servers": broker.address, "embedded_broker": True}
        yield Bus(settings.model_copy(update=changes), address)


@pytest.fixture
def page(bus: Bus, tmp_path: Path) -> Iterator[Dashboard]:
    """Run our three jobs, which make the topics, and our page."""
    kafka.ensure_topics(bus.settings, "test")
    with ExitStack() as stack:
        for job in _JOBS:
            stack.enter_context(part(bus.settings, tmp_path / job, "processors", job))
        shown = dashboard(bus.settings, tmp_path)
        stack.enter_context(shown.part)
        shown.wait_ready()
        yield shown


def test_its_producer_feeds_our_jobs_and_page_and_its_page_shows_our_values(
    bus: Bus, page: Dashboard, tmp_path: Path
) -> None:
    """13 s of readings above the threshold: each is an alert, counts go up, averages lie between 31 and 34 °C."""
    sent = _READINGS * len(_PRODUCERS)
    with ExitStack() as stack:
        producers = [stack.enter_context(_producer(bus, device, tmp_path)) for device in _PRODUCERS]
        for producer in producers:
            producer.wait(0, within_s=60)
    wait_until(lambda: len(values(bus.settings, ALERT)) == sent, 30, "an alert for each reading", tmp_path / "alert")
    wait_until(lambda: _averaged(bus.settings) == set(_PRODUCERS), 30, "averages", tmp_path / "avg-temp")
    ours = json.loads(get(f"{page.root}/api/v1/devices")[1])["devices"]
    assert {device["device_id"]: device["kelvin"] > 303 for device in ours} == dict.fromkeys(_PRODUCERS, True)
    _check_what_its_page_shows(_shown_by_its_page(bus, tmp_path), sent)


def _producer(bus: Bus, device: str, folder: Path) -> Part:
    command = [sys.executable, str(_TUTORIAL / "producer.py"), bus.public_address, str(_READINGS), _PRODUCERS[device]]
    command += [bus.settings.topic_name(SENSOR), device]
    return Part(command, environment_of(bus.settings), folder / device)


def _averaged(settings: Settings) -> set[str]:
    return {json.loads(value or b"")["device_id"] for value in values(settings, AVG_TEMP)}


def _shown_by_its_page(bus: Bus, folder: Path) -> list[dict[str, Any]]:
    command = [sys.executable, str(_TUTORIAL / "dashboard.py"), bus.public_address, bus.settings.topic_prefix]
    with Part(command, environment_of(bus.settings), folder / "page") as page:
        page.wait(0, within_s=60)
    return [json.loads(line) for line in page.said().splitlines() if line.startswith("{")]


def _check_what_its_page_shows(shown: list[dict[str, Any]], sent: int) -> None:
    assert {row["device_id"] for row in shown} == set(_PRODUCERS)
    by_topic = {topic: [row["value"] for row in shown if row["topic"] == topic] for topic in ("sensor", "alert")}
    assert len(by_topic["sensor"]) == len(by_topic["alert"]) == sent
    assert sorted(round(celsius + 273.15, 2) for celsius in by_topic["sensor"]) == sorted(by_topic["alert"])
    counts = [row["value"] for row in shown if row["topic"] == "alert-count"]
    averages = [row["value"] for row in shown if row["topic"] == "avg-temp"]
    assert max(counts) in range(45, 52)
    assert averages
    assert all(31 <= celsius <= 34 for celsius in averages)
