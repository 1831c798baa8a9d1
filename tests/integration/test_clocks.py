"""A clock that is ahead and is set right, and whose time an alert has.

What is decided of clocks, and why: docs/decisions/0005-clock-ahead.md.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sensorbus.contract.messages import encode_reading, iso_timestamp
from sensorbus.contract.partitioning import partition_of
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from sensorbus.runtime import kafka
from sensorbus.runtime.clock import wall_clock_ms
from tests.support.command import run
from tests.support.jobs import THREE_JOBS, Jobs
from tests.support.real_kafka import free_ports
from tests.support.topics import Record, produce, read_all, values
from tests.support.verifier import differences, expected_from_readings
from tests.support.waiting import wait_until

#: Devices of one partition, so that one's clock could close another's windows.
STEADY, AHEAD, REFUSED = [
    name for name in map("oven-{}".format, range(100)) if partition_of(name.encode(), kafka.EMBEDDED_PARTITIONS) == 0
][:3]
#: When the one reports, by its clock: right, 4 minutes ahead, set right, and as it reports 4 minutes later.
AHEAD_S = [*range(-60, -30), *range(240, 245), *range(-25, 0), *range(246, 263)]


def now_ms() -> int:
    """Return the time, in whole seconds."""
    return wall_clock_ms() // 1_000 * 1_000


def sent(begin_ms: int, device: str, seconds: Iterable[int]) -> list[Record]:
    """Return readings at these seconds from then, every second one hot."""
    times = [(second, iso_timestamp(begin_ms + second * 1_000)) for second in seconds]
    return [Record(device.encode(), encode_reading(device, time, 40.0 - 20 * (second % 2))) for second, time in times]


def rows(settings: Settings, topic: Topic, device: str) -> list[dict[str, Any]]:
    """Return what a topic holds of a device."""
    return [row for row in map(json.loads, values(settings, topic)) if row["device_id"] == device]


def starts_s(settings: Settings, begin_ms: int, device: str) -> list[int]:
    """Return the seconds from then at which the windows begin whose mean is told."""
    return [(row["start"] - begin_ms) // 1_000 for row in rows(settings, AVG_TEMP, device)]


def late(jobs: Jobs) -> float:
    """Return how many late readings job `avg-temp` tells of."""
    return sum(jobs.metrics("avg-temp", "sensorbus_job_late_total").values())


def test_a_clock_that_is_ahead_and_set_right(fresh_settings: Settings, tmp_path: Path) -> None:
    """4 minutes: mute in the windows for as long, and no longer; 6 minutes: not at all. Others notice nothing."""
    log = tmp_path / "log"
    with Jobs(fresh_settings, log, {"avg-temp": free_ports()[0]}) as jobs:
        jobs.start(*THREE_JOBS)
        begin_ms = now_ms()
        produce(fresh_settings, SENSOR, sent(begin_ms, AHEAD, AHEAD_S[:35]))
        produce(fresh_settings, SENSOR, sent(begin_ms, REFUSED, [*range(-60, -30), *range(360, 365)]))
        produce(fresh_settings, SENSOR, sent(begin_ms, STEADY, range(-60, 0)))
        produce(fresh_settings, SENSOR, sent(begin_ms, REFUSED, range(-30, 0)))
        produce(fresh_settings, SENSOR, sent(begin_ms, AHEAD, AHEAD_S[35:]))
        jobs.settle(*THREE_JOBS)
        wait_until(lambda: late(jobs) == len(range(-25, 0)), 10, "each late reading to be counted, and no other", log)
        jobs.stop(*THREE_JOBS)
    refused = [json.loads(value) for value in values(fresh_settings, DEAD_LETTER)]
    times = [iso_timestamp(begin_ms + second * 1_000) for second in range(360, 365)]
    assert [(row["device_id"], row["timestamp"]) for row in refused] == [(REFUSED, time) for time in times]
    starts = {device: starts_s(fresh_settings, begin_ms, device) for device in (STEADY, REFUSED, AHEAD)}
    assert starts[STEADY] == starts[REFUSED] == [*range(-69, -10)]
    assert starts[AHEAD] == [*range(-69, -30), *range(231, 253)]
    assert f"a reading of {AHEAD}" in log.read_text()
    assert len(rows(fresh_settings, ALERT, AHEAD)) == sum(second % 2 == 0 for second in AHEAD_S)
    good = [value for value in values(fresh_settings, SENSOR) if json.loads(value)["timestamp"] not in times]
    results = (values(fresh_settings, topic) for topic in (ALERT, ALERT_COUNT, AVG_TEMP))
    assert differences(expected_from_readings(good), *results) == []
    proof = run(fresh_settings, "verify")
    assert (proof.returncode, proof.stderr) == (0, ""), proof.stdout


def test_the_time_of_an_alert_is_its_own_where_kafka_gives_it(fresh_settings: Settings, tmp_path: Path) -> None:
    """Else its reading's: what the delay of job `alert-count` begins with."""
    produce(fresh_settings, SENSOR, sent(now_ms(), STEADY, range(-60, 0)))
    with Jobs(fresh_settings, tmp_path / "log") as jobs:
        jobs.start("alert")  # a second or more after the last reading, of which an alert of its own time is told
        jobs.settle("alert")
        jobs.stop("alert")
    read_ms = times_ms(fresh_settings, SENSOR)
    waited_ms = [time_ms - read_ms[timestamp] for timestamp, time_ms in times_ms(fresh_settings, ALERT).items()]
    assert len(waited_ms) == len(range(-60, 0, 2))
    if fresh_settings.embedded_broker:
        assert set(waited_ms) == {0}
    else:
        assert min(waited_ms) > 100


def times_ms(settings: Settings, topic: Topic) -> dict[str, int]:
    """Return the record times of what stands in a topic, by the timestamp of the reading."""
    return {json.loads(m.value() or b"")["timestamp"]: m.timestamp()[1] for m in read_all(settings, topic)}
