"""The tutorial's own programs work against our topics: its producer feeds our jobs, its page shows our values."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, AVG_TEMP, SENSOR
from sensorbus.runtime import kafka
from tests.support.parts import Part, environment_of, part
from tests.support.topics import values
from tests.support.waiting import wait_until

TUTORIAL = Path(__file__).parents[1] / "support" / "tutorial"
READINGS = 130  # 13 s of them: an average window of 10 s closes
JOBS = ("alert", "alert-count", "avg-temp")


@pytest.fixture
def bus(real_kafka_address: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Give a bus on a real Kafka for a producer whose timestamps are naive and local."""
    prefix = f"tutorial-{request.node.callspec.params['topics']}-"
    return Settings(
        kafka_bootstrap_servers=real_kafka_address,
        topic_prefix=prefix,
        state_dir=tmp_path / "state",
        timestamp_zone="local",
    )


@pytest.fixture
def jobs(bus: Settings, tmp_path: Path) -> Iterator[None]:
    """Run our three jobs, which make the topics."""
    kafka.ensure_topics(bus, "test")
    with ExitStack() as stack:
        for job in JOBS:
            stack.enter_context(part(bus, tmp_path / job, "processors", job))
        yield


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize("topics", ["create", "use"])
def test_its_producer_feeds_our_jobs_and_its_page_shows_our_values(bus: Settings, tmp_path: Path, topics: str) -> None:
    """13 s of readings above the threshold: each is an alert, counts go up, averages lie between 31 and 34 °C."""
    address = bus.bootstrap_servers
    command = [sys.executable, str(TUTORIAL / "producer.py"), address, str(READINGS), topics, bus.topic_name(SENSOR)]
    with Part(command, environment_of(bus), tmp_path / "producer") as producer:
        producer.wait(0, within_s=60)
    wait_until(lambda: len(values(bus, ALERT)) == READINGS, 30, "an alert for each reading", tmp_path / "alert")
    wait_until(lambda: values(bus, AVG_TEMP), 30, "an average", tmp_path / "avg-temp")
    command = [sys.executable, str(TUTORIAL / "dashboard.py"), address, bus.topic_prefix]
    with Part(command, environment_of(bus), tmp_path / "page") as page:
        page.wait(0, within_s=60)
    shown = [json.loads(line) for line in page.said().splitlines() if line.startswith("{")]
    by_topic = {topic: [row["value"] for row in shown if row["topic"] == topic] for topic in ("sensor", "alert")}
    assert {row["device_id"] for row in shown} == {"machine-01"}
    assert len(by_topic["sensor"]) == len(by_topic["alert"]) == READINGS
    assert [round(celsius + 273.15, 2) for celsius in by_topic["sensor"]] == by_topic["alert"]
    counts = [row["value"] for row in shown if row["topic"] == "alert-count"]
    averages = [row["value"] for row in shown if row["topic"] == "avg-temp"]
    assert max(counts) in range(45, 52)
    assert averages
    assert all(31 <= celsius <= 34 for celsius in averages)
