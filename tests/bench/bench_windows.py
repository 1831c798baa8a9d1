"""What a reading costs.

Our jobs beside Quix's own windows, a plain loop, and Quix doing nothing.

`python -m tests.bench.bench_windows [--readings 100000] [--rounds 5] [--hot 0.05] [--real | --kafka HOST:PORT]
[--only TEXT]`

Every run has topics of its own with the same seeded readings of 1000 devices, and a process of its own. CPU is that
process's, user and system, from the start of the loop to its end. Contenders take turns; the table has medians, and
ratios to the first of each job, both ways. Those that do the same job must give the same results, in every round: of
windows those of the first, alerts those that are computed here. `--hot 1` is a storm: every reading is an alert.
On the embedded broker our jobs run at least once; on a real Kafka (`--real` starts one) exactly once. A contender that
cannot run here is named with the reason.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.messages import Alert, encode_alert, encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings, load
from sensorbus.contract.topics import ALERT, AVG_TEMP, SENSOR, Topic
from sensorbus.runtime import kafka
from tests.bench.contenders import CONTENDERS, Contender
from tests.support.parts import environment_of
from tests.support.real_kafka import RealKafka
from tests.support.topics import Record, produce, read_all

DEVICES: Final = 1_000
_START_MS: Final = 1_769_860_800_000
_HOTTER_CELSIUS: Final = 10  # above the threshold, whatever it was before
_THRESHOLD_KELVIN: Final = 303.0
_RELATIVE_TOLERANCE: Final = 1e-6
_SHOWN: Final = 3


#: The last value of each key and window (its start in ms), or the kelvin of each alert by its key and time.
Values = dict[tuple[bytes, int], float]


class Stream(NamedTuple):
    """What all contenders are given: so many readings, of which this share is above the threshold."""

    readings: int
    hot: float = 0.05


class Cost(NamedTuple):
    """One run: its CPU and pace, and how many windows or alerts it gave."""

    cpu_s_per_million: float
    readings_per_s: float
    results: int


def main() -> None:
    """Run the contenders in turn and print the table; exit code 1 when results differ."""
    parser = argparse.ArgumentParser(description="CPU seconds per million readings.")
    parser.add_argument("--readings", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hot", type=float, default=0.05, help="share of the readings that are alerts; 1: a storm")
    parser.add_argument("--kafka", help="address of a real Kafka; the embedded broker without")
    parser.add_argument("--real", action="store_true", help="start a real Kafka for it")
    parser.add_argument("--only", default="", help="contenders with this in their name")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _run_child(arguments.child, arguments.readings)
        return
    with tempfile.TemporaryDirectory() as home, broker(Path(home), arguments) as address:
        names = list(_able(arguments.only, is_real=address is not None))
        costs, wrong = _compare(names, Stream(arguments.readings, arguments.hot), arguments.rounds, address)
    _report(costs)
    for line in wrong:
        Console().print(line, highlight=False, markup=False, soft_wrap=True)
    sys.exit(1 if wrong else 0)


def _compare(
    names: Sequence[str], stream: Stream, rounds: int, address: str | None
) -> tuple[dict[str, list[Cost]], list[str]]:
    """Have contenders take turns; return the costs of each, and a line for each one that gave other results."""
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    # Of each topic of results: whose they are, and what they must be.
    references: dict[Topic, tuple[str, Values]] = {ALERT: ("this computation", alerts_of(stream))}
    wrong: list[str] = []
    for number in range(1, rounds + 1):
        for name in names:
            contender = CONTENDERS[name]
            cost, values = _measure(contender, stream, address)
            costs[name].append(cost)
            if contender.result is None:
                continue
            reference, wanted = references.setdefault(contender.result, (name, values))
            if differing := differences(wanted, values):
                wrong.append(f"round {number}: {name} gave other results than {reference}: {differing}")
    return costs, wrong


@contextmanager
def broker(home: Path, arguments: argparse.Namespace) -> Iterator[str | None]:
    """Give the address of a real Kafka, given or started here, or None."""
    if not arguments.real:
        yield arguments.kafka
        return
    with RealKafka(home) as own:
        yield own.address


def _able(wanted: str, *, is_real: bool) -> Iterator[str]:
    """Yield the contenders that can run, and say why the others cannot."""
    for name, contender in CONTENDERS.items():
        reason = "it needs a real Kafka" if contender.on_real_kafka_only and not is_real else contender.why_not()
        if wanted in name and reason:
            Console().print(f"{name} does not run: {reason}")
        elif wanted in name:
            yield name


def _run_child(name: str, readings: int) -> None:
    settings, _ = load(os.environ)
    before, started_s = _cpu_s(), time.monotonic()
    contender = CONTENDERS[name]
    cost = contender.run(settings, readings) or (_cpu_s() - before, time.monotonic() - started_s - contender.idle_s)
    sys.stdout.write(json.dumps(cost))


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _measure(contender: Contender, stream: Stream, address: str | None) -> tuple[Cost, Values]:
    readings = stream.readings
    with tempfile.TemporaryDirectory() as directory, _bus(Path(directory), address) as settings:
        kafka.ensure_topics(settings, "bench")
        produce(settings, contender.source, records_of(stream, contender.source))
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.bench_windows", f"--child={contender.name}", f"--readings={readings}"],
            env=environment_of(settings),
            stdout=subprocess.PIPE,
            check=True,
        )
        cpu_s, wall_s = json.loads(done.stdout)
        values = _results(settings, contender.result, readings)
    return Cost(cpu_s * 1e6 / readings, readings / wall_s, len(values)), values


@contextmanager
def _bus(directory: Path, address: str | None) -> Iterator[Settings]:
    prefix = f"bench{uuid.uuid4().hex[:8]}-"
    if address:
        yield Settings(kafka_bootstrap_servers=address, topic_prefix=prefix, state_dir=directory)
        return
    with EmbeddedBroker() as broker:
        yield Settings(
            kafka_bootstrap_servers=broker.address, embedded_broker=True, topic_prefix=prefix, state_dir=directory
        )


def records_of(stream: Stream, topic: Topic) -> Iterator[Record]:
    """Yield one reading, or alert, per device and second, in order; hot ones are 10 degrees above the others."""
    chance, heat = random.Random(1), random.Random(2)  # noqa: S311  # a seeded stream, no secret
    for number in range(stream.readings):
        second, device = divmod(number, DEVICES)
        event_time_ms = _START_MS + second * 1_000 + device % 1_000
        name, timestamp = f"device-{device:04d}", iso_timestamp(event_time_ms)
        celsius = round(chance.uniform(20, 29.8), 2)
        if topic is SENSOR:
            hotter = _HOTTER_CELSIUS if heat.random() < stream.hot else 0
            value = encode_reading(name, timestamp, round(celsius + hotter, 2))
        else:
            value = encode_alert(Alert(name, timestamp, event_time_ms, celsius, 0.0, 0.0))
        yield Record(name.encode(), value)


def alerts_of(stream: Stream) -> Values:
    """Return the alerts that the stream leads to."""
    alerts: Values = {}
    for record in records_of(stream, SENSOR):
        reading = json.loads(record.value or b"")
        kelvin = round(reading["temperature"] + 273.15, 2)
        if kelvin > _THRESHOLD_KELVIN:
            alerts[record.key or b"", _ms(reading["timestamp"])] = kelvin
    return alerts


def _ms(timestamp: str) -> int:
    return round(datetime.fromisoformat(timestamp).timestamp() * 1_000)


def _newest_ms(readings: int) -> int:
    """Return the newest event time that every device has reached."""
    return _START_MS + (readings // DEVICES - 1) * 1_000


def _results(settings: Settings, topic: Topic | None, readings: int) -> Values:
    """Return what a run gave."""
    if topic is None:
        return {}
    return _alerts(settings) if topic is ALERT else _last_values(settings, topic, _newest_ms(readings))


def _alerts(settings: Settings) -> Values:
    """Return the alerts that were told; one that comes twice has twice the kelvin, which no other has."""
    alerts: Values = {}
    for message in read_all(settings, ALERT):
        alert = json.loads(message.value())
        place = message.key(), _ms(alert["timestamp"])
        alerts[place] = alerts.get(place, 0.0) + alert["kelvin"]
    return alerts


def _last_values(settings: Settings, topic: Topic, newest_ms: int) -> Values:
    """Return the last value of each key and window; contenders name it differently.

    Of means, those of windows that the readings closed: some contenders tell what is open when the input ends.
    """
    last: Values = {}
    for message in read_all(settings, topic):
        window = json.loads(message.value())
        value = next(window[name] for name in ("avg_temp", "alert_count", "value") if name in window)
        if topic is not AVG_TEMP or window["end"] <= newest_ms:
            last[message.key(), window["start"]] = value
    return last


def differences(wanted: Values, found: Values) -> str:
    """Return how many results differ, and the first of them with both values; nothing when all are the same."""
    differing = [
        window
        for window in sorted(wanted.keys() | found.keys())
        if window not in wanted
        or window not in found
        or abs(found[window] - wanted[window]) > _RELATIVE_TOLERANCE * abs(wanted[window])
    ]
    first = (
        f"{key.decode()} from {start_ms}: {found.get((key, start_ms))}, not {wanted.get((key, start_ms))}"
        for key, start_ms in differing[:_SHOWN]
    )
    return f"{len(differing)} results, {'; '.join(first)}" if differing else ""


def _report(costs: dict[str, list[Cost]]) -> None:
    table = Table("contender", "CPU s per million", "ratio", "first to it", "readings/s", "results")
    first: dict[str, Cost] = {}
    for name, runs in costs.items():
        cost = runs[0]._replace(
            cpu_s_per_million=statistics.median(run.cpu_s_per_million for run in runs),
            readings_per_s=statistics.median(run.readings_per_s for run in runs),
        )
        reference = first.setdefault(name.partition(":")[0], cost)
        ratio = cost.cpu_s_per_million / reference.cpu_s_per_million
        numbers = (
            f"{cost.cpu_s_per_million:.1f}",
            f"{ratio:.2f}",
            f"{1 / ratio:.2f}",
            f"{cost.readings_per_s:,.0f}",
            f"{cost.results:,.0f}",
        )
        table.add_row(name, *numbers)
    Console().print(table)


if __name__ == "__main__":
    main()
