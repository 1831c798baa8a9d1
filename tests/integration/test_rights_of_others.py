"""Rights of those who are no part of ours, on a real Kafka with passwords.

Real devices, and who scales by the lag: docs/security.md says what they need.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaException, Producer, TopicPartition

from sensorbus.contract.errors import TopicError
from sensorbus.contract.messages import encode_reading
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.records import partitions
from sensorbus.runtime import kafka
from tests.support import real_kafka
from tests.support.needs import need
from tests.support.oidc_provider import Provider
from tests.support.rights import Right, rights
from tests.support.secure_kafka import SecureKafka
from tests.support.topics import values
from tests.support.waiting import wait_until

PASSWORD: Final = "marker-hunter2"  # noqa: S105  # of this test's users
READING: Final = encode_reading("a", "2026-01-31T12:00:00Z", 20.0)

pytestmark = [pytest.mark.real_kafka, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """Give a broker that knows a device and KEDA, who have no rights yet."""
    need(real_kafka.why_not())
    with Provider() as provider, SecureKafka(tmp_path_factory.mktemp("kafka"), provider, {}) as running:
        for user in ("device", "keda"):
            running.add_user(user, PASSWORD)
        yield running


def bus_of(broker: SecureKafka, prefix: str, user: str) -> tuple[Settings, Settings]:
    """Return a bus with topics, as one who may do everything reaches it and as a user does."""
    bus = Settings(kafka_bootstrap_servers=broker.address, topic_prefix=prefix)
    kafka.ensure_topics(bus, "test")
    return bus, broker.with_password(bus, user, PASSWORD)


@pytest.mark.parametrize("is_idempotent", [False, True])
def test_a_device_needs_to_write_to_sensor_and_nothing_else(broker: SecureKafka, *, is_idempotent: bool) -> None:
    """A plain producer of librdkafka's, and an idempotent one."""
    bus, as_device = bus_of(broker, f"device-{is_idempotent}-".lower(), "device")
    options = {**kafka.client_options(as_device, "device"), "enable.idempotence": is_idempotent}

    def is_taken() -> bool:
        device, errors = Producer(options), []
        device.produce(bus.topic_name(SENSOR), READING, b"a", on_delivery=lambda error, _: errors.append(error))
        return device.flush(20) == 0 and errors[0] is None

    assert not is_taken()
    broker.allow(Right("device", "TOPIC", bus.topic_name(SENSOR), prefixed=False, operations=["WRITE"]))
    wait_until(is_taken, 20, "the right to be known to the broker")
    assert values(bus, SENSOR) == [READING]


def test_who_scales_by_the_lag_sees_it_and_nothing_else(broker: SecureKafka) -> None:
    """KEDA asks for the partitions of the topic, their ends, and what the group has committed."""
    bus, as_keda = bus_of(broker, "lag-", "keda")
    group = {"group.id": bus.consumer_group("alert")}
    places = [TopicPartition(bus.topic_name(SENSOR), number) for number in range(bus.topic_partitions)]

    def sees_all() -> bool:
        asks = kafka.consumer(as_keda, "test", **group)
        with contextlib.closing(asks), contextlib.suppress(KafkaException, TopicError):
            ends = [asks.get_watermark_offsets(place, timeout=20)[1] for place in partitions(as_keda, asks, SENSOR)]
            committed = {place.offset for place in asks.committed(places, timeout=20)}
            return (ends, committed) == ([0] * len(places), {OFFSET_INVALID})
        return False

    assert not sees_all()
    for right in (each for each in rights(bus.topic_prefix) if each.user == "keda"):
        broker.allow(right)
    wait_until(sees_all, 20, "the rights to be known to the broker")
    with contextlib.closing(kafka.consumer(as_keda, "test", **group)) as reads:
        reads.assign(places)
        assert [message.error().name() for message in reads.consume(1, 20)] == ["TOPIC_AUTHORIZATION_FAILED"]
