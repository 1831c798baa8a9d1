"""What a job costs with more devices, and with more partitions.

CPU per reading, memory, state, and its next start after kill -9.

`python -m tests.bench.bench_growth [--devices 1000 10000 100000] [--partitions 4 16 64] [--readings 1200000]
[--job avg-temp]`

The same number of readings each time (of `alert-count`: alerts), so that the devices alone differ; 12 of each device at
least, for its windows to be open and closed. The job is a process as it is deployed, exactly once with an instance id,
on a real Kafka (one is started here if no address is given). It reads a backlog, which is its dearest hour: what it
holds between two commits is largest then. CPU counts from its first record to its last; the start is told by itself.
"""

import argparse
import itertools
import math
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from sensorbus.contract.messages import Reading, alert_from_reading, encode_alert, encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT
from sensorbus.contract.units import kelvin_from_celsius
from sensorbus.runtime import kafka
from tests.bench.job_process import JobProcess, folder_mb, job_process
from tests.support.jobs import INPUTS, THREE_JOBS, Jobs
from tests.support.real_kafka import RealKafka
from tests.support.topics import Record, produce

_START_MS: Final = 1_769_860_800_000
_READ_WITHIN_S: Final = 900.0
_AFTERWARDS: Final = 1_000


class Start(NamedTuple):
    """A start after kill -9: seconds and CPU seconds from the process's beginning to its first record."""

    seconds: float
    cpu_s: float


class Growth(NamedTuple):
    """One run."""

    devices: int
    partitions: int
    cpu_s_per_million: float
    readings_per_s: float
    peak_mb: float
    state_mb: float
    with_state: Start
    without_state: Start


def main() -> None:
    """Run the sizes in the order given, and print the table."""
    parser = argparse.ArgumentParser(description="A job's cost by the number of devices and of partitions.")
    parser.add_argument("--devices", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--partitions", type=int, nargs="+", default=[4])
    parser.add_argument("--readings", type=int, default=1_200_000)
    parser.add_argument("--job", choices=THREE_JOBS, default="avg-temp")
    parser.add_argument("--kafka", help="address of a real Kafka; without, one is started")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        address = arguments.kafka or stack.enter_context(RealKafka(Path(home) / "kafka")).address
        runs = []
        for devices, partitions in itertools.product(arguments.devices, arguments.partitions):
            folder = Path(home) / f"{devices}-{partitions}"
            folder.mkdir()
            settings = _empty_bus(address, partitions)
            runs.append(_measure(arguments.job, settings, folder, devices, arguments.readings))
            shutil.rmtree(folder)
    _report(arguments.job, arguments.readings, runs)


def _empty_bus(address: str, partitions: int) -> Settings:
    settings = Settings(
        kafka_bootstrap_servers=address,
        topic_prefix=f"bench{uuid.uuid4().hex[:8]}-",
        topic_partitions=partitions,
        instance_id="bench",
    )
    kafka.ensure_topics(settings, "bench")
    return settings


def _measure(job: str, settings: Settings, home: Path, devices: int, readings: int) -> Growth:
    seconds = math.ceil(readings / devices)
    produce(settings, INPUTS[job][0], _records(job, devices, 0, seconds, readings))
    process = job_process(job, settings, home)
    with process.part:
        process.wait_for(1, 120)
        begun_s, begun_cpu_s, before = time.monotonic(), process.cpu_s(), process.records()
        process.wait_for(readings, _READ_WITHIN_S)
        read = readings - before
        pace = read / (time.monotonic() - begun_s)
        cpu_s = (process.cpu_s() - begun_cpu_s) * 1e6 / read
        Jobs(settings, process.part.log).settle(job, within_s=120)
        peak_mb, state_mb = process.peak_mb(), folder_mb(process.settings.state_dir)
        process.part.kill()
    with_state = _start_again(process, devices, seconds)
    shutil.rmtree(process.settings.state_dir)
    without_state = _start_again(process, devices, seconds + 1)
    return Growth(devices, settings.topic_partitions, cpu_s, pace, peak_mb, state_mb, with_state, without_state)


def _start_again(process: JobProcess, devices: int, second: int) -> Start:
    """Write a thousand records, start it, measure until it reads them, let it commit, and kill it."""
    topic = INPUTS[process.job][0]
    produce(process.settings, topic, _records(process.job, devices, second, 1, _AFTERWARDS))
    begun_s = time.monotonic()
    with process.part:
        process.wait_for(1, 300)
        start = Start(time.monotonic() - begun_s, process.cpu_s())
        Jobs(process.settings, process.part.log).settle(process.job, within_s=120)
        process.part.kill()
    return start


def _records(job: str, devices: int, first: int, seconds: int, most: int) -> Iterator[Record]:
    """Yield a record of each device and second, in order, as the job reads it."""
    for number in range(min(devices * seconds, most)):
        second, device = divmod(number, devices)
        event_time_ms = _START_MS + (first + second) * 1_000 + device % 1_000
        name = f"device-{device:06d}"
        reading = Reading(name, iso_timestamp(event_time_ms), event_time_ms, 30.0 + device * 7 % 90 / 10)
        if INPUTS[job][0] is ALERT:
            value = encode_alert(alert_from_reading(reading, kelvin_from_celsius(reading.celsius)))
        else:
            value = encode_reading(name, reading.timestamp, reading.celsius - 10)
        yield Record(name.encode(), value)


def _report(job: str, readings: int, runs: list[Growth]) -> None:
    columns = ("devices", "partitions", "CPU s per million", "ratio", "readings/s", "peak MB", "state MB")
    starts_of = ("kill -9, then: s (CPU s)", "state lost, then: s (CPU s)")
    table = Table(*columns, *starts_of, title=f"{job}, {readings:,} readings")
    for run in runs:
        starts = [f"{start.seconds:.1f} ({start.cpu_s:.1f})" for start in (run.with_state, run.without_state)]
        ratio = f"{run.cpu_s_per_million / runs[0].cpu_s_per_million:.2f}"
        sizes = (f"{run.readings_per_s:,.0f}", f"{run.peak_mb:,.0f}", f"{run.state_mb:,.1f}")
        table.add_row(f"{run.devices:,}", f"{run.partitions}", f"{run.cpu_s_per_million:.1f}", ratio, *sizes, *starts)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
