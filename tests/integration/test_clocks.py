"""Clocks that are wrong, for good or for a while, and the time that an alert has.

What is decided of clocks, and why: docs/decisions/0005-clock-ahead.md.
"""

import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from sensorbus.contract.messages import encode_reading, iso_timestamp
from sensorbus.contract.partitioning import partition_of
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from sensorbus.runtime import kafka
from sensorbus.runtime.clock import wall_clock_ms
from tests.support.command import run
from tests.support.jobs import THREE_JOBS, Jobs
from tests.support.parts import most_resident_bytes, resident_bytes
from tests.support.real_kafka import free_ports
from tests.support.topics import Record, produce, read_all, values
from tests.support.verifier import differences, expected_from_readings
from tests.support.waiting import wait_until

#: Devices of one partition, so that one's clock could close another's windows.
STEADY, AHEAD, REFUSED, IN_2100, IN_1970, AN_HOUR_BEHIND, SECONDS_BEHIND = [
    name for name in map("oven-{}".format, range(100)) if partition_of(name.encode(), kafka.EMBEDDED_PARTITIONS) == 0
][:7]
#: When the one reports, by its clock: right, 4 minutes ahead, set right, and as it reports 4 minutes later.
AHEAD_S = [*range(-60, -30), *range(240, 245), *range(-25, 0), *range(246, 263)]
START_OF_2100_S: Final = 4_102_444_800
#: What is promised: so much more a job may hold at its peak, whatever clocks say.
GROWS_AT_MOST_MB: Final = 50.0

_log = logging.getLogger(__name__)  # --log-cli-level=INFO shows what the jobs hold


def now_ms() -> int:
    """Return the time, in whole seconds."""
    return wall_clock_ms() // 1_000 * 1_000


def sent(begin_ms: int, device: str, seconds: Iterable[int]) -> list[Record]:
    """Return readings at these seconds from then, every second one hot."""
    times = [(second, iso_timestamp(begin_ms + second * 1_000)) for second in seconds]
    return [Record(device.encode(), encode_reading(device, time, 40.0 - 20 * (second % 2))) for second, time in times]


def of_wrong_clocks(begin_ms: int) -> list[Record]:
    """Return a minute of four devices whose clocks are wrong, of two of them for one reading in the middle."""
    seconds_as_ms = begin_ms // 1_000_000 - begin_ms // 1_000
    clocks = {
        IN_2100: [*range(-60, -30), START_OF_2100_S - begin_ms // 1_000, *range(-30, 0)],
        IN_1970: [*range(-60, -30), seconds_as_ms, *range(-30, 0)],
        AN_HOUR_BEHIND: range(-3_660, -3_600),
        SECONDS_BEHIND: range(-63, -3),
    }
    return [record for device, seconds in clocks.items() for record in sent(begin_ms, device, seconds)]


def rows(settings: Settings, topic: Topic, device: str) -> list[dict[str, Any]]:
    """Return what a topic holds of a device."""
    return [row for row in map(json.loads, values(settings, topic)) if row["device_id"] == device]


def starts_s(settings: Settings, begin_ms: int, device: str) -> list[int]:
    """Return the seconds from then at which the windows begin whose mean is told."""
    return [(row["start"] - begin_ms) // 1_000 for row in rows(settings, AVG_TEMP, device)]


def late(jobs: Jobs) -> float:
    """Return how many late readings job `avg-temp` tells of."""
    return sum(jobs.metrics("avg-temp", "sensorbus_job_late_total").values())


def test_clocks_that_are_wrong_and_one_that_is_ahead_and_set_right(fresh_settings: Settings, tmp_path: Path) -> None:
    """4 minutes ahead: mute in the windows for as long, and no longer; 6 minutes, 2100: not at all; 1970: late.

    Others of the partition notice nothing, nor does the memory of a job.
    """
    log = tmp_path / "log"
    with Jobs(fresh_settings, log, {"avg-temp": free_ports()[0]}) as jobs:
        jobs.start(*THREE_JOBS)
        begin_ms = now_ms()
        produce(fresh_settings, SENSOR, sent(begin_ms, AHEAD, AHEAD_S[:30]))
        jobs.settle(*THREE_JOBS)
        held = jobs.memory_mb(resident_bytes)
        produce(fresh_settings, SENSOR, sent(begin_ms, AHEAD, AHEAD_S[30:35]))
        produce(fresh_settings, SENSOR, sent(begin_ms, REFUSED, [*range(-60, -30), *range(360, 365)]))
        produce(fresh_settings, SENSOR, of_wrong_clocks(begin_ms))
        produce(fresh_settings, SENSOR, sent(begin_ms, STEADY, range(-60, 0)))
        produce(fresh_settings, SENSOR, sent(begin_ms, REFUSED, range(-30, 0)))
        produce(fresh_settings, SENSOR, sent(begin_ms, AHEAD, AHEAD_S[35:]))
        jobs.settle(*THREE_JOBS)
        wait_until(lambda: late(jobs) == 1 + len(range(-25, 0)), 10, "each late reading to be counted", log)
        most = jobs.memory_mb(most_resident_bytes)
        jobs.stop(*THREE_JOBS)
    _log.info("a job held %s MB, then %s MB at most", held, most)
    assert max(most[name] - held[name] for name in held) < GROWS_AT_MOST_MB, (held, most)
    times = [iso_timestamp(begin_ms + second * 1_000) for second in range(360, 365)]
    refused = [(REFUSED, time) for time in times] + [(IN_2100, iso_timestamp(START_OF_2100_S * 1_000))]
    assert [_name_and_time(value) for value in values(fresh_settings, DEAD_LETTER)] == refused
    starts = {device: starts_s(fresh_settings, begin_ms, device) for device in (STEADY, REFUSED, IN_2100, AHEAD)}
    assert starts[STEADY] == starts[REFUSED] == starts[IN_2100] == [*range(-69, -10)]
    assert starts[AHEAD] == [*range(-69, -30), *range(231, 253)]
    named = set(re.findall(r"a reading of (\S+), .* came after", log.read_text()))  # one line a second at most
    assert named
    assert named <= {AHEAD, IN_1970}
    assert len(rows(fresh_settings, ALERT, AHEAD)) == sum(second % 2 == 0 for second in AHEAD_S)
    good = [value for value in values(fresh_settings, SENSOR) if _name_and_time(value) not in refused]
    results = (values(fresh_settings, topic) for topic in (ALERT, ALERT_COUNT, AVG_TEMP))
    assert differences(expected_from_readings(good), *results) == []
    proof = run(fresh_settings, "verify")
    assert (proof.returncode, proof.stderr) == (0, ""), proof.stdout


def _name_and_time(value: bytes) -> tuple[str, str]:
    reading = json.loads(value)
    return reading["device_id"], reading["timestamp"]


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
