"""The simulator as a process.

What it says Kafka has is there, once, in order, and nothing else.
"""

import signal
import socket
import time
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Message

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.messages import TimeRules, event_time_ms_from_iso, parse_reading
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import kafka
from sensorbus.runtime.clock import wall_clock_ms
from simulator.encode import Encoder
from simulator.faults import FaultyNetwork, Rates
from simulator.fleet import Fleet
from simulator.run import Simulation, _due, _held_back
from tests.support.parts import Part, part
from tests.support.topics import read_all
from tests.support.waiting import wait_until

PAST = "2026-01-01T12:00:00Z"
PAST_MS = event_time_ms_from_iso(PAST, None)
Held = dict[bytes, list[bytes | None]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give the file to which the simulator's log goes."""
    return tmp_path / "simulator.log"


def by_key(pairs: list[tuple[bytes, bytes | None]]) -> Held:
    """Return the values of each key in their order."""
    held: Held = {}
    for key, value in pairs:
        held.setdefault(key, []).append(value)
    return held


def held_in(settings: Settings) -> Held:
    """Return the values of each key in topic `sensor`, in their order."""
    return by_key([(message.key(), message.value()) for message in read_all(settings, SENSOR)])


def expected(devices: int, duration_ms: int, seed: int = 0, rates: Rates | None = None) -> Held:
    """Return what a run from PAST sends, computed in this process."""
    fleet = Fleet(devices, 1_000, seed, PAST_MS)
    network = FaultyNetwork(rates, seed) if rates else None
    simulation = Simulation(fleet, network, Encoder(fleet.names))
    return by_key([*_due(simulation, PAST_MS, PAST_MS + duration_ms), *_held_back(simulation)])


def times_by_device(messages: list[Message]) -> dict[str, list[int]]:
    """Return the event times of each device in their order, in ms since the epoch."""
    times: dict[str, list[int]] = {}
    for message in messages:
        reading = parse_reading(message.value(), message.timestamp()[1], TimeRules())
        times.setdefault(reading.device_id, []).append(reading.event_time_ms)
    return times


def acknowledged(child: Part) -> int:
    """Return how many readings the simulator says Kafka has; none failed and none was lost."""
    said = [line for line in child.said().splitlines() if "readings acknowledged" in line]
    assert len(said) == 1, child.said()
    assert said[0].endswith(" readings acknowledged, 0 failed, 0 not delivered")
    return int(said[0].split("simulator: ")[1].split()[0])


def test_a_duration_is_that_many_periods(kafka_settings: Settings, log: Path) -> None:
    """50 devices for 3 s: three readings each, a period apart, in topics that it made itself; then it ends."""
    with part(kafka_settings, log, "simulator", "--devices", "50", "--duration", "3") as child:
        child.wait(0, within_s=30)
    times = times_by_device(read_all(kafka_settings, SENSOR))
    assert acknowledged(child) == 150
    assert sorted(times) == [f"device-{number:04d}" for number in range(1, 51)]
    assert {len(of_device) for of_device in times.values()} == {3}
    assert {later - earlier for of_device in times.values() for earlier, later in pairwise(of_device)} == {1000}


def test_a_replay_is_the_same_in_every_process(fresh_settings: Settings, log: Path) -> None:
    """Ten minutes of a past day are there at once, each byte as computed here from the seed."""
    arguments = ["--devices", "20", "--seed", "7", "--start", PAST, "--duration", "600"]
    with part(fresh_settings, log, "simulator", *arguments) as child:
        child.wait(0, within_s=30)
    assert acknowledged(child) == 20 * 600
    assert held_in(fresh_settings) == expected(20, 600_000, seed=7)


def test_faults_are_as_ordered(fresh_settings: Settings, log: Path) -> None:
    """With all faults at once, the topic holds exactly what the seed says, in that order per device."""
    rates = Rates(dropout=0.1, late=0.1, out_of_order=0.1, duplicate=0.1, invalid=0.1, skew=0.3)
    options = [f"--{name.replace('_', '-')}={rate}" for name, rate in rates._asdict().items()]
    with part(fresh_settings, log, "simulator", *options, "--start", PAST, "--duration", "300") as child:
        child.wait(0, within_s=30)
    wanted = expected(20, 300_000, rates=rates)
    assert acknowledged(child) == sum(map(len, wanted.values()))
    assert held_in(fresh_settings) == wanted


def test_a_full_queue_waits_and_loses_nothing(fresh_settings: Settings, log: Path) -> None:
    """A queue of 50 records is too small for the 200 of each turn of this replay."""
    arguments = ["--devices", "200", "--start", PAST, "--duration", "60"]
    small = {"SENSORBUS_KAFKA_QUEUE_BUFFERING_MAX_MESSAGES": "50"}
    with part(fresh_settings, log, "simulator", *arguments, **small) as child:
        child.wait(0, within_s=60)
    assert acknowledged(child) == 200 * 60
    assert held_in(fresh_settings) == expected(200, 60_000)


def test_sigterm_ends_it_and_the_count_is_true(fresh_settings: Settings, log: Path) -> None:
    """It exits with 0 within 8 s; as many readings are in the topic as it said, none missing in between."""
    with part(fresh_settings, log, "simulator", "--devices", "100") as child:
        wait_until(lambda: count(fresh_settings) > 150, 20, "some readings", log)
        child.stop(within_s=8)
    times = times_by_device(read_all(fresh_settings, SENSOR))
    assert sum(map(len, times.values())) == acknowledged(child)
    assert {later - earlier for of_device in times.values() for earlier, later in pairwise(of_device)} == {1000}


def test_what_is_held_back_is_sent_at_the_end(fresh_settings: Settings, log: Path) -> None:
    """Stopped by SIGTERM with far more late readings held back than the queue takes, it delivers them all."""
    arguments = ["--devices", "500", "--late", "1", "--start", PAST]
    small = {"SENSORBUS_KAFKA_QUEUE_BUFFERING_MAX_MESSAGES": "200"}
    with part(fresh_settings, log, "simulator", *arguments, **small) as child:
        wait_until(lambda: count(fresh_settings) > 1_000, 20, "some readings", log)
        child.stop(within_s=8)
    times = [sorted(of_device) for of_device in times_by_device(read_all(fresh_settings, SENSOR)).values()]
    assert sum(map(len, times)) == acknowledged(child)
    assert {later - earlier for of_device in times for earlier, later in pairwise(of_device)} == {1000}


def test_health_tells_the_truth(fresh_settings: Settings, log: Path) -> None:
    """/readyz is 200 when readings flow, and the metric counts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with part(fresh_settings, log, "simulator", SENSORBUS_OPS_PORT=str(port)) as child:
        wait_until(lambda: status(port) == 200, 20, "/readyz to say ready", log)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            metrics = answer.read().decode()
        child.stop()
    produced = next(line for line in metrics.splitlines() if line.startswith("sensorbus_simulator_produced_total "))
    assert 0 < float(produced.split()[1]) <= acknowledged(child)


@pytest.mark.slow
def test_a_suspended_simulator_sends_no_old_readings(log: Path) -> None:
    """13 s of SIGSTOP leave one gap of that length in each device, and everything around it is there."""
    with EmbeddedBroker() as broker:
        settings = Settings(kafka_bootstrap_servers=broker.address, embedded_broker=True)
        kafka.ensure_topics(settings, "test")
        with part(settings, log, "simulator", "--devices", "50") as child:
            wait_until(lambda: count(settings) > 100, 20, "some readings", log)
            child.signal(signal.SIGSTOP)
            stopped_s = time.monotonic()
            wait_until(lambda: time.monotonic() - stopped_s > 13, 20, "the suspension to be long enough")
            child.signal(signal.SIGCONT)
            resumed_ms = wall_clock_ms()
            wait_until(lambda: newest_ms(settings) > resumed_ms + 2_000, 20, "readings of the present", log)
            child.stop(within_s=8)
        times = times_by_device(read_all(settings, SENSOR))
    assert "suspended for" in child.said()
    assert sum(map(len, times.values())) == acknowledged(child)
    for of_device in times.values():
        gaps = [later - earlier for earlier, later in pairwise(of_device) if later - earlier != 1000]
        assert len(gaps) == 1
        assert 12_000 <= gaps[0] <= 17_000


def test_a_start_that_is_no_time_is_one_line(log: Path) -> None:
    """The exit code is 2 and the line names the option."""
    with part(Settings(), log, "simulator", "--start", "yesterday") as child:
        child.wait(2, within_s=20)
    assert len(child.said().splitlines()) == 1
    assert "--start: timestamp 'yesterday' is not an ISO 8601 date and time" in child.said()


def count(settings: Settings) -> int:
    """Return how many records topic `sensor` holds; 0 while a partition has no leader yet."""
    try:
        return len(read_all(settings, SENSOR))
    except KafkaException:
        return 0


def newest_ms(settings: Settings) -> int:
    """Return the latest event time in topic `sensor`."""
    return max(of_device[-1] for of_device in times_by_device(read_all(settings, SENSOR)).values())


def status(port: int) -> int:
    """Return the HTTP status of /readyz, 0 when nothing answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
