"""`sensorbus verify` over jobs that ran at least once and were killed: their repeats are real ones."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from sensorbus.contract.messages import encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR, Topic
from sensorbus.runtime.clock import wall_clock_ms
from tests.support.jobs import Jobs
from tests.support.parts import environment_of
from tests.support.topics import Record, produce, values
from tests.support.waiting import wait_until

DEVICES, SECONDS = 5, 20
NEVER_MS = 600_000
#: What the readings lead to: an alert each, five counts each, and a mean with each but a device's first.
WRITTEN = {
    ALERT: DEVICES * SECONDS,
    ALERT_COUNT: 5 * DEVICES * SECONDS,
    AVG_TEMP: DEVICES * (SECONDS - 1),
}


def run_verify(settings: Settings) -> tuple[int, dict[str, list[str]]]:
    """Return the command's exit code and its table: by topic, the verdict and the six numbers."""
    done = subprocess.run(
        [sys.executable, "-m", "sensorbus", "verify"],
        env=environment_of(settings, COLUMNS="200"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    rows = [line.split() for line in done.stdout.splitlines() if line.split()[:1] in (["ok"], ["FALSE"])]
    return done.returncode, {row[1]: [row[0], *row[2:]] for row in rows}


@pytest.fixture
def repeated(fresh_settings: Settings, tmp_path: Path) -> Settings:
    """Give a bus on which the jobs wrote all results, were killed before they committed any, and wrote them again."""
    name = None if fresh_settings.embedded_broker else "one"  # it gives a killed member's partitions to no namesake
    settings = fresh_settings.model_copy(update={"processing_guarantee": "at-least-once", "instance_id": name})
    begin_ms = wall_clock_ms() - 600_000
    readings = [
        (f"device-{device}", begin_ms + second * 1_000 + device, 40.0 + second)
        for second in range(SECONDS)
        for device in range(DEVICES)
    ]
    produce(
        settings,
        SENSOR,
        [Record(device.encode(), encode_reading(device, iso_timestamp(time_ms), c)) for device, time_ms, c in readings],
    )
    with Jobs(settings.model_copy(update={"commit_interval_ms": NEVER_MS}), tmp_path / "first") as first:
        first.start("all")
        for topic, number in WRITTEN.items():
            is_there = functools.partial(_has, settings, topic, number)
            wait_until(is_there, 45, f"{number} results on {topic.name}", first.log)
        first.kill("all")
    with Jobs(settings, tmp_path / "second") as second:
        second.start("all")
        second.settle("all", "all")  # the alerts are all there once the readings are read
        second.stop("all")
    return settings


def _has(settings: Settings, topic: Topic, number: int) -> bool:
    return len(values(settings, topic)) == number


@pytest.mark.slow
def test_repeats_are_duplicated_and_not_different(repeated: Settings) -> None:
    """Each result stands there twice: the table counts them as duplicated, says ok, and the exit code is 0."""
    code, table = run_verify(repeated)
    assert (code, {row[0] for row in table.values()}) == (0, {"ok"}), table
    for topic, number in WRITTEN.items():
        _, _, _, missing, different, duplicated, _ = table[topic.name]
        assert (topic.name, missing, different, duplicated) == (topic.name, "0", "0", f"{number:,}")
