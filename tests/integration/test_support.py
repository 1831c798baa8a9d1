"""The tests' own brokers do what the tests rely on."""

from pathlib import Path

import pytest

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import kafka
from tests.support.parts import part
from tests.support.real_kafka import RealKafka
from tests.support.topics import Record, produce, read_all


def test_what_is_written_is_read(fresh_settings: Settings) -> None:
    """Records come back whole, with key, value and headers, and a key keeps its order."""
    sent = [Record(b"a", str(number).encode(), [("n", bytes([number]))]) for number in range(20)]
    produce(fresh_settings, SENSOR, sent)
    found = [Record(one.key(), one.value(), one.headers() or ()) for one in read_all(fresh_settings, SENSOR)]
    assert found == sent


def test_a_bus_is_the_tests_own(fresh_settings: Settings) -> None:
    """What another test wrote is not there."""
    assert read_all(fresh_settings, SENSOR) == []


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_a_real_kafka_comes_back_with_what_it_held(own_kafka: RealKafka, ending: str) -> None:
    """After `kill` or `stop` and `start`, the same address has the same records."""
    settings = Settings(kafka_bootstrap_servers=own_kafka.address, topic_prefix=f"{ending}-")
    kafka.ensure_topics(settings, "test")
    produce(settings, SENSOR, [Record(b"a", b"1")])
    getattr(own_kafka, ending)()
    own_kafka.start()
    assert [one.value() for one in read_all(settings, SENSOR)] == [b"1"]


def test_a_part_is_told_its_bus(fresh_settings: Settings, tmp_path: Path) -> None:
    """A child process reads the settings back as they were given."""
    with part(fresh_settings, tmp_path / "log", "sensorbus", "topics", "create") as child:
        child.wait(0, within_s=30)
    assert f"{fresh_settings.topic_prefix}sensor: exists" in child.said()
