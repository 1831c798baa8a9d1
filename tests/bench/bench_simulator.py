"""What a simulated reading costs, against a loop that does nothing but produce.

Prints CPU seconds per million readings of 50,000 devices, sent as fast as possible, as medians of alternated rounds,
and then the share of a core that `python -m simulator --devices 50000` takes at 1 Hz. The broker is a process of its
own, whose CPU does not count: the embedded one, or with --kafka HOST:PORT any other.
"""

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Final

from confluent_kafka import Producer

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import kafka
from simulator.encode import Encoder
from simulator.faults import FaultyNetwork, Rates
from simulator.fleet import Fleet
from simulator.publish import Publisher, producer
from simulator.run import Simulation, run
from simulator.schedule import Schedule
from tests.support.parts import part

DEVICES: Final = 50_000
SECONDS: Final = 10
ROUNDS: Final = 5
PACED_S: Final = 20
START_MS: Final = 1_767_268_800_000
END_MS: Final = START_MS + 1000 * SECONDS
FLUSH_S: Final = 60.0
RATES: Final = Rates(0.01, 0.01, 0.01, 0.01, 0.01, 0.01)


@contextlib.contextmanager
def embedded_broker() -> Iterator[str]:
    """Run the embedded broker in a process of its own; give its address."""
    child = subprocess.Popen([sys.executable, "-m", __spec__.name, "--serve"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        yield child.stdout.readline().strip()
    finally:
        child.kill()
        child.wait()


def serve() -> None:
    """Be the embedded broker until killed."""
    with EmbeddedBroker() as broker:
        sys.stdout.write(f"{broker.address}\n")
        sys.stdout.flush()
        Event().wait()


def bare(settings: Settings) -> int:
    """Produce one constant value under the fleet's keys, with the simulator's own producer."""
    client = producer(settings)
    topic, keys = settings.topic_name(SENSOR), Encoder(Fleet(DEVICES, 1000, 0, START_MS).names).keys
    value = Encoder(["device-00001"]).value(0, START_MS, 25.05)
    for _ in range(SECONDS):
        for key in keys:
            _produce(client, topic, key, value)
        client.poll(0)
    assert client.flush(FLUSH_S) == 0
    return DEVICES * SECONDS


def _produce(client: Producer, topic: str, key: bytes, value: bytes) -> None:
    while True:
        try:
            client.produce(topic, value, key)
        except BufferError:
            client.poll(0.1)
        else:
            return


def simulated(settings: Settings, rates: Rates | None = None) -> int:
    """Replay the fleet as `python -m simulator --start` does; return the readings acknowledged."""
    fleet = Fleet(DEVICES, 1000, 0, START_MS)
    network = FaultyNetwork(rates, 0) if rates else None
    schedule = Schedule(START_MS, END_MS, lambda: END_MS + 3_600_000, time.process_time)
    publisher = Publisher(producer(settings), settings.topic_name(SENSOR), settings)
    totals = run(Simulation(fleet, network, Encoder(fleet.names)), publisher, schedule, Event())
    assert (totals.failed, totals.undelivered) == (0, 0)
    return totals.acknowledged


def faulty(settings: Settings) -> int:
    """Replay the fleet with 1 % of every fault."""
    return simulated(settings, RATES)


def cpu_s_per_million(send: Callable[[Settings], int], settings: Settings) -> float:
    """Return what a way of sending costs, librdkafka's threads included."""
    before_s = time.process_time()
    sent = send(settings)
    return (time.process_time() - before_s) / sent * 1e6


def compare(settings: Settings) -> None:
    """Alternate the contenders and print medians and ratios."""
    contenders = (bare, simulated, faulty)
    costs: dict[str, list[float]] = {send.__name__: [] for send in contenders}
    for _ in range(ROUNDS):
        for send in contenders:
            costs[send.__name__].append(cpu_s_per_million(send, settings))
    medians = {name: statistics.median(values) for name, values in costs.items()}
    _say(f"{DEVICES:,} devices, {SECONDS} s of each, {ROUNDS} rounds: CPU s per million readings, median (range)")
    for name, values in costs.items():
        ratio = medians[name] / medians["bare"]
        _say(f"  {name:<10}{medians[name]:6.2f}  ({min(values):.2f} to {max(values):.2f})  {ratio:4.1f} x bare")


def paced(settings: Settings) -> None:
    """Run the command at 1 Hz and print its share of a core and what it sent."""
    with tempfile.TemporaryDirectory() as home:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        arguments = ["--devices", str(DEVICES), "--duration", str(PACED_S)]
        with part(settings, Path(home) / "log", "simulator", *arguments) as child:
            child.wait(0, within_s=PACED_S + 60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        _say(f"paced at 1 Hz for {PACED_S} s: {100 * used_s / PACED_S:.0f} % of a core, start-up included")
        _say(child.said().rstrip())


def main() -> None:
    """Compare, then pace."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--kafka", help="HOST:PORT of a Kafka to use instead of the embedded one")
    options = parser.parse_args()
    if options.serve:
        serve()
    with contextlib.ExitStack() as stack:
        address = options.kafka or stack.enter_context(embedded_broker())
        prefix = f"bench-{os.getpid()}-{uuid.uuid4().hex[:6]}-"
        embedded = options.kafka is None
        settings = Settings(kafka_bootstrap_servers=address, embedded_broker=embedded, topic_prefix=prefix)
        kafka.ensure_topics(settings, "bench")
        compare(settings)
        paced(settings)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
