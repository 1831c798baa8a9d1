"""The simulator while Kafka is away, killed, frozen or late.

It waits, and loses nothing.
"""

from itertools import pairwise
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.messages import TimeRules, parse_reading
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import kafka
from tests.support.parts import Part, part
from tests.support.real_kafka import RealKafka
from tests.support.topics import read_all
from tests.support.waiting import wait_until

AWAY = "(SENSORBUS_KAFKA_BOOTSTRAP_SERVERS) acknowledged nothing for"
FULL = "the queue to Kafka is full"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give the file to which the simulator's log goes."""
    return tmp_path / "simulator.log"


@pytest.fixture
def bus(own_kafka: RealKafka, tmp_path: Path) -> Settings:
    """Give a bus with topics on the Kafka that may be killed."""
    settings = Settings(kafka_bootstrap_servers=own_kafka.address, topic_prefix=f"{tmp_path.name[-40:]}-")
    kafka.ensure_topics(settings, "test")
    return settings


def times_by_device(settings: Settings) -> dict[str, list[int]]:
    """Return the event times of each device in topic `sensor` in their order, in ms since the epoch."""
    times: dict[str, list[int]] = {}
    for message in read_all(settings, SENSOR):
        reading = parse_reading(message.value(), message.timestamp()[1], TimeRules())
        times.setdefault(reading.device_id, []).append(reading.event_time_ms)
    return times


def count(settings: Settings) -> int:
    """Return how many records topic `sensor` holds; 0 while a partition has no leader, or nobody answers."""
    try:
        return len(read_all(settings, SENSOR))
    except (KafkaException, BrokerUnavailableError):
        return 0


def totals(child: Part) -> tuple[int, int, int]:
    """Return what the simulator said at its end: acknowledged, failed, not delivered."""
    (line,) = (line for line in child.said().splitlines() if "readings acknowledged" in line)
    acknowledged, failed, undelivered = (int(word) for word in line.split("simulator: ")[1].split() if word.isdigit())
    return acknowledged, failed, undelivered


@pytest.mark.slow
@pytest.mark.parametrize("queue", ["100000", "300"], ids=["queue-holds-all", "queue-fills-up"])
def test_a_broker_killed_and_back_costs_no_reading(own_kafka: RealKafka, bus: Settings, log: Path, queue: str) -> None:
    """After kill -9 and 8 s without a broker, each device's readings are there, once, in order, without a gap."""
    small = {"SENSORBUS_KAFKA_QUEUE_BUFFERING_MAX_MESSAGES": queue}
    with part(bus, log, "simulator", "--devices", "100", **small) as child:
        wait_until(lambda: count(bus) > 200, 20, "some readings", log)
        own_kafka.kill()
        wait_until(lambda: AWAY in child.said(), 20, "the simulator to say that it waits", log)
        own_kafka.start()
        wait_until(lambda: count(bus) > 0, 20, "the partitions to have leaders")
        held = count(bus)
        wait_until(lambda: count(bus) > held + 1_500, 40, "readings of the outage and after", log)
        child.stop(within_s=10)
    assert (FULL in child.said()) is (queue == "300")
    times = times_by_device(bus)
    acknowledged, failed, undelivered = totals(child)
    assert (failed, undelivered) == (0, 0)
    assert sum(map(len, times.values())) == acknowledged
    assert {later - earlier for of_device in times.values() for earlier, later in pairwise(of_device)} == {1000}


def test_sigterm_with_kafka_frozen_says_what_is_lost(own_kafka: RealKafka, bus: Settings, log: Path) -> None:
    """It exits with 0 within 8 s, and acknowledged readings are all in the topic."""
    with part(bus, log, "simulator", "--devices", "100") as child:
        wait_until(lambda: count(bus) > 200, 20, "some readings", log)
        own_kafka.pause()
        try:
            wait_until(lambda: AWAY in child.said(), 20, "the simulator to say that it waits", log)
            child.stop(within_s=8)
        finally:
            own_kafka.resume()
    acknowledged, failed, undelivered = totals(child)
    assert failed == 0
    assert undelivered > 300
    # A broker that was frozen is fenced for a moment, and then seems to hold nothing.
    wait_until(lambda: count(bus) >= acknowledged, 20, "what was acknowledged", log)
    assert count(bus) <= acknowledged + undelivered


def test_an_end_without_kafka_waits_for_it(own_kafka: RealKafka, bus: Settings, log: Path) -> None:
    """When the duration is over while Kafka is frozen for 12 s, nothing is given up."""
    with part(bus, log, "simulator", "--duration", "6") as child:
        wait_until(lambda: count(bus) > 20, 20, "some readings", log)
        own_kafka.pause()
        try:
            wait_until(lambda: f"{AWAY} 1" in child.said(), 40, "the simulator to wait for more than 10 s", log)
            assert child.is_running()
        finally:
            own_kafka.resume()
        child.wait(0, within_s=40)
    assert totals(child) == (120, 0, 0)
    wait_until(lambda: count(bus) > 0, 20, "a broker that was frozen to be counted as there", log)
    assert count(bus) == 120


def test_a_broker_that_comes_later_is_waited_for(own_kafka: RealKafka, bus: Settings, log: Path) -> None:
    """It names the address and the setting, and starts when Kafka does."""
    own_kafka.stop()
    with part(bus, log, "simulator", "--duration", "2") as child:
        wait_until(lambda: "no Kafka broker at" in child.said(), 20, "the simulator to say that it waits", log)
        own_kafka.start()
        child.wait(0, within_s=40)
    assert f"no Kafka broker at {own_kafka.address} (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS)" in child.said()
    assert totals(child) == (40, 0, 0)
    assert count(bus) == 40


def test_sigterm_before_the_broker_came_ends_it(log: Path) -> None:
    """Nothing to flush: it exits with 0 at once."""
    nowhere = Settings(kafka_bootstrap_servers="127.0.0.1:1")
    with part(nowhere, log, "simulator") as child:
        wait_until(lambda: "no Kafka broker at" in child.said(), 20, "the simulator to say that it waits", log)
        child.stop(within_s=8)
