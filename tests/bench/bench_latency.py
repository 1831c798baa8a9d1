"""How soon a result is seen.

From the reading that leads to it until a `read_committed` reader has it.

`python -m tests.bench.bench_latency [--devices 1000] [--seconds 20] [--hot 0.1 1.0] [--commit-ms 150 250]
[--guarantee exactly-once] [--kafka HOST:PORT]`

Each device reports once a second, spread over the second, in real time; the three jobs run as they are deployed, on a
real Kafka, once exactly once and once at least once, with some readings alerts and with all of them (a storm). Told
are the alert, the first count of its newest window, and the mean of the window that the reading closes; CPU is that
of each job as a share of one core. The seconds in which the jobs start and their windows fill are left out.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from confluent_kafka import OFFSET_END, Consumer, TopicPartition
from rich.console import Console
from rich.table import Table

from sensorbus import records
from sensorbus.contract.messages import encode_reading, iso_timestamp, parse_alert, parse_alert_count, parse_avg_temp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR, Topic
from sensorbus.runtime import kafka
from sensorbus.runtime.clock import wall_clock_ms
from tests.bench.job_process import JobProcess, job_process
from tests.support.jobs import THREE_JOBS
from tests.support.real_kafka import RealKafka
from tests.support.topics import Record, produce

_GUARANTEES: Final = ("exactly-once", "at-least-once")
_STARTED_WITHIN_S: Final = 180
_TOPICS: Final = (ALERT, ALERT_COUNT, AVG_TEMP)
_HOT_CELSIUS, _COLD_CELSIUS = 40.0, 20.0
_TURN_S: Final = 0.005


@dataclass
class Seen:
    """Delays in ms by topic, and how many records came."""

    delays_ms: dict[str, list[float]] = field(default_factory=lambda: {topic.name: [] for topic in _TOPICS})
    records: int = 0


@dataclass
class Run:
    """What one run is made of."""

    settings: Settings
    devices: int
    seconds: int
    hot: float
    begin_ms: int = 0  # of the first second, and of every window


def main() -> None:
    """Run each kind in turn and print the table; exit code 1 when a result that was due was not seen."""
    parser = argparse.ArgumentParser(description="Delay until results are visible.")
    parser.add_argument("--devices", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--hot", type=float, nargs="+", default=[0.1, 1.0])
    parser.add_argument("--commit-ms", type=int, nargs="+", default=[Settings().commit_interval_ms])
    parser.add_argument("--guarantee", nargs="+", choices=_GUARANTEES, default=_GUARANTEES)
    parser.add_argument("--kafka", help="address of a real Kafka; without, one is started")
    arguments = parser.parse_args()
    table = Table("guarantee", "commit ms", "hot", "result", "number", "p50 ms", "p99 ms", "max ms", "CPU % of a core")
    unseen = 0
    with tempfile.TemporaryDirectory() as home, ExitStack() as stack:
        address = arguments.kafka or stack.enter_context(RealKafka(Path(home) / "kafka")).address
        kinds = itertools.product(arguments.guarantee, arguments.hot, arguments.commit_ms)
        for guarantee, hot, commit_ms in kinds:
            prefix = f"bench{uuid.uuid4().hex[:8]}-"
            settings = Settings(
                kafka_bootstrap_servers=address,
                topic_prefix=prefix,
                processing_guarantee=guarantee,
                commit_interval_ms=commit_ms,
            )
            run = Run(settings, arguments.devices, arguments.seconds, hot)
            unseen += _measure(run, Path(home) / prefix, table)
    Console(width=120).print(table)
    sys.exit(f"{unseen} results that were due were not seen" if unseen else 0)


def _measure(run: Run, home: Path, table: Table) -> int:
    """Add the rows of a run; return how many results were due that nobody saw: they would make the others look good."""
    home.mkdir()
    kafka.ensure_topics(run.settings, "bench")
    jobs = [job_process(job, run.settings, home) for job in THREE_JOBS]  # each has a folder of its own in the state's
    seen, stop = Seen(), threading.Event()
    with ExitStack() as stack:
        for job in jobs:
            stack.enter_context(job.part)
        _wait_until_all_read(run, jobs)
        run.begin_ms = (wall_clock_ms() // 1_000 + 1) * 1_000
        reader = threading.Thread(target=_read, args=(run, seen, stop))
        reader.start()
        used = _feed(run, jobs)
        stop.set()
        reader.join()
        for job in jobs:
            job.part.stop()
    unseen = 0
    for job, topic in zip(jobs, _TOPICS, strict=True):
        delays_ms = sorted(seen.delays_ms[topic.name])
        numbers = (f"{len(delays_ms):,}", *_delays(delays_ms), f"{used[job.job]:.0f}")
        kind = (run.settings.processing_guarantee, str(run.settings.commit_interval_ms), f"{run.hot:.0%}")
        table.add_row(*kind, topic.name, *numbers)
        unseen += max(0, _due(run, topic) - len(delays_ms))
    return unseen


def _due(run: Run, topic: Topic) -> int:
    """Return how many delays the seconds that count must have given: a mean of each reading, the others of an alert."""
    counted_from_ms = run.begin_ms + _warm_s(run) * 1_000
    counted = [celsius for event_time_ms, _, celsius in _readings(run) if event_time_ms >= counted_from_ms]
    return len(counted) if topic is AVG_TEMP else counted.count(_HOT_CELSIUS)


def _delays(delays_ms: list[float]) -> tuple[str, str, str]:
    """Return p50, p99 and the longest in words; of fewer than two, as of alerts where no reading is hot, dashes."""
    if len(delays_ms) < 2:  # a quantile lies between two
        return ("-", "-", "-")
    percentiles = statistics.quantiles(delays_ms, n=100)
    return (f"{percentiles[49]:.0f}", f"{percentiles[98]:.0f}", f"{delays_ms[-1]:.0f}")


def _wait_until_all_read(run: Run, jobs: list[JobProcess]) -> None:
    """Write one alert of long ago, which is told before the seconds that count, and wait until each job had it."""
    device_id, long_ago_ms = "device-00000", wall_clock_ms() - 3_600_000
    value = encode_reading(device_id, iso_timestamp(long_ago_ms), _HOT_CELSIUS)
    produce(run.settings, SENSOR, [Record(device_id.encode(), value)])
    for job in jobs:
        job.wait_for(1, _STARTED_WITHIN_S)


def _feed(run: Run, jobs: list[JobProcess]) -> dict[str, float]:
    """Write the readings when they are due; return the CPU of each job over the seconds that count, in percent."""
    producer = kafka.producer(run.settings, "bench", **{"linger.ms": 0})
    name = run.settings.topic_name(SENSOR)
    begun_cpu_s: dict[str, float] = {}
    counted_from_ms = run.begin_ms + _warm_s(run) * 1_000
    for event_time_ms, device_id, celsius in _readings(run):
        while (ahead_s := (event_time_ms - time.time() * 1_000) / 1_000) > 0:
            producer.poll(0)
            time.sleep(min(ahead_s, _TURN_S))
        if not begun_cpu_s and event_time_ms >= counted_from_ms:
            begun_cpu_s = {job.job: job.cpu_s() for job in jobs}
        producer.produce(name, encode_reading(device_id, iso_timestamp(event_time_ms), celsius), device_id.encode())
    used = {job.job: (job.cpu_s() - begun_cpu_s[job.job]) / run.seconds * 100 for job in jobs}
    producer.flush(10)
    time.sleep(2)  # until the last results are visible
    return used


def _warm_s(run: Run) -> int:
    """Return the seconds before those that count, in which the windows fill."""
    return run.settings.avg_temp_length_ms // 1_000 + 2


def _readings(run: Run) -> Iterator[tuple[int, str, float]]:
    for second in range(_warm_s(run) + run.seconds):
        for device in range(run.devices):
            celsius = _HOT_CELSIUS if (device * 7 + second) % 100 < run.hot * 100 else _COLD_CELSIUS
            yield run.begin_ms + second * 1_000 + device * 1_000 // run.devices, f"device-{device:05d}", celsius


def _read(run: Run, seen: Seen, stop: threading.Event) -> None:
    """Take the results as they come; the time of a device's reading is known from its name and second."""
    consumer: Consumer = kafka.consumer(run.settings, "bench", **{"fetch.wait.max.ms": 10})
    places = [place for topic in _TOPICS for place in records.partitions(run.settings, consumer, topic)]
    consumer.assign([TopicPartition(place.topic, place.partition, OFFSET_END) for place in places])
    topics = {run.settings.topic_name(topic): topic for topic in _TOPICS}
    told: set[tuple[str, int]] = set()
    while not stop.is_set():
        for message in consumer.consume(1_000, 0.01):
            now_ms = time.time() * 1_000
            seen.records += 1
            sent_ms = _sent_ms(run, topics[message.topic()], message.value(), told)
            if sent_ms is not None and sent_ms >= run.begin_ms + _warm_s(run) * 1_000:
                seen.delays_ms[topics[message.topic()].name].append(now_ms - sent_ms)
    consumer.close()


def _sent_ms(run: Run, topic: Topic, value: bytes, told: set[tuple[str, int]]) -> int | None:
    """Return the time of the reading that a result comes from; None: of another than the one that is looked at."""
    if topic is ALERT:
        return parse_alert(value, wall_clock_ms(), run.settings.time_rules).event_time_ms
    if topic is AVG_TEMP:  # the first reading of the device from the window's end on closes it
        mean = parse_avg_temp(value)
        return mean.end_ms + _offset_ms(run, mean.device_id)
    count = parse_alert_count(value)
    if count.alert_count != 1 or (count.device_id, count.start_ms) in told:
        return None
    told.add((count.device_id, count.start_ms))
    newest_ms = count.start_ms + _offset_ms(run, count.device_id)
    return newest_ms if _is_hot(run, count.device_id, newest_ms) else None


def _offset_ms(run: Run, device_id: str) -> int:
    return int(device_id.removeprefix("device-")) * 1_000 // run.devices


def _is_hot(run: Run, device_id: str, event_time_ms: int) -> bool:
    second = (event_time_ms - run.begin_ms) // 1_000
    return (int(device_id.removeprefix("device-")) * 7 + second) % 100 < run.hot * 100


if __name__ == "__main__":
    main()
