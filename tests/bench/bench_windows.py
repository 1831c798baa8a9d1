"""What a reading costs.

Our jobs beside Quix's own windows, a plain loop, and Quix doing nothing.

`python -m tests.bench.bench_windows [--readings 100000] [--rounds 5] [--real | --kafka HOST:PORT] [--only TEXT]`

Every run has topics of its own with the same seeded readings of 1000 devices, and a process of its own. CPU is that
process's, user and system, from the start of the loop to its end. Contenders take turns; the table has medians, and
ratios to the first of each job. Those that do the same job must give the same windows and values, in every round.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.messages import Alert, encode_alert, encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings, load
from sensorbus.contract.topics import AVG_TEMP, SENSOR, Topic
from sensorbus.runtime import kafka
from tests.bench.contenders import CONTENDERS, Contender
from tests.support.parts import environment_of
from tests.support.real_kafka import RealKafka
from tests.support.topics import Record, produce, read_all

DEVICES: Final = 1_000
_START_MS: Final = 1_769_860_800_000
_RELATIVE_TOLERANCE: Final = 1e-6
_SHOWN: Final = 3


#: The last value of each key and window (its start in ms).
Values = dict[tuple[bytes, int], float]


class Cost(NamedTuple):
    """One run: its CPU and pace, and how many windows it gave."""

    cpu_s_per_million: float
    readings_per_s: float
    windows: int


def main() -> None:
    """Run the contenders in turn and print the table; exit code 1 when results differ."""
    parser = argparse.ArgumentParser(description="CPU seconds per million readings.")
    parser.add_argument("--readings", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
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
        costs: dict[str, list[Cost]] = {name: [] for name in names}
        first: dict[str, tuple[str, Values]] = {}  # of each job: who it is, and what it gave in the first round
        wrong: list[str] = []
        for number in range(1, arguments.rounds + 1):
            for name in names:
                cost, values = _measure(CONTENDERS[name], arguments.readings, address)
                costs[name].append(cost)
                reference, wanted = first.setdefault(name.partition(":")[0], (name, values))
                if differing := differences(wanted, values):
                    wrong.append(f"round {number}: {name} gave other results than {reference}: {differing}")
    _report(costs)
    for line in wrong:
        Console().print(line, highlight=False, markup=False, soft_wrap=True)
    sys.exit(1 if wrong else 0)


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
    cost = CONTENDERS[name].run(settings, readings) or (_cpu_s() - before, time.monotonic() - started_s)
    sys.stdout.write(json.dumps(cost))


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _measure(contender: Contender, readings: int, address: str | None) -> tuple[Cost, Values]:
    with tempfile.TemporaryDirectory() as directory, _bus(Path(directory), address) as settings:
        kafka.ensure_topics(settings, "bench")
        produce(settings, contender.source, _records(contender.source, readings))
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.bench_windows", f"--child={contender.name}", f"--readings={readings}"],
            env=environment_of(settings),
            stdout=subprocess.PIPE,
            check=True,
        )
        cpu_s, wall_s = json.loads(done.stdout)
        last = _last_values(settings, contender.result, _newest_ms(readings))
    return Cost(cpu_s * 1e6 / readings, readings / wall_s, len(last)), last


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


def _records(topic: Topic, readings: int) -> Iterator[Record]:
    """Yield one reading, or alert, per device and second, in order."""
    chance = random.Random(1)  # noqa: S311  # a seeded stream, no secret
    for number in range(readings):
        second, device = divmod(number, DEVICES)
        event_time_ms = _START_MS + second * 1_000 + device % 1_000
        name, timestamp = f"device-{device:04d}", iso_timestamp(event_time_ms)
        celsius = round(chance.uniform(20, 29.8), 2)
        if topic is SENSOR:
            value = encode_reading(name, timestamp, celsius)
        else:
            value = encode_alert(Alert(name, timestamp, event_time_ms, celsius, 0.0, 0.0))
        yield Record(name.encode(), value)


def _newest_ms(readings: int) -> int:
    """Return the newest event time that every device has reached."""
    return _START_MS + (readings // DEVICES - 1) * 1_000


def _last_values(settings: Settings, topic: Topic | None, newest_ms: int) -> Values:
    """Return the last value of each key and window; contenders name it differently.

    Of means, those of windows that the readings closed: some contenders tell what is open when the input ends.
    """
    last: Values = {}
    for message in read_all(settings, topic) if topic else ():
        window = json.loads(message.value())
        value = next(window[name] for name in ("avg_temp", "alert_count", "value") if name in window)
        if topic is not AVG_TEMP or window["end"] <= newest_ms:
            last[message.key(), window["start"]] = value
    return last


def differences(wanted: Values, found: Values) -> str:
    """Return how many windows differ, and the first of them with both values; nothing when all are the same."""
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
    return f"{len(differing)} windows, {'; '.join(first)}" if differing else ""


def _report(costs: dict[str, list[Cost]]) -> None:
    table = Table("contender", "CPU s per million", "ratio", "readings/s", "windows")
    first: dict[str, Cost] = {}
    for name, runs in costs.items():
        cost = runs[0]._replace(
            cpu_s_per_million=statistics.median(run.cpu_s_per_million for run in runs),
            readings_per_s=statistics.median(run.readings_per_s for run in runs),
        )
        reference = first.setdefault(name.partition(":")[0], cost)
        ratio = f"{cost.cpu_s_per_million / reference.cpu_s_per_million:.2f}"
        table.add_row(
            name, f"{cost.cpu_s_per_million:.1f}", ratio, f"{cost.readings_per_s:,.0f}", f"{cost.windows:,.0f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
